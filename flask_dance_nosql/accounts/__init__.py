"""People: who an account is, signing in with it, a page for one's connections, being forgotten."""

from .erasure import ErasedAccount, Erasure, export_user, forget_user
from .profile import AccountProfile, read_profile

__all__ = [
    "AccountProfile",
    "ErasedAccount",
    "Erasure",
    "export_user",
    "forget_user",
    "read_profile",
]
