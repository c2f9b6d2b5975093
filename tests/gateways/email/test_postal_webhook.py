from base64 import b64decode, b64encode, urlsafe_b64encode
from datetime import UTC, datetime

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import EventType, OutcomeClass
from app.errors import Forged, ProofUnavailable
from app.gateways.base import WebhookRequest
from app.gateways.email.postal.webhook import PostalWebhook

NOW = datetime(2026, 11, 21, tzinfo=UTC)

# A request signed with the key that Postal's repository publishes for its own tests.
SPKI = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDWt+8XMJEoeOd5DW0ETcj7oklUiyd39h71ZsBxlZSO"
    "Sydsb+ft26C/dfJmT/1W38oxhct1"
    "iuRN6ETNHNeLtwrysxhpmSiea/eU8Iv3s4WVgdTJyneTH++yuXwOyEmb1opc7igSRfbFLkeVcYm45rnz"
    "bjf/26UaFwmtZlxPI0LZrQIDAQAB"
)
KEY_ID = "84402f67559ca0731352690d8ad545ac0314dd41d6836cfbd13076b567bec845"
JWK = {
    "kty": "RSA",
    "use": "sig",
    "alg": "RS256",
    "n": "1rfvFzCRKHjneQ1tBE3I-6JJVIsnd_Ye9WbAcZWUjksnbG_n7dugv3XyZk_9Vt_KMYXLdYrkTehEzRzX"
    "i7cK8rMYaZkonmv3lPCL97OFlYHU"
    "ycp3kx_vsrl8DshJm9aKXO4oEkX2xS5HlXGJuOa58243_9ulGhcJrWZcTyNC2a0",
    "e": "AQAB",
    "kid": KEY_ID,
}
SHA1_SIGNATURE = (
    "S6n7yofk3dRoIXFWR73sb80kGkzHVbBEGbIA+80vyAEcgSBXYzfiFQdZsivSY0sCgFNDuq7NDpZRzBFI"
    "YlNDuMtdpwHxTYAwZSlUliAOdzrQ"
    "cnzkVV7RTlHZ4ASNM4KhmNgeMvUdSDg3hbgHJIv0oA/712WcWLIwZ2huRFdAd7E="
)
SHA256_SIGNATURE = (
    "L9oQZgFFkiZdBiW8OFp6lRysJbbfKJ1+R4czEEOsrEoJHujdiRoBCjlrdlvCrrDtpzFzGkJa0/EysN2I"
    "7TXBaQ8bKFD2ulLCH1AvZDHJVtVI"
    "QUMwIjHGHwVo+bxat8XyCGRBvNuHS/ZiJstUHKbNYdiAeCF7hLCWsRHtHfCNTyg="
)
BODY = (
    b'{"event":"MessageSent","timestamp":1606753101.354368,"payload":{"message":{"id":'
    b'1563,"token":"zw6psSlgo6ki",'
    b'"direction":"outgoing","message_id":"c462ad36-be49-469c-b7b2-dfd317eb40fa@rp.postal.example.com","to":'
    b'"recipient@example.com","from":"test@example.com","subject":"Test Message","time'
    b'stamp":1606752104.699201,'
    b'"spam_status":"NotChecked","tag":"welcome-email"},"status":"Sent","details":"Mes'
    b"sage for recipient@example.com "
    b'accepted","output":"250 2.0.0 OK\\n","sent_with_ssl":false,"timestamp":160675210'
    b'6.9858062,"time":0.89},"uuid":'
    b'"58e8d7ee-2cd5-4db2-9af3-3f436105795a"}'
)
HEADERS = {
    "x-postal-signature": SHA1_SIGNATURE,
    "x-postal-signature-256": SHA256_SIGNATURE,
    "x-postal-signature-kid": KEY_ID,
}
SHA1_HEADERS = {"x-postal-signature": SHA1_SIGNATURE}


def request(body=BODY, headers=HEADERS):
    return WebhookRequest(method="POST", url="https://us.example/webhooks/postal", headers=headers, body=body)


@pytest.fixture(scope="module")
def webhook():
    return PostalWebhook(url="https://postal.example.net", public_key=SPKI)


@pytest.fixture(scope="module")
def fetching():
    return PostalWebhook(url="https://postal.example.net")


def jwks(*keys):
    return orjson.dumps({"keys": list(keys)})


def test_the_published_request_is_proven_with_the_key_in_settings(webhook):
    assert webhook.key_url(request()) is None
    webhook.verify(request(), None, NOW)


def test_the_published_request_is_proven_with_the_servers_key_set(fetching):
    assert fetching.key_url(request()) == "https://postal.example.net/.well-known/jwks.json"
    fetching.verify(request(), jwks({**JWK, "kid": "another", "n": "AQAB"}, JWK), NOW)


@pytest.mark.parametrize(
    ("headers", "check"),
    [
        (HEADERS | {"x-postal-signature-256": SHA1_SIGNATURE}, "signature"),
        (HEADERS | {"x-postal-signature-256": ""}, "signature"),
        (HEADERS | {"x-postal-signature-256": SHA256_SIGNATURE.replace("=", "")}, "signature encoding"),
        (HEADERS | {"x-postal-signature-256": SHA256_SIGNATURE + "\n"}, "signature encoding"),
        (HEADERS | {"x-postal-signature-256": SHA256_SIGNATURE.replace("+", "-")}, "signature encoding"),
        (HEADERS | {"x-postal-signature-256": "ä"}, "signature encoding"),
        ({}, "signature missing"),
        (SHA1_HEADERS, "signature missing"),
    ],
)
def test_a_tampered_signature_proves_nothing(webhook, headers, check):
    with pytest.raises(Forged, match=rf"^{check}$"):
        webhook.verify(request(headers=headers), None, NOW)


@pytest.mark.parametrize(
    "body", [BODY.replace(b"Sent", b"Held", 1), BODY + b"\n", b"", BODY.replace(b",", b", ", 1)]
)
def test_a_tampered_body_is_forged(webhook, body):
    with pytest.raises(Forged, match=r"^signature$"):
        webhook.verify(request(body), None, NOW)


def test_sha1_counts_only_where_settings_say_so(webhook):
    PostalWebhook(public_key=SPKI, accept_sha1=True).verify(request(headers=SHA1_HEADERS), None, NOW)


def test_a_wrong_sha256_is_not_saved_by_a_right_sha1():
    lenient = PostalWebhook(public_key=SPKI, accept_sha1=True)
    with pytest.raises(Forged, match=r"^signature$"):
        lenient.verify(request(headers=HEADERS | {"x-postal-signature-256": SHA1_SIGNATURE}), None, NOW)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (None, ProofUnavailable),
        (b"<html>", ProofUnavailable),
        (jwks(), ProofUnavailable),
        (jwks({**JWK, "kty": "EC"}), ProofUnavailable),
        (jwks({**JWK, "n": ""}), ProofUnavailable),
        (jwks({**JWK, "n": "ä!"}), ProofUnavailable),
        (jwks({**JWK, "kid": "another"}), Forged),
        (jwks(JWK, JWK), Forged),
    ],
)
def test_a_key_set_without_the_named_key_proves_nothing(fetching, key, error):
    with pytest.raises(error) as raised:
        fetching.verify(request(), key, NOW)
    assert type(raised.value) is error


def test_another_key_in_settings_proves_nothing():
    other = rsa.generate_private_key(65537, 2048).public_key()
    spki = b64encode(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    with pytest.raises(Forged, match=r"^signature$"):
        PostalWebhook(public_key=spki).verify(request(), None, NOW)


def test_a_key_in_settings_that_is_not_rsa_proves_nothing():
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = b64encode(curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    for key in (spki, "AAAA", "no base64!"):
        with pytest.raises(ProofUnavailable, match="key in settings"):
            PostalWebhook(public_key=key).verify(request(), None, NOW)


def spelt(number):
    return urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def test_a_fresh_keys_signature_is_proven(fetching):
    private = rsa.generate_private_key(65537, 2048)
    numbers = private.public_key().public_numbers()
    key = {"kty": "RSA", "kid": "k", "n": spelt(numbers.n), "e": spelt(numbers.e)}
    signature = b64encode(private.sign(b"{}", padding.PKCS1v15(), SHA256())).decode()
    headers = {"x-postal-signature-256": signature, "x-postal-signature-kid": "k"}
    fetching.verify(request(b"{}", headers), jwks(key), NOW)
    sha1 = b64encode(private.sign(b"{}", padding.PKCS1v15(), SHA1())).decode()  # noqa: S303 - it must be refused.
    with pytest.raises(Forged):
        fetching.verify(request(b"{}", headers | {"x-postal-signature-256": sha1}), jwks(key), NOW)


@given(st.binary(), st.dictionaries(st.sampled_from(sorted(HEADERS)), st.text()), st.none() | st.binary())
def test_garbage_is_forged_and_nothing_else(webhook, fetching, body, headers, key):
    for each in (webhook, fetching):
        with pytest.raises(Forged):
            each.verify(request(body, headers), key, NOW)


def told(event, payload, uuid="58e8d7ee-2cd5-4db2-9af3-3f436105795a", timestamp=1606753101.35):
    return request(orjson.dumps({"event": event, "timestamp": timestamp, "payload": payload, "uuid": uuid}))


def message(tag, **changes):
    return {
        "id": 1563,
        "token": "zw6psSlgo6ki",
        "direction": "outgoing",
        "to": "rcpt@example.com",
        "from": "news@example.org",
        "tag": str(tag),
    } | changes


def status(tag, word, details="", output="", **changes):
    payload = {
        "message": message(tag),
        "status": word,
        "details": details,
        "output": output,
        "timestamp": 1606752106.5,
    }
    return payload | changes


def test_a_delivery_names_message_try_and_time(webhook, tag):
    (fact,) = webhook.events(
        told("MessageSent", status(tag, "Sent", "Message for rcpt@example.com accepted", "250 OK"))
    )
    assert (fact.event_type, fact.tag, fact.external_id) == (EventType.DELIVERED, tag, "1563")
    assert fact.occurred_at == datetime(2020, 11, 30, 16, 1, 46, 500000, UTC)
    assert fact.external_event_id == "58e8d7ee-2cd5-4db2-9af3-3f436105795a"
    assert fact.outcome is None
    assert fact.code == "250"
    assert fact.detail == "Message for <removed> accepted 250 OK"


def test_without_its_tag_a_whole_mail_is_known_by_its_message_id(webhook, tag):
    known = message("", message_id=f"{tag}@example.org")
    (fact,) = webhook.events(told("MessageSent", status("", "Sent") | {"message": known}))
    assert fact.tag == tag


def test_a_tag_of_others_leaves_the_id_to_go_by(webhook):
    (fact,) = webhook.events(request())
    assert (fact.tag, fact.external_id) == (None, "1563")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            ("MessageDelayed", "SoftFail", "Temporary SMTP delivery error", "421 4.4.1 later"),
            ("deferred", "unreachable"),
        ),
        (
            ("MessageDeliveryFailed", "HardFail", "Permanent SMTP delivery error", "550 5.1.1 no such user"),
            ("bounced", "recipient"),
        ),
        (
            ("MessageDeliveryFailed", "HardFail", "Permanent SMTP delivery error", "550 unknown"),
            ("bounced", "recipient"),
        ),
        (
            ("MessageDeliveryFailed", "HardFail", "Permanent SMTP delivery error", "552 5.2.2 mailbox full"),
            ("bounced", "unreachable"),
        ),
        (
            ("MessageDeliveryFailed", "HardFail", "Permanent SMTP delivery error", "554 5.7.1 blocked"),
            ("bounced", "unreachable"),
        ),
        (
            (
                "MessageDeliveryFailed",
                "HardFail",
                "Maximum number of delivery attempts (18) has been reached.",
                "",
            ),
            ("bounced", "unreachable"),
        ),
        (
            ("MessageDeliveryFailed", "HardFail", "Message is likely spam. Threshold is 5", ""),
            ("failed", "content"),
        ),
        (("MessageDeliveryFailed", "HardFail", "Message's domain no longer exist", ""), ("failed", "config")),
        (("MessageDeliveryFailed", "HardFail", "Something new", ""), ("bounced", "unreachable")),
        (
            (
                "MessageHeld",
                "Held",
                "Recipient (rcpt@example.com) is on the suppression list (reason: x)",
                "",
            ),
            ("failed", "recipient"),
        ),
        (
            ("MessageHeld", "Held", "Message held because send limit (100) has been reached.", ""),
            ("failed", "throttle"),
        ),
        (("MessageHeld", "Held", "Server is in development mode.", ""), ("failed", "config")),
        (
            ("MessageHeld", "Held", "Credential is configured to hold all messages authenticated by it.", ""),
            ("failed", "config"),
        ),
        (("MessageHeld", "Held", "Mail server has been suspended.", ""), ("failed", "config")),
        (("MessageHeld", "Held", "Something new", ""), ("deferred", "unknown")),
    ],
)
def test_each_status_has_its_event_and_class(webhook, tag, case, expected):
    (fact,) = webhook.events(told(case[0], status(tag, *case[1:])))
    assert (fact.event_type, fact.outcome) == (EventType(expected[0]), OutcomeClass(expected[1]))
    assert "@" not in fact.detail


def bounce(tag, **changes):
    return {
        "original_message": message(tag),
        "bounce": {"id": 1570, "direction": "incoming", "timestamp": 1606752200.25, **changes},
    }


def test_a_late_bounce_is_soft_as_nothing_says_otherwise(webhook, tag):
    (fact,) = webhook.events(told("MessageBounced", bounce(tag)))
    assert (fact.event_type, fact.outcome) == (EventType.BOUNCED, OutcomeClass.UNREACHABLE)
    assert (fact.tag, fact.external_id) == (tag, "1563")
    assert fact.occurred_at == datetime(2020, 11, 30, 16, 3, 20, 250000, UTC)


@pytest.mark.parametrize(("said", "outcome"), [("5.1.1 unknown", "recipient"), ("4.2.2 full", "unreachable")])
def test_a_late_bounce_is_hard_where_it_says_so(webhook, tag, said, outcome):
    (fact,) = webhook.events(told("MessageBounced", bounce(tag, output=said)))
    assert fact.outcome == OutcomeClass(outcome)


def test_opens_and_clicks_are_facts_beside_the_state(webhook, tag):
    seen = {"message": message(tag), "ip_address": "192.0.2.1", "user_agent": "Mozilla/5.0"}
    (opened,) = webhook.events(told("MessageLoaded", seen))
    (clicked,) = webhook.events(
        told("MessageLinkClicked", seen | {"url": "https://example.org/a", "token": "t"})
    )
    assert opened.event_type == EventType.OPENED
    assert opened.data == {"user_agent": "Mozilla/5.0"}
    assert clicked.event_type == EventType.CLICKED
    assert clicked.data == {"url": "https://example.org/a", "user_agent": "Mozilla/5.0"}


def test_one_fact_under_two_webhooks_has_one_key(webhook, tag):
    for event, payload in (
        ("MessageSent", status(tag, "Sent")),
        ("MessageBounced", bounce(tag)),
        ("MessageLinkClicked", {"message": message(tag), "url": "https://example.org/a"}),
    ):
        (one,) = webhook.events(told(event, payload, uuid="a", timestamp=1606753101.354))
        (other,) = webhook.events(told(event, payload, uuid="b", timestamp=1606753101.361))
        assert one.key == other.key


def test_each_delay_counts_for_itself(webhook, tag):
    (one,) = webhook.events(told("MessageDelayed", status(tag, "SoftFail")))
    (other,) = webhook.events(told("MessageDelayed", status(tag, "SoftFail", timestamp=1606752999.5)))
    assert one.key != other.key


def test_clicks_an_hour_apart_are_two(webhook, tag):
    click = {"message": message(tag), "url": "https://example.org/a"}
    (one,) = webhook.events(told("MessageLinkClicked", click))
    (other,) = webhook.events(told("MessageLinkClicked", click, timestamp=1606756701.35))
    assert one.key != other.key


def test_what_concerns_no_message_of_ours_has_no_fact(webhook, tag):
    incoming = message(tag, direction="incoming")
    for event, payload in (
        ("MessageSent", status(tag, "Sent", message=incoming)),
        ("MessageDeliveryFailed", status(tag, "HardFail", message=incoming)),
        ("MessageBounced", bounce(tag) | {"original_message": incoming}),
        ("DomainDNSError", {"domain": "example.org", "spf_status": "Missing", "server": {}}),
        ("SendLimitApproaching", {"server": {}, "volume": 90, "limit": 100}),
        ("SendLimitExceeded", {"server": {}, "volume": 100, "limit": 100}),
        ("SomethingNew", status(tag, "Sent")),
        ("MessageSent", status(tag, "HardFail")),
        ("MessageSent", bounce(tag)),
        ("MessageBounced", status(tag, "Sent")),
        ("MessageLinkClicked", {"message": message(tag)}),
        ("MessageSent", status(tag, "Sent", message={})),
    ):
        assert webhook.events(told(event, payload)) == [], event


def test_postal_asks_for_no_confirmation(webhook):
    assert webhook.confirmation_url(request()) is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
EVENTS = [
    "MessageSent",
    "MessageDelayed",
    "MessageDeliveryFailed",
    "MessageHeld",
    "MessageBounced",
    "MessageLoaded",
]
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["Sent", "SoftFail", "HardFail", "Held"]) | VALUES,
        "message": st.dictionaries(st.sampled_from(["id", "token", "tag", "to", "direction"]), VALUES)
        | VALUES,
        "original_message": st.dictionaries(st.sampled_from(["id", "token", "tag"]), VALUES) | VALUES,
        "bounce": st.dictionaries(st.sampled_from(["id", "timestamp", "output"]), VALUES) | VALUES,
        "details": VALUES,
        "output": VALUES,
        "timestamp": VALUES,
        "url": VALUES,
    },
)


@given(st.sampled_from([*EVENTS, "MessageLinkClicked"]), PAYLOADS | VALUES, VALUES, VALUES)
def test_no_payload_makes_reading_fail(webhook, event, payload, uuid, timestamp):
    body = {"event": event, "payload": payload, "uuid": uuid, "timestamp": timestamp}
    try:
        raw = orjson.dumps(body)
    except TypeError:  # An integer beyond 64 bits, which orjson does not write.
        return
    assert len(webhook.events(request(raw))) <= 1


@given(st.binary())
def test_no_body_makes_reading_fail(webhook, body):
    assert webhook.events(request(body)) == []


def test_strict_base64_is_what_the_vector_has():
    assert b64decode(SHA256_SIGNATURE, validate=True)
