"""Discovery documents and keys: when they are fetched, and which are not believed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import ECKey
from requests.adapters import HTTPAdapter

from flask_dance_nosql.consumer.oidc.documents import Published
from flask_dance_nosql.consumer.oidc.keys import read_keys
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.errors import ConfigurationError, ProviderError

from ..conftest import Signals
from ..site import Pause, Task, warnings_of
from .conftest import Ages
from .provider import OpenIDProvider, log_in, make_openid_site, rsa_key

DISCOVERY = "/.well-known/openid-configuration"
TEN_MB = b'{"keys": ["' + b"a" * 10_000_000 + b'"]}'
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def test_documents_are_fetched_once_an_hour(openid: OpenIDProvider, ages: Ages) -> None:
    """Ten logins within an hour fetch each once, and the one after it fetches each again."""
    site = make_openid_site(openid)
    for _ in range(5):
        log_in(site, openid)
        ages.pass_(700)
    assert (openid.count(DISCOVERY), openid.count("/jwks")) == (1, 1)
    ages.pass_(200)
    log_in(site, openid)
    assert (openid.count(DISCOVERY), openid.count("/jwks")) == (2, 2)


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_logins_go_on_after_a_key_rotation(
    openid: OpenIDProvider, ages: Ages, signals: Signals, kind: str
) -> None:
    """The keys are fetched when one is not known."""
    site = make_openid_site(openid)
    log_in(site, openid)
    ages.pass_(61)
    openid.rotate(kind=kind)
    assert log_in(site, openid).location == "/"
    assert openid.count("/jwks") == 2
    assert signals.of("oauth-error") == []


def test_a_rotation_right_after_a_fetch(
    openid: OpenIDProvider, ages: Ages, signals: Signals
) -> None:
    """The keys may have been fetched a moment before: once more is always granted."""
    site = make_openid_site(openid)
    log_in(site, openid)
    openid.rotate()
    assert log_in(site, openid).location == "/"
    assert openid.count("/jwks") == 2
    assert signals.of("oauth-error") == []


def test_threads_that_meet_a_rotation_fetch_once(
    openid: OpenIDProvider, ages: Ages, signals: Signals
) -> None:
    """The keys are fetched by one, and the others wait for them."""
    site = make_openid_site(openid)
    log_in(site, openid)
    ages.pass_(61)
    openid.rotate()
    barrier = threading.Barrier(6)

    def work() -> Any:
        barrier.wait(30)
        return log_in(site, openid).location

    assert [each.result for each in [Task(work) for _ in range(6)]] == ["/"] * 6
    assert openid.count("/jwks") == 2
    assert signals.of("oauth-error") == []


def test_a_rotation_that_keeps_the_name_of_the_key(
    openid: OpenIDProvider, ages: Ages, signals: Signals
) -> None:
    """The keys are fetched, too, when a known one has not signed."""
    site = make_openid_site(openid)
    log_in(site, openid)
    ages.pass_(61)
    openid.keys, openid.header = [rsa_key(1)], {"kid": None}
    log_in(site, openid)
    assert signals.of("oauth-error") == []


def test_a_flood_of_unknown_keys_fetches_once_a_minute(
    openid: OpenIDProvider, ages: Ages, signals: Signals
) -> None:
    """However many tokens name a key that nobody knows."""
    site = make_openid_site(openid)
    log_in(site, openid)
    openid.header = {"kid": "nobody's"}
    for _ in range(5):
        log_in(site, openid)
        ages.pass_(5)
    assert openid.count("/jwks") == 2
    ages.pass_(61)
    for _ in range(5):
        log_in(site, openid)
        ages.pass_(5)
    assert openid.count("/jwks") == 3
    assert len(signals.of("oauth-error")) == 10


def test_cached_documents_go_on_working(
    openid: OpenIDProvider, ages: Ages, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider whose documents are down is asked once a minute, and logins go on."""
    site = make_openid_site(openid)
    log_in(site, openid)
    openid.down = {"/jwks", DISCOVERY}
    ages.pass_(4000)
    for _ in range(4):
        assert log_in(site, openid).location == "/"
        ages.pass_(20)
    assert openid.count("/jwks") == openid.count(DISCOVERY) == 3
    assert "503" in warnings_of(caplog)
    openid.down = set()
    ages.pass_(61)
    log_in(site, openid)
    assert openid.count("/jwks") == openid.count(DISCOVERY) == 4


BAD_DOCUMENTS: dict[str, tuple[Any, str]] = {
    "another issuer": ({"issuer": "https://evil.example"}, "unusable_metadata"),
    "no issuer": ({"issuer": None}, "unusable_metadata"),
    "issuer no text": ({"issuer": 1}, "unusable_metadata"),
    "issuer with a slash": ({"issuer": "/"}, "unusable_metadata"),
    "relative endpoint": ({"token_endpoint": "/token"}, "unusable_metadata"),
    "odd endpoint": ({"authorization_endpoint": 5}, "unusable_metadata"),
    "endpoint no URL": ({"token_endpoint": "https://[::1"}, "unusable_metadata"),
    "file": ({"jwks_uri": "file:///etc/passwd"}, "unusable_metadata"),
    "no authorization endpoint": ({"authorization_endpoint": None}, "unusable_metadata"),
    "no token endpoint": ({"token_endpoint": None}, "unusable_metadata"),
    "text": (b"not here", "unusable_metadata"),
    "list": ([], "unusable_metadata"),
    "10 MB": (TEN_MB, "temporarily_unavailable"),
}


@pytest.mark.parametrize(("document", "error"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_a_bad_discovery_document_ends_the_login_at_its_beginning(
    openid: OpenIDProvider, signals: Signals, document: Any, error: str
) -> None:
    """The visitor gets a page, the application a signal, and nobody an endpoint."""
    if isinstance(document, dict):
        if document.get("issuer") == "/":
            document = {"issuer": f"{openid.url}/"}
        openid.metadata = document
    else:
        openid.bodies[DISCOVERY] = document
    answer = make_openid_site(openid).browser().get("/login/acme")
    assert answer.status_code in (302, 400)
    assert "authorize" not in (answer.location or "")
    [told] = signals.of("oauth-error")
    assert told["error"] == error


@pytest.mark.parametrize("empty", ["", [], {}, False, None], ids=repr)
def test_an_endpoint_that_is_empty_is_none(openid: OpenIDProvider, empty: Any) -> None:
    """What a login does not need may be written as empty."""
    names = ("revocation_endpoint", "userinfo_endpoint", "end_session_endpoint")
    openid.metadata = dict.fromkeys(names, empty)
    site = make_openid_site(openid)
    browser = site.browser()
    assert log_in(site, openid, browser).location == "/"
    assert browser.stored["id_token"]
    assert site.blueprint.metadata().endpoints.keys() == {
        "authorization_url",
        "token_url",
        "jwks_url",
    }


ODD_BODIES = {
    "empty": b"",
    "null": b"null",
    "no UTF-8": b"\xff\xfe\x00",
    "cut": b'{"issuer": "ht',
    "number": b"1e999",
    "text": b'"x"',
    "deep": b'{"keys": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "form": b"issuer=x&keys=y",
    "huge number": b'{"issuer": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
def test_no_body_makes_a_500(
    openid: OpenIDProvider, signals: Signals, path: str, body: bytes
) -> None:
    """Whatever is published, the visitor ends on a page, and no token is stored."""
    site = make_openid_site(
        openid, authorization_url=f"{openid.url}/authorize", token_url=f"{openid.url}/token"
    )
    openid.bodies[path] = body
    browser = site.browser()
    assert log_in(site, openid, browser).status_code in (302, 400)
    assert signals.of("oauth-error")[0]["error"] == "unusable_metadata"
    assert browser.stored is None


def test_the_message_says_which_issuer_to_give(openid: OpenIDProvider, signals: Signals) -> None:
    """It is the most frequent mistake in a configuration."""
    openid.issuer = f"{openid.url}/"
    make_openid_site(openid).browser().get("/login/acme")
    assert f"{openid.url}/'" in signals.of("oauth-error")[0]["error_description"]


def test_a_discovery_document_that_is_down_is_asked_for_again(
    openid: OpenIDProvider, ages: Ages, signals: Signals
) -> None:
    """Soon, but not by every visitor."""
    openid.down = {DISCOVERY}
    site = make_openid_site(openid)
    for _ in range(3):
        site.browser().get("/login/acme")
    assert openid.count(DISCOVERY) == 1
    assert {each["error"] for each in signals.of("oauth-error")} == {"temporarily_unavailable"}
    openid.down = set()
    ages.pass_(6)
    assert "/authorize" in site.browser().get("/login/acme").location


def test_credentials_of_a_netrc_stay_at_home(
    openid: OpenIDProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The documents are public: nobody has to say who asks, neither before nor after a redirect."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    openid.bodies["/moved"] = openid.discovery()
    openid.redirects = {DISCOVERY: "/moved"}
    assert "/authorize" in make_openid_site(openid).browser().get("/login/acme").location
    assert [call.path for call in openid.asked] == [DISCOVERY, "/moved"]
    assert not [call for call in openid.asked if "Authorization" in call.headers]


def test_redirects_stay_within_the_origin(openid: OpenIDProvider, signals: Signals) -> None:
    """Another host can't say where codes and secrets go."""
    with OpenIDProvider() as other:
        other.issuer = openid.url
        for target, is_good in ((f"{other.url}{DISCOVERY}", False), ("/moved", True)):
            openid.bodies["/moved"] = openid.discovery()
            openid.redirects = {DISCOVERY: target}
            location = make_openid_site(openid).browser().get("/login/acme").location
            assert ("/authorize" in location) is is_good
        assert other.asked == []


BAD_KEYS: dict[str, Any] = {
    "10 MB": TEN_MB,
    "no keys": {},
    "keys no list": {"keys": {"a": 1}},
    "odd keys": {"keys": [1, None, {}, {"kty": "RSA"}, {"kty": "EC", "crv": 1}, {"kty": ["RSA"]}]},
    "secret keys": {"keys": [{"kty": "oct", "k": "aaaa", "kid": "rsa-0"}]},
    "text": b"rubbish",
}


@pytest.mark.parametrize("keys", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_bad_keys_end_the_first_login(openid: OpenIDProvider, signals: Signals, keys: Any) -> None:
    """Without any key nothing can be validated; what was issued is revoked."""
    openid.bodies["/jwks"] = keys
    site = make_openid_site(openid)
    browser = site.browser()
    assert log_in(site, openid, browser).status_code in (302, 400)
    [told] = signals.of("oauth-error")
    assert told["error"] in ("unusable_metadata", "temporarily_unavailable")
    assert browser.stored is None
    assert openid.count("/revoke") == 2


def test_a_provider_without_keys_and_revocation(openid: OpenIDProvider, signals: Signals) -> None:
    """The document names neither: the login fails, and nothing can be revoked."""
    openid.metadata = {"jwks_uri": None, "revocation_endpoint": None}
    site = make_openid_site(openid)
    log_in(site, openid)
    assert "jwks_uri" in signals.of("oauth-error")[0]["error_description"]
    assert openid.count("/revoke") == 0


@pytest.mark.parametrize("keys", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_bad_keys_don_t_take_the_place_of_good_ones(
    openid: OpenIDProvider, ages: Ages, keys: Any
) -> None:
    """The keys that are here go on working."""
    site = make_openid_site(openid)
    log_in(site, openid)
    openid.bodies["/jwks"] = keys
    ages.pass_(4000)
    assert log_in(site, openid).location == "/"


def test_weak_and_other_keys_are_passed_over() -> None:
    """An RSA key of 1024 bits, one for encryption, private parts; and there are 100 at most."""
    good = rsa_key().as_dict(private=True)
    weak = {"kty": "RSA", "n": "A" * 171, "e": "AQAB"}
    huge = {"kty": "RSA", "n": "_" * 4000, "e": "AQAB"}
    keys = read_keys({"keys": [{**good, "use": "enc"}, weak, huge, {**good, "use": "sig"}]})
    assert [key.key_id for key in keys] == ["rsa-0"]
    assert not keys[0].value.is_private
    point = ECKey.generate_key("P-256").as_dict(private=False)
    assert len(read_keys({"keys": [point] * 500})) == 100


def test_microsoft_s_document_for_all_tenants(openid: OpenIDProvider, signals: Signals) -> None:
    """Its issuer has the tenant of the token put in; one that is no GUID is refused."""
    openid.metadata["issuer"] = f"{openid.url}/{{tenantid}}/v2.0"
    openid.bodies["/common/v2.0" + DISCOVERY] = openid.discovery()
    site = make_openid_site(openid, issuer=f"{openid.url}/common/v2.0")
    openid.claims = {"iss": f"{openid.url}/{TENANT}/v2.0", "tid": TENANT}
    assert log_in(site, openid).location == "/"
    assert signals.of("oauth-error") == []
    bad: list[dict[str, Any]] = [
        {"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"},
        {"tid": None},
        {"tid": [TENANT]},
        {"tid": "common", "iss": f"{openid.url}/common/v2.0"},
        {"tid": "{tenantid}", "iss": f"{openid.url}/{{tenantid}}/v2.0"},
        {"iss": f"{openid.url}/{TENANT}/v1.0"},
        {"tid": f"{TENANT}/x", "iss": f"{openid.url}/{TENANT}/x/v2.0"},
        {"iss": None},
    ]
    for number, claims in enumerate(bad, 1):
        openid.claims = {"iss": f"{openid.url}/{TENANT}/v2.0", "tid": TENANT, **claims}
        log_in(site, openid)
        assert len(signals.of("oauth-error")) == number, claims


MICROSOFT = "https://login.microsoftonline.com/{}/v2.0"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"


@pytest.mark.parametrize(
    ("asked", "published", "claims", "is_taken"),
    [
        ("contoso.onmicrosoft.com", TENANT, {}, True),
        ("contoso.onmicrosoft.com", TENANT, {"tid": None}, True),
        ("consumers", PERSONAL, {"iss": PERSONAL, "tid": PERSONAL}, True),
        ("common", "{tenantid}", {}, True),
        ("organizations", "{tenantid}", {}, True),
        (TENANT, TENANT, {}, True),
        ("contoso.onmicrosoft.com", TENANT, {"tid": PERSONAL}, False),
        ("contoso.onmicrosoft.com", TENANT, {"iss": PERSONAL, "tid": PERSONAL}, False),
        ("contoso.onmicrosoft.com", TENANT, {"iss": "contoso.onmicrosoft.com"}, False),
        ("common", "{tenantid}", {"tid": None}, False),
        ("organizations", "{tenantid}", {"tid": PERSONAL}, False),
        (TENANT, PERSONAL, {}, None),
        ("contoso.onmicrosoft.com", "{tenantid}", {}, None),
        ("contoso.onmicrosoft.com", "other.onmicrosoft.com", {}, None),
    ],
)
def test_a_tenant_of_microsoft_has_several_names(
    openid: OpenIDProvider,
    asked: str,
    published: str,
    claims: dict[str, Any],
    is_taken: bool | None,
) -> None:
    """A blueprint has a domain or a word for it; documents and tokens have its identifier."""
    openid.issuer = MICROSOFT.format(published)
    names = {"iss": TENANT, "tid": TENANT, **claims}
    openid.claims = {**names, "iss": MICROSOFT.format(names["iss"])}
    site = make_openid_site(
        openid, issuer=MICROSOFT.format(asked), discovery_url=f"{openid.url}{DISCOVERY}"
    )
    browser = site.browser()
    if is_taken is None:
        # The document itself is another tenant's.
        assert "authorize" not in (browser.get("/login/acme").location or "")
    else:
        log_in(site, openid, browser, iss=openid.claims["iss"])
        assert (browser.stored is not None) is is_taken


def test_only_microsoft_s_tenants_have_several_names(
    openid: OpenIDProvider, signals: Signals
) -> None:
    """A provider of anybody else is called what it is called."""
    openid.issuer = f"{openid.url}/{TENANT}/v2.0"
    openid.bodies["/consumers/v2.0" + DISCOVERY] = openid.discovery()
    make_openid_site(openid, issuer=f"{openid.url}/consumers/v2.0").browser().get("/login/acme")
    assert signals.of("oauth-error")[0]["error"] == "unusable_metadata"


def test_a_key_of_one_tenant_signs_for_no_other(openid: OpenIDProvider, signals: Signals) -> None:
    """Microsoft says with some keys whose they are."""
    openid.metadata["issuer"] = f"{openid.url}/{{tenantid}}/v2.0"
    openid.bodies["/common/v2.0" + DISCOVERY] = openid.discovery()
    site = make_openid_site(openid, issuer=f"{openid.url}/common/v2.0")
    openid.claims = {"iss": f"{openid.url}/{TENANT}/v2.0", "tid": TENANT}
    public = rsa_key().as_dict(private=False)
    openid.bodies["/jwks"] = {"keys": [{**public, "issuer": f"{openid.url}/other/v2.0"}]}
    log_in(site, openid)
    assert "key of another issuer" in signals.of("oauth-error")[0]["error_description"]


def test_given_endpoints_come_before_discovered_ones(openid: OpenIDProvider) -> None:
    """And discovery waits until something is needed that was not given."""
    site = make_openid_site(
        openid, authorization_url=f"{openid.url}/mine", token_url=f"{openid.url}/token"
    )
    browser = site.browser()
    assert urlsplit(browser.get("/login/acme").location).path == "/mine"
    assert openid.asked == []
    assert log_in(site, openid, browser).location == "/"


@pytest.mark.parametrize(
    "issuer", [None, "", "provider.example", "https://p.example?a=b", "https://p.example#a", 5]
)
def test_an_issuer_has_to_be_one(issuer: Any) -> None:
    """What can't be an issuer is an error where it is given."""
    with pytest.raises(ConfigurationError, match="issuer"):
        make_oidc_blueprint("acme", issuer=issuer)


@pytest.mark.parametrize("algorithms", [[], ["none"], ["RS256", "rs256"], "RS256"])
def test_algorithms_have_to_be_known(algorithms: Any) -> None:
    """A typo would refuse every login, and ``none`` none."""
    with pytest.raises(ConfigurationError, match="id_token_algorithms"):
        make_oidc_blueprint("acme", issuer="https://p.example", id_token_algorithms=algorithms)


def test_documents_are_fetched_as_tokens_are(openid: OpenIDProvider) -> None:
    """With the authority that the blueprint trusts, and without the client's own certificate."""
    sent: list[dict[str, Any]] = []

    class Adapter(HTTPAdapter):
        def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override] # all of them
            sent.append({**kwargs, "headers": request.headers})
            return super().send(request, **kwargs)

    params = {"verify": "/ca.pem", "timeout": 7, "cert": "/me.pem", "headers": {"X-Key": "k"}}
    site = make_openid_site(openid, adapter=Adapter, token_url_params=params)
    site.browser().get("/login/acme")
    make_openid_site(openid, adapter=Adapter, verify="/ca.pem").browser().get("/login/acme")
    [call, other] = sent
    assert (call["verify"], call["timeout"], call["cert"]) == ("/ca.pem", 7, None)
    assert "X-Key" not in call["headers"]
    assert "Authorization" not in call["headers"]
    assert other["verify"] == "/ca.pem"


def test_plain_http_is_refused(
    openid: OpenIDProvider, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that come by plain http are anybody's."""
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT")
    make_openid_site(openid).browser().get("/login/acme")
    assert "plain http" in signals.of("oauth-error")[0]["error_description"]
    assert openid.asked == []


def test_one_thread_fetches_and_the_others_go_on(ages: Ages) -> None:
    """Nobody waits for a newer document while there is an older one."""
    published, pause = Published[str](), Pause()
    assert published.get(lambda: "old") == "old"
    ages.pass_(3600)

    def fetch() -> str:
        pause()
        return "new"

    first = Task(lambda: published.get(fetch))
    pause.wait()
    assert published.get(fetch) == "old"
    pause.go()
    assert first.result == "new"
    assert published.get(fetch) == "new"


def test_a_slow_first_fetch_holds_one_login_only(ages: Ages) -> None:
    """Who comes while it has lasted for some time is told at once that the provider is slow."""
    published, pause = Published[str](), Pause()

    def fetch() -> str:
        pause()
        return "new"

    first = Task(lambda: published.get(fetch))
    pause.wait()
    second = Task(lambda: published.get(fetch))
    assert second.waits()
    ages.pass_(5)
    with pytest.raises(ProviderError) as caught:
        published.get(fetch)
    assert caught.value.is_temporary
    pause.go()
    assert first.result == second.result == published.get(fetch) == "new"


def test_all_threads_share_the_first_fetch(ages: Ages) -> None:
    """Those who come while there is nothing wait for one that fetches, also if that fails."""
    for outcome in ("new", ProviderError("acme", "down", is_temporary=True)):
        fetches: list[int] = []
        published, barrier = Published[str](), threading.Barrier(8)

        def fetch(outcome: Any = outcome, fetches: list[int] = fetches) -> str:
            fetches.append(1)
            if isinstance(outcome, Exception):
                raise outcome
            return str(outcome)

        def ask(published: Any = published, barrier: Any = barrier, fetch: Any = fetch) -> Any:
            barrier.wait(30)
            return published.get(fetch)

        results = [each.result for each in [Task(ask) for _ in range(8)]]
        assert len(fetches) == 1
        assert len({str(each) for each in results}) == 1


def test_each_issuer_of_a_blueprint_has_its_own_documents(openid: OpenIDProvider) -> None:
    """One blueprint may have several issuers, each from the configuration of another app."""
    site = make_openid_site(openid)
    site.blueprint.from_config["issuer"] = "ISSUER"
    with OpenIDProvider() as other:
        site.app.config["ISSUER"] = other.url
        assert other.url in site.browser().get("/login/acme").location
        site.app.config["ISSUER"] = openid.url
        assert openid.url in site.browser().get("/login/acme").location
