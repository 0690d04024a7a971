"""Heroku."""

from ..preset import Preset, Profile, factory, option, proxy


class Heroku(Preset):
    base_url = "https://api.heroku.com/"
    authorization_url = "https://id.heroku.com/oauth/authorize"
    token_url = "https://id.heroku.com/oauth/token"
    headers = {"Accept": "application/vnd.heroku+json; version={api_version}"}
    profile = Profile("account", "id name email")
    apps_page = "https://dashboard.heroku.com/account/applications"
    console = "https://dashboard.heroku.com/account/applications"

    api_version: str = option("The API's version.", default="3", pattern="[0-9A-Za-z.]+")


make_heroku_blueprint, heroku = factory(Heroku), proxy(Heroku)
