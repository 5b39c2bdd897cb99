"""Sessions and their turns: who runs them, and the one place that writes and then tells."""
