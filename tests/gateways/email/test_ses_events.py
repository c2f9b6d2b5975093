from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.base import WebhookRequest
from app.gateways.email.ses.sns import Origins
from app.gateways.email.ses.webhook import SesWebhook

TOPIC = "arn:aws:sns:eu-west-1:123456789012:tocsin"
WEBHOOK = SesWebhook(topics=frozenset([TOPIC]), origins=Origins())
MESSAGE_ID = "0100017c44f053b-61b59c11-000000"


def notified(message, sns_id="sns-1"):
    envelope = {
        "Type": "Notification",
        "MessageId": sns_id,
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else orjson.dumps(message).decode(),
        "Timestamp": "2026-11-21T10:00:05.000Z",
        "SignatureVersion": "1",
        "Signature": "AAAA",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem",
    }
    return WebhookRequest(
        method="POST", url="https://us.example/ses", headers={}, body=orjson.dumps(envelope)
    )


@pytest.fixture
def mail(tag):
    return {
        "timestamp": "2026-11-21T10:00:00.000Z",
        "messageId": MESSAGE_ID,
        "source": "news@example.org",
        "destination": ["rcpt@example.com"],
        "tags": {"ses:configuration-set": ["events"], "tocsin": [str(tag)]},
    }


@pytest.fixture
def facts(mail):
    """Reads the facts of one event about our mail, which may be changed."""

    def read(event_type, sns_id="sns-1", mail=mail, **objects):
        return WEBHOOK.events(notified({"eventType": event_type, "mail": mail, **objects}, sns_id))

    return read


def bounce(kind="Permanent", why="General", **changes):
    recipient = {
        "emailAddress": "rcpt@example.com",
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 <rcpt@example.com> user unknown",
    }
    return {
        "bounceType": kind,
        "bounceSubType": why,
        "bouncedRecipients": [recipient],
        "timestamp": "2026-11-21T10:00:02.669Z",
        "feedbackId": "feedback-1",
    } | changes


def complaint(**changes):
    return {
        "complainedRecipients": [{"emailAddress": "rcpt@example.com"}],
        "timestamp": "2026-11-21T11:00:00.000Z",
        "feedbackId": "feedback-2",
        "complaintFeedbackType": "abuse",
    } | changes


DELAY = {
    "timestamp": "2026-11-21T10:10:00.000Z",
    "delayType": "TransientCommunicationFailure",
    "delayedRecipients": [
        {"emailAddress": "rcpt@example.com", "status": "4.4.1", "diagnosticCode": "421 later"}
    ],
}
SEEN = {"ipAddress": "192.0.2.1", "timestamp": "2026-11-21T12:00:00.000Z", "userAgent": "Mozilla/5.0"}


def test_a_fact_names_message_try_and_time(facts, tag):
    (fact,) = facts("Bounce", bounce=bounce())
    assert (fact.tag, fact.external_id, fact.external_event_id) == (tag, MESSAGE_ID, "sns-1")
    assert fact.occurred_at == datetime(2026, 11, 21, 10, 0, 2, 669000, UTC)
    assert fact.code == "Permanent/General"
    assert fact.detail == "5.1.1 smtp; 550 5.1.1 <<removed>> user unknown"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"eventType": "Send", "send": {}}, ("sent", None)),
        ({"eventType": "Delivery", "delivery": {"recipients": ["rcpt@example.com"]}}, ("delivered", None)),
        ({"eventType": "Reject", "reject": {"reason": "Bad content"}}, ("failed", "content")),
        ({"eventType": "Rendering Failure", "failure": {"errorMessage": "x"}}, ("failed", "content")),
        ({"eventType": "DeliveryDelay", "deliveryDelay": DELAY}, ("deferred", "unreachable")),
        ({"eventType": "Open", "open": SEEN}, ("opened", None)),
        ({"eventType": "Click", "click": SEEN | {"link": "https://example.org/"}}, ("clicked", None)),
        ({"eventType": "Complaint", "complaint": complaint()}, ("complained", None)),
        ({"notificationType": "Bounce", "bounce": bounce()}, ("bounced", "recipient")),
    ],
)
def test_each_event_type_has_its_event(mail, event, expected):
    (fact,) = WEBHOOK.events(notified(event | {"mail": mail}))
    assert (fact.event_type, fact.outcome) == (
        EventType(expected[0]),
        expected[1] and OutcomeClass(expected[1]),
    )


@pytest.mark.parametrize(
    ("kind", "why", "event_type", "outcome"),
    [
        ("Permanent", "General", "bounced", "recipient"),
        ("Permanent", "NoEmail", "bounced", "recipient"),
        ("Permanent", "Suppressed", "bounced", "recipient"),
        ("Permanent", "OnAccountSuppressionList", "bounced", "recipient"),
        ("Permanent", "UnsubscribedRecipient", "unsubscribed", None),
        ("Transient", "General", "bounced", "unreachable"),
        ("Transient", "MailboxFull", "bounced", "unreachable"),
        ("Transient", "MessageTooLarge", "bounced", "unreachable"),
        ("Transient", "ContentRejected", "bounced", "unreachable"),
        ("Transient", "AttachmentRejected", "bounced", "unreachable"),
        ("Transient", "CustomTimeoutExceeded", "bounced", "unreachable"),
        ("Undetermined", "Undetermined", "bounced", "unreachable"),
        ("SomethingNew", "", "bounced", "unreachable"),
    ],
)
def test_only_a_permanent_bounce_is_hard(facts, kind, why, event_type, outcome):
    (fact,) = facts("Bounce", bounce=bounce(kind, why))
    assert (fact.event_type, fact.outcome) == (EventType(event_type), outcome and OutcomeClass(outcome))


def test_a_complaint_that_it_was_no_spam_is_none(facts):
    assert facts("Complaint", complaint=complaint(complaintFeedbackType="not-spam")) == []


def test_a_message_not_sent_for_an_earlier_complaint_has_failed(facts):
    (fact,) = facts("Complaint", complaint=complaint(complaintSubType="OnAccountSuppressionList"))
    assert (fact.event_type, fact.outcome) == (EventType.FAILED, OutcomeClass.RECIPIENT)


@pytest.mark.parametrize(
    ("wishes", "count"),
    [
        ({"unsubscribeAll": True}, 1),
        ({"unsubscribeAll": False, "topicSubscriptionStatus": [{"subscriptionStatus": "OptOut"}]}, 1),
        ({"unsubscribeAll": False, "topicSubscriptionStatus": [{"subscriptionStatus": "OptIn"}]}, 0),
        ({"unsubscribeAll": "yes"}, 0),
        ({}, 0),
    ],
)
def test_only_an_opt_out_is_an_unsubscription(facts, wishes, count):
    changed = {
        "timestamp": "2026-11-21T10:00:00Z",
        "source": "UnsubscribeHeader",
        "newTopicPreferences": wishes,
    }
    assert [fact.event_type for fact in facts("Subscription", subscription=changed)] == [
        "unsubscribed"
    ] * count


def test_several_recipients_are_several_facts_with_keys_of_their_own(facts):
    entries = [{"emailAddress": f"{name}@example.com"} for name in "abc"]
    found = facts("Bounce", bounce=bounce(bouncedRecipients=entries))
    assert len({fact.key for fact in found}) == 3


def test_one_bad_element_does_not_fail_the_rest(facts):
    entries = [
        None,
        "x",
        {},
        {"emailAddress": 5},
        {"emailAddress": "a@example.com", "status": [], "diagnosticCode": 1},
    ]
    assert len(facts("Bounce", bounce=bounce(bouncedRecipients=entries))) == 1
    assert len(facts("Delivery", delivery={"recipients": [None, 5, "a@example.com"]})) == 1


@pytest.mark.parametrize("event_type", ["Open", "Click"])
def test_with_several_recipients_nobody_knows_who_opened(facts, mail, event_type):
    several = mail | {"destination": ["a@example.com", "b@example.com"]}
    assert facts(event_type, mail=several, **{event_type.lower(): SEEN}) == []


def test_a_click_says_where_it_went(facts):
    (fact,) = facts("Click", click=SEEN | {"link": "https://example.org/a"})
    assert fact.data == {"url": "https://example.org/a", "user_agent": "Mozilla/5.0"}


def test_one_fact_under_two_sns_ids_has_one_key(facts):
    for event_type, objects in (
        ("Bounce", {"bounce": bounce()}),
        ("Complaint", {"complaint": complaint()}),
        ("Delivery", {"delivery": {"recipients": ["rcpt@example.com"], "timestamp": "2026-11-21T10:00:00Z"}}),
        ("Send", {"send": {}}),
    ):
        (one,), (other,) = (facts(event_type, sns_id, **objects) for sns_id in ("sns-1", "sns-2"))
        assert one.key == other.key
        assert one.external_event_id != other.external_event_id


def test_a_recipients_spelling_makes_no_other_fact(facts):
    entries = [[{"emailAddress": address}] for address in ("rcpt@example.com", "RCPT@Example.com")]
    (one,), (other,) = (facts("Bounce", bounce=bounce(bouncedRecipients=entry)) for entry in entries)
    assert one.key == other.key


def test_each_delay_counts_for_itself(facts):
    (one,) = facts("DeliveryDelay", deliveryDelay=DELAY)
    (other,) = facts("DeliveryDelay", deliveryDelay=DELAY | {"timestamp": "2026-11-21T10:20:00.000Z"})
    assert one.key != other.key


def test_another_messages_delivery_is_another_fact(facts, mail):
    delivery = {"recipients": ["rcpt@example.com"], "timestamp": "2026-11-21T10:00:00Z"}
    (one,) = facts("Delivery", delivery=delivery)
    (other,) = facts("Delivery", delivery=delivery, mail=mail | {"messageId": "another"})
    assert one.key != other.key


def test_without_a_time_of_its_own_the_mails_counts(facts):
    (fact,) = facts("Send", send={})
    assert fact.occurred_at == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "tags", [None, [], {"tocsin": []}, {"tocsin": [5]}, {"tocsin": ["theirs"]}, {"tocsin": "x"}]
)
def test_without_our_tag_the_id_is_left_to_go_by(facts, mail, tags):
    (fact,) = facts("Send", send={}, mail=mail | {"tags": tags})
    assert (fact.tag, fact.external_id) == (None, MESSAGE_ID)


def test_what_is_no_event_of_ours_has_no_fact(facts):
    assert WEBHOOK.events(notified("Successfully validated SNS topic for Amazon SES event publishing.")) == []
    assert facts("SomethingNew") == []
    assert facts("Send", send={}, mail={}) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2),
    max_leaves=4,
)
NAMES = [
    "bounceType",
    "bouncedRecipients",
    "complainedRecipients",
    "delayedRecipients",
    "recipients",
    "timestamp",
]
NAMES += ["emailAddress", "destination", "messageId", "tags", "tocsin", "newTopicPreferences", "feedbackId"]
OBJECTS = st.recursive(
    VALUES,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=5) | st.lists(inner, max_size=2),
)
TYPES = [
    "Send",
    "Delivery",
    "Bounce",
    "Complaint",
    "Reject",
    "Rendering Failure",
    "DeliveryDelay",
    "Open",
    "Click",
]
MEMBERS = ["send", "delivery", "bounce", "complaint", "reject", "failure", "deliveryDelay", "open", "click"]


@given(st.integers(0, 8), OBJECTS, OBJECTS)
def test_no_event_makes_reading_fail(number, told, mail):
    assert isinstance(
        WEBHOOK.events(notified({"eventType": TYPES[number], MEMBERS[number]: told, "mail": mail})), list
    )


@given(st.text())
def test_no_text_makes_reading_fail(text):
    assert WEBHOOK.events(notified(text)) == []


@given(st.binary())
def test_no_body_makes_reading_fail(body):
    assert WEBHOOK.events(WebhookRequest(method="POST", url="", headers={}, body=body)) == []
