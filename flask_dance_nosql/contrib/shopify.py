"""Shopify. A blueprint is for one ``shop``, whose token it is unless ``per_user`` is set."""

import hmac

from flask import request

from ..consumer.client_auth import SETTINGS, client_authentication
from ..consumer.dance import ARRIVED
from ..consumer.failure import DanceFailure
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..consumer.pending import PendingLogin
from ..preset import Preset, Profile, TokenHeaderClient, factory, option, proxy


class ShopifyBlueprint(OAuth2ConsumerBlueprint):
    """A blueprint that checks that it was Shopify which has sent the visitor back."""

    def _accept_response(self) -> PendingLogin:
        login, given, key = super()._accept_response(), dict(request.args), self.preset.shop
        signed = given.pop("hmac", "").encode()
        given.pop(ARRIVED, None)
        message = "&".join(f"{name}={given[name]}" for name in sorted(given))
        secret = client_authentication(self.client_id, self.settings(*SETTINGS)).secret or ""
        digest = hmac.new(secret.encode(), message.encode(), "sha256").hexdigest()
        is_of_shop = given.get("shop") == f"{key}.myshopify.com"
        if not (secret and is_of_shop and hmac.compare_digest(digest.encode(), signed)):
            raise DanceFailure(
                "invalid_hmac", "The response is not signed by Shopify for the shop."
            )
        return login


class Shopify(Preset):
    make = ShopifyBlueprint
    base_url = "https://{shop}.myshopify.com/admin/api/{api_version}/"
    authorization_url = "https://{shop}.myshopify.com/admin/oauth/authorize"
    token_url = "https://{shop}.myshopify.com/admin/oauth/access_token"
    token_url_params = {"expiring": "1"}
    scope = ["read_products"]
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    use_pkce = False
    client = TokenHeaderClient("X-Shopify-Access-Token")
    profile = Profile("shop.json", "shop.id shop.name shop.email")
    console = "https://dev.shopify.com/dashboard/"

    shop: str = option("The shop's name in ``{shop}.myshopify.com``.", pattern="[a-z0-9-]+")
    api_version: str = option(
        "The API's version.", default="2026-10", pattern=r"20\d\d-\d\d|unstable"
    )
    per_user: bool = option("The user's own token.", default=False, adds="grant_options[]=per-user")


make_shopify_blueprint, shopify = factory(Shopify), proxy(Shopify)
