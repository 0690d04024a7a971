"""Tests of what is in ``consumer/backend/redis``."""
