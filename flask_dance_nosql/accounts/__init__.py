"""People: who an account is, signing in with it, a page for one's connections, being forgotten."""

from .profile import AccountProfile, read_profile

__all__ = ["AccountProfile", "read_profile"]
