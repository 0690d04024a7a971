"""Twitter, by OAuth 1. For OAuth 2 see ``x``."""

from ..preset import OAuth1Preset, Profile, factory, option, proxy


class Twitter(OAuth1Preset):
    base_url = "https://api.twitter.com/1.1/"
    request_token_url = "https://api.twitter.com/oauth/request_token"
    access_token_url = "https://api.twitter.com/oauth/access_token"
    authorization_url = "https://api.twitter.com/oauth/authorize"
    config = {
        "client_key": "TWITTER_OAUTH_CLIENT_KEY",
        "client_secret": "TWITTER_OAUTH_CLIENT_SECRET",
    }
    profile = Profile("account/verify_credentials.json", "id_str name - profile_image_url_https")
    console = "https://developer.x.com/en/portal/dashboard"

    api_key: str | None = option("The key.", default=None, kw_only=False, names="client_key")
    api_secret: str | None = option(
        "The secret.", default=None, kw_only=False, names="client_secret"
    )


make_twitter_blueprint, twitter = factory(Twitter), proxy(Twitter)
