import base64
import hashlib
import re

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TAG = "0192f0c0-0000-7000-8000-000000000001_P3_2"


def test_an_accepted_message_is_answered_as_documented(simulated):
    answer = simulated.send("anna@example.com")
    body = orjson.loads(answer.data)
    assert answer.status == 200
    assert set(body) == {"status", "time", "flags", "data"}
    assert body["status"] == "success"
    assert re.fullmatch(r"[0-9a-f-]{36}@\S+", body["data"]["message_id"])
    assert set(body["data"]["messages"]) == {"anna@example.com"}
    assert isinstance(body["data"]["messages"]["anna@example.com"]["id"], int)
    assert body["data"]["messages"]["anna@example.com"]["token"]


def test_each_recipient_gets_a_message_of_its_own(simulated):
    data = orjson.loads(simulated.send("a@example.com", cc="b@example.com, C <c@example.com>").data)["data"]
    assert len({message["id"] for message in data["messages"].values()}) == 3
    assert [entry["address"] for entry in simulated.entries()] == [
        "a@example.com",
        "b@example.com",
        "c@example.com",
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": []}, "NoRecipients"),
        ({"to": ["a@example.com"] * 51}, "TooManyToAddresses"),
        ({"cc": ["a@example.com"] * 51}, "TooManyCCAddresses"),
        ({"bcc": ["a@example.com"] * 51}, "TooManyBCCAddresses"),
        ({"plain_body": ""}, "NoContent"),
        ({"from": ""}, "FromAddressMissing"),
        ({"from": "N <n@unverified.example>"}, "UnauthenticatedFromAddress"),
        ({"attachments": [{"data": "eA=="}]}, "AttachmentMissingName"),
        ({"attachments": [{"name": "x"}]}, "AttachmentMissingData"),
    ],
)
def test_what_is_wrong_is_named_by_its_code_with_status_200(simulated, fields, code):
    good = {"to": ["a@example.com"], "from": "n@example.org", "plain_body": "x"}
    answer = simulated.postal(**good | fields)
    body = orjson.loads(answer.data)
    assert (answer.status, body["status"], body["data"]["code"]) == (200, "error", code)
    assert simulated.entries() == []


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "AccessDenied"), ("wrong", "InvalidServerAPIKey"), ("suspended", "ServerSuspended")],
)
def test_a_key_that_does_not_fit_is_refused(simulated, key, code):
    body = orjson.loads(simulated.postal(key=key).data)
    assert (body["status"], body["data"]["code"]) == ("error", code)


@pytest.mark.parametrize("missing", ["rcpt_to", "mail_from", "data"])
def test_raw_names_its_missing_parameter(simulated, missing):
    fields = {"rcpt_to": ["a@example.com"], "mail_from": "n@example.org", "data": "eA=="}
    del fields[missing]
    body = orjson.loads(simulated.postal("send/raw", **fields).data)
    assert body["status"] == "parameter-error"
    assert missing in body["data"]["message"]


def test_raw_takes_a_whole_message(simulated):
    source = b"From: N <n@example.org>\r\nSubject: S\r\nX-Postal-Tag: mine\r\n\r\nText"
    body = orjson.loads(
        simulated.postal(
            "send/raw",
            rcpt_to=["a@example.com"],
            mail_from="n@example.org",
            data=base64.b64encode(source).decode(),
        ).data
    )
    assert body["status"] == "success"
    assert simulated.entries()[0]["tag"] == "mine"


def test_unknown_paths_are_an_html_page(simulated):
    answer = simulated.http.request("GET", f"http://127.0.0.1:{simulated.base + 1}/nowhere")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_broken_json_is_a_bad_request(simulated):
    assert simulated.postal(body=b'{"to": [').status == 400


def test_a_form_is_read_as_well(simulated):
    form = b"params=%7B%22to%22%3A%5B%5D%7D"
    answer = simulated.postal(body=form, headers={"content-type": "application/x-www-form-urlencoded"})
    assert orjson.loads(answer.data)["data"]["code"] == "NoRecipients"


def test_down_is_a_proxys_page_and_takes_nothing(simulated):
    answer = simulated.send("down@example.com")
    assert answer.status == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert simulated.entries() == []


def test_a_message_can_be_looked_up_by_its_id(simulated):
    sent = orjson.loads(simulated.send("bounce@example.com").data)["data"]["messages"]["bounce@example.com"]
    found = orjson.loads(simulated.postal("messages/message", id=sent["id"], _expansions=True).data)["data"]
    assert (found["id"], found["token"]) == (sent["id"], sent["token"])
    assert found["status"]["status"] == "HardFail"
    assert found["details"]["tag"] == TAG


def test_looking_up_what_is_not_there_is_an_error(simulated):
    body = orjson.loads(simulated.postal("messages/message", id=1).data)
    assert body["data"]["code"] == "MessageNotFound"


def verified(simulated, webhook):
    """Check both signatures with nothing of the simulator's but its published key."""
    keys = orjson.loads(
        simulated.http.request("GET", f"http://127.0.0.1:{simulated.base + 1}/.well-known/jwks.json").data
    )["keys"]
    assert len(keys) == 1
    numbers = [int.from_bytes(base64.urlsafe_b64decode(keys[0][name] + "=="), "big") for name in ("n", "e")]
    public = rsa.RSAPublicNumbers(n=numbers[0], e=numbers[1]).public_key()
    for header, algorithm in (("", hashes.SHA1()), ("-256", hashes.SHA256())):  # noqa: S303 - Postal signs so
        signature = base64.b64decode(webhook.headers[f"x-postal-signature{header}"], validate=True)
        public.verify(signature, webhook.body, padding.PKCS1v15(), algorithm)
    inner = b"".join(_der_integer(number) for number in numbers)
    kid = hashlib.sha256(b"\x30" + _der_length(len(inner)) + inner).hexdigest()
    assert webhook.headers["x-postal-signature-kid"] == keys[0]["kid"] == kid
    return webhook.json


def _der_integer(number):
    raw = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + _der_length(len(raw)) + raw


def _der_length(length):
    if length < 128:
        return bytes([length])
    raw = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def test_webhooks_carry_both_signatures_and_the_real_envelope(telling, receiver):
    simulated = telling()
    simulated.send("anna@example.com")
    [webhook] = receiver.take()
    event = verified(simulated, webhook)
    assert webhook.path == "/webhooks/postal"
    assert set(event) == {"event", "timestamp", "payload", "uuid"}
    assert event["event"] == "MessageSent"
    assert set(event["payload"]) == {
        "message", "status", "details", "output", "sent_with_ssl", "timestamp", "time",
    }  # fmt: skip
    assert set(event["payload"]["message"]) == {
        "id", "token", "direction", "message_id", "to", "from", "subject", "timestamp", "spam_status", "tag",
    }  # fmt: skip
    assert event["payload"]["message"]["tag"] == TAG
    assert event["payload"]["message"]["direction"] == "outgoing"
    assert event["payload"]["status"] == "Sent"


@pytest.mark.parametrize(
    ("name", "events", "words"),
    [
        ("soft-bounce", ["MessageDelayed", "MessageDeliveryFailed"], "Maximum number of delivery attempts"),
        ("bounce", ["MessageDeliveryFailed"], "550 5.1.1"),
        ("complaint", ["MessageSent"], "accepted"),
        ("slow", ["MessageSent"], "accepted"),
        ("open", ["MessageSent", "MessageLoaded"], "user_agent"),
        ("click", ["MessageSent", "MessageLoaded", "MessageLinkClicked"], "https://"),
        ("deferred", ["MessageDelayed", "MessageSent"], "accepted"),
        ("held", ["MessageHeld"], "development mode"),
        ("throttled", ["MessageHeld"], "send limit"),
        ("suppressed", ["MessageHeld"], "on the suppression list"),
        ("rejected", ["MessageDeliveryFailed"], "likely spam"),
    ],
)
def test_each_fate_is_told_in_postals_words(telling, receiver, name, events, words):
    simulated = telling()
    assert orjson.loads(simulated.send(f"{name}@example.com").data)["status"] == "success"
    got = receiver.take(len(events))
    assert [webhook.json["event"] for webhook in got] == events
    assert words in got[-1].body.decode()


def test_a_late_bounce_can_be_fetched_and_read(telling, receiver):
    simulated = telling()
    simulated.send("late-bounce@example.com")
    sent, bounced = (webhook.json for webhook in receiver.take(2))
    assert (sent["event"], bounced["event"]) == ("MessageSent", "MessageBounced")
    assert bounced["payload"]["original_message"]["id"] == sent["payload"]["message"]["id"]
    assert bounced["payload"]["bounce"]["direction"] == "incoming"
    bounce = bounced["payload"]["bounce"]["id"]
    answer = simulated.postal("messages/message", id=bounce, _expansions=["raw_message"])
    report = base64.b64decode(orjson.loads(answer.data)["data"]["raw_message"]).decode()
    assert re.search(r"^Status: 5\.1\.1\r$", report, re.MULTILINE)
