"""Tests of what is in ``consumer/backend/cache``."""
