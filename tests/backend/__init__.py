"""Tests of the backends and their stores."""
