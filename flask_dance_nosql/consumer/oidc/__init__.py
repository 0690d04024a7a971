"""OpenID Connect: who has logged in, as the provider has signed it."""

from .blueprint import OIDCConsumerBlueprint
from .session import OIDCSession

__all__ = ["OIDCConsumerBlueprint", "OIDCSession"]
