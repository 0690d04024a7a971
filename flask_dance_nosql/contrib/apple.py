"""Apple.

Apple wants a client secret that is a signed statement, made of the ``team_id``, the ``key_id`` and
the ``private_key`` (PEM); it is made anew for each call. The name of the user comes with
the first login only, as JSON in the token's field ``user``. There is no API, and no picture.
"""

from collections.abc import Callable

from ..consumer.client_assertion import Signer
from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..errors import ConfigurationError
from ..preset import OPENID, OpenIDPreset, Revocation, factory, option, proxy

SECRET_LIFE = 300
"""How many seconds a client secret lasts; each call has its own. Apple allows six months."""


def apple_client_secret(
    client_id: str | Callable[[], str | None], team_id: str, key_id: str, private_key: str
) -> Callable[[], str]:
    """Return a function that gives a client secret which is good now.

    Args:
        client_id: The identifier of the Services ID, or a function that returns it.
        team_id: The identifier of the team.
        key_id: The identifier of the private key.
        private_key: The key itself, in PEM.

    Raises:
        MissingDependency: If ``joserfc`` is not installed.
        ConfigurationError: If the key is not one for ES256.
    """
    signer = Signer(private_key, "ES256", key_id)

    def secret() -> str:
        subject = client_id() if callable(client_id) else client_id
        claims = {"iss": team_id, "sub": subject, "aud": Apple.issuer}
        return signer.sign(claims, SECRET_LIFE)

    return secret


class Apple(OpenIDPreset):
    authorization_url = "https://appleid.apple.com/auth/authorize"
    token_url = "https://appleid.apple.com/auth/token"
    issuer = "https://appleid.apple.com"
    scope = ["openid", "name", "email"]
    authorization_url_params = {"response_mode": "form_post"}
    token_endpoint_auth_method = "client_secret_post"
    callback_fields = ("user",)
    revocation = Revocation("https://appleid.apple.com/auth/revoke", ends_grant=True)
    profile = OPENID
    apps_page = "https://account.apple.com"
    console = "https://developer.apple.com/account/resources/identifiers/list/serviceId"
    callback_rule = "https, and neither ``localhost`` nor an IP address."

    team_id: str | None = option("The identifier of the team.", default=None)
    key_id: str | None = option("The identifier of the key.", default=None)
    private_key: str | None = option("The key itself, in PEM.", default=None)

    def blueprint(self) -> OAuth2ConsumerBlueprint:
        """Make a blueprint, and its client secret of what was given for it."""
        blueprint, team, key_id = super().blueprint(), self.team_id, self.key_id
        if self.private_key is not None:
            if not (team and key_id) or self.given["client_secret"] is not None:
                raise ConfigurationError(
                    "make_apple_blueprint: with a private_key give team_id and key_id, and no "
                    "client_secret."
                )
            # The app's configuration may name the client.
            blueprint.client_secret = apple_client_secret(
                lambda: blueprint.client_id, team, key_id, self.private_key
            )
        return blueprint


make_apple_blueprint, apple = factory(Apple), proxy(Apple)
