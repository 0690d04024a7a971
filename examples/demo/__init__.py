"""A complete example: an OAuth 2 provider and an app that connects to it, on this machine alone."""
