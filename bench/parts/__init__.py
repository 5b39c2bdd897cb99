"""What is measured, part by part. A part runs one server once and says what it saw."""
