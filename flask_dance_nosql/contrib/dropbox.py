"""Dropbox.

Tokens end after four hours, so that an app that works without its user needs ``offline=True``.
"""

from typing import Literal

from ..preset import Preset, Profile, Revocation, factory, option, proxy


class Dropbox(Preset):
    base_url = "https://api.dropboxapi.com/2/"
    authorization_url = "https://www.dropbox.com/oauth2/authorize"
    token_url = "https://api.dropboxapi.com/oauth2/token"
    revocation = Revocation(
        "https://api.dropboxapi.com/2/auth/token/revoke", auth="token", sends=None
    )
    profile = Profile(
        "users/get_current_account",
        "account_id name.display_name email profile_photo_url email_verified",
        method="POST",
    )
    apps_page = "https://www.dropbox.com/account/connected_apps"
    console = "https://www.dropbox.com/developers/apps"

    app_key: str | None = option("The client id.", default=None, names="client_id")
    app_secret: str | None = option("The client secret.", default=None, names="client_secret")
    offline: bool = option(
        "Get a refresh token.", default=False, adds="token_access_type=offline", refreshes=True
    )
    force_reapprove: bool = option("Ask anew.", default=False, adds="force_reapprove=true")
    disable_signup: bool = option("No new accounts.", default=False, adds="disable_signup=true")
    require_role: Literal["work", "personal"] | None = option(
        "Which account.", default=None, adds="require_role={}"
    )


make_dropbox_blueprint, dropbox = factory(Dropbox), proxy(Dropbox)
