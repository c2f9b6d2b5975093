import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import ConfigurationError, Forged
from app.gateways.base import WebhookRequest
from app.gateways.email.sendgrid.proof import key_of_settings
from app.gateways.email.sendgrid.webhook import SendGridWebhook
from app.settings import Settings

# The example that the vendor's own client is tested with.
VENDORS_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglS"
    "I8eNEc6wEA3F+g=="
)
VENDORS_TIME = "1600112502"
VENDORS_SIGNATURE = (
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
)
VENDORS_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
THEN = datetime.fromtimestamp(1600112502, UTC)
VECTOR = Path(__file__).parents[4] / "shared" / "vectors" / "sendgrid_signed_event.json"

OLD, NEW, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def spki(key):
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()


def request(body, headers):
    return WebhookRequest(
        method="POST", url="https://example.org/webhooks/sendgrid", headers=headers, body=body
    )


def signed(key, at=NOW, body=b"[]\r\n", **changes):
    time = str(int(at.timestamp()))
    signature = key.sign(time.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": time,
    }
    return request(changes.get("instead", body), headers | changes.get("headers", {}))


@pytest.fixture(scope="module")
def webhook():
    return SendGridWebhook(keys=(key_of_settings(spki(OLD)), key_of_settings(spki(NEW))))


@pytest.fixture(scope="module")
def vendors():
    return SendGridWebhook(keys=(key_of_settings(VENDORS_KEY),))


def example(body=VENDORS_BODY, time=VENDORS_TIME, signature=VENDORS_SIGNATURE):
    return request(
        body,
        {
            "x-twilio-email-event-webhook-signature": signature,
            "x-twilio-email-event-webhook-timestamp": time,
        },
    )


def test_the_vendors_own_example_holds(vendors):
    vendors.verify(example(), None, THEN)


@pytest.mark.parametrize(
    "tampered",
    [
        {"body": VENDORS_BODY.rstrip()},
        {"body": VENDORS_BODY.replace(b"hello", b"hallo")},
        {"body": b""},
        {"time": "1600112503"},
        {"signature": VENDORS_SIGNATURE.replace("GHQ", "GHR")},
        {"signature": base64.b64encode(b"short").decode()},
    ],
    ids=["line break cut", "content", "empty", "time", "signature", "no DER"],
)
def test_the_vendors_example_tampered_with_does_not(vendors, tampered):
    with pytest.raises(Forged):
        vendors.verify(example(**tampered), None, THEN)


@pytest.mark.skipif(not VECTOR.exists(), reason="the folder of vectors is elsewhere")
def test_the_vector_on_file_is_the_one_here():
    vector = json.loads(VECTOR.read_text())
    told = (vector["public_key"], vector["signature"], vector["timestamp"], vector["body"].encode())
    assert told == (VENDORS_KEY, VENDORS_SIGNATURE, VENDORS_TIME, VENDORS_BODY)


@pytest.mark.parametrize("key", [OLD, NEW], ids=["old", "new"])
def test_each_of_two_keys_proves(webhook, key):
    webhook.verify(signed(key), None, NOW)


def test_a_strangers_key_proves_nothing(webhook):
    with pytest.raises(Forged, match="signature"):
        webhook.verify(signed(STRANGER), None, NOW)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=24), timedelta(minutes=-5)])
def test_what_is_repeated_within_a_day_is_fresh(webhook, age):
    webhook.verify(signed(NEW, NOW - age), None, NOW)


@pytest.mark.parametrize("age", [timedelta(hours=26), timedelta(days=400), timedelta(minutes=-11)])
def test_what_is_older_or_of_tomorrow_is_not(webhook, age):
    with pytest.raises(Forged, match="timestamp"):
        webhook.verify(signed(NEW, NOW - age), None, NOW)


@pytest.mark.parametrize("time", ["", "soon", "-1", "1e9", "99999999999999", "\u0661\u0662", " 1763726400"])
def test_a_time_that_is_none_proves_nothing(webhook, time):
    headers = {"x-twilio-email-event-webhook-timestamp": time}
    with pytest.raises(Forged, match="timestamp"):
        webhook.verify(signed(NEW, headers=headers), None, NOW)


@pytest.mark.parametrize("signature", ["", "%%%", "TUVVQ0lR\n", "é"])
def test_a_signature_that_is_none_proves_nothing(webhook, signature):
    headers = {"x-twilio-email-event-webhook-signature": signature}
    with pytest.raises(Forged, match="signature"):
        webhook.verify(signed(NEW, headers=headers), None, NOW)


def test_headers_that_are_missing_prove_nothing(webhook):
    with pytest.raises(Forged):
        webhook.verify(request(b"[]", {}), None, NOW)


def test_settings_hold_any_number_of_keys():
    both = Settings(_env_file=None, sendgrid_webhook_public_keys=f"{spki(OLD)}, {spki(NEW)}")
    made = SendGridWebhook.configured(both)
    made.verify(signed(OLD), None, NOW)
    made.verify(signed(NEW), None, NOW)


@pytest.mark.parametrize(
    "key",
    [
        "no key",
        base64.b64encode(b"no key").decode(),
        spki(rsa.generate_private_key(65537, 2048)),
        spki(ec.generate_private_key(ec.SECP384R1())),
    ],
    ids=["text", "bytes", "RSA", "P-384"],
)
def test_another_kind_of_key_is_a_mistake_in_the_settings(key):
    with pytest.raises(ConfigurationError, match="SENDGRID_WEBHOOK_PUBLIC_KEYS"):
        SendGridWebhook.configured(Settings(_env_file=None, sendgrid_webhook_public_keys=(key,)))
