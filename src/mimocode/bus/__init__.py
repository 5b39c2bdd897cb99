"""Fan-out of events to subscribers."""
