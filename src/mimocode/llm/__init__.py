"""Models: which there are, what they cost, and one stream of events for all of them."""
