"""People: who an account is, signing in with it, a page for one's connections, being forgotten."""

from .connection import Connection
from .connections import Connections
from .profile import AccountProfile, read_profile, with_profile

__all__ = ["AccountProfile", "Connection", "Connections", "read_profile", "with_profile"]
