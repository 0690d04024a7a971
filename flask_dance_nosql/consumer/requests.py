"""The sessions, where Flask-Dance has them."""

from .consumer_session import ConsumerSession
from .oauth1_session import OAuth1Session
from .oauth2_session import OAuth2Session

__all__ = ["ConsumerSession", "OAuth1Session", "OAuth2Session"]
