from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Forged, ProofUnavailable
from app.gateways.base import WebhookRequest
from app.gateways.email.ses.sns import Origins
from app.gateways.email.ses.webhook import SesWebhook

# Two messages that Amazon signed in 2022, with the certificate of that time.
CERTIFICATE_IN_BASE64 = (
    "MIIF1zCCBL+gAwIBAgIQB9pYWG3Mi7xej22g9pobJTANBgkqhkiG9w0BAQsFADBGMQswCQYDVQQGEwJVUzEPMA0GA1UEChMGQW1h"
    "em9uMRUwEwYDVQQLEwxTZXJ2ZXIgQ0EgMUIxDzANBgNVBAMTBkFtYXpvbjAeFw0yMTA5MDcwMDAwMDBaFw0yMjA4MTcyMzU5NTla"
    "MBwxGjAYBgNVBAMTEXNucy5hbWF6b25hd3MuY29tMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAutFqueT3XgP13udz"
    "xE6UpbdjOtVO5DwoMpSMiDNMnGzF1TYH5/R2LPUOBeTB0SkKnR4kpNcUZhicpGD4aKciz/GEZ6wu65xncfT9H/KBOQwoXYTuClHw"
    "p6fYpGzcGFaFoEYMnijL/o4qmTSd+ukglQUgKpsDw4ofw6rUm2CttJo+GQSNQ9NfGR1h/0J+zsApkeSYrXRx5wNlu87z8os1C/6P"
    "BrUHwt3xXeafXzfwut8aRRYsS8BySOA9DAgLfNHlfdQCjKPXKrG/ussgReyWD6n/HH+j7Uha3xosTzQqJifcxlTq6MxWdPR6fDaJ"
    "Nvqw6DOE7UjUNxHguXHlVfxhlQIDAQABo4IC6TCCAuUwHwYDVR0jBBgwFoAUWaRmBlKge5WSPKOUByeWdFv5PdAwHQYDVR0OBBYE"
    "FAqzC+vyouneE7mWWLbi9i0UsWUbMBwGA1UdEQQVMBOCEXNucy5hbWF6b25hd3MuY29tMA4GA1UdDwEB/wQEAwIFoDAdBgNVHSUE"
    "FjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwOwYDVR0fBDQwMjAwoC6gLIYqaHR0cDovL2NybC5zY2ExYi5hbWF6b250cnVzdC5jb20v"
    "c2NhMWIuY3JsMBMGA1UdIAQMMAowCAYGZ4EMAQIBMHUGCCsGAQUFBwEBBGkwZzAtBggrBgEFBQcwAYYhaHR0cDovL29jc3Auc2Nh"
    "MWIuYW1hem9udHJ1c3QuY29tMDYGCCsGAQUFBzAChipodHRwOi8vY3J0LnNjYTFiLmFtYXpvbnRydXN0LmNvbS9zY2ExYi5jcnQw"
    "DAYDVR0TAQH/BAIwADCCAX0GCisGAQQB1nkCBAIEggFtBIIBaQFnAHYAKXm+8J45OSHwVnOfY6V35b5XfZxgCvj5TV0mXCVdx4QA"
    "AAF7vfDVkQAABAMARzBFAiEA2XfHuy36aqRFiaL8c3md2mH451go8707+fRE0pEdSRACIE/g5FXTUXUZPFcmOhm9TZ+uMY1i4CIQ"
    "/CKVWln6C3t+AHYAUaOw9f0BeZxWbbg3eI8MpHrMGyfL956IQpoN/tSLBeUAAAF7vfDVjAAABAMARzBFAiBF1MhhFP0+FQt3daDF"
    "fMYoWwnrmuTInrjNpwfzlvQBugIhAPYadFzr+LaxSJoiZEbEHBvTts7bT0M3eCQONA2O7w6nAHUAQcjKsd8iRkoQxqE6CUKHXk4x"
    "ixsD6+tLx2jwkGKWBvYAAAF7vfDVdAAABAMARjBEAiAtPapmFAuA71ih4NoSd5hJelzAltNQpxDMcDfDyHyU8gIgWxmaa6+2KbBu"
    "9xdv379zvnJACFR7jc+4asl08Dn4aagwDQYJKoZIhvcNAQELBQADggEBAA54QX0uoFWXfMmv02CGZv4NWo5TapyeeixQ2kKpZHRd"
    "VZjxZrw+hoF6HD7P3kGjH8ztyJlltDxB0qgMltbPhQdScwhA6iTgoaBYqEUC/VHKd4PmmPT6yIsM36NBZVmkGlzl5uNo/dBgBaG0"
    "SsVJnhr5zro3c2quC7n6fVGEZhf/UgQwRnnvThnvbNKguglDMq4uEqv8njKyleht+glkcmXO0m9qLKt6BOS0amy6U2GlAwRn0Wx0"
    "2ndJtnRCSC6kPuRWK/SQFEjB7gCK4hdKaAOuWdZpI55vF6ifOeM8toC3g7ofO8qLTnJupAG+ZitY5J3cvHWrHqOUdKigPDHYLRo="
)
CERTIFICATE_URL = (
    "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem"
)
TOPIC = "arn:aws:sns:us-east-2:295079676684:publish-and-verify-"
VERSION_1 = {
    "Type": "Notification",
    "MessageId": "792cda85-518f-5dd3-9163-81d851212f3a",
    "TopicArn": f"{TOPIC}892f85fe-4836-424d-8188-ab85bef0f362",
    "Message": "Hello world",
    "Timestamp": "2022-07-28T21:23:58.317Z",
    "SignatureVersion": "1",
    "Signature": (
        "ghtf+deOBAzHJJZ6s6CdRLfTQAlcGzq9naoFM1wi0CJiq//uVRuZnamrkWNF0fhouMFvuLVRwcz8PZLUMSfnmd5VpdTKpTyi"
        "Kmy1qJAZXma0w+yi7G+I33hD1Jyk1Nbym2n0kqp3fVu2aoooiN2ZeLAT2bH0/BtjLSfN1yAOKNoprco4qV9gGUZinXJdj9a1"
        "YdNhDR2jKi33ldlsVtEXAtiaDklGEk7DgRKX38GerBPiLg3FdtgY6KC7cdeGpU/dGK+4hjc83Ive1HoFkAwqhpgInM2sMytB"
        "osoiXfCmOKmU4xeGD0gHDNZTlJUJQDlzw8Eag0H9f/5zXF9d3uy0YQ=="
    ),
    "SigningCertURL": CERTIFICATE_URL,
}
VERSION_2 = {
    "Type": "Notification",
    "MessageId": "4504e649-d933-5aa9-8199-bd14ccf05f0b",
    "TopicArn": f"{TOPIC}530b26da-0687-4fe4-9f71-780bad3181e2",
    "Subject": "Hello world",
    "Message": "Hello world",
    "Timestamp": "2022-07-28T22:53:55.086Z",
    "SignatureVersion": "2",
    "Signature": (
        "cETcSvmmkt+My05qCLKexyl0+RyG83mSryKPqTfS+tYcxDJWVcjPJAr+qdpElzVaBl1aTGYVWMY64i9JqZ/JES8pylNj8LGv"
        "dhuNQKO59/WCoIimZAsNhn0xEgOeeDU+W/0BU4sdpCGMNjo0S/FuIiWaRe4E0YWRVrxeQevaQ70euDdfWgd5v1eCKQz8b367"
        "b9XBmMztL/CWUFI6YaKK/MV21eyvJe3Y7CtVYiOKEYiAZnAEkynK7gUGO5TsgDjGNYhj6U3xYsWgI03bmioSl7kdFSUj+AZ7"
        "ugas5fghqxgoDsdfqsjMYKRm5KKHQWsgzI619yIzpNKUiSMHxdZXpQ=="
    ),
    "SigningCertURL": CERTIFICATE_URL,
}
AMAZONS = x509.load_der_x509_certificate(b64decode(CERTIFICATE_IN_BASE64)).public_bytes(Encoding.PEM)
THEN = datetime(2022, 7, 28, 23, 0, tzinfo=UTC)
AMAZONS_WEBHOOK = SesWebhook(
    topics=frozenset([VERSION_1["TopicArn"], VERSION_2["TopicArn"]]), origins=Origins()
)


def request(body, headers=None):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return WebhookRequest(
        method="POST", url="https://us.example/webhooks/ses", headers=headers or {}, body=raw
    )


@pytest.mark.parametrize("message", [VERSION_1, VERSION_2, VERSION_1 | {"Subject": None}])
def test_amazons_own_messages_are_proven(message):
    assert AMAZONS_WEBHOOK.key_url(request(message)) == CERTIFICATE_URL
    AMAZONS_WEBHOOK.verify(request(message), AMAZONS, THEN)


@pytest.mark.parametrize("message", [VERSION_1, VERSION_2])
@pytest.mark.parametrize("member", ["Message", "MessageId", "Timestamp", "Subject"])
def test_a_tampered_message_is_forged(message, member):
    with pytest.raises(Forged, match=r"^signature$"):
        AMAZONS_WEBHOOK.verify(request(message | {member: "Hello"}), AMAZONS, THEN)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"SignatureVersion": "2"}, "signature"),
        ({"SignatureVersion": "3"}, "signature version"),
        ({"SignatureVersion": 1}, "envelope"),
        ({"Signature": VERSION_2["Signature"]}, "signature"),
        ({"Signature": VERSION_1["Signature"] + "\n"}, "signature encoding"),
        ({"Signature": "ä"}, "signature encoding"),
        ({"Signature": ""}, "signature"),
        ({"Type": "SubscriptionConfirmation"}, "envelope"),
        ({"Type": "notification"}, "envelope"),
        ({"Type": None}, "envelope"),
        ({"Message": {"a": 1}}, "envelope"),
        ({"Subject": 5}, "envelope"),
        ({"TopicArn": "arn:aws:sns:us-east-2:1:theirs"}, "topic"),
        ({"TopicArn": VERSION_2["TopicArn"]}, "signature"),
    ],
)
def test_an_envelope_is_forged_where_anything_is_off(changes, check):
    with pytest.raises(Forged, match=rf"^{check}$"):
        AMAZONS_WEBHOOK.verify(request(VERSION_1 | changes), AMAZONS, THEN)


@pytest.mark.parametrize("now", [datetime(2021, 9, 6, tzinfo=UTC), datetime(2022, 8, 18, tzinfo=UTC)])
def test_a_certificate_proves_nothing_outside_of_its_time(now):
    with pytest.raises(Forged, match=r"^certificate validity$"):
        AMAZONS_WEBHOOK.verify(request(VERSION_1), AMAZONS, now)


@pytest.mark.parametrize("certificate", [None, b"", b"<html>", AMAZONS[:300]])
def test_without_a_certificate_the_proof_has_to_wait(certificate):
    with pytest.raises(ProofUnavailable, match=r"^certificate$"):
        AMAZONS_WEBHOOK.verify(request(VERSION_1), certificate, THEN)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.us-east-2.amazonaws.com/a.pem",
        "https://sns.us-east-2.amazonaws.com.evil.example/a.pem",
        "https://sns.us-east-2.amazonaws.com.cn.evil.example/a.pem",
        "https://evil.example/sns.us-east-2.amazonaws.com/a.pem",
        "https://sns.us-east-2.amazonaws.com@evil.example/a.pem",
        "https://user:word@sns.us-east-2.amazonaws.com/a.pem",
        "https://sns.us-east-2.amazonaws.com:8443/a.pem",
        "https://sns.us-east-2.amazonaws.com/a.pem\n",
        "https://sns.us-east-2.amazonaws.com\n/a.pem",
        "https://sns.us-east-2.amazonaws.com/a.pem?x=.pem",
        "https://sns.us-east-2.amazonaws.com/a.pem#.pem",
        "https://sns.us-east-2.amazonaws.com/a.txt",
        "https://snsxus-east-2.amazonaws.com/a.pem",
        "https://s3.us-east-2.amazonaws.com/bucket/a.pem",
        "https://sns.us-east-2xamazonaws.com/a.pem",
        "https://sns.us.east.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem",
        "HTTPS://sns.us-east-2.amazonaws.com/a.pem",
        "//sns.us-east-2.amazonaws.com/a.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_never_fetched(url):
    for check in (
        AMAZONS_WEBHOOK.key_url,
        lambda each: AMAZONS_WEBHOOK.verify(each, AMAZONS, THEN),
    ):
        with pytest.raises(Forged, match=r"^(certificate address|region)$"):
            check(request(VERSION_1 | {"SigningCertURL": url}))


def test_a_certificate_of_another_topic_is_never_fetched():
    with pytest.raises(Forged, match=r"^topic$"):
        SesWebhook(topics=frozenset(["arn:aws:sns:us-east-2:1:ours"]), origins=Origins()).key_url(
            request(VERSION_1)
        )


def test_amazon_in_china_has_a_suffix_and_https_its_port():
    for url, region in (
        ("https://sns.cn-north-1.amazonaws.com.cn/a.pem", "cn-north-1"),
        ("https://sns.us-east-2.amazonaws.com:443/a.pem", "us-east-2"),
    ):
        assert Origins().certificate(url, f"arn:aws-cn:sns:{region}:1:topic") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8001@evil.example/a.pem",
        "http://127.0.0.1:80011/a.pem",
        "http://127.0.0.1:8001.evil/a.pem",
    ],
)
def test_another_origin_counts_exactly_as_it_is_set(url):
    origins = Origins(other="http://127.0.0.1:8001")
    assert origins.certificate("http://127.0.0.1:8001/a.pem", TOPIC)
    with pytest.raises(Forged):
        origins.certificate(url, TOPIC)


def test_raw_delivery_is_refused_as_nobody_has_signed_it():
    raw = {"eventType": "Delivery", "mail": {}, "delivery": {}}
    with pytest.raises(Forged, match=r"^raw delivery$"):
        AMAZONS_WEBHOOK.key_url(request(VERSION_1, {"x-amz-sns-rawdelivery": "true"}))
    with pytest.raises(Forged, match=r"^envelope$"):
        AMAZONS_WEBHOOK.key_url(request(raw))


OUR_TOPIC = "arn:aws:sns:eu-west-1:123456789012:tocsin"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
WEBHOOK = SesWebhook(topics=frozenset([OUR_TOPIC]), origins=Origins())
CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "m-1",
    "Token": "t-1",
    "TopicArn": OUR_TOPIC,
    "Message": "You have chosen to subscribe",
    "SubscribeURL": f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={OUR_TOPIC}&Token=t-1",
    "Timestamp": "2026-11-21T00:00:00.000Z",
    "SignatureVersion": "2",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem",
}
SIGNED = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(key):
    return certificate_of(key)


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, NOW - timedelta(days=1), NOW + timedelta(days=1)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def signed(message, key, algorithm):
    lines = "".join(f"{name}\n{message[name]}\n" for name in SIGNED)
    return message | {
        "Signature": b64encode(key.sign(lines.encode(), padding.PKCS1v15(), algorithm)).decode()
    }


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
@pytest.mark.parametrize(("version", "algorithm"), [("1", SHA1()), ("2", SHA256())])  # noqa: S303 - SNS has both.
def test_confirmations_are_proven_over_address_and_token(key, certificate, kind, version, algorithm):
    message = signed(CONFIRMATION | {"Type": kind, "SignatureVersion": version}, key, algorithm)
    WEBHOOK.verify(request(message), certificate, NOW)
    for member in ("SubscribeURL", "Token"):
        with pytest.raises(Forged, match=r"^signature$"):
            WEBHOOK.verify(request(message | {member: "other"}), certificate, NOW)


def test_a_certificate_without_an_rsa_key_proves_nothing(key):
    curve = certificate_of(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ProofUnavailable, match=r"^certificate key$"):
        WEBHOOK.verify(request(signed(CONFIRMATION, key, SHA256())), curve, NOW)


def unsigned(**changes):
    return request(CONFIRMATION | {"Signature": ""} | changes)


def test_a_subscription_to_our_topic_is_confirmed_at_amazon():
    assert WEBHOOK.confirmation_url(unsigned()) == CONFIRMATION["SubscribeURL"]


def test_the_end_of_a_subscription_confirms_nothing():
    assert WEBHOOK.confirmation_url(unsigned(Type="UnsubscribeConfirmation")) is None


def test_a_notification_confirms_nothing():
    assert AMAZONS_WEBHOOK.confirmation_url(request(VERSION_1)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com.evil.example/?a"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com@evil.example/?a"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com:22/?a"},
        {"SubscribeURL": "http://sns.eu-west-1.amazonaws.com/?a"},
        {"SubscribeURL": "https://sns.us-east-1.amazonaws.com/?a"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?a\n"},
        {"SubscribeURL": "http://169.254.169.254/latest/meta-data/"},
        {"TopicArn": "arn:aws:sns:eu-west-1:1:theirs"},
    ],
)
def test_nothing_else_is_ever_confirmed(changes):
    with pytest.raises(Forged):
        WEBHOOK.confirmation_url(unsigned(**changes))


MEMBERS = st.sampled_from([*VERSION_2, "Token", "SubscribeURL"])
VALUES = st.none() | st.integers(-9, 9) | st.text() | st.lists(st.text(), max_size=1)


@given(st.binary(), st.none() | st.binary())
def test_garbage_is_forged_and_nothing_else(body, certificate):
    with pytest.raises(Forged):
        AMAZONS_WEBHOOK.verify(request(body), certificate, THEN)
    with pytest.raises(Forged):
        AMAZONS_WEBHOOK.key_url(request(body))


@given(MEMBERS, VALUES)
def test_any_change_is_forged_and_nothing_else(member, value):
    changed = VERSION_2 | {member: value}
    if member in VERSION_2 and value != VERSION_2[member]:
        with pytest.raises(Forged):
            AMAZONS_WEBHOOK.verify(request(changed), AMAZONS, THEN)
    AMAZONS_WEBHOOK.events(request(changed))
