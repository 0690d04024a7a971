"""Stripe Connect.

The client secret is the secret API key. Tokens have no end. To disconnect an account, post
``client_id`` and ``stripe_user_id`` to ``https://connect.stripe.com/oauth/deauthorize``.
"""

from ..preset import Preset, Profile, factory, proxy


class Stripe(Preset):
    display = "Stripe Connect"
    base_url = "https://api.stripe.com/v1/"
    authorization_url = "https://connect.stripe.com/oauth/authorize"
    token_url = "https://connect.stripe.com/oauth/token"
    refresh = False
    scope = ["read_write"]
    use_pkce = False
    token_endpoint_auth_method = "client_secret_post"
    profile = Profile("token", "stripe_user_id")
    apps_page = "https://dashboard.stripe.com/settings/apps"
    console = "https://dashboard.stripe.com/settings/connect/onboarding-options/oauth"


make_stripe_blueprint, stripe = factory(Stripe), proxy(Stripe)
