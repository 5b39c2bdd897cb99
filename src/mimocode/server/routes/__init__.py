"""One module for each resource; a route parses, calls a service and answers."""
