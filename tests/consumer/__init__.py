"""Tests of blueprints and sessions."""
