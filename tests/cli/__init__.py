"""Tests of what is in ``cli``."""
