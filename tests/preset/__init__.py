"""Tests of what makes presets."""
