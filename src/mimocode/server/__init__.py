"""HTTP: routes, limits, errors, authentication."""
