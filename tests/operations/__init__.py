"""Tests of `flask tokens` and what it does."""
