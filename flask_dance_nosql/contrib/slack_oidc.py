"""Sign in with Slack."""

from ..preset import OpenIDPreset, Profile, factory, proxy


class SlackOIDC(OpenIDPreset):
    display = "Sign in with Slack"
    base_url = "https://slack.com/api/"
    authorization_url = "https://slack.com/openid/connect/authorize"
    token_url = "https://slack.com/api/openid.connect.token"
    issuer = "https://slack.com"
    scope = ["openid", "profile", "email"]
    use_pkce = False
    profile = Profile("openid.connect.userInfo", "https://slack.com/user_id name email picture")
    console = "https://api.slack.com/apps"
    callback_rule = "https, at or below one of those that are registered."


make_slack_oidc_blueprint, slack_oidc = factory(SlackOIDC), proxy(SlackOIDC)
