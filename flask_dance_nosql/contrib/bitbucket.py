"""Bitbucket."""

from ..preset import Preset, Profile, factory, proxy


class Bitbucket(Preset):
    base_url = "https://api.bitbucket.org/2.0/"
    authorization_url = "https://bitbucket.org/site/oauth2/authorize"
    token_url = "https://bitbucket.org/site/oauth2/access_token"
    scope = ["account", "email"]
    profile = Profile("user", "uuid display_name - links.avatar.href", emails="user/emails")
    apps_page = "https://bitbucket.org/account/settings/app-authorizations/"
    console = "https://bitbucket.org/account/workspaces/"
    callback_rule = "One, with which the callback URL has to begin."


make_bitbucket_blueprint, bitbucket = factory(Bitbucket), proxy(Bitbucket)
