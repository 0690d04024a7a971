"""Reddit.

Give a ``user_agent`` of your own: common ones are slowed down. New apps need an approval.
"""

from ..preset import USER_AGENT, Preset, Profile, Revocation, argument, factory, option, proxy

DEFAULT_USER_AGENT = USER_AGENT.default


class Reddit(Preset):
    base_url = "https://oauth.reddit.com/"
    authorization_url = "https://www.reddit.com/api/v1/authorize"
    token_url = "https://www.reddit.com/api/v1/access_token"
    headers = {"User-Agent": "{user_agent}"}
    revocation = Revocation("https://www.reddit.com/api/v1/revoke_token")
    profile = Profile("api/v1/me", "id name - icon_img")
    apps_page = "https://www.reddit.com/prefs/apps"
    console = "https://www.reddit.com/prefs/apps"

    scope: list[str] | str | None = argument(default="identity")
    permanent: bool = option("Ask for a refresh token.", default=False, adds="duration=permanent")
    user_agent: str | None = USER_AGENT


make_reddit_blueprint, reddit = factory(Reddit), proxy(Reddit)
