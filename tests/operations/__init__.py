"""Tests of what is in ``operations``."""
