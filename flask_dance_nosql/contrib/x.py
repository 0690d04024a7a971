"""X. The e-mail address comes with the scope ``users.email``."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class X(Preset):
    base_url = "https://api.x.com/2/"
    authorization_url = "https://x.com/i/oauth2/authorize"
    token_url = "https://api.x.com/2/oauth2/token"
    scope = ["users.read", "tweet.read", "offline.access"]
    refresh = "offline.access"
    use_pkce = True
    revocation = Revocation("https://api.x.com/2/oauth2/revoke")
    profile = Profile(
        "users/me?user.fields=profile_image_url,confirmed_email",
        "data.id data.name data.confirmed_email data.profile_image_url",
    )
    apps_page = "https://x.com/settings/connected_apps"
    console = "https://developer.x.com/en/portal/dashboard"


make_x_blueprint, x = factory(X), proxy(X)
