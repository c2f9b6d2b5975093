"""Signing in by OpenID Connect, against a small provider on loopback that checks what it is sent."""

import base64
import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretStr

from app.bootstrap import App
from app.db.tables import audit_log, user_sessions, users
from app.errors import ConfigurationError
from app.services.openid import openid_provider
from app.services.second_factor import code_at, new_secret
from tests.admin.conftest import TESTS, Browser, make_user

SECRET = "what we two know"
BACK = "http://localhost/admin/sign-in/oidc/return"


@dataclass
class Provider:
    """A provider: hands out codes, takes each back once, and answers with a token as it is told."""

    url: str = ""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    published: list[ECKey] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "ES256", "kid": "one"})
    signer: Any = None
    taken: list[dict[str, str]] = field(default_factory=list)

    def get(self, path):
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        keys = [key.as_dict(private=False) for key in self.published or [self.key]]
        return 200, {"keys": keys}

    def post(self, body):
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        self.taken.append(fields)
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        wanted = ("a code", SECRET, BACK, self.asked["code_challenge"])
        given = (fields["code"], fields["client_secret"], fields["redirect_uri"], challenge)
        if given != wanted:
            return 400, {"error": "invalid_grant"}
        return 200, {"id_token": self.token()}

    def token(self):
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": self.url,
            "sub": "4711",
            "aud": "tocsin",
            "iat": now,
            "exp": now + 300,
            "nonce": self.asked["nonce"],
            "email": "Ida@Example.com",
            "email_verified": True,
            "name": "Ida",
            "groups": ["staff", "ops"],
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(self.header, kept, self.signer or self.key, algorithms=["ES256", "HS256"])


@pytest.fixture
def provider():
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(*provider.get(self.path))

        def do_POST(self):
            self.answer(*provider.post(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def answer(self, status, told):
            raw = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(raw)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def with_provider(app, provider, make_console):
    """The console with that provider, and changed settings."""

    def console(**more):
        values = {
            "oidc_issuer": provider.url,
            "oidc_client_id": "tocsin",
            "oidc_client_secret": SecretStr(SECRET),
            "oidc_roles": ("admins=admin", "ops=operator"),
            **more,
        }
        settings = app.settings.model_copy(update=values)
        return make_console(App(settings=settings, engine=app.engine, name="test"))

    return console


@pytest.fixture
def journey(with_provider, provider):
    """Goes to the provider and comes back; gives the browser and the last answer."""

    def go(console=None, **changed):
        browser = Browser((console or with_provider()).test_client())
        left = browser.get("/admin/sign-in/oidc")
        query = {name: values[0] for name, values in parse_qs(urlsplit(left.location).query).items()}
        provider.asked = query
        back = {"code": "a code", "state": query["state"], **changed}
        return browser, browser.get("/admin/sign-in/oidc/return", query_string=back)

    return go


def found(app, **columns):
    query = sa.select(users).filter_by(**columns)
    with app.engine.connect() as conn:
        return conn.execute(query).one_or_none()


def is_in(browser):
    return browser.get("/admin/account/").status_code == 200


def test_the_door_shows_the_way_only_where_there_is_one(stranger, with_provider):
    assert "organisation" not in stranger.get("/admin/sign-in").text
    assert stranger.get("/admin/sign-in/oidc").status_code == 404
    assert "organisation" in Browser(with_provider().test_client()).get("/admin/sign-in").text


def test_who_is_vouched_for_comes_in_with_the_role_of_their_group(app, journey):
    browser, answer = journey()
    assert answer.status_code == 302
    assert is_in(browser)
    row = found(app, email="ida@example.com")
    assert (row.role, row.name, row.password_hash) == ("operator", "Ida", None)


def test_the_first_role_that_is_set_wins(app, journey, provider):
    provider.claims = {"groups": ["ops", "admins"]}
    journey()
    assert found(app, email="ida@example.com").role == "admin"


def test_who_has_no_role_stays_outside_unless_there_is_one_for_all(app, journey, provider, with_provider):
    provider.claims = {"groups": ["staff"]}
    browser, answer = journey()
    assert answer.status_code == 401
    assert "gives you no role" in answer.text
    assert not is_in(browser)
    assert found(app, email="ida@example.com") is None
    assert is_in(journey(with_provider(oidc_default_role="viewer"))[0])


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another"},
        {"aud": ["tocsin", "another"]},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"nonce": "of another journey"},
        {"nonce": None},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_for_somebody_else_or_another_time_is_refused(journey, provider, claims):
    provider.claims = claims
    browser, answer = journey()
    assert answer.status_code == 401
    assert not is_in(browser)


def test_a_token_that_another_key_signed_is_refused(journey, provider):
    provider.signer = ECKey.generate_key("P-256", {"kid": "one"})
    assert journey()[1].status_code == 401


def test_a_token_signed_with_the_shared_secret_is_refused(journey, provider):
    provider.header, provider.signer = {"alg": "HS256", "kid": "one"}, OctKey.import_key(SECRET)
    assert journey()[1].status_code == 401


def test_a_new_key_of_the_provider_is_fetched(journey, provider, with_provider):
    console = with_provider()
    assert is_in(journey(console)[0])
    provider.key = ECKey.generate_key("P-256", {"kid": "two"})
    provider.header = {"alg": "ES256", "kid": "two"}
    assert is_in(journey(console)[0])


@pytest.mark.parametrize("changed", [{"state": "forged"}, {"state": ""}, {"code": ""}, {"code": "another"}])
def test_an_answer_that_nobody_here_asked_for_is_refused(journey, changed):
    assert journey(**changed)[1].status_code == 401


def test_an_answer_without_a_journey_leads_to_the_door(with_provider):
    browser = Browser(with_provider().test_client())
    answer = browser.get("/admin/sign-in/oidc/return?code=a&state=b")
    assert (answer.status_code, answer.location) == (302, "/admin/sign-in")


def test_the_verifier_of_this_journey_alone_opens_the_code(journey, provider):
    journey()
    first = provider.taken[0]["code_verifier"]
    journey()
    assert provider.taken[1]["code_verifier"] != first
    assert len(first) >= 43


def test_an_account_is_taken_over_by_a_verified_email_alone(app, journey, provider):
    known = make_user(app, "ida@example.com", role="operator")
    provider.claims = {"email_verified": False}
    assert journey()[1].status_code == 401
    assert found(app, id=known).oidc_subject is None
    provider.claims = {}
    assert is_in(journey()[0])
    assert found(app, id=known).oidc_subject == f"{provider.url} 4711"


def test_somebody_elses_subject_does_not_get_an_account_that_is_linked(app, journey, provider):
    journey()
    provider.claims = {"sub": "another"}
    assert journey()[1].status_code == 401


def test_another_role_at_the_provider_is_another_role_here_and_ends_sessions(app, journey, provider):
    before, _ = journey()
    provider.claims = {"groups": ["admins"]}
    after, _ = journey()
    assert found(app, email="ida@example.com").role == "admin"
    assert is_in(after)
    assert not is_in(before)


def test_who_was_shut_out_here_stays_outside(app, journey):
    journey()
    with app.engine.begin() as conn:
        conn.execute(sa.update(users).values(is_active=False).where(users.c.email == "ida@example.com"))
        conn.execute(sa.delete(user_sessions))
    answer = journey()[1]
    assert (answer.status_code, "Your account was shut" in answer.text) == (401, True)


def test_what_was_made_is_in_the_audit_log(app, journey):
    journey()
    with app.engine.connect() as conn:
        actions = conn.execute(sa.select(audit_log.c.actor, audit_log.c.action)).all()
    assert ("console/oidc", "user.create") in [tuple(row) for row in actions]


def test_what_the_provider_changes_of_an_account_is_in_the_audit_log(app, journey, provider):
    known = make_user(app, "ida@example.com", role="viewer")
    journey()
    with app.engine.connect() as conn:
        rows = conn.execute(sa.select(audit_log).where(audit_log.c.actor == "console/oidc")).all()
    assert {(row.action, row.target) for row in rows} == {
        ("user.link", f"user {known}"),
        ("user.set_role", f"user {known}"),
    }
    assert [(row.before, row.after) for row in rows if row.action == "user.set_role"] == [
        ({"role": "viewer"}, {"role": "operator"})
    ]


def test_who_has_a_second_factor_here_has_to_show_it_too(app, journey):
    known = make_user(app, "ida@example.com", role="operator")
    secret, now = new_secret(), datetime.now(UTC)
    app.second_factor.enrol(TESTS, known, secret, code_at(secret, now), now=now)
    browser, answer = journey()
    assert answer.location == "/admin/sign-in/code"
    assert not is_in(browser)


def test_a_silent_provider_is_told_as_such(with_provider):
    browser = Browser(with_provider(oidc_issuer="http://127.0.0.1:9").test_client())
    answer = browser.get("/admin/sign-in/oidc")
    assert answer.status_code == 503
    assert "use a password" in answer.text


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"oidc_client_secret": None}, "go together"),
        ({"oidc_issuer": "http://login.example.com"}, "https"),
        ({"oidc_roles": ("ops=king",)}, "OIDC_ROLES"),
        ({"oidc_roles": ("operator",)}, "OIDC_ROLES"),
    ],
)
def test_half_a_configuration_is_named(app, values, word):
    whole = {
        "oidc_issuer": "https://login.example.com",
        "oidc_client_id": "tocsin",
        "oidc_client_secret": SecretStr(SECRET),
    }
    with pytest.raises(ConfigurationError, match=word):
        openid_provider(app.settings.model_copy(update={**whole, **values}))


def test_a_journey_is_not_repeated(journey, provider):
    browser, _ = journey()
    answer = browser.get(f"/admin/sign-in/oidc/return?code=a+code&state={provider.asked['state']}")
    assert answer.location == "/admin/sign-in"
