"""One resource of the HTTP API a module."""
