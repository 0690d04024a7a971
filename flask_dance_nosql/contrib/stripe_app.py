"""Stripe Apps. The client secret is the secret API key; permissions are the manifest's."""

from typing import Any

from ..errors import ConfigurationError
from ..preset import Preset, Profile, factory, proxy


def with_key_alone(form: dict[str, str]) -> dict[str, Any]:
    """Authenticate with the secret key, as the name of a user without password."""
    if "client_secret" not in form:
        raise ConfigurationError(
            "Stripe Apps knows a client by its client_secret, and else by none."
        )
    rest = {n: value for n, value in form.items() if n not in ("client_id", "client_secret")}
    return {"data": rest, "auth": (form["client_secret"], "")}


class StripeApp(Preset):
    display = "Stripe Apps"
    base_url = "https://api.stripe.com/v1/"
    authorization_url = "https://marketplace.stripe.com/oauth/v2/authorize"
    token_url = "https://api.stripe.com/v1/oauth/token"
    token_request = with_key_alone
    # The answers do not tell it.
    token_answer = staticmethod(lambda told: {**told, "expires_in": told.get("expires_in") or 3600})
    use_pkce = False
    token_endpoint_auth_method = "client_secret_post"
    profile = Profile("token", "stripe_user_id")
    console = "https://dashboard.stripe.com/apps"


make_stripe_app_blueprint, stripe_app = factory(StripeApp), proxy(StripeApp)
