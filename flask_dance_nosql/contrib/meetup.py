"""Meetup. The API is GraphQL, at ``gql-ext``; the REST API is gone. It needs a Pro account."""

from ..preset import Preset, Profile, factory, option, proxy


class Meetup(Preset):
    base_url = "https://api.meetup.com/"
    authorization_url = "https://secure.meetup.com/oauth2/authorize"
    token_url = "https://secure.meetup.com/oauth2/access"
    scope = ["basic"]
    token_endpoint_auth_method = "client_secret_post"
    profile = Profile(
        "gql-ext",
        "data.self.id data.self.name data.self.email",
        query="query { self { id name email } }",
    )
    console = "https://www.meetup.com/api/oauth/list/"
    doubts = "The e-mail address in the profile."

    key: str | None = option("The client id.", default=None, names="client_id")
    secret: str | None = option("The client secret.", default=None, names="client_secret")


make_meetup_blueprint, meetup = factory(Meetup), proxy(Meetup)
