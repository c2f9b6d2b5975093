import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.twilio.webhook import TwilioWebhook
from tests.gateways.twilio.conftest import FORM, signature_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "twilio_signatures.json"

# What Twilio's SDKs are tested with, and what its papers show; the token is 12345.
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
]


def called_by(number):
    return [(name, number if name in ("Caller", "From") else value) for name, value in CALL]


PUBLISHED = [
    (URL, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (URL, CALL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    (URL.replace(".com", ".com:443"), CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (URL.replace("https", "http"), CALL, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    (URL.replace("https", "http").replace(".com", ".com:80"), CALL, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    (URL.replace("https", "http").replace(".com", ".com:1234"), CALL, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    (URL, called_by("+12349013030"), "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    (
        "https://example.com/myapp.php?foo=1&bar=2",
        called_by("+14158675310"),
        "L/OH5YylLD5NRKLltdqwSvS0BnU=",
    ),
    (
        URL,
        [("Sid", "CA123"), ("SidAccount", "AC123"), *[("Digits", keys) for keys in ("5678", "1234", "1234")]],
        "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
    ),
]
BODY = b'{"property": "value", "boolean": true}'
HASHED = f"{URL}&bodySHA256={sha256(BODY).hexdigest()}"
EMPTY = f"{URL}&bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
PUBLISHED_JSON = [
    (HASHED, BODY, "a9nBmqA0ju/hNViExpshrM61xv4="),
    (EMPTY, b"{}", "rw/jVviOgicj2+kHZULvebnA4ag="),
    (EMPTY, b"{}", "Ldidvp12m26NI7eqEvxnEpkd9Hc="),
]


@pytest.fixture(scope="module")
def webhook():
    return TwilioWebhook(tokens=("12345",))


def form(url, parameters, signature, content_type=FORM):
    headers = {"content-type": content_type, "x-twilio-signature": signature}
    return WebhookRequest(method="POST", url=url, headers=headers, body=urlencode(parameters).encode())


def json_body(url, body, signature):
    return replace(form(url, [], signature, "application/json"), body=body)


@pytest.mark.parametrize(("url", "parameters", "signature"), PUBLISHED)
def test_published_forms_are_proven(webhook, url, parameters, signature):
    webhook.verify(form(url, parameters, signature), None, NOW)


@pytest.mark.parametrize(("url", "body", "signature"), PUBLISHED_JSON)
def test_published_json_bodies_are_proven(webhook, url, body, signature):
    webhook.verify(json_body(url, body, signature), None, NOW)


@pytest.mark.parametrize(("url", "parameters", "signature"), PUBLISHED)
@pytest.mark.parametrize(
    "tamper",
    [
        lambda url, parameters: (url.replace("foo=1", "foo=2"), parameters),
        lambda url, parameters: (url.replace("myapp", "app"), parameters),
        lambda url, parameters: (url.replace("http", "ftp"), parameters),
        lambda url, parameters: (f"{url}#", parameters),
        lambda url, parameters: (url, [*parameters, ("Extra", "")]),
        lambda url, parameters: (url, parameters[1:]),
        lambda url, parameters: (url, [(name, value + "0") for name, value in parameters]),
    ],
)
def test_a_tampered_form_is_forged(webhook, url, parameters, signature, tamper):
    with pytest.raises(Forged, match=r"^signature$"):
        webhook.verify(form(*tamper(url, parameters), signature), None, NOW)


def test_another_port_than_the_usual_one_counts(webhook):
    with pytest.raises(Forged, match=r"^signature$"):
        webhook.verify(form(URL.replace(".com", ".com:8443"), CALL, PUBLISHED[0][2]), None, NOW)


def test_a_json_body_needs_its_hash_in_the_address(webhook):
    with pytest.raises(Forged, match=r"^body hash missing$"):
        webhook.verify(json_body(URL, BODY, signature_of(URL, token="12345")), None, NOW)


@pytest.mark.parametrize("content_type", ["application/json", "", "text/plain", "multipart/form-data"])
def test_only_a_forms_content_is_signed_by_itself(webhook, content_type):
    request = form(URL, CALL, signature_of(URL, token="12345"), content_type)
    with pytest.raises(Forged, match=r"^body hash missing$"):
        webhook.verify(request, None, NOW)


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"value", b"other"), BODY.upper()])
def test_another_body_than_the_hashed_one_is_forged(webhook, body):
    with pytest.raises(Forged, match=r"^body hash$"):
        webhook.verify(json_body(HASHED, body, PUBLISHED_JSON[0][2]), None, NOW)


def test_a_hash_that_was_changed_with_the_body_is_forged(webhook):
    url = f"{URL}&bodySHA256={sha256(b'[]').hexdigest()}"
    with pytest.raises(Forged, match=r"^signature$"):
        webhook.verify(json_body(url, b"[]", PUBLISHED_JSON[0][2]), None, NOW)


@pytest.mark.parametrize("signature", ["", "AAAA", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "ä", " "])
def test_what_is_no_signature_proves_nothing(webhook, signature):
    with pytest.raises(Forged, match="signature"):
        webhook.verify(form(URL, CALL, signature), None, NOW)


def test_a_request_without_a_signature_is_forged(webhook):
    request = replace(form(URL, CALL, ""), headers={"content-type": FORM})
    with pytest.raises(Forged, match=r"^signature missing$"):
        webhook.verify(request, None, NOW)


@pytest.mark.parametrize("url", ["http://[::1/webhooks", "http://host:port/", "http://host:99999/"])
def test_an_address_that_cannot_be_is_forged(webhook, url):
    with pytest.raises(Forged):
        webhook.verify(form(url, CALL, PUBLISHED[0][2]), None, NOW)


def test_any_of_several_tokens_proves():
    rotating = TwilioWebhook(tokens=("new", "12345"))
    rotating.verify(form(*PUBLISHED[0]), None, NOW)


def test_another_token_proves_nothing():
    with pytest.raises(Forged, match=r"^signature$"):
        TwilioWebhook(tokens=("12346",)).verify(form(*PUBLISHED[0]), None, NOW)


def test_what_we_ask_for_behind_an_address_may_be_signed_or_not(webhook):
    asked = signature_of(f"{URL}#rc=3&rp=all", CALL, token="12345")
    webhook.verify(form(URL, CALL, asked), None, NOW)


def test_a_get_is_proven_by_its_address(webhook):
    request = form(URL, [], signature_of(URL, token="12345"), "")
    webhook.verify(replace(request, method="GET"), None, NOW)


def test_blank_values_and_any_script_are_signed_as_they_are(webhook):
    parameters = [("ToCity", ""), ("Body", "größer + kleiner & 日本"), ("From", "+1")]
    signature = RequestValidator("12345").compute_signature(URL, dict(parameters))
    webhook.verify(form(URL, parameters, signature), None, NOW)


def test_settings_hold_the_key_and_the_tokens_are_not_shown(webhook):
    assert webhook.key_url(form(*PUBLISHED[0])) is None
    assert "12345" not in repr(webhook)


NAMES = st.text("ABab1_", min_size=1, max_size=4)


@given(
    st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6),
    st.sampled_from(["https://a.example/x", "http://a.example:80/x?y=%20", "https://a.example:8443/?q="]),
)
def test_whatever_twilios_own_library_signs_is_proven(webhook, parameters, url):
    signature = RequestValidator("12345").compute_signature(url, parameters)
    webhook.verify(form(url, list(parameters.items()), signature), None, NOW)


@given(st.binary(max_size=60), st.sampled_from([FORM, "application/json", ""]), st.text(max_size=30))
def test_no_request_makes_proving_fail_otherwise(webhook, body, content_type, signature):
    request = replace(form(URL, [], signature, content_type), body=body)
    with pytest.raises(Forged):
        webhook.verify(request, None, NOW)


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not here")
def test_the_shared_vectors_are_proven_and_their_tampered_forms_are_not():
    vectors = json.loads(VECTORS.read_text())
    webhook = TwilioWebhook(tokens=(vectors["auth_token"],))
    given_form, given_json = vectors["form"], vectors["json"]
    parameters = [tuple(pair) for pair in given_form["params"]]
    body = given_json["body"].encode()
    for name in ("signature", "signature_if_signed_with_port_443"):
        webhook.verify(form(given_form["url"], parameters, given_form[name]), None, NOW)
        with pytest.raises(Forged):
            webhook.verify(form(given_form["url"], parameters[:-1], given_form[name]), None, NOW)
    webhook.verify(json_body(given_json["url"], body, given_json["signature"]), None, NOW)
    with pytest.raises(Forged):
        webhook.verify(json_body(given_json["url"], body + b" ", given_json["signature"]), None, NOW)
