"""Slack.

``scope`` is what the app's bot may do, and ``user_scope`` what it may do as the user: ask for at
least one of the two. Both tokens are in the stored one, the user's in ``authed_user``; without a
bot the user's is the one that calls go with. ``revoke()`` ends that one alone. PKCE is for apps
that were made public clients for good.
"""

from typing import Any

from ..preset import WORD, Preset, Profile, Revocation, factory, option, proxy


def lift_user_token(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose token is the user's, if there is none of a bot."""
    user, bot = answer.get("authed_user"), answer.get("access_token")
    return {**answer, **user} if isinstance(user, dict) and not bot else answer


class Slack(Preset):
    base_url = "https://slack.com/api/"
    authorization_url = "https://{subdomain}slack.com/oauth/v2/authorize"
    token_url = "https://slack.com/api/oauth.v2.access"
    scope_separator = ","
    use_pkce = False
    token_answer = lift_user_token
    revocation = Revocation("https://slack.com/api/auth.revoke", auth="token", sends=None)
    profile = Profile("auth.test", "user_id user")
    console = "https://api.slack.com/apps"
    callback_rule = "https, at or below one of those that are registered."

    user_scope: str | None = option("Scopes of the user.", default=None, adds="user_scope={}")
    team: str | None = option("The id of the workspace.", default=None, adds="team={}")
    subdomain: str | None = option("The workspace's.", default=None, pattern=WORD, ends=".")


make_slack_blueprint, slack = factory(Slack), proxy(Slack)
