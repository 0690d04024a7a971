"""GitLab.

A refresh token works once. For a server whose certificate is of an authority of your own, set
``REQUESTS_CA_BUNDLE`` rather than ``verify_tls_certificates=False``.
"""

from typing import Any

from ..errors import ConfigurationError
from ..preset import HOST, Preset, Profile, Revocation, factory, option, proxy


class AmbiguousVerification(ConfigurationError, ValueError):
    """A session class of one's own may check certificates in its own way."""


class GitLab(Preset):
    base_url = "https://{hostname}/api/v4/"
    authorization_url = "https://{hostname}/oauth/authorize"
    token_url = "https://{hostname}/oauth/token"
    issuer = "https://{hostname}"
    scope = ["read_user"]
    revocation = Revocation("https://{hostname}/oauth/revoke")
    profile = Profile("user", "id name email avatar_url confirmed_at")
    apps_page = "https://{hostname}/-/user_settings/applications"
    console = "https://{hostname}/-/user_settings/applications"

    hostname: str = option("The server.", default="gitlab.com", pattern=HOST)
    verify_tls_certificates: bool = option("Check the server's certificate.", default=True)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Say whether certificates are checked."""
        given = arguments.get("verify")
        if not self.verify_tls_certificates and (given or arguments["session_class"]):
            raise AmbiguousVerification(
                "verify_tls_certificates=False takes neither session_class nor verify."
            )
        arguments["verify"] = self.verify_tls_certificates if given is None else given
        super().complete(arguments)


make_gitlab_blueprint, gitlab = factory(GitLab), proxy(GitLab)
