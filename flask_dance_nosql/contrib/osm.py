"""OpenStreetMap. Tokens have no end, and a second login gives the same one."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class OpenStreetMap(Preset):
    base_url = "https://api.openstreetmap.org/api/0.6/"
    authorization_url = "https://www.openstreetmap.org/oauth2/authorize"
    token_url = "https://www.openstreetmap.org/oauth2/token"
    refresh = False
    scope = ["read_prefs"]
    revocation = Revocation("https://www.openstreetmap.org/oauth2/revoke")
    profile = Profile("user/details.json", "user.id user.display_name - user.img.href")
    apps_page = "https://www.openstreetmap.org/oauth2/authorized_applications"
    console = "https://www.openstreetmap.org/oauth2/applications"
    doubts = "The revocation endpoint."


make_osm_blueprint, osm = factory(OpenStreetMap), proxy(OpenStreetMap)
