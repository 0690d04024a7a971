"""Notion.

There are no scopes: what an app may do is set where it is registered. Answers do not say when a
token ends: it is refreshed when the API refuses it. Whether a revocation ends the grant is unknown.
"""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Notion(Preset):
    base_url = "https://api.notion.com/v1/"
    authorization_url = "https://api.notion.com/v1/oauth/authorize"
    token_url = "https://api.notion.com/v1/oauth/token"
    authorization_url_params = {"owner": "user"}
    token_request = staticmethod(lambda form: {"json": form})
    use_pkce = False
    headers = {"Notion-Version": "2022-06-28"}
    # A token that has ended is told so.
    revocation = Revocation(
        "https://api.notion.com/v1/oauth/revoke", sends="json", auth="basic", done=((400, ""),)
    )
    profile = Profile("users/me", "id name person.email avatar_url", within="bot.owner.user")
    console = "https://www.notion.so/my-integrations"


make_notion_blueprint, notion = factory(Notion), proxy(Notion)
