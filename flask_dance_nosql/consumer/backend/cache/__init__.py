"""Caches of token documents."""
