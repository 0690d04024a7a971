"""Facebook. There are no refresh tokens: after 60 days at most, the user logs in again."""

from ..preset import Preset, Profile, Revocation, factory, option, proxy


class Facebook(Preset):
    base_url = "https://graph.facebook.com/{api_version}/"
    authorization_url = "https://www.facebook.com/{api_version}/dialog/oauth"
    token_url = "https://graph.facebook.com/{api_version}/oauth/access_token"
    refresh = False
    scope_separator = ","
    revocation = Revocation(
        "https://graph.facebook.com/{api_version}/me/permissions",
        method="DELETE",
        sends=None,
        auth="token",
        ends_grant=True,
    )
    profile = Profile("me?fields=id,name,email,picture", "id name email picture.data.url")
    apps_page = "https://www.facebook.com/settings?tab=applications"
    console = "https://developers.facebook.com/apps/"

    api_version: str = option("The API's version.", default="v24.0", pattern=r"v[0-9]+\.[0-9]+")
    rerequest_declined_permissions: bool = option(
        "Ask anew.", default=False, adds="auth_type=rerequest"
    )


make_facebook_blueprint, facebook = factory(Facebook), proxy(Facebook)
