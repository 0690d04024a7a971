"""People: who an account is, signing in with it, a page for one's connections, being forgotten."""

from .connection import Connection
from .connections import Connections
from .erasure import ErasedAccount, Erasure, export_user, forget_user
from .login import current_user_id, log_out
from .profile import AccountProfile, read_profile, with_profile
from .sign_in import SignIn

__all__ = [
    "AccountProfile",
    "Connection",
    "Connections",
    "ErasedAccount",
    "Erasure",
    "SignIn",
    "current_user_id",
    "export_user",
    "forget_user",
    "log_out",
    "read_profile",
    "with_profile",
]
