"""Fitbit."""

from ..preset import Preset, Profile, factory, proxy


class Fitbit(Preset):
    base_url = "https://api.fitbit.com/"
    authorization_url = "https://www.fitbit.com/oauth2/authorize"
    token_url = "https://api.fitbit.com/oauth2/token"
    profile = Profile("1/user/-/profile.json", "user.encodedId user.displayName - user.avatar150")
    console = "https://console.cloud.google.com/"
    deprecated = "Its API has ended. Use ``google``, with the scopes of the Google Health API."


make_fitbit_blueprint, fitbit = factory(Fitbit), proxy(Fitbit)
