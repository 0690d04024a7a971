"""Figma."""

from ..preset import Preset, Profile, factory, proxy


class Figma(Preset):
    base_url = "https://api.figma.com/v1/"
    authorization_url = "https://www.figma.com/oauth"
    token_url = "https://api.figma.com/v1/oauth/token"
    refresh_url = "https://api.figma.com/v1/oauth/refresh"
    scope = ["current_user:read"]
    profile = Profile("me", "id handle email img_url")
    console = "https://www.figma.com/developers/apps"
    doubts = "The separator of scopes, and whether PKCE is required; it is sent."


make_figma_blueprint, figma = factory(Figma), proxy(Figma)
