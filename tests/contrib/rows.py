"""What each preset has to be, typed from the providers' own documentation: one row for each."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """A preset as its factory makes it with ``arguments``."""

    module: str
    base_url: str | None
    authorization_url: str
    token_url: str
    scope: Any = None
    refresh_url: str | None = None
    auth: str = "basic"
    params: dict[str, str] = {}
    separator: str = " "
    pkce: bool = True
    arguments: dict[str, Any] = {}


_GOOGLE = (
    "https://www.googleapis.com/",
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://oauth2.googleapis.com/token",
)
_OPENID = ["openid", "profile", "email"]

ROWS = [
    Row(
        "atlassian",
        "https://api.atlassian.com/",
        "https://auth.atlassian.com/authorize",
        "https://auth.atlassian.com/oauth/token",
        auth="post",
        params={"audience": "api.atlassian.com"},
    ),
    Row(
        "authentiq",
        "https://connect.authentiq.io/",
        "https://connect.authentiq.io/authorize",
        "https://connect.authentiq.io/token",
        "openid profile",
    ),
    Row(
        "azure",
        "https://graph.microsoft.com",
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        ["openid", "email", "profile", "User.Read"],
    ),
    Row(
        "dexcom",
        "https://api.dexcom.com/",
        "https://api.dexcom.com/v3/oauth2/login",
        "https://api.dexcom.com/v3/oauth2/token",
        "offline_access",
        "https://api.dexcom.com/v3/oauth2/token",
        auth="post",
    ),
    Row(
        "digitalocean",
        "https://api.digitalocean.com/v2/",
        "https://cloud.digitalocean.com/v1/oauth/authorize",
        "https://cloud.digitalocean.com/v1/oauth/token",
        None,
        "https://cloud.digitalocean.com/v1/oauth/token",
    ),
    Row(
        "discord",
        "https://discord.com/api/v10/",
        "https://discord.com/oauth2/authorize",
        "https://discord.com/api/oauth2/token",
        ["identify"],
        "https://discord.com/api/oauth2/token",
        params={"prompt": "consent"},
    ),
    Row(
        "dropbox",
        "https://api.dropboxapi.com/2/",
        "https://www.dropbox.com/oauth2/authorize",
        "https://api.dropboxapi.com/oauth2/token",
    ),
    Row(
        "facebook",
        "https://graph.facebook.com/v24.0/",
        "https://www.facebook.com/v24.0/dialog/oauth",
        "https://graph.facebook.com/v24.0/oauth/access_token",
        separator=",",
    ),
    Row(
        "fitbit",
        "https://api.fitbit.com/",
        "https://www.fitbit.com/oauth2/authorize",
        "https://api.fitbit.com/oauth2/token",
        None,
        "https://api.fitbit.com/oauth2/token",
    ),
    Row(
        "github",
        "https://api.github.com/",
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        None,
        "https://github.com/login/oauth/access_token",
    ),
    Row(
        "gitlab",
        "https://gitlab.com/api/v4/",
        "https://gitlab.com/oauth/authorize",
        "https://gitlab.com/oauth/token",
        ["read_user"],
        "https://gitlab.com/oauth/token",
    ),
    Row("google", *_GOOGLE, ["openid", "email", "profile"]),
    Row(
        "heroku",
        "https://api.heroku.com/",
        "https://id.heroku.com/oauth/authorize",
        "https://id.heroku.com/oauth/token",
        None,
        "https://id.heroku.com/oauth/token",
    ),
    Row(
        "linkedin",
        "https://api.linkedin.com/v2/",
        "https://www.linkedin.com/oauth/v2/authorization",
        "https://www.linkedin.com/oauth/v2/accessToken",
        _OPENID,
        "https://www.linkedin.com/oauth/v2/accessToken",
        auth="post",
        pkce=False,
    ),
    Row(
        "meetup",
        "https://api.meetup.com/",
        "https://secure.meetup.com/oauth2/authorize",
        "https://secure.meetup.com/oauth2/access",
        ["basic"],
        "https://secure.meetup.com/oauth2/access",
        auth="post",
    ),
    Row(
        "nylas",
        "https://api.us.nylas.com/v3/",
        "https://api.us.nylas.com/v3/connect/auth",
        "https://api.us.nylas.com/v3/connect/token",
        "email",
        auth="post",
    ),
    Row(
        "okta",
        "https://acme.okta.com/",
        "https://acme.okta.com/oauth2/v1/authorize",
        "https://acme.okta.com/oauth2/v1/token",
        _OPENID,
        arguments={"domain": "acme.okta.com"},
    ),
    Row(
        "orcid",
        "https://api.orcid.org/v3.0/",
        "https://orcid.org/oauth/authorize",
        "https://orcid.org/oauth/token",
        ["openid"],
        "https://orcid.org/oauth/token",
        auth="post",
    ),
    Row(
        "osm",
        "https://api.openstreetmap.org/api/0.6/",
        "https://www.openstreetmap.org/oauth2/authorize",
        "https://www.openstreetmap.org/oauth2/token",
        ["read_prefs"],
    ),
    Row(
        "reddit",
        "https://oauth.reddit.com/",
        "https://www.reddit.com/api/v1/authorize",
        "https://www.reddit.com/api/v1/access_token",
        "identity",
        "https://www.reddit.com/api/v1/access_token",
    ),
    Row(
        "salesforce",
        "https://login.salesforce.com/",
        "https://login.salesforce.com/services/oauth2/authorize",
        "https://login.salesforce.com/services/oauth2/token",
    ),
    Row(
        "slack",
        "https://slack.com/api/",
        "https://slack.com/oauth/v2/authorize",
        "https://slack.com/api/oauth.v2.access",
        None,
        "https://slack.com/api/oauth.v2.access",
        separator=",",
        pkce=False,
    ),
    Row(
        "spotify",
        "https://api.spotify.com/v1/",
        "https://accounts.spotify.com/authorize",
        "https://accounts.spotify.com/api/token",
        None,
        "https://accounts.spotify.com/api/token",
    ),
    Row(
        "strava",
        "https://www.strava.com/api/v3/",
        "https://www.strava.com/oauth/authorize",
        "https://www.strava.com/oauth/token",
        "read",
        "https://www.strava.com/oauth/token",
        auth="post",
        separator=",",
    ),
    Row(
        "twitch",
        "https://api.twitch.tv/helix/",
        "https://id.twitch.tv/oauth2/authorize",
        "https://id.twitch.tv/oauth2/token",
        None,
        "https://id.twitch.tv/oauth2/token",
        auth="post",
    ),
    Row(
        "zoho",
        "https://www.zohoapis.com/",
        "https://accounts.zoho.com/oauth/v2/auth",
        "https://accounts.zoho.com/oauth/v2/token",
        ["ZohoCRM.users.all"],
        auth="post",
        params={"access_type": "online"},
        separator=",",
    ),
    # Those that the predecessor does not have.
    Row(
        "airtable",
        "https://api.airtable.com/v0/",
        "https://airtable.com/oauth2/v1/authorize",
        "https://airtable.com/oauth2/v1/token",
        ["user.email:read", "schema.bases:read", "data.records:read"],
        "https://airtable.com/oauth2/v1/token",
    ),
    Row(
        "apple",
        None,
        "https://appleid.apple.com/auth/authorize",
        "https://appleid.apple.com/auth/token",
        ["openid", "name", "email"],
        "https://appleid.apple.com/auth/token",
        auth="post",
        params={"response_mode": "form_post"},
    ),
    Row(
        "asana",
        "https://app.asana.com/api/1.0/",
        "https://app.asana.com/-/oauth_authorize",
        "https://app.asana.com/-/oauth_token",
        ["default"],
        "https://app.asana.com/-/oauth_token",
        auth="post",
    ),
    Row(
        "auth0",
        "https://acme.eu.auth0.com/",
        "https://acme.eu.auth0.com/authorize",
        "https://acme.eu.auth0.com/oauth/token",
        _OPENID,
        auth="post",
        arguments={"domain": "acme.eu.auth0.com"},
    ),
    Row(
        "authentik",
        "https://id.example.com/",
        "https://id.example.com/application/o/authorize/",
        "https://id.example.com/application/o/token/",
        _OPENID,
        arguments={"hostname": "id.example.com", "slug": "shop"},
    ),
    Row(
        "bitbucket",
        "https://api.bitbucket.org/2.0/",
        "https://bitbucket.org/site/oauth2/authorize",
        "https://bitbucket.org/site/oauth2/access_token",
        ["account", "email"],
        "https://bitbucket.org/site/oauth2/access_token",
    ),
    Row(
        "box",
        "https://api.box.com/2.0/",
        "https://account.box.com/api/oauth2/authorize",
        "https://api.box.com/oauth2/token",
        None,
        "https://api.box.com/oauth2/token",
        auth="post",
    ),
    Row(
        "calendly",
        "https://api.calendly.com/",
        "https://auth.calendly.com/oauth/authorize",
        "https://auth.calendly.com/oauth/token",
        None,
        "https://auth.calendly.com/oauth/token",
    ),
    Row(
        "cognito",
        "https://acme.auth.eu-west-1.amazoncognito.com/",
        "https://acme.auth.eu-west-1.amazoncognito.com/oauth2/authorize",
        "https://acme.auth.eu-west-1.amazoncognito.com/oauth2/token",
        _OPENID,
        "https://acme.auth.eu-west-1.amazoncognito.com/oauth2/token",
        arguments={
            "domain": "acme.auth.eu-west-1.amazoncognito.com",
            "region": "eu-west-1",
            "pool": "eu-west-1_AbCdEfGhI",
        },
    ),
    Row(
        "figma",
        "https://api.figma.com/v1/",
        "https://www.figma.com/oauth",
        "https://api.figma.com/v1/oauth/token",
        ["current_user:read"],
        "https://api.figma.com/v1/oauth/refresh",
    ),
    Row(
        "hubspot",
        "https://api.hubapi.com/",
        "https://app.hubspot.com/oauth/authorize",
        "https://api.hubapi.com/oauth/2026-03/token",
        ["oauth"],
        "https://api.hubapi.com/oauth/2026-03/token",
        auth="post",
    ),
    Row(
        "keycloak",
        "https://id.example.com/",
        "https://id.example.com/realms/shop/protocol/openid-connect/auth",
        "https://id.example.com/realms/shop/protocol/openid-connect/token",
        _OPENID,
        "https://id.example.com/realms/shop/protocol/openid-connect/token",
        arguments={"hostname": "id.example.com", "realm": "shop"},
    ),
    Row(
        "linear",
        "https://api.linear.app/",
        "https://linear.app/oauth/authorize",
        "https://api.linear.app/oauth/token",
        ["read"],
        "https://api.linear.app/oauth/token",
        auth="post",
        separator=",",
    ),
    Row(
        "linkedin_oidc",
        "https://api.linkedin.com/",
        "https://www.linkedin.com/oauth/v2/authorization",
        "https://www.linkedin.com/oauth/v2/accessToken",
        _OPENID,
        auth="post",
        pkce=False,
    ),
    Row(
        "mastodon",
        "https://mastodon.social/api/v1/",
        "https://mastodon.social/oauth/authorize",
        "https://mastodon.social/oauth/token",
        ["read:accounts"],
        auth="post",
    ),
    Row(
        "notion",
        "https://api.notion.com/v1/",
        "https://api.notion.com/v1/oauth/authorize",
        "https://api.notion.com/v1/oauth/token",
        None,
        "https://api.notion.com/v1/oauth/token",
        params={"owner": "user"},
        pkce=False,
    ),
    Row(
        "quickbooks",
        "https://quickbooks.api.intuit.com/",
        "https://appcenter.intuit.com/connect/oauth2",
        "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        ["com.intuit.quickbooks.accounting", "openid", "profile", "email"],
        "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    ),
    Row(
        "shopify",
        "https://acme.myshopify.com/admin/api/2026-10/",
        "https://acme.myshopify.com/admin/oauth/authorize",
        "https://acme.myshopify.com/admin/oauth/access_token",
        ["read_products"],
        "https://acme.myshopify.com/admin/oauth/access_token",
        auth="post",
        separator=",",
        pkce=False,
        arguments={"shop": "acme"},
    ),
    Row(
        "slack_oidc",
        "https://slack.com/api/",
        "https://slack.com/openid/connect/authorize",
        "https://slack.com/api/openid.connect.token",
        _OPENID,
        "https://slack.com/api/openid.connect.token",
        pkce=False,
    ),
    Row(
        "stripe",
        "https://api.stripe.com/v1/",
        "https://connect.stripe.com/oauth/authorize",
        "https://connect.stripe.com/oauth/token",
        ["read_write"],
        auth="post",
        pkce=False,
    ),
    Row(
        "stripe_app",
        "https://api.stripe.com/v1/",
        "https://marketplace.stripe.com/oauth/v2/authorize",
        "https://api.stripe.com/v1/oauth/token",
        None,
        "https://api.stripe.com/v1/oauth/token",
        auth="key",
        pkce=False,
    ),
    Row(
        "tiktok",
        "https://open.tiktokapis.com/v2/",
        "https://www.tiktok.com/v2/auth/authorize/",
        "https://open.tiktokapis.com/v2/oauth/token/",
        ["user.info.basic"],
        "https://open.tiktokapis.com/v2/oauth/token/",
        auth="client_key",
        separator=",",
    ),
    Row(
        "webex",
        "https://webexapis.com/v1/",
        "https://webexapis.com/v1/authorize",
        "https://webexapis.com/v1/access_token",
        ["spark:people_read", "spark:kms"],
        "https://webexapis.com/v1/access_token",
        auth="post",
    ),
    Row(
        "x",
        "https://api.x.com/2/",
        "https://x.com/i/oauth2/authorize",
        "https://api.x.com/2/oauth2/token",
        ["users.read", "tweet.read", "offline.access"],
        "https://api.x.com/2/oauth2/token",
    ),
    Row(
        "xero",
        "https://api.xero.com/",
        "https://login.xero.com/identity/connect/authorize",
        "https://identity.xero.com/connect/token",
        ["openid", "profile", "email", "offline_access"],
        "https://identity.xero.com/connect/token",
    ),
    Row(
        "zoom",
        "https://api.zoom.us/v2/",
        "https://zoom.us/oauth/authorize",
        "https://zoom.us/oauth/token",
        None,
        "https://zoom.us/oauth/token",
    ),
]
"""Every preset of OAuth 2, as its factory makes it by default."""


class OptionRow(NamedTuple):
    """What an option of a factory does: to the authorization URL, and to the blueprint."""

    module: str
    given: dict[str, Any]
    params: dict[str, str | None] = {}
    settings: dict[str, Any] = {}


_GOOGLE_TOKEN = _GOOGLE[2]
_AZURE = "https://login.microsoftonline.com/{}/oauth2/v2.0/token"

OPTIONS = [
    OptionRow("atlassian", {"reprompt_consent": True}, {"prompt": "consent"}),
    OptionRow(
        "atlassian",
        {"scope": ["read:me", "offline_access"]},
        settings={"auto_refresh_url": "https://auth.atlassian.com/oauth/token"},
    ),
    OptionRow("authentiq", {"scope": None}, {"scope": None}),
    OptionRow(
        "authentiq",
        {"hostname": "id.example.com"},
        settings={
            "base_url": "https://id.example.com/",
            "token_url": "https://id.example.com/token",
        },
    ),
    OptionRow(
        "azure", {"tenant": "acme.example"}, settings={"token_url": _AZURE.format("acme.example")}
    ),
    OptionRow("azure", {"prompt": "login"}, {"prompt": "login"}),
    OptionRow("azure", {"domain_hint": "acme.example"}, {"domain_hint": "acme.example"}),
    OptionRow("azure", {"login_hint": "a@b.example"}, {"login_hint": "a@b.example"}),
    OptionRow(
        "azure",
        {"scope": "openid offline_access"},
        settings={"auto_refresh_url": _AZURE.format("common")},
    ),
    OptionRow(
        "azure", {"scope": ["not_offline_access_at_all"]}, settings={"auto_refresh_url": None}
    ),
    OptionRow(
        "dexcom",
        {"base_url": "https://sandbox-api.dexcom.com/", "version": "v2"},
        settings={"token_url": "https://sandbox-api.dexcom.com/v2/oauth2/token"},
    ),
    OptionRow("digitalocean", {"scope": "read,write"}, {"scope": "read write"}),
    OptionRow("digitalocean", {"scope": ["read", "write"]}, {"scope": "read write"}),
    OptionRow("discord", {"prompt": None}, {"prompt": "none"}),
    OptionRow("discord", {"prompt": "none"}, {"prompt": "none"}),
    OptionRow("discord", {"authorization_url_params": {"prompt": "x"}}, {"prompt": "x"}),
    OptionRow("zoho", {"authorization_url_params": {"access_type": "x"}}, {"access_type": "x"}),
    OptionRow(
        "google",
        {"offline": True, "authorization_url_params": {"access_type": "online", "a": "b"}},
        {"access_type": "online", "a": "b"},
    ),
    OptionRow("google", {"scope": []}, {"scope": "openid email profile"}),
    OptionRow("google", {"scope": ""}, {"scope": "openid email profile"}),
    OptionRow("google", {"scope": None}, {"scope": "openid email profile"}),
    OptionRow("linear", {"scope": ["write"]}, {"scope": "read,write"}),
    OptionRow("linear", {"scope": "read,write"}, {"scope": "read,write"}),
    OptionRow(
        "hubspot",
        {"scope": "crm.objects.contacts.read"},
        {"scope": "oauth crm.objects.contacts.read"},
    ),
    OptionRow(
        "salesforce",
        {"scope": ["api", "offline_access"]},
        settings={"auto_refresh_url": "https://login.salesforce.com/services/oauth2/token"},
    ),
    OptionRow(
        "dexcom",
        {"base_url": "https://sandbox-api.dexcom.com"},
        settings={"token_url": "https://sandbox-api.dexcom.com/v3/oauth2/token"},
    ),
    OptionRow(
        "dropbox",
        {"offline": True},
        {"token_access_type": "offline"},
        {"auto_refresh_url": "https://api.dropboxapi.com/oauth2/token"},
    ),
    OptionRow("dropbox", {"force_reapprove": True}, {"force_reapprove": "true"}),
    OptionRow("dropbox", {"disable_signup": True}, {"disable_signup": "true"}),
    OptionRow("dropbox", {"require_role": "work"}, {"require_role": "work"}),
    OptionRow("facebook", {"rerequest_declined_permissions": True}, {"auth_type": "rerequest"}),
    OptionRow("facebook", {"rerequest_declined_permissions": False}, {"auth_type": None}),
    OptionRow(
        "facebook",
        {"api_version": "v21.0"},
        settings={"base_url": "https://graph.facebook.com/v21.0/"},
    ),
    OptionRow(
        "gitlab",
        {"hostname": "git.example.com:8443"},
        settings={"token_url": "https://git.example.com:8443/oauth/token"},
    ),
    OptionRow(
        "google", {"offline": True}, {"access_type": "offline"}, {"auto_refresh_url": _GOOGLE_TOKEN}
    ),
    OptionRow("google", {"reprompt_consent": True}, {"prompt": "consent"}),
    OptionRow("google", {"reprompt_select_account": True}, {"prompt": "select_account"}),
    OptionRow(
        "google",
        {"reprompt_select_account": True, "reprompt_consent": True},
        {"prompt": "consent select_account"},
    ),
    OptionRow("google", {"hosted_domain": "acme.example"}, {"hd": "acme.example"}),
    OptionRow("google", {}, {"hd": None, "prompt": None, "access_type": None}),
    OptionRow("nylas", {"scope": None}, {"scope": None}),
    OptionRow("nylas", {"region": "eu"}, settings={"base_url": "https://api.eu.nylas.com/v3/"}),
    OptionRow(
        "nylas",
        {"offline": True},
        {"access_type": "offline"},
        {"auto_refresh_url": "https://api.us.nylas.com/v3/connect/token"},
    ),
    OptionRow(
        "okta",
        {"domain": "id.example.com", "server": "default"},
        settings={"token_url": "https://id.example.com/oauth2/default/v1/token"},
    ),
    OptionRow(
        "orcid",
        {"sandbox": True},
        settings={
            "base_url": "https://api.sandbox.orcid.org/v3.0/",
            "authorization_url": "https://sandbox.orcid.org/oauth/authorize",
            "token_url": "https://sandbox.orcid.org/oauth/token",
        },
    ),
    OptionRow("orcid", {"member": False}, settings={"base_url": "https://pub.orcid.org/v3.0/"}),
    OptionRow("reddit", {"permanent": True}, {"duration": "permanent"}),
    OptionRow("reddit", {}, {"duration": None}),
    OptionRow(
        "salesforce", {"is_sandbox": True}, settings={"base_url": "https://test.salesforce.com/"}
    ),
    OptionRow(
        "salesforce",
        {"hostname": "acme.my.salesforce.com", "is_sandbox": True},
        settings={"base_url": "https://acme.my.salesforce.com/"},
    ),
    OptionRow(
        "salesforce", {"hostname": None}, settings={"base_url": "https://login.salesforce.com/"}
    ),
    OptionRow("salesforce", {"reprompt_consent": True}, {"prompt": "consent"}),
    OptionRow(
        "slack",
        {"subdomain": "acme"},
        settings={
            "authorization_url": "https://acme.slack.com/oauth/v2/authorize",
            "token_url": "https://slack.com/api/oauth.v2.access",
        },
    ),
    OptionRow(
        "slack",
        {"subdomain": ""},
        settings={"authorization_url": "https://slack.com/oauth/v2/authorize"},
    ),
    OptionRow(
        "slack", {"user_scope": "search:read,users:read"}, {"user_scope": "search:read,users:read"}
    ),
    OptionRow("strava", {"scope": None}, {"scope": None}),
    OptionRow("strava", {"scope": ["read", "activity:read"]}, {"scope": "read,activity:read"}),
    OptionRow(
        "zoho",
        {"offline": True},
        {"access_type": "offline"},
        {"auto_refresh_url": "https://accounts.zoho.com/oauth/v2/token"},
    ),
    OptionRow("zoho", {"reprompt_consent": True}, {"prompt": "consent"}),
    OptionRow("zoho", {"data_center": "eu"}, settings={"base_url": "https://www.zohoapis.eu/"}),
    OptionRow(
        "auth0", {"domain": "d.example", "audience": "https://api"}, {"audience": "https://api"}
    ),
    OptionRow(
        "keycloak",
        {"hostname": "id.example.com/auth", "realm": "r"},
        settings={
            "token_url": "https://id.example.com/auth/realms/r/protocol/openid-connect/token"
        },
    ),
    OptionRow("mastodon", {"force_login": True}, {"force_login": "true"}),
    OptionRow(
        "quickbooks",
        {"sandbox": True},
        settings={"base_url": "https://sandbox-quickbooks.api.intuit.com/"},
    ),
    OptionRow("shopify", {"shop": "acme", "per_user": True}, {"grant_options[]": "per-user"}),
    OptionRow(
        "x",
        {"scope": ["users.read", "offline.access"]},
        settings={"auto_refresh_url": "https://api.x.com/2/oauth2/token"},
    ),
]
