"""GitHub. Only apps that let tokens expire, or ask for ``offline_access``, get refresh tokens."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class GitHub(Preset):
    base_url = "https://api.github.com/"
    authorization_url = "https://github.com/login/oauth/authorize"
    token_url = "https://github.com/login/oauth/access_token"
    another_account = {"prompt": "select_account"}
    revocation = Revocation(
        "https://api.github.com/applications/{client_id}/grant",
        method="DELETE",
        sends="json",
        field="access_token",
        auth="basic",
        done=((404, ""),),
        ends_grant=True,
    )
    profile = Profile("user", "id name|login - avatar_url", emails="user/emails")
    apps_page = "https://github.com/settings/applications"
    console = "https://github.com/settings/developers"
    callback_rule = "Up to ten callback URLs; a path below one of them is accepted."


make_github_blueprint, github = factory(GitHub), proxy(GitHub)
