"""Measurements, side by side: this package, Flask-Dance, and the bare drivers."""
