"""Trello, by OAuth 1."""

from ..preset import OAuth1Preset, Profile, argument, factory, option, proxy


class Trello(OAuth1Preset):
    base_url = "https://api.trello.com/1/"
    request_token_url = "https://trello.com/1/OAuthGetRequestToken"
    access_token_url = "https://trello.com/1/OAuthGetAccessToken"
    authorization_url = "https://trello.com/1/OAuthAuthorizeToken"
    profile = Profile("members/me", "id fullName email avatarUrl")
    console = "https://trello.com/power-ups/admin"

    client_key: str | None = argument(default=None, kw_only=False)
    client_secret: str | None = argument(default=None, kw_only=False)
    app_name: str | None = option("What users are shown.", default=None, adds="name={}")
    permissions: str = option("What is asked for.", default="read,write", adds="scope={}")
    expiration: str = option("How long it lasts.", default="never", adds="expiration={}")


make_trello_blueprint, trello = factory(Trello), proxy(Trello)
