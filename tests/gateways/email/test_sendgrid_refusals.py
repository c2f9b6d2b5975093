from datetime import timedelta

import orjson
import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.email.sendgrid.sending import SendGrid

SENDGRID = SendGrid(url="https://api.sendgrid.example", api_key="SG.k")
WAIT = timedelta(seconds=7)


def refused(status, *errors, headers=None):
    told = [{"message": message, "field": field, "help": None} for field, message in errors]
    return HttpResponse(status=status, headers=headers or {}, body=orjson.dumps({"errors": told}))


def meanings(messages, response):
    return [(each.kind.value, each.scope and each.scope.value) for each in SENDGRID.read(messages, response)]


@pytest.fixture(scope="module")
def three(envelope):
    return [envelope(address=f"{name}@example.com") for name in ("ada", "bob", "cy")]


@pytest.mark.parametrize("field", ["to.0.email", "to.0", "to"])
def test_a_bad_address_is_that_messages_alone(three, field):
    error = (f"personalizations.1.{field}", "Does not contain a valid address: bob@example.com")
    free, bad, other = SENDGRID.read(three, refused(400, error))
    assert bad.kind == OutcomeClass.RECIPIENT
    assert bad.code == field
    assert bad.detail == "Does not contain a valid address: <removed>"
    assert free == other
    assert (free.kind, free.retry_after) == (OutcomeClass.THROTTLE, timedelta(0))


def test_several_at_fault_are_told_at_once(three):
    response = refused(
        400,
        ("personalizations.0.to.0.email", "Does not contain a valid address."),
        ("personalizations.2.substitutions", "too long"),
    )
    assert meanings(three, response) == [("recipient", None), ("throttle", None), ("content", None)]


@pytest.mark.parametrize(
    "field", ["subject", "headers.X-A", "substitutions", "custom_args", "dynamic_template_data"]
)
def test_what_else_is_wrong_with_an_entry_is_its_content(three, field):
    response = refused(400, (f"personalizations.0.{field}", "words"))
    assert meanings(three, response)[0] == ("content", None)


def test_addresses_that_sendgrid_takes_for_one_go_again_apart(three):
    response = refused(
        400, ("personalizations.1.to.0.email", "Each unique email address should only be included once.")
    )
    assert meanings(three, response) == [("throttle", None), ("transient", None), ("throttle", None)]


def test_what_is_wrong_with_all_holds_for_those_that_are_well(three):
    response = refused(
        400,
        ("personalizations.1.to.0.email", "Does not contain a valid address."),
        ("from.email", "The from email does not contain a valid address."),
    )
    assert meanings(three, response) == [("config", "sender"), ("recipient", None), ("config", "sender")]


@pytest.mark.parametrize(
    "error",
    [
        ("personalizations.3.to.0.email", "no such entry"),
        ("personalizations.99999.to", "no such entry"),
        ("personalizations", "The personalization block is limited"),
        (None, "Bad Request"),
        ("content.0.value", "words"),
    ],
)
def test_an_error_that_names_none_of_ours_is_about_all(three, error):
    assert set(meanings(three, refused(400, error))) == {("content", None)}


@pytest.mark.parametrize(
    ("field", "kind", "scope"),
    [
        ("from.email", "config", "sender"),
        ("from", "config", "sender"),
        ("ip_pool_name", "config", "sender"),
        ("asm.group_id", "config", "sender"),
        ("reply_to.email", "content", None),
        ("template_id", "content", None),
        ("attachments.0.content", "content", None),
        ("categories", "content", None),
    ],
)
def test_the_named_field_says_whose_fault_a_bad_request_is(envelope, field, kind, scope):
    assert meanings([envelope()], refused(400, (field, "words"))) == [(kind, scope)]


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (401, "config", "account"),
        (403, "config", "account"),
        (404, "config", "account"),
        (405, "config", "account"),
        (406, "config", "account"),
        (415, "config", "account"),
        (413, "content", None),
        (429, "throttle", None),
        (503, "transient", None),
        (500, "unknown", None),
        (502, "unknown", None),
        (504, "unknown", None),
        (302, "unknown", None),
        (204, "unknown", None),
    ],
)
def test_each_status_has_its_class(envelope, status, kind, scope):
    assert meanings([envelope()], refused(status, (None, "words"))) == [(kind, scope)]
    page = HttpResponse(status=status, headers={}, body=b"<html>\xff")
    assert meanings([envelope()], page) == [(kind, scope)]


def test_a_sender_that_is_not_verified_is_the_senders(envelope):
    said = "The from address does not match a verified Sender Identity. Mail cannot be sent until"
    assert meanings([envelope()], refused(403, ("from", said))) == [("config", "sender")]
    assert meanings([envelope()], refused(403, (None, said))) == [("config", "sender")]


def test_too_much_together_is_no_messages_fault(three):
    assert set(meanings(three, HttpResponse(status=413, headers={}, body=b"<html>"))) == {("transient", None)}


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, WAIT),
        ({"x-ratelimit-reset": "1763683207", "date": "Fri, 21 Nov 2025 00:00:00 GMT"}, WAIT),
        ({"x-ratelimit-reset": "1763683100", "date": "Fri, 21 Nov 2025 00:00:00 GMT"}, timedelta(0)),
        ({"retry-after": "7", "x-ratelimit-reset": "1", "date": "Fri, 21 Nov 2025 00:00:00 GMT"}, WAIT),
        ({"x-ratelimit-reset": "1763683207"}, None),
        ({"x-ratelimit-reset": "1763683207", "date": "yesterday"}, None),
        ({"x-ratelimit-reset": "soon", "date": "Fri, 21 Nov 2025 00:00:00 GMT"}, None),
        ({"x-ratelimit-reset": "99999999999", "date": "Fri, 21 Nov 2025 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_the_one_that_sendgrid_asks_for(envelope, headers, wait):
    response = refused(429, (None, "too many requests"), headers=headers)
    assert SENDGRID.read([envelope()], response) == [
        Outcome(kind=OutcomeClass.THROTTLE, code="http_429", detail="too many requests", retry_after=wait)
    ]


def test_a_refusal_keeps_sendgrids_words_without_addresses(envelope):
    (outcome,) = SENDGRID.read([envelope()], refused(401, (None, "Permission denied, rcpt@example.com")))
    assert outcome == Outcome(
        kind=OutcomeClass.CONFIG,
        scope=ConfigScope.ACCOUNT,
        code="http_401",
        detail="Permission denied, <removed>",
    )


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors": 3}', b'{"errors": [3, {"field": 1}]}', b"\xff"])
def test_no_body_breaks_reading(three, body):
    assert len(SENDGRID.read(three, HttpResponse(status=400, headers={}, body=body))) == 3
