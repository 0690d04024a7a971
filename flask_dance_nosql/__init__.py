"""OAuth for Flask, with each user's token kept safely in MongoDB, Redis or a store of your own."""

__version__ = "1.0.0.dev0"

__all__ = ["__version__"]
