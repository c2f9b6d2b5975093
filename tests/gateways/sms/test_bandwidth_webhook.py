import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.errors import ConfigurationError, Forged, ProofMissing
from app.gateways.base import WebhookRequest
from app.gateways.sms.bandwidth.webhook import BandwidthWebhook

URL = "https://tocsin.example.com/webhooks/bandwidth"
WEBHOOK = BandwidthWebhook(credentials=("old:sec:ret", "new:other"))
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_1"


def request(body=b"", **headers):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return WebhookRequest(method="POST", url=URL, headers=headers, body=raw)


def basic(credentials):
    return f"Basic {b64encode(credentials.encode()).decode()}"


def event(kind="message-delivered", *, tag=TAG, message=None, **changes):
    return {
        "type": kind,
        "time": "2026-11-21T16:51:27.704450Z",
        "description": "as it was",
        "to": "+15554443333",
        "message": {
            "id": "1593110555875xo7watq5px6rbe5d",
            "owner": "+15552221111",
            "applicationId": "cfd4fb83",
            "time": "2026-11-21T16:51:20.000000Z",
            "segmentCount": 1,
            "direction": "out",
            "to": ["+15554443333"],
            "from": "+15552221111",
            "text": "",
            "tag": tag,
            **(message or {}),
        },
        **changes,
    }


def failed(code, attempt=1, **changes):
    tag = TAG[:-1] + str(attempt)
    return event("message-failed", tag=tag, errorCode=code, **changes)


def facts(*events):
    return WEBHOOK.events(request(list(events)))


@pytest.mark.parametrize("credentials", ["old:sec:ret", "new:other"])
def test_each_of_the_credentials_is_believed(credentials, now):
    WEBHOOK.verify(request(authorization=basic(credentials)), None, now)


def test_the_schemes_name_may_be_spelt_in_any_case(now):
    WEBHOOK.verify(request(authorization=basic("new:other").replace("Basic", "bAsIc")), None, now)


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Bearer abc"}])
def test_a_request_without_credentials_is_asked_for_them(headers, now):
    with pytest.raises(ProofMissing):
        WEBHOOK.verify(request(**headers), None, now)


@pytest.mark.parametrize(
    "given", ["old:other", "new:sec:ret", "new:othe", "new:otherr", "new", "", ":", "new:other,old:sec:ret"]
)
def test_wrong_credentials_are_forged(given, now):
    with pytest.raises(Forged) as raised:
        WEBHOOK.verify(request(authorization=basic(given)), None, now)
    assert not isinstance(raised.value, ProofMissing)


@pytest.mark.parametrize("given", ["Basic %%%", "Basic \xfc", "Basic bmV3Om90aGVy!"])
def test_credentials_that_are_no_base64_are_forged(given, now):
    with pytest.raises(Forged, match="encoding"):
        WEBHOOK.verify(request(authorization=given), None, now)


RECIPIENT = ("bounced", "recipient")
SOFT = ("bounced", "unreachable")
CONFIG = ("failed", "config")
CONTENT = ("failed", "content")
THROTTLE = ("failed", "throttle")
TRANSIENT = ("failed", "transient")
UNKNOWN = ("deferred", "unknown")

# Written down from the vendor's table, code by code.
CODES = [
    (4303, RECIPIENT), (4350, RECIPIENT), (4404, RECIPIENT), (4406, RECIPIENT), (4408, RECIPIENT),
    (4434, RECIPIENT), (4492, RECIPIENT), (4700, RECIPIENT), (4720, RECIPIENT), (4721, RECIPIENT),
    (4753, RECIPIENT), (4790, RECIPIENT),
    (4701, SOFT), (4702, SOFT), (4730, SOFT), (4750, SOFT),
    (4001, CONFIG), (4302, CONFIG), (4401, CONFIG), (4403, CONFIG), (4405, CONFIG), (4407, CONFIG),
    (4409, CONFIG), (4420, CONFIG), (4421, CONFIG), (4431, CONFIG), (4432, CONFIG), (4433, CONFIG),
    (4451, CONFIG), (4452, CONFIG), (4481, CONFIG), (4493, CONFIG), (4740, CONFIG), (4773, CONFIG),
    (4774, CONFIG), (4791, CONFIG), (4792, CONFIG), (4793, CONFIG), (4795, CONFIG),
    (4301, CONTENT), (4360, CONTENT), (4410, CONTENT), (4411, CONTENT), (4412, CONTENT), (4435, CONTENT),
    (4470, CONTENT), (4770, CONTENT), (4711, CONTENT), (4712, CONTENT), (4751, CONTENT), (4752, CONTENT),
    (4771, CONTENT),
    (4780, THROTTLE), (4781, THROTTLE), (4785, THROTTLE), (5600, THROTTLE),
    (5100, TRANSIENT), (5101, TRANSIENT), (5111, TRANSIENT), (5199, TRANSIENT), (5201, TRANSIENT),
    (5220, TRANSIENT), (5299, TRANSIENT), (5500, TRANSIENT), (5501, TRANSIENT), (5999, TRANSIENT),
    (5610, TRANSIENT), (5620, TRANSIENT), (5630, TRANSIENT), (5650, TRANSIENT),
    (9902, UNKNOWN), (9999, UNKNOWN),
    (4999, ("failed", "unknown")), (5300, ("failed", "unknown")), (1, ("failed", "unknown")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "told"), CODES)
def test_each_error_code_has_its_class(code, told):
    (fact,) = facts(failed(code))
    assert (fact.event_type, fact.outcome) == (EventType(told[0]), OutcomeClass(told[1]))
    assert fact.code == str(code)


@pytest.mark.parametrize("code", [4775, 4482, 4772])
def test_who_opted_out_has_unsubscribed_from_that_sender_and_is_no_hard_bounce(code):
    failure, unsubscribed = facts(failed(code))
    assert (failure.event_type, failure.outcome, failure.sender) == (EventType.FAILED, None, None)
    assert (unsubscribed.event_type, unsubscribed.outcome) == (EventType.UNSUBSCRIBED, None)
    assert unsubscribed.sender == "+15552221111"
    assert unsubscribed.key != failure.key


@pytest.mark.parametrize("code", [5610, 5620, 5630, 5650])
@pytest.mark.parametrize("attempt", [2, 3])
def test_a_carriers_failure_is_tried_once_more_at_most(code, attempt):
    (fact,) = facts(failed(code, attempt))
    assert (fact.event_type, fact.outcome) == (EventType.FAILED, OutcomeClass.UNKNOWN)


def test_a_carriers_failure_of_nobody_knows_which_try_is_not_tried_again():
    (fact,) = facts(event("message-failed", tag="theirs", errorCode=5610))
    assert (fact.event_type, fact.outcome) == (EventType.FAILED, OutcomeClass.UNKNOWN)


@pytest.mark.parametrize("code", ["4700", 4700])
def test_a_code_may_be_text(code):
    assert facts(failed(code))[0].outcome == OutcomeClass.RECIPIENT


@pytest.mark.parametrize("code", [None, "", "x", {}, [], True, 47.5])
def test_a_failure_without_a_code_is_a_failure_of_unknown_reason(code):
    (fact,) = facts(failed(code))
    assert (fact.event_type, fact.outcome) == (EventType.FAILED, OutcomeClass.UNKNOWN)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("message-sending", EventType.SENT),
        ("message-sent", EventType.SENT),
        ("message-delivered", EventType.DELIVERED),
        ("message-read", EventType.OPENED),
    ],
)
def test_each_type_has_its_event(kind, told):
    (fact,) = facts(event(kind))
    assert (fact.event_type, fact.outcome) == (told, None)


def test_a_fact_names_message_try_and_time():
    (fact,) = facts(event(description="handed to +15554443333"))
    assert fact.tag == Tag.parse(TAG)
    assert fact.external_id == "1593110555875xo7watq5px6rbe5d"
    assert fact.occurred_at == datetime(2026, 11, 21, 16, 51, 27, 704450, tzinfo=UTC)
    assert fact.detail == "handed to <removed>"
    assert fact.external_event_id is None


def test_an_mms_delivered_without_receipts_is_an_inference():
    picture = {"media": ["https://example.org/a.png"]}
    assert facts(event(message=picture))[0].data == {"inferred": True}
    assert facts(event())[0].data == {}
    sure = BandwidthWebhook(credentials=("a:b",), mms_receipts=True)
    assert sure.events(request([event(message=picture)]))[0].data == {}


def test_a_fact_told_again_has_the_same_key():
    later = event(time="2026-11-22T00:00:00.000000Z", description="other words")
    assert facts(event())[0].key == facts(later)[0].key


@pytest.mark.parametrize(
    "other",
    [
        event("message-sent"),
        event(to="+15554443334"),
        event(message={"id": "1593110555875xo7watq5px6rbe5e"}),
        failed(4700),
    ],
)
def test_another_fact_has_another_key(other):
    assert facts(other)[0].key != facts(event())[0].key


def test_two_failures_with_different_codes_are_two_facts():
    assert facts(failed(4700))[0].key != facts(failed(4701))[0].key


def test_the_recipient_is_the_events_own_not_the_messages():
    two = {"to": ["+15554443333", "+15554443334"]}
    keys = {facts(event(message=two, to=to))[0].key for to in two["to"]}
    assert len(keys) == 2


def test_a_bare_object_is_read_like_a_list_of_one():
    assert WEBHOOK.events(request(event())) == facts(event())


def test_several_events_in_one_request_are_all_read():
    told = facts(event("message-sent"), event("message-delivered"))
    assert [fact.event_type for fact in told] == [EventType.SENT, EventType.DELIVERED]


@pytest.mark.parametrize(
    "odd",
    [
        event("message-brand-new"),
        event(time="yesterday"),
        event(message={"id": None}),
        {"type": "message-delivered"},
        {"type": 7, "message": []},
        "text",
        None,
        7,
    ],
)
def test_what_cannot_be_read_is_left_out_and_keeps_no_other_out(odd):
    assert [fact.event_type for fact in facts(odd, event())] == [EventType.DELIVERED]


NAMES = st.sampled_from(["type", "time", "to", "errorCode", "message", "id", "from", "tag", "text", "media"])
LEAVES = st.none() | st.sampled_from(["message-failed", "message-received", "", 0, 4775, True])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))


@given(st.binary() | JSON.map(orjson.dumps))
def test_no_body_breaks_it(body):
    # Now and then it is one that says something.
    told = [*WEBHOOK.events(request(body)), *WEBHOOK.inbound(request(body))]
    assert {type(each) for each in told} <= {Fact, Inbound}


RECEIVED = {
    "time": "2026-09-14T18:20:45.160744Z",
    "type": "message-received",
    "to": "+12345678902",
    "description": "Incoming message received",
    "message": {
        "id": "14762070468292kw2fuqty55yp2b2",
        "owner": "+12345678902",
        "applicationId": "93de2206",
        "time": "2026-09-14T18:20:45.160744Z",
        "segmentCount": 1,
        "direction": "in",
        "to": ["+12345678902", "+12345678903"],
        "from": "+12345678901",
        "text": "STOP",
        "media": ["https://messaging.bandwidth.com/api/v2/users/9900902/media/1/0/bw.png"],
    },
}


def test_what_somebody_wrote_is_read_with_its_pictures():
    (read,) = WEBHOOK.inbound(request([RECEIVED]))
    assert read == Inbound(
        key=read.key,
        kind=InboundKind.MESSAGE,
        channel=Channel.SMS,
        sender="+12345678901",
        recipient="+12345678902",
        text="STOP",
        received_at=datetime(2026, 9, 14, 18, 20, 45, 160744, tzinfo=UTC),
        external_id="14762070468292kw2fuqty55yp2b2",
        media=("https://messaging.bandwidth.com/api/v2/users/9900902/media/1/0/bw.png",),
    )


def test_what_somebody_wrote_is_no_fact_about_a_message_of_ours():
    assert facts(RECEIVED) == []
    assert WEBHOOK.inbound(request([event()])) == []


def test_the_same_text_to_two_numbers_of_ours_is_two():
    keys = {
        read.key
        for to in ("+12345678902", "+12345678903")
        for read in WEBHOOK.inbound(request({**RECEIVED, "to": to}))
    }
    assert len(keys) == 2


def test_the_settings_make_the_webhook(settings):
    made = BandwidthWebhook.configured(
        settings(bandwidth_webhook_credentials="a:b, c:d:e", bandwidth_mms_receipts=True)
    )
    assert made == BandwidthWebhook(credentials=("a:b", "c:d:e"), mms_receipts=True)
    assert BandwidthWebhook.configured(settings()) is None


@pytest.mark.parametrize("half", ["a", "a:", ":b", "a:b,c"])
def test_credentials_without_a_password_are_a_mistake(settings, half):
    with pytest.raises(ConfigurationError, match="BANDWIDTH_WEBHOOK_CREDENTIALS"):
        BandwidthWebhook.configured(settings(bandwidth_webhook_credentials=half))


def test_credentials_are_not_shown():
    assert "sec:ret" not in repr(WEBHOOK)


EXAMPLES = next(
    (
        found
        for parent in Path(__file__).parents
        if (found := parent / "shared" / "vectors" / "bandwidth_callback_examples.json").exists()
    ),
    None,
)


@pytest.mark.skipif(EXAMPLES is None, reason="the vendor's collection is not here")
def test_every_published_example_is_read():
    for name, example in json.loads(EXAMPLES.read_bytes()).items():
        made = request([example])
        told = [fact.event_type for fact in WEBHOOK.events(made)]
        expected = {
            "message-received": [],
            "message-sending": [EventType.SENT],
            "message-sent": [EventType.SENT],
            "message-delivered": [EventType.DELIVERED],
            "message-failed": [EventType.FAILED],
        }[example["type"]]
        assert (name, told) == (name, expected)
        assert len(WEBHOOK.inbound(made)) == (example["type"] == "message-received")
