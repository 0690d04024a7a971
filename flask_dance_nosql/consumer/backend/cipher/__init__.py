"""Tokens encrypted at rest."""
