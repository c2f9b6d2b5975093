from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import InboundKind
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.errors import Forged
from app.gateways.twilio.webhook import TwilioWebhook
from tests.gateways.twilio.conftest import ARRIVED, BASE, TOKEN, callback

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
SID = "SM00000000000000000000000000000001"
SERVICE = "MG0123456789abcdef0123456789abcdef"
MESSAGE = {
    "AccountSid": "AC00000000000000000000000000000001",
    "ApiVersion": "2010-04-01",
    "From": "+15017122661",
    "MessageSid": SID,
    "SmsSid": SID,
    "To": "+15558675310",
}
# As Twilio writes them.
UNDELIVERED = (
    "AccountSid=AC00000000000000000000000000000001&ApiVersion=2010-04-01&ErrorCode=30003"
    "&From=%2B15017122661&MessageSid=SM00000000000000000000000000000001&MessageStatus=undelivered"
    "&RawDlrDoneDate=2611211930&SmsSid=SM00000000000000000000000000000001&SmsStatus=undelivered"
    "&To=%2B15558675310"
)
STOP = (
    "AccountSid=AC00000000000000000000000000000001&ApiVersion=2010-04-01&Body=STOP&From=%2B15558675310"
    f"&FromCity=&FromCountry=US&MessageSid=SM2&MessagingServiceSid={SERVICE}&NumMedia=0&NumSegments=1"
    "&OptOutType=STOP&SmsMessageSid=SM2&SmsSid=SM2&SmsStatus=received&To=%2B15017122661&ToCity=&ToCountry=US"
)


@pytest.fixture(scope="module")
def webhook():
    return TwilioWebhook(tokens=(TOKEN,))


def status(name, /, **changes):
    return callback(f"tag={TAG}", **{**MESSAGE, "MessageStatus": name, "SmsStatus": name, **changes})


def told(webhook, name, /, **changes):
    return webhook.events(status(name, **changes))


def inbound(**changes):
    parameters = {
        "From": "+15558675310",
        "To": "+15017122661",
        "Body": "Thanks",
        "MessageSid": "SM2",
        "SmsSid": "SM2",
        "SmsStatus": "received",
        "NumMedia": "0",
        **changes,
    }
    return callback(**{name: value for name, value in parameters.items() if value is not None})


def test_a_callback_as_twilio_writes_it_is_one_fact(webhook, tag):
    request = callback(f"tag={TAG}", **dict(parse_qsl(UNDELIVERED)))
    webhook.verify(request, None, NOW)
    (fact,) = webhook.events(request)
    assert (fact.event_type, fact.outcome, fact.code) == (
        EventType.BOUNCED,
        OutcomeClass.UNREACHABLE,
        "30003",
    )
    assert (fact.tag, fact.external_id, fact.occurred_at, fact.gateway) == (tag, SID, ARRIVED, "twilio")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("queued", "queued"),
        ("accepted", "queued"),
        ("scheduled", "queued"),
        ("sending", "sent"),
        ("sent", "sent"),
        ("partially_delivered", "sent"),
        ("delivered", "delivered"),
        ("read", "opened"),
    ],
)
def test_each_step_on_the_way_is_its_event(webhook, name, event):
    (fact,) = told(webhook, name)
    assert (fact.event_type, fact.outcome, fact.code) == (EventType(event), None, "")


@pytest.mark.parametrize(
    ("code", "event", "outcome"),
    [
        ("21211", "bounced", "recipient"),
        ("21614", "bounced", "recipient"),
        ("30005", "bounced", "recipient"),
        ("30006", "bounced", "recipient"),
        ("63024", "bounced", "recipient"),
        ("30003", "bounced", "unreachable"),
        ("30004", "bounced", "unreachable"),
        ("30008", "bounced", "unreachable"),
        ("30007", "failed", "content"),
        ("63016", "failed", "content"),
        ("30002", "failed", "config"),
        ("30034", "failed", "config"),
        ("21408", "failed", "config"),
        ("30001", "failed", "throttle"),
        ("30022", "failed", "throttle"),
        ("63018", "failed", "throttle"),
        ("30021", "failed", "transient"),
        ("30410", "failed", "unknown"),
        ("99999", "failed", "unknown"),
        ("nonsense", "failed", "unknown"),
    ],
)
@pytest.mark.parametrize("name", ["undelivered", "failed"])
def test_a_failure_is_what_its_code_says(webhook, name, code, event, outcome):
    (fact,) = told(webhook, name, ErrorCode=code)
    assert (fact.event_type, fact.outcome, fact.code) == (EventType(event), OutcomeClass(outcome), code)


@pytest.mark.parametrize("name", ["undelivered", "failed"])
def test_a_failure_without_a_code_has_its_status(webhook, name):
    (fact,) = told(webhook, name)
    assert (fact.event_type, fact.outcome, fact.code) == (EventType.FAILED, OutcomeClass.UNKNOWN, name)


def test_a_message_that_was_withdrawn_failed(webhook):
    (fact,) = told(webhook, "canceled")
    assert (fact.event_type, fact.outcome) == (EventType.FAILED, OutcomeClass.CONTENT)


@pytest.mark.parametrize("code", ["21610", "63014", "63033"])
def test_an_opt_out_told_later_unsubscribes_from_the_sender_and_fails_the_message(webhook, code):
    unsubscribed, failed = told(webhook, "failed", ErrorCode=code)
    assert (unsubscribed.event_type, unsubscribed.outcome) == (EventType.UNSUBSCRIBED, None)
    assert unsubscribed.sender == "+15017122661"
    assert (failed.event_type, failed.outcome, failed.sender) == (EventType.FAILED, None, None)
    assert unsubscribed.key != failed.key


def test_a_word_to_a_service_tells_the_number_that_it_came_to(webhook):
    said = webhook.inbound(callback(**dict(parse_qsl(STOP))))
    assert [(each.recipient, each.number) for each in said] == [(SERVICE, "+15017122661")]
    assert [each.number for each in webhook.inbound(inbound())] == [None]


def test_who_refuses_a_service_refuses_all_its_numbers(webhook):
    unsubscribed, _ = told(webhook, "failed", ErrorCode="21610", MessagingServiceSid=SERVICE)
    assert unsubscribed.sender == SERVICE


@pytest.mark.parametrize(
    "changes",
    [
        {"From": "whatsapp:+15017122661"},
        {"To": "whatsapp:+15558675310", "From": ""},
        {"ChannelPrefix": "whatsapp"},
    ],
)
def test_what_is_told_of_whatsapp_names_its_gateway(webhook, changes):
    (fact,) = told(webhook, "read", **changes)
    assert (fact.gateway, fact.event_type) == ("twilio_whatsapp", EventType.OPENED)


def test_an_opt_out_of_whatsapp_is_from_the_bare_number(webhook):
    unsubscribed, _ = told(webhook, "failed", ErrorCode="63033", From="whatsapp:+15017122661")
    assert unsubscribed.sender == "+15017122661"


def test_words_are_kept_without_numbers(webhook):
    (fact,) = told(webhook, "failed", ErrorCode="21211", ErrorMessage="+15558675310 is no number")
    assert fact.detail == "<removed> is no number"


def test_the_same_fact_has_the_same_key_however_it_is_told(webhook):
    first = told(webhook, "delivered")
    again = told(webhook, "delivered", RawDlrDoneDate="2611211930", Extra="")
    assert [fact.key for fact in first] == [fact.key for fact in again]


def test_other_facts_have_other_keys(webhook):
    facts = [
        *told(webhook, "sent"),
        *told(webhook, "delivered"),
        *told(webhook, "failed", ErrorCode="30003"),
        *told(webhook, "failed", ErrorCode="30005"),
        *told(webhook, "failed", ErrorCode="21610"),
        *told(webhook, "undelivered", ErrorCode="30003"),
        *told(webhook, "sent", MessageSid="SM9"),
    ]
    assert len({fact.key for fact in facts}) == len(facts) == 8


def test_a_callback_without_our_tag_has_the_sid(webhook):
    (fact,) = webhook.events(callback(**{**MESSAGE, "MessageStatus": "delivered"}))
    assert (fact.tag, fact.external_id) == (None, SID)


def test_a_callback_by_get_is_read_from_its_address(webhook, tag):
    url = f"{BASE}/webhooks/twilio?tag={TAG}&MessageSid={SID}&MessageStatus=delivered&From=%2B15017122661"
    request = callback(url=url, method="GET")
    webhook.verify(request, None, NOW)
    (fact,) = webhook.events(request)
    assert (fact.event_type, fact.tag, fact.external_id) == (EventType.DELIVERED, tag, SID)


def test_what_is_in_the_address_of_a_post_is_no_word_of_twilios(webhook):
    address = f"tag={TAG}&MessageSid={SID}&MessageStatus=delivered"
    assert webhook.events(callback(address)) == []
    assert webhook.events(callback(address, A="1")) == []


@pytest.mark.parametrize("name", ["receiving", "received", "", "new"])
def test_no_fact_is_made_of_another_status(webhook, name):
    assert told(webhook, name) == []


def test_a_json_body_says_nothing_of_messages(webhook):
    request = status("delivered", headers={})
    assert webhook.events(callback(url=request.url, headers={"content-type": "application/json"})) == []


def test_everything_is_answered_with_empty_instructions(webhook):
    for request in (status("delivered"), inbound()):
        answer = webhook.answer(request)
        assert (answer.body, answer.content_type, answer.status) == (b"<Response/>", "text/xml", 200)


# What people write


def test_an_opt_out_as_twilio_writes_it_is_understood(webhook):
    request = callback(**dict(parse_qsl(STOP, keep_blank_values=True)))
    webhook.verify(request, None, NOW)
    (found,) = webhook.inbound(request)
    assert webhook.events(request) == []
    assert (found.sender, found.recipient, found.text) == ("+15558675310", SERVICE, "STOP")
    assert (found.opt_out, found.external_id, found.received_at) == (True, "SM2", ARRIVED)


def test_what_somebody_writes_is_kept(webhook):
    (found,) = webhook.inbound(inbound())
    assert (found.kind, found.channel, found.text) == (InboundKind.MESSAGE, Channel.SMS, "Thanks")
    assert (found.sender, found.recipient, found.media) == ("+15558675310", "+15017122661", ())
    assert (found.opt_out, found.tag) == (None, None)


@pytest.mark.parametrize(("word", "meant"), [("STOP", True), ("START", False), ("HELP", None), ("", None)])
def test_twilios_own_understanding_is_taken_over(webhook, word, meant):
    (found,) = webhook.inbound(inbound(OptOutType=word))
    assert found.opt_out is meant


def test_pictures_are_kept_by_their_addresses(webhook):
    urls = {f"MediaUrl{number}": f"https://api.twilio.com/{number}" for number in range(2)}
    (found,) = webhook.inbound(inbound(Body=None, NumMedia="2", **urls))
    assert found.media == ("https://api.twilio.com/0", "https://api.twilio.com/1")
    assert found.text == ""


def test_whatsapp_is_heard_on_its_own_channel(webhook):
    request = inbound(From="whatsapp:+15558675310", To="whatsapp:+15017122661")
    (found,) = webhook.inbound(request)
    assert found.channel == Channel.WHATSAPP
    assert (found.sender, found.recipient) == ("+15558675310", "+15017122661")


def test_a_short_code_stays_as_it_is(webhook):
    (found,) = webhook.inbound(inbound(To="70123"))
    assert found.recipient == "70123"


def test_the_same_message_has_the_same_key(webhook):
    (first,), (again,) = (webhook.inbound(inbound(Body=body)) for body in ("Thanks", "Thanks!"))
    (other,) = webhook.inbound(inbound(MessageSid="SM3"))
    assert first.key == again.key != other.key


@pytest.mark.parametrize(
    "changes", [{"From": None}, {"MessageSid": None, "SmsSid": None}, {"SmsStatus": "sent"}]
)
def test_what_nobody_wrote_is_no_message(webhook, changes):
    assert webhook.inbound(inbound(**changes)) == []


def test_a_status_is_nothing_that_somebody_wrote(webhook):
    assert webhook.inbound(status("delivered")) == []


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(
    ["failed", "completed", "received", "digits", "answered", "1", "21610", "whatsapp:+1", TAG]
)
NAMES = st.sampled_from(
    [
        "MessageSid",
        "SmsSid",
        "MessageStatus",
        "SmsStatus",
        "ErrorCode",
        "From",
        "To",
        "Body",
        "MediaUrl0",
        "OptOutType",
        "CallSid",
        "CallStatus",
        "Digits",
        "AnsweredBy",
        "Timestamp",
        "RecordingSid",
        "RecordingStatus",
        "RecordingDuration",
        "Direction",
    ]
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=8),
    st.dictionaries(st.sampled_from(["tag", "step", "digit", "say", "on_machine"]), VALUES, max_size=4),
)
def test_no_callback_makes_reading_fail(webhook, parameters, query):
    request = callback(urlencode(query), **parameters)
    webhook.events(request)
    webhook.inbound(request)
    webhook.answer(request)


@given(st.binary(max_size=50))
def test_no_body_makes_reading_fail(webhook, body):
    request = status("delivered")
    broken = type(request)(method="POST", url=request.url, headers=request.headers, body=body)
    assert webhook.events(broken) == []
    with pytest.raises(Forged):
        webhook.verify(broken, None, NOW)
