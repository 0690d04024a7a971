"""Linear. The API is GraphQL, and answers errors with status 200."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Linear(Preset):
    base_url = "https://api.linear.app/"
    authorization_url = "https://linear.app/oauth/authorize"
    token_url = "https://api.linear.app/oauth/token"
    scope = ["read"]
    always = "read"
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://api.linear.app/oauth/revoke")
    profile = Profile(
        "graphql",
        "data.viewer.id data.viewer.name data.viewer.email data.viewer.avatarUrl",
        query="{ viewer { id name email avatarUrl } }",
    )
    console = "https://linear.app/settings/api/applications/new"
    doubts = "Whether a revocation ends the grant."


make_linear_blueprint, linear = factory(Linear), proxy(Linear)
