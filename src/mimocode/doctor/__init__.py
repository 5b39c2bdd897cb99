"""What is wrong with this installation, and with the way to a server: measured, judged, and how to mend it."""
