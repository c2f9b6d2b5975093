import json
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import EventType
from app.gateways.base import HttpResponse, WebhookRequest
from app.gateways.email.sendgrid.sending import SendGrid
from app.gateways.email.sendgrid.webhook import SendGridWebhook

TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
EXAMPLES = Path(__file__).parents[4] / "shared" / "vectors" / "sendgrid_event_examples.json"
WEBHOOK = SendGridWebhook(keys=())


def element(event, **fields):
    return {
        "email": "reader@example.com",
        "timestamp": 1513299569,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": event,
        "category": ["cat facts"],
        "sg_event_id": "6g4ZI7SA-xmRDv57GoPIPw==",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "tocsin": TAG,
        **fields,
    }


def facts(*elements):
    body = orjson.dumps(elements) + b"\r\n"
    return WEBHOOK.events(WebhookRequest(method="POST", url="", headers={}, body=body))


def meanings(*elements):
    return [(fact.event_type.value, fact.outcome and fact.outcome.value) for fact in facts(*elements)]


@pytest.mark.parametrize(
    ("event", "fields", "told"),
    [
        ("processed", {}, [("sent", None)]),
        ("delivered", {"response": "250 OK"}, [("delivered", None)]),
        ("deferred", {"response": "400 try again later", "attempt": "5"}, [("deferred", "unreachable")]),
        ("open", {}, [("opened", None)]),
        ("click", {"url": "https://example.org/"}, [("clicked", None)]),
        ("spamreport", {}, [("complained", None)]),
        ("unsubscribe", {}, [("unsubscribed", None)]),
        ("group_unsubscribe", {"asm_group_id": 10}, [("unsubscribed", None)]),
        ("group_resubscribe", {"asm_group_id": 10}, []),
        ("bounce", {"type": "bounce", "status": "5.0.0"}, [("bounced", "recipient")]),
        ("bounce", {"type": "blocked", "status": "5.7.1"}, [("bounced", "unreachable")]),
        ("bounce", {"type": "expired"}, [("bounced", "unreachable")]),
        ("bounce", {"type": "something new", "status": "5.0.0"}, [("bounced", "unreachable")]),
        ("bounce", {"status": "5.1.1"}, [("bounced", "recipient")]),
        ("bounce", {"status": "4.2.2"}, [("bounced", "unreachable")]),
        ("bounce", {}, [("bounced", "unreachable")]),
        ("blocked", {}, [("bounced", "unreachable")]),
        ("dropped", {"reason": "Bounced Address"}, [("failed", "recipient")]),
        ("dropped", {"reason": "Invalid"}, [("failed", "recipient")]),
        ("dropped", {"reason": "Spam Reporting Address"}, [("failed", None), ("complained", None)]),
        ("dropped", {"reason": "Unsubscribed Address"}, [("failed", None), ("unsubscribed", None)]),
        ("dropped", {"reason": "Spam Content (if Spam Checker app is enabled)"}, [("failed", "content")]),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, [("failed", "config")]),
        ("dropped", {"reason": "Recipient List over Package Quota"}, [("failed", "config")]),
        ("dropped", {"reason": "something new"}, [("failed", "unknown")]),
        ("account_status_change", {}, []),
        ("something new", {}, []),
    ],
)
def test_each_event_has_its_meaning(event, fields, told):
    assert meanings(element(event, **fields)) == told


def test_a_fact_says_which_message_when_and_in_whose_words():
    (fact,) = facts(
        element("bounce", type="bounce", status="5.1.1", reason="550 5.1.1 <reader@example.com>: unknown")
    )
    assert str(fact.tag) == TAG
    assert fact.occurred_at == datetime(2017, 12, 15, 0, 59, 29, tzinfo=UTC)
    assert fact.external_event_id == "6g4ZI7SA-xmRDv57GoPIPw=="
    assert (fact.code, fact.detail) == ("5.1.1", "550 5.1.1 <<removed>>: unknown")


def test_an_event_without_our_tag_finds_the_message_that_was_accepted(envelope):
    sending = SendGrid(url="https://api.sendgrid.example", api_key="SG.k")
    messages = [envelope(address="Reader@example.com"), envelope(address="other@example.com")]
    response = HttpResponse(status=202, headers={"x-message-id": "14c5d75ce93"}, body=b"")
    accepted = sending.read(messages, response)
    (fact,) = facts(element("delivered", tocsin=None))
    assert fact.tag is None
    assert fact.external_id == accepted[0].external_id
    assert fact.external_id != accepted[1].external_id


def test_an_event_that_names_no_message_is_left_out():
    assert facts(element("bounce", tocsin="somebody's", sg_message_id=None)) == []


def test_one_id_is_one_fact_however_often_it_is_told():
    once, again = facts(element("open")), facts(element("open", timestamp=1513299999))
    assert once[0].key == again[0].key


def test_other_ids_are_other_facts():
    told = facts(element("open"), element("open", sg_event_id="b"), element("click"))
    assert len({fact.key for fact in told}) == 3


def test_two_facts_of_one_element_count_both():
    told = facts(element("dropped", reason="Unsubscribed Address"))
    assert len({fact.key for fact in told}) == 2


def test_without_an_id_what_happened_tells_facts_apart():
    told = [
        facts(element("click", sg_event_id=None, url=url, timestamp=at))[0].key
        for url, at in (("https://a", 1), ("https://a", 1), ("https://b", 1), ("https://a", 2))
    ]
    assert told[0] == told[1]
    assert len(set(told)) == 3


def test_an_open_by_a_machine_is_marked():
    by_machine, by_person = facts(
        element("open", sg_machine_open=True, useragent="Apple"),
        element("open", sg_machine_open=False, sg_event_id="b"),
    )
    assert by_machine.data == {"user_agent": "Apple", "machine": True}
    assert by_person.data == {}


def test_what_was_clicked_and_which_group_was_left_are_kept():
    click, left = facts(
        element("click", url="https://example.org/?to=reader@example.com", useragent="Mozilla"),
        element("group_unsubscribe", asm_group_id=10),
    )
    assert click.data == {"url": "<address>", "user_agent": "Mozilla"} or click.data["url"].startswith(
        "https"
    )
    assert "reader@example.com" not in str(click.data)
    assert left.data == {"group": "10"}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        3,
        "text",
        [],
        {},
        {"event": 3},
        {"event": "delivered"},
        element("delivered", timestamp="soon"),
        element("delivered", timestamp=None),
        element("delivered", timestamp=1e300),
        element("delivered", email=3, tocsin=3, sg_message_id=3),
    ],
    ids=str,
)
def test_one_bad_element_keeps_no_other_back(bad):
    assert meanings(element("delivered"), bad, element("open")) == [("delivered", None), ("opened", None)]


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"null", b"3", b'"text"', b"[[[]]]"])
def test_a_body_that_is_no_array_has_no_facts(body):
    assert WEBHOOK.events(WebhookRequest(method="POST", url="", headers={}, body=body)) == []


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*element("open"), "reason", "response", "status", "type", "url", "asm_group_id"])
events = st.sampled_from(["bounce", "dropped", "open", "click", "delivered", "group_unsubscribe"])


@given(st.dictionaries(names, values), events)
def test_no_element_breaks_reading(changes, event):
    told = facts({**element(event), **changes}, element("delivered"))
    assert told[-1].event_type is EventType.DELIVERED


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the folder of vectors is elsewhere")
def test_the_vendors_examples_are_understood():
    examples = [{**each, "tocsin": TAG} for each in json.loads(EXAMPLES.read_text())]
    told = {each["event"]: meanings(each) for each in examples}
    silent = {event for event, what in told.items() if not what}
    assert silent <= {"group_resubscribe"}
