"""Jira Data Center, by OAuth 1. For Jira in the cloud see ``atlassian``.

Its calls are signed by RSA, which needs the extra ``jira``.
"""

import os
from pathlib import Path
from typing import Any

from oauthlib.oauth1 import SIGNATURE_RSA

from ..preset import OAuth1Preset, Profile, argument, factory, option, proxy


class Jira(OAuth1Preset):
    request_token_url = "plugins/servlet/oauth/request-token"
    access_token_url = "plugins/servlet/oauth/access-token"
    authorization_url = "plugins/servlet/oauth/authorize"
    signature_method = SIGNATURE_RSA
    headers = {"Content-Type": "application/json"}
    config = {"client_key": "JIRA_OAUTH_CONSUMER_KEY", "rsa_key": "JIRA_OAUTH_RSA_KEY"}
    profile = Profile("rest/api/2/myself", "key displayName emailAddress avatarUrls.48x48")

    base_url: str = argument(kw_only=False)
    consumer_key: str | None = option(
        "The client's key.", default=None, kw_only=False, names="client_key"
    )
    rsa_key: str | None = argument(default=None, kw_only=False)

    def complete(self, arguments: dict[str, Any]) -> None:
        """Take the key from its file, if it is the path of one."""
        key = arguments["rsa_key"]
        # Path.is_file() raises an error for what is too long, which shows the key.
        if key and "-----BEGIN" not in key and os.path.isfile(key):
            arguments["rsa_key"] = Path(key).read_text(encoding="utf-8", errors="replace")


make_jira_blueprint, jira = factory(Jira), proxy(Jira)
