"""Presets: a module for each provider, with its factory and its proxy."""
