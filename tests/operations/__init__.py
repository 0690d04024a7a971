"""Tests of what operators do with stored tokens, as functions."""
