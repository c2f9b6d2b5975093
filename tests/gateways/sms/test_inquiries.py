"""What gateways for texts are asked about a try of unknown fate, and how what they say is read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import orjson
import pytest

from app.domain.facts import Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass, Priority
from app.gateways.base import Askable, Envelope, HttpResponse, Inquiry, WebhookRequest
from app.gateways.sms.bandwidth.sending import Bandwidth
from app.gateways.sms.bandwidth.webhook import BandwidthWebhook
from app.gateways.sms.messagebird.sending import MessageBird
from app.gateways.sms.messagebird.webhook import MessageBirdWebhook
from app.gateways.twilio.account import Account
from app.gateways.twilio.messages import Twilio, TwilioWhatsApp

AT = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
TAG = Tag(uuid=UUID(int=7), priority=Priority.P3, attempt=2)
MESSAGE = Envelope(
    tag=TAG, channel=Channel.SMS, address="+15558675310", sender="+15550100100", text="Hello Ada"
)
INQUIRY = Inquiry(message=MESSAGE, since=AT - timedelta(hours=1), until=AT + timedelta(minutes=2))
TWILIO = Twilio(account=Account(sid="AC1", user="AC1", password="t"))
WHATSAPP = TwilioWhatsApp(account=TWILIO.account)
MESSAGEBIRD = MessageBird(access_key="key")
BANDWIDTH = Bandwidth(endpoint="https://bandwidth.example/messages", application="a", authorization="Basic x")

TWILIOS = {
    "sid": "SM1",
    "to": "+15558675310",
    "from": "+15550100100",
    "body": "Hello Ada",
    "direction": "outbound-api",
    "status": "delivered",
    "error_code": None,
    "error_message": None,
    "messaging_service_sid": None,
    "date_created": "Sun, 22 Nov 2026 00:29:00 +0000",
    "date_updated": "Sun, 22 Nov 2026 00:29:30 +0000",
}
MESSAGEBIRDS = {
    "id": "abc",
    "reference": str(TAG),
    "recipients": {
        "items": [
            {
                "recipient": 15558675310,
                "status": "delivered",
                "statusDatetime": "2026-11-22T00:29:30+00:00",
            }
        ]
    },
}
BANDWIDTHS = {
    "messageId": "17",
    "sourceTn": "+15550100100",
    "destinationTn": "+15558675310",
    "messageStatus": "DELIVERED",
    "messageDirection": "OUTBOUND",
    "errorCode": 0,
    "receiveTime": "2026-11-22T00:29:00.000Z",
    "messageLength": 9,
}
CASES = [
    pytest.param(TWILIO, "messages", TWILIOS, id="twilio"),
    pytest.param(MESSAGEBIRD, "items", MESSAGEBIRDS, id="messagebird"),
    pytest.param(BANDWIDTH, "messages", BANDWIDTHS, id="bandwidth"),
]


def seen(gateway, member, *found, inquiry=INQUIRY):
    body = orjson.dumps({member: list(found)})
    return gateway.sightings(inquiry, HttpResponse(status=200, headers={}, body=body))


def query(request):
    assert (request.method, request.body) == ("GET", b"")
    return dict(parse_qsl(urlsplit(request.url).query))


def test_twilio_is_asked_for_the_numbers_since_the_day():
    request = TWILIO.inquire(INQUIRY)
    assert urlsplit(request.url).path == "/2010-04-01/Accounts/AC1/Messages.json"
    asked = query(request)
    assert (asked["To"], asked["From"], asked["DateSent>"]) == ("+15558675310", "+15550100100", "2026-11-21")


def test_whatsapp_is_asked_for_by_its_own_addresses():
    asked = query(WHATSAPP.inquire(INQUIRY))
    assert (asked["To"], asked["From"]) == ("whatsapp:+15558675310", "whatsapp:+15550100100")


def test_messagebird_is_asked_for_our_own_name():
    request = MESSAGEBIRD.inquire(INQUIRY)
    assert urlsplit(request.url).path == "/messages"
    asked = query(request)
    assert (asked["reference"], asked["recipient"]) == (str(TAG), "15558675310")


def test_bandwidth_is_asked_for_the_numbers_in_the_time():
    asked = query(BANDWIDTH.inquire(INQUIRY))
    assert (asked["destinationTn"], asked["sourceTn"]) == ("+15558675310", "+15550100100")
    assert (asked["fromDateTime"], asked["toDateTime"]) == (
        "2026-11-21T23:30:00.000Z",
        "2026-11-22T00:32:00.000Z",
    )


@pytest.mark.parametrize(("gateway", "member", "found"), CASES)
def test_what_was_delivered_is_told_for_the_try(gateway, member, found):
    [sighting] = seen(gateway, member, found)
    [fact] = sighting.facts
    assert (fact.event_type, fact.tag, fact.external_id) == (
        EventType.DELIVERED,
        TAG,
        sighting.external_id,
    )
    assert sighting.certain is (gateway is MESSAGEBIRD)


@pytest.mark.parametrize(
    ("gateway", "member", "found"),
    [
        (TWILIO, "messages", {**TWILIOS, "status": "queued"}),
        (TWILIO, "messages", {**TWILIOS, "status": "sent"}),
        (BANDWIDTH, "messages", {**BANDWIDTHS, "messageStatus": "QUEUED"}),
    ],
)
def test_what_is_on_its_way_was_taken(gateway, member, found):
    [sighting] = seen(gateway, member, found)
    assert [fact.event_type for fact in sighting.facts] == [EventType.SENT]


@pytest.mark.parametrize(
    ("gateway", "member", "found"),
    [
        (TWILIO, "messages", {**TWILIOS, "status": "undelivered", "error_code": 30005}),
        (BANDWIDTH, "messages", {**BANDWIDTHS, "messageStatus": "FAILED", "errorCode": 4720}),
    ],
)
def test_what_came_back_bounced(gateway, member, found):
    [sighting] = seen(gateway, member, found)
    [fact] = sighting.facts
    assert (fact.event_type, fact.outcome) == (EventType.BOUNCED, OutcomeClass.RECIPIENT)


@pytest.mark.parametrize(
    "other",
    [
        {"body": "Hello Bob"},
        {"to": "+15558675311"},
        {"from": "+15550100101"},
        {"direction": "inbound"},
        {"date_created": "Sat, 21 Nov 2026 23:29:00 +0000"},
        {"date_created": "Sun, 22 Nov 2026 00:33:00 +0000"},
        {"date_created": None},
        {"sid": None},
    ],
)
def test_twilios_other_messages_are_not_taken_for_this_one(other):
    assert seen(TWILIO, "messages", {**TWILIOS, **other}) == []


@pytest.mark.parametrize(
    "other",
    [
        {"messageLength": 10},
        {"destinationTn": "+15558675311"},
        {"sourceTn": "+15550100101"},
        {"messageDirection": "INBOUND"},
        {"receiveTime": "2026-11-21T23:29:00Z"},
        {"receiveTime": None},
        {"messageStatus": "NEW"},
    ],
)
def test_bandwidths_other_texts_are_not_taken_for_this_one(other):
    assert seen(BANDWIDTH, "messages", {**BANDWIDTHS, **other}) == []


def test_messagebirds_texts_by_another_name_are_not_taken_for_this_one():
    earlier = str(TAG._replace(attempt=1))
    assert seen(MESSAGEBIRD, "items", {**MESSAGEBIRDS, "reference": earlier}) == []


def test_without_words_nothing_at_twilio_is_known_to_be_it():
    silent = replace(INQUIRY, message=replace(MESSAGE, text=None))
    assert seen(TWILIO, "messages", {**TWILIOS, "body": None}, inquiry=silent) == []


def test_a_service_sends_by_any_of_its_numbers():
    service = "MG" + "0" * 32
    asked = replace(INQUIRY, message=replace(MESSAGE, sender=service))
    assert "From" not in query(TWILIO.inquire(asked))
    found = {**TWILIOS, "from": "+15550999999", "messaging_service_sid": service}
    assert len(seen(TWILIO, "messages", found, inquiry=asked)) == 1
    assert seen(TWILIO, "messages", TWILIOS, inquiry=asked) == []


@pytest.mark.parametrize(("gateway", "member", "found"), CASES)
@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (401, b"{}"), (200, b"<html>"), (200, b'{"messages": 3, "items": 3}')]
)
def test_an_answer_that_tells_nothing_is_no_empty_list(gateway, member, found, status, body):
    body = orjson.dumps({member: [found]}) if body is None else body
    assert gateway.sightings(INQUIRY, HttpResponse(status=status, headers={}, body=body)) is None


@pytest.mark.parametrize(("gateway", "member", "found"), CASES)
def test_what_has_any_other_shape_is_passed_over(gateway, member, found):
    strange = [None, 3, [], {}, dict.fromkeys(found, 3), dict.fromkeys(found)]
    assert seen(gateway, member, *strange) == []


def test_what_a_webhook_tells_too_counts_once():
    """Facts have the same key whichever way they come."""
    [[bandwidths]] = [sighting.facts for sighting in seen(BANDWIDTH, "messages", BANDWIDTHS)]
    callback = {
        "type": "message-delivered",
        "time": "2026-11-22T00:29:31Z",
        "to": "+15558675310",
        "message": {"id": "17", "tag": str(TAG)},
    }
    [told] = BandwidthWebhook(credentials=("a:b",)).events(posted(orjson.dumps([callback])))
    assert told.key == bandwidths.key
    [[messagebirds]] = [sighting.facts for sighting in seen(MESSAGEBIRD, "items", MESSAGEBIRDS)]
    url = (
        f"https://x.example/webhooks/messagebird?id=abc&reference={TAG}&recipient=15558675310"
        "&status=delivered&statusDatetime=2026-11-22T00:29:30+00:00&statusErrorCode="
    )
    [told] = MessageBirdWebhook(signing_keys=("k",)).events(replace(posted(b""), url=url, method="GET"))
    assert told.key == messagebirds.key


def posted(body):
    return WebhookRequest(method="POST", url="https://x.example/", headers={}, body=body, received_at=AT)


def test_those_that_can_be_asked_say_so():
    assert all(isinstance(each, Askable) for each in (TWILIO, WHATSAPP, MESSAGEBIRD, BANDWIDTH))
