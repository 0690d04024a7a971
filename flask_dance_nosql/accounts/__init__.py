"""People: who an account is, signing in with it, a page for one's connections, being forgotten."""

from .login import current_user_id, log_out
from .profile import AccountProfile, read_profile
from .sign_in import SignIn

__all__ = ["AccountProfile", "SignIn", "current_user_id", "log_out", "read_profile"]
