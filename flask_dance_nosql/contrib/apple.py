"""Apple.

Apple wants a client secret that is a signed statement, made of the ``team_id``, the ``key_id`` and
the ``private_key`` (PEM); it is made anew for each call. The name of the user comes with
the first login only, as JSON in the token's field ``user``. There is no API, and no picture.
"""

from collections.abc import Callable
from typing import Any

from ..consumer.client_assertion import Signer
from ..errors import ConfigurationError
from ..preset import OPENID, OpenIDPreset, Revocation, factory, option, proxy

SECRET_LIFE = 300
"""How many seconds a client secret lasts; each call has its own. Apple allows six months."""


def apple_client_secret(
    client_id: str, team_id: str, key_id: str, private_key: str
) -> Callable[[], str]:
    """Return a function that gives a client secret which is good now.

    Args:
        client_id: The identifier of the Services ID.
        team_id: The identifier of the team.
        key_id: The identifier of the private key.
        private_key: The key itself, in PEM.

    Raises:
        MissingDependency: If ``joserfc`` is not installed.
        ConfigurationError: If the key is not one for ES256.
    """
    signer = Signer(private_key, "ES256", key_id)
    claims = {"iss": team_id, "sub": client_id, "aud": Apple.issuer}
    return lambda: signer.sign(claims, SECRET_LIFE)


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

    def complete(self, arguments: dict[str, Any]) -> None:
        """Make the client secret of what was given for it."""
        super().complete(arguments)
        client_id, team, key_id = arguments["client_id"], self.team_id, self.key_id
        if self.private_key is None:
            return
        if not (client_id and team and key_id):
            raise ConfigurationError(
                "make_apple_blueprint: with a private_key give client_id, team_id and key_id."
            )
        arguments["client_secret"] = apple_client_secret(client_id, team, key_id, self.private_key)


make_apple_blueprint, apple = factory(Apple), proxy(Apple)
