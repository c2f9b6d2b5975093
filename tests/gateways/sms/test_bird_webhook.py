import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.sms.bird.webhook import BirdWebhook

URL = "https://tocsin.example.com/webhooks/bird"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
WEBHOOK = BirdWebhook(signing_keys=("new-key", "old-key"), channels={"+31970000001": "ch-1"})


def request(told=b"", *, url=URL, **headers):
    body = told if isinstance(told, bytes) else orjson.dumps(told)
    return WebhookRequest(method="POST", url=url, headers=headers, body=body, received_at=NOW)


def proof(body, *, key="new-key", url=URL, at=NOW):
    """Sign with nothing of the code under test."""
    stamp = str(int(at.timestamp()))
    text = b"\n".join([stamp.encode(), url.encode(), hashlib.sha256(body).digest()])
    signature = b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest()).decode()
    return {"messagebird-signature": signature, "messagebird-request-timestamp": stamp}


@pytest.mark.parametrize("key", ["new-key", "old-key"])
def test_each_key_is_believed(key):
    WEBHOOK.verify(request(b"{}", **proof(b"{}", key=key)), None, NOW)


@pytest.mark.parametrize("later", [timedelta(hours=23), timedelta(minutes=-4)])
def test_a_signature_may_be_told_again_later(later):
    WEBHOOK.verify(request(b"{}", **proof(b"{}")), None, NOW + later)


@pytest.mark.parametrize(
    ("made", "now"),
    [
        (request(b"{}", **proof(b"{}", key="another")), NOW),
        (request(b"{ }", **proof(b"{}")), NOW),
        (request(b"{}", url=f"{URL}?a=b", **proof(b"{}")), NOW),
        (request(b"{}", **proof(b"{}") | {"messagebird-request-timestamp": "1795262401"}), NOW),
        (request(b"{}", **proof(b"{}") | {"messagebird-signature": "%%%"}), NOW),
        (request(b"{}", **proof(b"{}")), NOW + timedelta(hours=25)),
        (request(b"{}", **proof(b"{}")), NOW - timedelta(minutes=6)),
        (request(b"{}"), NOW),
        (request(b"{}", **{"messagebird-signature": "eA=="}), NOW),
        (request(b"{}", **{"messagebird-request-timestamp": "1795262400"}), NOW),
    ],
)
def test_what_does_not_fit_is_forged(made, now):
    with pytest.raises(Forged):
        WEBHOOK.verify(made, None, now)


def message(status, *, code=None, **changes):
    failure = (
        {"failure": {"code": 15005, "source": {"name": "sms-messagebird", "code": code}}} if code else {}
    )
    return {
        "service": "channels",
        "event": "sms.outbound",
        "payload": {
            "id": "96a0b5fa-a986-453d-be5c-3117f989f025",
            "channelId": "ch-1",
            "status": status,
            "reason": "",
            "reference": TAG,
            "lastStatusAt": "2026-11-21T11:32:50.736Z",
            **failure,
            **changes,
        },
    }


def facts(status="delivered", **changes):
    return WEBHOOK.events(request(message(status, **changes)))


@pytest.mark.parametrize(
    ("status", "code", "event", "outcome"),
    [
        ("accepted", None, "sent", None),
        ("processing", None, "sent", None),
        ("sent", None, "sent", None),
        ("delivered", None, "delivered", None),
        ("delivery_failed", "1", "bounced", "recipient"),
        ("sending_failed", "1", "bounced", "recipient"),
        ("rejected", "1", "bounced", "recipient"),
        ("delivery_failed", "104", "failed", "config"),
        ("sending_failed", "104", "failed", "config"),
        ("rejected", "104", "failed", "config"),
        ("delivery_failed", "105", "failed", "content"),
        ("rejected", "105", "failed", "content"),
        ("delivery_failed", "27", "bounced", "unreachable"),
        ("rejected", "27", "bounced", "unreachable"),
        ("delivery_failed", None, "bounced", "unreachable"),
        ("sending_failed", None, "failed", "unknown"),
        ("rejected", None, "failed", "unknown"),
        ("brand_new", None, "deferred", "unknown"),
    ],
)
def test_each_status_has_its_class(status, code, event, outcome):
    (fact,) = facts(status, code=code)
    assert (fact.event_type, fact.outcome) == (
        EventType(event),
        OutcomeClass(outcome) if outcome else None,
    )
    assert fact.code == (code or status)


@pytest.mark.parametrize("status", ["delivery_failed", "sending_failed", "rejected"])
def test_who_opted_out_has_unsubscribed_from_that_sender_and_is_no_hard_bounce(status):
    failure, unsubscribed = facts(status, code="103")
    assert (failure.event_type, failure.outcome) == (EventType.FAILED, None)
    assert unsubscribed.event_type == EventType.UNSUBSCRIBED
    assert unsubscribed.sender == "+31970000001"


def test_a_fact_names_message_try_and_time():
    (fact,) = facts(reason="as it was")
    assert fact.tag == Tag.parse(TAG)
    assert fact.external_id == "96a0b5fa-a986-453d-be5c-3117f989f025"
    assert fact.occurred_at == datetime(2026, 11, 21, 11, 32, 50, 736000, tzinfo=UTC)
    assert fact.detail == "as it was"


def test_a_fact_told_again_has_the_same_key_and_another_another():
    same, again = facts()[0], facts(reason="other words")[0]
    others = [facts("sent")[0], facts(lastStatusAt="2026-11-21T11:32:51.736Z")[0], facts(id="96a0b5fb")[0]]
    assert same.key == again.key
    assert len({fact.key for fact in [same, *others]}) == 4


def test_a_fact_without_a_time_is_of_when_it_came():
    assert facts(lastStatusAt=None)[0].occurred_at == NOW


def test_other_subscriptions_are_no_facts():
    assert WEBHOOK.events(request({**message("delivered"), "event": "whatsapp.outbound"})) == []
    assert facts(id=None) == []
    assert facts(status=None) == []


RECEIVED = {
    "service": "channels",
    "event": "sms.inbound",
    "payload": {
        "id": "96a0b5fa-a986-453d-be5c-3117f989f025",
        "channelId": "ch-1",
        "sender": {"contact": {"identifierKey": "phonenumber", "identifierValue": "+31612345678"}},
        "receiver": {"connector": {"id": "86cc4dc0"}},
        "body": {"type": "text", "text": {"text": "STOP"}},
        "status": "delivered",
        "direction": "incoming",
        "lastStatusAt": "2026-11-21T11:32:50.736Z",
        "createdAt": "2026-11-21T11:32:49.000Z",
    },
}


def test_what_somebody_wrote_is_read_with_the_number_of_ours():
    (read,) = WEBHOOK.inbound(request(RECEIVED))
    assert read == Inbound(
        key=read.key,
        kind=InboundKind.MESSAGE,
        channel=Channel.SMS,
        sender="+31612345678",
        recipient="+31970000001",
        text="STOP",
        received_at=datetime(2026, 11, 21, 11, 32, 49, tzinfo=UTC),
        external_id="96a0b5fa-a986-453d-be5c-3117f989f025",
    )
    assert WEBHOOK.events(request(RECEIVED)) == []
    assert WEBHOOK.inbound(request(message("delivered"))) == []


def test_a_channel_that_the_settings_do_not_know_stands_for_its_number():
    unknown = BirdWebhook(signing_keys=("k",))
    assert unknown.inbound(request(RECEIVED))[0].recipient == "ch-1"


@pytest.mark.parametrize("missing", ["id", "sender", "channelId"])
def test_what_lacks_something_is_left_out(missing):
    told = {**RECEIVED, "payload": {**RECEIVED["payload"], missing: None}}
    assert WEBHOOK.inbound(request(told)) == []


NAMES = st.sampled_from(
    ["event", "payload", "id", "status", "failure", "source", "code", "sender", "contact"]
)
LEAVES = st.none() | st.sampled_from(["sms.outbound", "sms.inbound", "delivered", "", 0, 103, True])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))


@given(st.binary() | JSON.map(orjson.dumps))
def test_no_body_breaks_it(body):
    WEBHOOK.events(request(body))
    WEBHOOK.inbound(request(body))


def test_the_settings_make_the_webhook(settings):
    made = BirdWebhook.configured(settings(bird_signing_keys="new, old", bird_channels="+31970000001=ch-1"))
    assert made == BirdWebhook(signing_keys=("new", "old"), channels={"+31970000001": "ch-1"})
    assert BirdWebhook.configured(settings()) is None


def test_keys_are_not_shown():
    assert "new-key" not in repr(WEBHOOK)
