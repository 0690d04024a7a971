"""A blueprint for any provider of OpenID Connect, by its issuer."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, cast

from ..client_auth import ClientSecret
from .blueprint import OIDCConsumerBlueprint

P = ParamSpec("P")

if TYPE_CHECKING:
    from ..settings import Configurable, Setting, argument

    class _First(Configurable):
        name: str = argument(kw_only=False)
        issuer: Setting[str | None] = Setting(kw_only=False)

    class _Arguments(OIDCConsumerBlueprint, _First):
        """Has the arguments of the factory, for type checkers."""

        issuer: Setting[str | None] = Setting(kw_only=False)
        import_name: str = argument(default=__name__)


def _with_arguments_of(
    _kind: Callable[[], Callable[P, OIDCConsumerBlueprint]],
) -> Callable[[Callable[..., OIDCConsumerBlueprint]], Callable[P, OIDCConsumerBlueprint]]:
    """Have type checkers know the arguments of a function as those of a class."""
    return lambda make: cast(Callable[P, OIDCConsumerBlueprint], make)


@_with_arguments_of(lambda: _Arguments)
def make_oidc_blueprint(
    name: str,
    issuer: str,
    client_id: str | None = None,
    client_secret: ClientSecret = None,
    **arguments: Any,
) -> OIDCConsumerBlueprint:
    """Make a blueprint for a provider of OpenID Connect. It needs the extra ``oidc``.

    Args:
        name: The blueprint's name, which is also the provider under which tokens are stored.
        issuer: The provider's issuer identifier, exactly as the provider writes it.
        client_id: The client identifier; else the app's ``<NAME>_OAUTH_CLIENT_ID``, where NAME is
            the name in capitals with underscores.
        client_secret: The client secret; else the app's ``<NAME>_OAUTH_CLIENT_SECRET``.
        **arguments: As of :class:`~flask_dance_nosql.consumer.oidc.OIDCConsumerBlueprint`. The
            default ``scope`` is ``openid profile email``.

    Raises:
        ConfigurationError: If the issuer can't be one, or an argument is unknown.
        MissingDependency: If ``joserfc`` is not installed.
    """
    arguments = {"import_name": __name__, "scope": ["openid", "profile", "email"], **arguments}
    blueprint = OIDCConsumerBlueprint(
        name, client_id=client_id, client_secret=client_secret, issuer=issuer, **arguments
    )
    prefix = re.sub(r"\W", "_", name).upper()
    for setting in ("client_id", "client_secret"):
        blueprint.from_config[setting] = f"{prefix}_OAUTH_{setting.upper()}"
    return blueprint
