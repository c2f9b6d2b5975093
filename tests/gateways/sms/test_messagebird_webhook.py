from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.gateways.base import WebhookRequest
from app.gateways.sms.messagebird.webhook import MessageBirdWebhook

WEBHOOK = MessageBirdWebhook(signing_keys=("key",))
ARRIVED = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
REPORT = {
    "id": "eef0ab57a9e049be946f3821568c2b2e",
    "reference": TAG,
    "recipient": "31612345678",
    "status": "delivered",
    "statusDatetime": "2026-11-21T12:17:11+00:00",
    "statusReason": "",
    "statusErrorCode": "",
    "mccmnc": "20408",
    "ported": "1",
}


def request(query="", body=b""):
    url = f"https://tocsin.example.com/webhooks/messagebird?{query}"
    return WebhookRequest(
        method="POST" if body else "GET", url=url, headers={}, body=body, received_at=ARRIVED
    )


def facts(**changes):
    return WEBHOOK.events(request(urlencode(REPORT | changes)))


@pytest.mark.parametrize(
    ("status", "code", "event", "outcome"),
    [
        ("scheduled", "", "sent", None),
        ("buffered", "", "sent", None),
        ("sent", "", "sent", None),
        ("delivered", "", "delivered", None),
        ("expired", "", "bounced", "unreachable"),
        ("expired", "107", "bounced", "unreachable"),
        ("delivery_failed", "1", "bounced", "recipient"),
        ("delivery_failed", "104", "failed", "config"),
        ("delivery_failed", "105", "failed", "content"),
        ("delivery_failed", "", "bounced", "unreachable"),
        ("delivery_failed", "0", "bounced", "unreachable"),
        ("delivery_failed", "27", "bounced", "unreachable"),
        ("delivery_failed", "x", "bounced", "unreachable"),
        ("brand_new", "", "deferred", "unknown"),
    ],
)
def test_each_status_has_its_class(status, code, event, outcome):
    (fact,) = facts(status=status, statusErrorCode=code)
    assert (fact.event_type, fact.outcome) == (
        EventType(event),
        OutcomeClass(outcome) if outcome else None,
    )
    assert fact.code == (code or status)


def test_who_opted_out_has_unsubscribed_and_is_no_hard_bounce():
    failure, unsubscribed = facts(status="delivery_failed", statusErrorCode="103")
    assert (failure.event_type, failure.outcome) == (EventType.FAILED, None)
    assert (unsubscribed.event_type, unsubscribed.outcome) == (EventType.UNSUBSCRIBED, None)
    assert unsubscribed.key != failure.key


def test_a_fact_names_message_try_and_time():
    (fact,) = facts(statusReason="successfully delivered to 31612345678")
    assert fact.tag == Tag.parse(TAG)
    assert fact.external_id == "eef0ab57a9e049be946f3821568c2b2e"
    assert fact.occurred_at == datetime(2026, 11, 21, 12, 17, 11, tzinfo=UTC)
    assert fact.detail == "successfully delivered to <removed>"


def test_a_plus_that_a_parser_took_for_a_blank_is_one_again():
    raw = "&".join(
        f"{name}={value}"
        for name, value in (REPORT | {"statusDatetime": "2026-11-21T12:17:11+02:00"}).items()
    )
    (fact,) = WEBHOOK.events(request(raw))
    assert fact.occurred_at == datetime(2026, 11, 21, 10, 17, 11, tzinfo=UTC)


def test_both_spellings_of_a_time_are_the_same_fact():
    raw = "&".join(f"{name}={value}" for name, value in REPORT.items())
    assert WEBHOOK.events(request(raw))[0].key == facts()[0].key


@pytest.mark.parametrize("time", ["", "yesterday"])
def test_a_report_without_a_time_is_of_when_it_came(time):
    assert facts(statusDatetime=time)[0].occurred_at == ARRIVED


def test_a_report_told_again_has_the_same_key():
    assert facts()[0].key == facts(statusReason="other words", ported="0")[0].key


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "eef0ab57a9e049be946f3821568c2b2f"},
        {"recipient": "31612345679"},
        {"status": "sent"},
        {"statusErrorCode": "1"},
        {"statusDatetime": "2026-11-21T12:17:12+00:00"},
    ],
)
def test_another_fact_has_another_key(changes):
    assert facts(**changes)[0].key != facts()[0].key


def test_a_report_is_found_by_the_tag_alone():
    (fact,) = facts(id="")
    assert (fact.external_id, fact.tag) == (None, Tag.parse(TAG))


@pytest.mark.parametrize("changes", [{"status": ""}, {"recipient": ""}, {"id": "", "reference": "theirs"}])
def test_what_is_no_report_about_a_message_is_no_fact(changes):
    assert facts(**changes) == []


NUMBERS = {
    "id": "96a0b5faa986453dbe5c3117f989f025",
    "originator": "31612345678",
    "recipient": "31970000001",
    "body": "STOP",
    "createdDatetime": "2026-11-21T12:17:11+00:00",
}
SHORT_CODE = {
    "mid": "123456789",
    "shortcode": "1008",
    "keyword": "STOP",
    "originator": "31612345678",
    "operator": "20408",
    "message": "STOP",
    "receive_datetime": "20261121121711",
}


@pytest.mark.parametrize(
    "made",
    [
        request(urlencode(NUMBERS)),
        request(body=urlencode(NUMBERS).encode()),
        request(body=orjson.dumps(NUMBERS)),
    ],
    ids=["by GET", "as a form", "as JSON"],
)
def test_what_somebody_wrote_is_read_however_it_comes(made):
    (read,) = WEBHOOK.inbound(made)
    assert read == Inbound(
        key=read.key,
        kind=InboundKind.MESSAGE,
        channel=Channel.SMS,
        sender="+31612345678",
        recipient="+31970000001",
        text="STOP",
        received_at=datetime(2026, 11, 21, 12, 17, 11, tzinfo=UTC),
        external_id="96a0b5faa986453dbe5c3117f989f025",
    )
    assert WEBHOOK.events(made) == []


def test_what_somebody_wrote_to_a_short_code_is_read():
    (read,) = WEBHOOK.inbound(request(urlencode(SHORT_CODE)))
    assert (read.sender, read.recipient, read.text) == ("+31612345678", "1008", "STOP")
    assert read.received_at == datetime(2026, 11, 21, 12, 17, 11, tzinfo=UTC)


def test_pictures_come_along():
    told = {**NUMBERS, "mms": True, "mediaUrls": ["https://media.example.org/a", 7]}
    assert WEBHOOK.inbound(request(body=orjson.dumps(told)))[0].media == ("https://media.example.org/a",)


def test_a_text_without_a_time_is_of_when_it_came():
    assert WEBHOOK.inbound(request(urlencode(NUMBERS | {"createdDatetime": ""})))[0].received_at == ARRIVED


@pytest.mark.parametrize("missing", ["id", "originator", "recipient"])
def test_what_lacks_something_is_left_out(missing):
    assert WEBHOOK.inbound(request(urlencode(NUMBERS | {missing: ""}))) == []


def test_a_report_is_nobodys_text():
    assert WEBHOOK.inbound(request(urlencode(REPORT | {"originator": "31970000001"}))) == []


def test_the_same_text_has_the_same_key_and_another_another():
    keys = [WEBHOOK.inbound(request(urlencode(NUMBERS | {"id": id_})))[0].key for id_ in ("1", "1", "2")]
    assert keys[0] == keys[1] != keys[2]


@given(st.text(), st.binary())
def test_nothing_breaks_it(query, body):
    made = request(query, body)
    WEBHOOK.events(made)
    WEBHOOK.inbound(made)


def test_the_settings_make_the_webhook(settings):
    made = MessageBirdWebhook.configured(
        settings(messagebird_signing_keys="new, old", messagebird_accept_deprecated_signature=True)
    )
    assert made == MessageBirdWebhook(signing_keys=("new", "old"), accept_deprecated=True)
    assert MessageBirdWebhook.configured(settings()) is None
    assert MessageBirdWebhook.configured(settings(messagebird_signing_keys="a")).accept_deprecated is False
