from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Gather, VoiceResponse

from app.domain.facts import InboundKind
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.errors import Invalid
from app.gateways.base import Attachment
from app.gateways.twilio.callbacks import opened
from app.gateways.twilio.voice import TwilioVoice
from app.gateways.twilio.webhook import TwilioWebhook
from tests.gateways.twilio.conftest import ARRIVED, BASE, TOKEN, callback, form_of, query_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
SID = "CA00000000000000000000000000000001"
CALL = {
    "AccountSid": "AC00000000000000000000000000000001",
    "CallSid": SID,
    "From": "+15017122661",
    "To": "+15558675310",
    "Direction": "outbound-api",
    "Timestamp": "Sat, 21 Nov 2026 12:00:07 +0000",
}
THEN = datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def gateway(account):
    return TwilioVoice(account=account)


@pytest.fixture(scope="module")
def alone(unreachable_account):
    return TwilioVoice(account=unreachable_account)


@pytest.fixture(scope="module")
def webhook():
    return TwilioWebhook(tokens=("an older token", TOKEN))


@pytest.fixture(scope="module")
def spoken(text):
    """Makes a call; `options` are voice's own."""

    def make(options=None, **changes):
        message = text(channel=Channel.VOICE, **changes)
        return replace(message, options={"voice": options or {}})

    return make


def said(twiml):
    """Give a document's verbs with their attributes and words, one inside the other."""
    return _read(ET.fromstring(twiml))  # noqa: S314 - our own document


def _read(element):
    return (element.tag, dict(element.attrib), element.text or "", [_read(each) for each in element])


def built(gateway, message):
    return form_of(gateway.build([message], NOW))


# Calling


def test_a_call_is_a_form_with_its_words(gateway, spoken):
    request = gateway.build([spoken()], NOW)
    assert request.url == (
        "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000001/Calls.json"
    )
    form = form_of(request)
    assert (form["To"], form["From"]) == (["+15558675310"], ["+15017122661"])
    assert said(form["Twiml"][0]) == ("Response", {}, "", [("Say", {}, "Water is back", [])])
    assert form["StatusCallback"] == [f"{BASE}/webhooks/twilio?tag={TAG}#rc=3&rp=all"]
    assert form["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert set(form) == {"To", "From", "Twiml", "StatusCallback", "StatusCallbackEvent"}


def test_without_callbacks_a_call_can_still_speak(alone, spoken):
    assert set(built(alone, spoken())) == {"To", "From", "Twiml"}


def test_the_words_are_spoken_as_asked(gateway, spoken):
    options = {"voice": "Polly.Vicki", "language": "de-DE", "repeat": 3}
    (twiml,) = built(gateway, spoken(options, text="Das Wasser ist wieder da"))["Twiml"]
    attributes = {"voice": "Polly.Vicki", "language": "de-DE", "loop": "3"}
    assert said(twiml)[3] == [("Say", attributes, "Das Wasser ist wieder da", [])]


def test_twilios_own_library_writes_the_same(gateway, spoken):
    response = VoiceResponse()
    response.say("A & B < C", voice="Polly.Vicki", language="de-DE", loop=2)
    options = {"voice": "Polly.Vicki", "language": "de-DE", "repeat": 2}
    (twiml,) = built(gateway, spoken(options, text="A & B < C"))["Twiml"]
    assert said(twiml) == said(str(response))


WRITABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=40)


@given(WRITABLE)
def test_any_text_is_well_formed_and_stays_as_it_is(gateway, spoken, words):
    message = spoken(text=f"x{words}")
    (twiml,) = built(gateway, message)["Twiml"]
    ((_, _, heard, inside),) = said(twiml)[3]
    kept = "".join(c if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff") else " " for c in words)
    assert (heard, inside) == (f"x{kept}", [])


def test_a_text_cannot_give_instructions(gateway, spoken):
    (twiml,) = built(gateway, spoken(text="</Say><Dial>+1900</Dial><Say>"))["Twiml"]
    assert [verb[0] for verb in said(twiml)[3]] == ["Say"]


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(timedelta(seconds=40.7), "40"), (timedelta(hours=1), "60"), (timedelta(seconds=-1), "5")],
)
def test_it_rings_no_longer_than_the_message_is_of_use(gateway, spoken, left, seconds):
    assert built(gateway, spoken(expires_at=NOW + left))["Timeout"] == [seconds]


def test_a_message_is_left_after_the_tone(gateway, spoken):
    form = built(gateway, spoken({"on_machine": "leave_message"}))
    assert form["MachineDetection"] == ["DetectMessageEnd"]
    assert "Twiml" in form
    assert query_of(form["StatusCallback"][0]) == {"tag": TAG, "on_machine": "leave_message"}


def test_who_answers_is_found_out_while_it_speaks(gateway, spoken):
    form = built(gateway, spoken({"on_machine": "speak"}))
    assert (form["MachineDetection"], form["AsyncAmd"]) == (["Enable"], ["true"])
    assert query_of(form["AsyncAmdStatusCallback"][0]) == {"tag": TAG, "step": "detected"}
    assert "Twiml" in form


def test_without_callbacks_nobody_asks_who_answers(alone, spoken):
    assert "MachineDetection" not in built(alone, spoken({"on_machine": "speak"}))


def test_hanging_up_on_machines_asks_us_what_to_say(gateway, spoken):
    form = built(gateway, spoken({"on_machine": "hang_up"}, text="Your code is 987654"))
    assert form["MachineDetection"] == ["Enable"]
    assert form["Method"] == ["POST"]
    assert "Twiml" not in form
    assert set(query_of(form["Url"][0])) == {"tag", "step", "say"}


def test_an_address_does_not_show_what_is_said(gateway, spoken, tag):
    (url,) = built(gateway, spoken({"on_machine": "hang_up"}, text="Your code is 987654"))["Url"]
    sealed = query_of(url)["say"]
    assert "987654" not in url
    assert "987654" in opened(sealed, tag, ["other", TOKEN])
    assert opened(sealed, tag, ["other"]) is None
    assert opened(sealed, type(tag)(uuid=tag.uuid, priority=tag.priority, attempt=3), [TOKEN]) is None
    assert opened(sealed[:-4] + "AAAA", tag, [TOKEN]) is None


def test_a_digit_is_listened_for(gateway, spoken):
    options = {"confirm_digit": "1", "language": "de-DE", "voice": "alice"}
    (twiml,) = built(gateway, spoken(options))["Twiml"]
    ((verb, attributes, _, inside),) = said(twiml)[3]
    assert (verb, attributes["numDigits"]) == ("Gather", "1")
    assert [(name, words) for name, _, words, _ in inside] == [("Say", "Water is back")]
    assert query_of(attributes["action"]) == {
        "tag": TAG,
        "step": "digits",
        "digit": "1",
        "language": "de-DE",
        "voice": "alice",
    }


def test_twilios_own_library_listens_alike(gateway, spoken):
    (twiml,) = built(gateway, spoken({"confirm_digit": "1"}))["Twiml"]
    action = said(twiml)[3][0][1]["action"]
    response = VoiceResponse()
    gather = Gather(action=action, num_digits=1, timeout=10, finish_on_key="")
    gather.say("Water is back")
    response.append(gather)
    assert said(twiml) == said(str(response))


def test_a_call_is_recorded_where_it_is_asked_for(gateway, alone, spoken):
    form = built(gateway, spoken({"record": True}))
    assert (form["Record"], form["RecordingStatusCallbackEvent"]) == (["true"], ["completed"])
    assert query_of(form["RecordingStatusCallback"][0]) == {"tag": TAG, "step": "recorded"}
    assert built(alone, spoken({"record": True}))["Record"] == ["true"]
    assert "Record" not in built(gateway, spoken({"record": False}))


PICTURE = Attachment(filename="a.png", content_type="image/png", content=b"x")


@pytest.mark.parametrize(
    ("options", "changes", "missing"),
    [
        ({}, {"text": None}, "without text"),
        ({}, {"text": " \n"}, "without text"),
        ({}, {"text": "x" * 4000}, "too long"),
        ({}, {"text": "&" * 1000}, "too long"),
        ({}, {"sender": "TOWNHALL"}, "no telephone number"),
        ({}, {"sender": "MG0123456789abcdef0123456789abcdef"}, "no telephone number"),
        ({}, {"attachments": [PICTURE]}, "attachments"),
    ],
)
def test_what_cannot_be_expressed_is_not_built(gateway, spoken, options, changes, missing):
    message = spoken(options, **changes)
    assert missing in gateway.cannot_express(message)
    with pytest.raises(Invalid, match=missing):
        gateway.build([message], NOW)


@pytest.mark.parametrize("options", [{"on_machine": "hang_up"}, {"confirm_digit": "1"}])
def test_what_needs_our_address_cannot_be_expressed_without_one(alone, gateway, spoken, options):
    assert "PUBLIC_BASE_URL" in alone.cannot_express(spoken(options))
    assert gateway.cannot_express(spoken(options)) is None


def test_three_thousand_characters_can_be_spoken(gateway, spoken):
    for on_machine in ("hang_up", "leave_message", "speak", None):
        assert gateway.cannot_express(spoken({"on_machine": on_machine}, text="Lorem " * 500)) is None


# What becomes of calls


def status(name, query="", /, **changes):
    return callback(f"tag={TAG}{query}", **{**CALL, "CallStatus": name, **changes})


def told(webhook, name, query="", /, **changes):
    return webhook.events(status(name, query, **changes))


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("queued", ("queued", None, "")),
        ("initiated", ("sent", None, "")),
        ("ringing", ("sent", None, "")),
        ("in-progress", ("sent", None, "")),
        ("completed", ("delivered", None, "")),
        ("busy", ("bounced", "unreachable", "busy")),
        ("no-answer", ("bounced", "unreachable", "no-answer")),
        ("canceled", ("failed", "content", "canceled")),
        ("failed", ("failed", "unreachable", "failed")),
    ],
)
def test_each_status_of_a_call_is_its_event(webhook, tag, name, meaning):
    event, outcome, code = meaning
    (fact,) = told(webhook, name)
    assert (fact.event_type, fact.outcome, fact.code) == (
        EventType(event),
        outcome and OutcomeClass(outcome),
        code,
    )
    assert (fact.tag, fact.external_id, fact.gateway, fact.occurred_at) == (tag, SID, "twilio_voice", THEN)


@pytest.mark.parametrize(
    ("changes", "event", "outcome", "code"),
    [
        ({"SipResponseCode": "404"}, "failed", "unreachable", "sip_404"),
        ({"ErrorCode": "13224"}, "bounced", "recipient", "13224"),
        ({"ErrorCode": "21217"}, "bounced", "recipient", "21217"),
        ({"ErrorCode": "13225"}, "failed", "config", "13225"),
        ({"ErrorCode": "32017"}, "failed", "unreachable", "32017"),
        ({"ErrorCode": "20429"}, "failed", "throttle", "20429"),
        ({"ErrorCode": "99999", "SipResponseCode": "500"}, "failed", "unreachable", "99999"),
    ],
)
def test_a_call_fails_for_what_is_named(webhook, changes, event, outcome, code):
    (fact,) = told(webhook, "failed", **changes)
    assert (fact.event_type, fact.outcome, fact.code) == (EventType(event), OutcomeClass(outcome), code)


@pytest.mark.parametrize("answered_by", ["human", "unknown"])
def test_a_person_has_heard_it(webhook, answered_by):
    (fact,) = told(webhook, "completed", "&on_machine=hang_up", AnsweredBy=answered_by, CallDuration="12")
    assert fact.event_type == EventType.DELIVERED
    assert fact.data == {"answered_by": answered_by, "seconds": 12}


@pytest.mark.parametrize(
    "answered_by",
    ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"],
)
def test_nobody_has_heard_what_a_machine_was_not_told(webhook, answered_by):
    (fact,) = told(webhook, "completed", "&on_machine=hang_up", AnsweredBy=answered_by)
    assert (fact.event_type, fact.outcome, fact.code) == (
        EventType.BOUNCED,
        OutcomeClass.UNREACHABLE,
        "machine",
    )
    assert fact.data == {"answered_by": answered_by}


@pytest.mark.parametrize("query", ["&on_machine=leave_message", "&on_machine=speak", ""])
def test_a_message_that_was_left_is_delivered_and_says_to_whom(webhook, query):
    (fact,) = told(webhook, "completed", query, AnsweredBy="machine_end_beep")
    assert (fact.event_type, fact.data) == (EventType.DELIVERED, {"answered_by": "machine_end_beep"})


def test_who_answered_is_told_by_itself(webhook):
    amd = {"CallSid": SID, "AccountSid": "AC1", "AnsweredBy": "machine_start"}
    request = callback(f"tag={TAG}&step=detected", **amd, MachineDetectionDuration="2400")
    (fact,) = webhook.events(request)
    assert (fact.event_type, fact.data) == (EventType.SENT, {"answered_by": "machine_start"})
    assert fact.occurred_at == ARRIVED


def test_a_recording_is_data_of_an_event(webhook):
    url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1"
    recording = {"RecordingSid": "RE1", "RecordingUrl": url, "RecordingStatus": "completed"}
    request = callback(
        f"tag={TAG}&step=recorded", CallSid=SID, AccountSid="AC1", RecordingDuration="9", **recording
    )
    (fact,) = webhook.events(request)
    assert fact.event_type == EventType.SENT
    assert fact.data == {"recording": "RE1", "recording_url": url, "recording_seconds": 9}


def test_a_recording_that_does_not_exist_is_none(webhook):
    request = callback(f"tag={TAG}&step=recorded", CallSid=SID, RecordingSid="RE1", RecordingStatus="absent")
    assert webhook.events(request) == []


def test_a_call_that_somebody_makes_to_us_is_nothing_of_ours(webhook):
    assert told(webhook, "ringing", Direction="inbound") == []
    assert webhook.answer(status("ringing", Direction="inbound")).body == b"<Response/>"


def test_the_same_fact_has_the_same_key_and_others_have_others(webhook):
    first, again = told(webhook, "completed"), told(webhook, "completed", SequenceNumber="3")
    assert first[0].key == again[0].key
    facts = [
        *first,
        *told(webhook, "ringing"),
        *told(webhook, "busy"),
        *told(webhook, "completed", CallSid="CA2"),
        *webhook.events(callback(f"tag={TAG}&step=detected", CallSid=SID, AnsweredBy="human")),
        *webhook.events(callback(f"tag={TAG}&step=recorded", CallSid=SID, RecordingSid="RE1")),
        *webhook.events(callback(f"tag={TAG}&step=recorded", CallSid=SID, RecordingSid="RE2")),
        *webhook.events(pressing("1")),
    ]
    assert len({fact.key for fact in facts}) == len(facts) == 8


@pytest.mark.parametrize("written", ["", "soon", "Sat, 21 Nov 2026 25:00:07 +0000", "\x00"])
def test_a_time_that_cannot_be_read_is_that_of_arrival(webhook, written):
    (fact,) = told(webhook, "completed", Timestamp=written)
    assert fact.occurred_at == ARRIVED


# During a call


def pressing(digits, query=""):
    return status("in-progress", f"&step=digits&digit=1{query}", Digits=digits)


def test_the_right_digit_confirms(webhook, tag):
    (fact,) = webhook.events(pressing("1"))
    assert (fact.event_type, fact.tag, fact.data) == (EventType.CONFIRMED, tag, {"digit": "1"})
    assert fact.gateway == "twilio_voice"


@pytest.mark.parametrize("digits", ["2", "", "11", "#"])
def test_another_digit_confirms_nothing(webhook, digits):
    assert webhook.events(pressing(digits)) == []


def test_a_digit_that_was_asked_for_of_nobody_confirms_nothing(webhook):
    assert webhook.events(status("in-progress", "&step=digits", Digits="")) == []


@pytest.mark.parametrize("digits", ["1", "2"])
def test_whatever_is_pressed_is_kept(webhook, tag, digits):
    (found,) = webhook.inbound(pressing(digits))
    assert (found.kind, found.channel, found.text) == (InboundKind.DIGITS, Channel.VOICE, digits)
    assert (found.sender, found.recipient) == ("+15558675310", "+15017122661")
    assert (found.tag, found.external_id, found.received_at) == (tag, SID, ARRIVED)


def test_the_same_key_is_pressed_once_a_call(webhook):
    (first,), (again,), (other,) = (webhook.inbound(pressing(digits)) for digits in "112")
    assert first.key == again.key != other.key


@pytest.mark.parametrize("digits", ["2", "11", "#"])
def test_only_the_digit_that_was_asked_for_is_thanked_for(webhook, digits):
    assert said(webhook.answer(pressing(digits)).body)[3][0][0] == "Gather"


def test_a_digit_that_was_asked_for_of_nobody_is_not_thanked_for(webhook):
    request = status("in-progress", "&step=digits", Digits="")
    assert said(webhook.answer(request).body)[3][0][0] == "Gather"


@pytest.mark.parametrize(("name", "words"), [("busy", "the line is busy"), ("no-answer", "nobody answers")])
def test_why_nobody_heard_it_is_said_in_words(webhook, name, words):
    (fact,) = told(webhook, name)
    assert fact.detail == words


def test_a_status_is_nothing_that_was_pressed(webhook):
    assert webhook.inbound(status("completed", Digits="1")) == []


def test_who_confirms_is_thanked(webhook):
    answer = webhook.answer(pressing("1"))
    assert answer.content_type == "text/xml"
    assert said(answer.body)[3] == [("Say", {}, "Thank you.", [])]


@pytest.mark.parametrize(
    ("query", "attributes", "words"),
    [
        ("&language=de-DE&voice=alice", {"language": "de-DE", "voice": "alice"}, "Danke."),
        ("&language=FR", {"language": "FR"}, "Merci."),
        ("&language=tlh-TLH&voice=worf", {}, "Thank you."),
    ],
)
def test_thanks_are_said_in_the_calls_language(webhook, query, attributes, words):
    assert said(webhook.answer(pressing("1", query)).body)[3] == [("Say", attributes, words, [])]


def test_after_another_digit_it_listens_on(webhook):
    request = pressing("2")
    ((verb, attributes, _, inside),) = said(webhook.answer(request).body)[3]
    assert (verb, attributes["action"], inside) == ("Gather", request.url, [])


def asked(gateway, webhook, spoken, answered_by, **options):
    """Let Twilio ask what to say to whoever answered, and give what it is told."""
    (url,) = built(gateway, spoken({"on_machine": "hang_up", **options}, text="Your code is 987654"))["Url"]
    request = callback(url=url, **{**CALL, "CallStatus": "in-progress"}, AnsweredBy=answered_by)
    webhook.verify(request, None, NOW)
    return said(webhook.answer(request).body)[3]


@pytest.mark.parametrize("answered_by", ["human", "unknown"])
def test_a_person_is_told(gateway, webhook, spoken, answered_by):
    assert asked(gateway, webhook, spoken, answered_by) == [("Say", {}, "Your code is 987654", [])]


def test_a_person_may_confirm(gateway, webhook, spoken):
    ((verb, _, _, _),) = asked(gateway, webhook, spoken, "human", confirm_digit="5")
    assert verb == "Gather"


@pytest.mark.parametrize("answered_by", ["machine_start", "fax"])
def test_a_machine_is_told_nothing(gateway, webhook, spoken, answered_by):
    assert asked(gateway, webhook, spoken, answered_by) == [("Hangup", {}, "", [])]


@pytest.mark.parametrize("say", ["", "x", "AAAA", "%00"])
def test_an_address_without_words_says_nothing(webhook, say):
    request = status("in-progress", f"&step=answered&say={say}", AnsweredBy="human")
    assert said(webhook.answer(request).body)[3] == [("Hangup", {}, "", [])]


def test_that_somebody_answered_is_a_fact(webhook):
    (fact,) = told(webhook, "in-progress", "&step=answered&say=", AnsweredBy="human")
    assert (fact.event_type, fact.data) == (
        EventType.SENT,
        {"call_status": "in-progress", "answered_by": "human"},
    )
