"""An application of Flask-Dance, and its move."""
