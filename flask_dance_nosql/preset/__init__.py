"""Presets: providers as data, from which their factories and proxies are made."""

from ..consumer.revocation import Revocation
from ..consumer.settings import argument
from .base import BasePreset, OAuth1Preset, OpenIDPreset, Preset
from .exports import factory, proxy
from .header import TokenHeaderClient
from .option import CONSENT, HOST, OFFLINE, USER_AGENT, WORD, Option, option
from .profile import OPENID, Profile

__all__ = [
    "CONSENT",
    "HOST",
    "OFFLINE",
    "OPENID",
    "USER_AGENT",
    "WORD",
    "BasePreset",
    "OAuth1Preset",
    "OpenIDPreset",
    "Option",
    "Preset",
    "Profile",
    "Revocation",
    "TokenHeaderClient",
    "argument",
    "factory",
    "option",
    "proxy",
]
