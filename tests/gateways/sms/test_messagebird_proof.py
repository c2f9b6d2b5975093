import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.sms.messagebird.webhook import MessageBirdWebhook

URL = "https://tocsin.example.com/webhooks/messagebird?id=1&status=delivered"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEBHOOK = MessageBirdWebhook(signing_keys=("new-key", "old-key"))

# A published example.
SECRET = "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb"
CLOCK = datetime(2021, 7, 5, 10, 0, tzinfo=UTC)
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1"
    "NDc5MjYwLCJqdGkiOiI5M2U1NTAwNi1hMGU4LTQ1MjYtYTE5MC1mYTVmZjAwZWExMTYiLCJ1cmxfaGFzaCI6IjQxZjA1ZjBkZGQw"
    "YTIyYWIyMDlhYzQ2ZjQ3YzQ1NzJkOWNlZmEyNTdlZDc0YjI0MDA0YmFlNzUzZWNlNmMyNjAiLCJwYXlsb2FkX2hhc2giOiJkZmZk"
    "NjAyMWJiMmJkNWIwYWY2NzYyOTA4MDllYzNhNTMxOTFkZDgxYzdmNzBhNGIyODY4OGEzNjIxODI5ODZmIn0._H--TOuYFLpeEH39"
    "-rg5E3IHVkjHozBcaKVWPRC5m9I"
)
VECTORS = next(
    (
        found
        for parent in Path(__file__).parents
        if (found := parent / "shared" / "vectors" / "messagebird_jwt.json").exists()
    ),
    None,
)


def base64url(raw):
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(claims, *, key="new-key", alg="HS256"):
    """Make a token with nothing of the code under test."""
    parts = [base64url(orjson.dumps(each)) for each in ({"alg": alg, "typ": "JWT"}, claims)]
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    signature = hmac.new(key.encode(), ".".join(parts).encode(), digest).digest()
    return ".".join([*parts, base64url(signature)])


def claims(url=URL, body=b"", **changes):
    made = {
        "iss": "MessageBird",
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "jti": "93e55006",
        "url_hash": hashlib.sha256(url.encode()).hexdigest(),
    }
    if body:
        made["payload_hash"] = hashlib.sha256(body).hexdigest()
    return {name: value for name, value in (made | changes).items() if value is not None}


def verify(token, *, url=URL, body=b"", now=NOW, webhook=WEBHOOK):
    headers = {"messagebird-signature-jwt": token}
    webhook.verify(WebhookRequest(method="GET", url=url, headers=headers, body=body), None, now)


def test_the_published_example_holds():
    webhook = MessageBirdWebhook(signing_keys=(SECRET,))
    verify(
        TOKEN, url="https://example.com/path?bar=1&foo=2", body=b"Hello, World!", now=CLOCK, webhook=webhook
    )


def test_the_order_of_a_query_is_part_of_the_address():
    webhook = MessageBirdWebhook(signing_keys=(SECRET,))
    with pytest.raises(Forged, match="address"):
        verify(
            TOKEN,
            url="https://example.com/path?foo=2&bar=1",
            body=b"Hello, World!",
            now=CLOCK,
            webhook=webhook,
        )


@pytest.mark.skipif(VECTORS is None, reason="the vendor's collection is not here")
def test_every_published_vector_gets_the_verdict_it_should():
    wrong = []
    for vector in json.loads(VECTORS.read_bytes()):
        webhook = MessageBirdWebhook(signing_keys=(vector["secret"],))
        now = datetime.fromisoformat(vector["timestamp"])
        body = vector.get("payload", "").encode()
        try:
            verify(vector["token"], url=vector["url"], body=body, now=now, webhook=webhook)
            verdict = True
        except Forged:
            verdict = False
        if verdict is not vector["valid"]:
            wrong.append(vector["name"])
    assert wrong == []


@pytest.mark.parametrize("key", ["new-key", "old-key"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_each_key_and_each_hmac_is_believed(key, alg):
    verify(signed(claims(), key=key, alg=alg))


def test_a_body_is_covered():
    verify(signed(claims(body=b"{}")), body=b"{}")


@pytest.mark.parametrize("alg", ["none", "None", "HS1", "RS256", "ES256", "", "hs256", 256, None])
def test_any_other_algorithm_is_forged(alg):
    with pytest.raises(Forged, match="algorithm"):
        verify(signed(claims(), alg=alg))


def test_a_token_without_a_signature_is_forged():
    head, body, _ = signed(claims(), alg="none").split(".")
    with pytest.raises(Forged):
        verify(f"{head}.{body}.")
    head, body, _ = signed(claims()).split(".")
    with pytest.raises(Forged, match="signature"):
        verify(f"{head}.{body}.")


def test_another_key_is_forged():
    with pytest.raises(Forged, match="signature"):
        verify(signed(claims(), key="another"))


def test_changed_claims_are_forged():
    head, _, signature = signed(claims()).split(".")
    other = base64url(orjson.dumps(claims(jti="another")))
    with pytest.raises(Forged, match="signature"):
        verify(f"{head}.{other}.{signature}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": None}, "issuer"),
        ({"iss": "messagebird"}, "issuer"),
        ({"iss": 7}, "issuer"),
        ({"nbf": None}, "nbf"),
        ({"nbf": "1"}, "nbf"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"url_hash": None}, "address"),
        ({"url_hash": ""}, "address"),
        ({"url_hash": "é"}, "address"),
        ({"url_hash": hashlib.sha256(b"https://tocsin.example.com/").hexdigest()}, "address"),
        ({"payload_hash": hashlib.sha256(b"").hexdigest()}, "body"),
        ({"payload_hash": ""}, "body"),
    ],
)
def test_each_claim_is_looked_at(changes, why):
    with pytest.raises(Forged, match=why):
        verify(signed(claims(**changes)))


@pytest.mark.parametrize("claim", [None, "", hashlib.sha256(b"other").hexdigest(), 7])
def test_a_body_that_the_token_does_not_cover_is_forged(claim):
    with pytest.raises(Forged, match="body"):
        verify(signed(claims(payload_hash=claim)), body=b"{}")


@pytest.mark.parametrize(
    ("seconds", "holds"),
    [(-2, False), (-1, True), (0, True), (59, True), (60, True), (61, False), (3600, False)],
)
def test_a_token_lives_a_minute_and_clocks_may_differ_by_a_second(seconds, holds):
    now = NOW + timedelta(seconds=seconds)
    if holds:
        verify(signed(claims()), now=now)
    else:
        with pytest.raises(Forged, match=r"expired|yet"):
            verify(signed(claims()), now=now)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c.d", "%.%.%", "é.é.é", "e30.e30.e30", "W10.W10.W10"]
)
def test_what_is_no_token_is_forged(token):
    with pytest.raises(Forged):
        verify(token)


def test_a_request_without_proof_is_forged():
    with pytest.raises(Forged, match="missing"):
        WEBHOOK.verify(WebhookRequest(method="GET", url=URL, headers={}, body=b""), None, NOW)


# The deprecated signature, by a published example.
OLD_KEY = "PlLrKaqvZNRR5zAjm42ZT6q1SQxgbbGd"
OLD_QUERY = {
    "id": "eef0ab57a9e049be946f3821568c2b2e",
    "mccmnc": "20408",
    "ported": "1",
    "recipient": "31612345678",
    "reference": "FOO",
    "status": "delivered",
    "statusDatetime": "2019-01-11T09:17:11+00:00",
}
OLD_HEADERS = {
    "messagebird-signature": "KVBdcVdz2lYMwcBLZCRITgxUfA/WkwSi+T3Wxl2HL6w=",
    "messagebird-request-timestamp": "1547198231",
}
OLD_CLOCK = datetime.fromtimestamp(1547198231, UTC)


def deprecated(query, *, body=b"", now=OLD_CLOCK, accept=True, **headers):
    webhook = MessageBirdWebhook(signing_keys=("another", OLD_KEY), accept_deprecated=accept)
    url = f"https://tocsin.example.com/webhooks/messagebird?{query}"
    webhook.verify(WebhookRequest(method="GET", url=url, headers=OLD_HEADERS | headers, body=body), None, now)


@pytest.mark.parametrize(
    "query",
    [
        urlencode(OLD_QUERY),
        urlencode(dict(reversed(OLD_QUERY.items()))),
        "&".join(f"{name}={value}" for name, value in OLD_QUERY.items()),
    ],
    ids=["encoded", "in another order", "with its plus as it is"],
)
def test_the_deprecated_signature_holds_where_a_setting_allows_it(query):
    deprecated(query)


def test_the_deprecated_signature_is_forged_where_no_setting_allows_it():
    with pytest.raises(Forged, match="missing"):
        deprecated(urlencode(OLD_QUERY), accept=False)


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        (urlencode(OLD_QUERY | {"status": "expired"}), {}),
        (urlencode(OLD_QUERY), {"body": b"x"}),
        (urlencode(OLD_QUERY), {"messagebird-signature": b64encode(b"x" * 32).decode()}),
        (urlencode(OLD_QUERY), {"messagebird-signature": "%"}),
        (urlencode(OLD_QUERY), {"messagebird-signature": ""}),
        (urlencode(OLD_QUERY), {"messagebird-request-timestamp": ""}),
        (urlencode(OLD_QUERY), {"messagebird-request-timestamp": "1547198232"}),
        (urlencode(OLD_QUERY), {"messagebird-request-timestamp": "now"}),
        (urlencode(OLD_QUERY), {"now": OLD_CLOCK + timedelta(hours=25)}),
        (urlencode(OLD_QUERY), {"now": OLD_CLOCK - timedelta(minutes=6)}),
        ("", {}),
    ],
)
def test_a_deprecated_signature_that_does_not_fit_is_forged(query, changes):
    with pytest.raises(Forged):
        deprecated(query, **changes)


def test_a_token_that_fails_is_not_saved_by_the_deprecated_signature():
    with pytest.raises(Forged, match="token"):
        deprecated(urlencode(OLD_QUERY), **{"messagebird-signature-jwt": "a.b.c"})


def test_keys_are_not_shown():
    assert "new-key" not in repr(WEBHOOK)


LONG_KEY = "a key that is long enough for any of the digests, since PyJWT warns of shorter ones than those."
SECONDS = st.integers(-3, 3)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iss": st.sampled_from(["MessageBird", "messagebird", ""]),
        "nbf": SECONDS.map(lambda seconds: int(NOW.timestamp()) + seconds),
        "exp": SECONDS.map(lambda seconds: int(NOW.timestamp()) + seconds),
    },
)


@given(
    st.sampled_from(["HS256", "HS384", "HS512", "none", "RS256"]),
    st.sampled_from([LONG_KEY, f"{LONG_KEY}x"]),
    CLAIMS,
    st.sampled_from(["", "x"]),
)
def test_pyjwt_gives_the_same_verdict(alg, key, chosen, spoilt):
    jwt = pytest.importorskip("jwt")
    token = (
        signed({"url_hash": hashlib.sha256(URL.encode()).hexdigest(), **chosen}, key=key, alg=alg) + spoilt
    )
    try:
        verify(token, webhook=MessageBirdWebhook(signing_keys=(LONG_KEY,)))
        verdict = True
    except Forged:
        verdict = False
    with time_machine.travel(NOW, tick=False):
        try:
            jwt.decode(
                token,
                LONG_KEY,
                algorithms=["HS256", "HS384", "HS512"],
                issuer="MessageBird",
                leeway=1,
                options={"require": ["iss", "nbf", "exp"]},
            )
            theirs = True
        except jwt.InvalidTokenError:
            theirs = False
    assert verdict is theirs
