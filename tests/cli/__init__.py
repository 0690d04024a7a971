"""Tests of the ``flask tokens`` commands."""
