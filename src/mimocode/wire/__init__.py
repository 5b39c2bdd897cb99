"""What clients see, spelled as they see it."""
