"""Tests of what is about people: profiles, signing in, connections, erasure."""
