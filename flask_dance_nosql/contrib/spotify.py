"""Spotify.

A refresh token ends six months after the consent, however often it is used. The e-mail address,
with the scope ``user-read-email``, is not verified.
"""

from ..preset import Preset, Profile, factory, proxy


class Spotify(Preset):
    base_url = "https://api.spotify.com/v1/"
    authorization_url = "https://accounts.spotify.com/authorize"
    token_url = "https://accounts.spotify.com/api/token"
    profile = Profile("me", "id display_name email images.0.url")
    apps_page = "https://www.spotify.com/account/apps/"
    console = "https://developer.spotify.com/dashboard"
    callback_rule = "https, or http for ``127.0.0.1`` and ``[::1]`` only; not ``localhost``."


make_spotify_blueprint, spotify = factory(Spotify), proxy(Spotify)
