from datetime import timedelta

import orjson
import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.base import HttpResponse
from app.gateways.sms.messagebird.sending import MessageBird

KEY = {"messagebird_access_key": "live_key"}
TAKEN = {
    "id": "e8077d803532c0b5937c639b60216938",
    "reference": "ours",
    "recipients": {"totalCount": 1, "items": [{"recipient": 15554443333, "status": "sent"}]},
}


@pytest.fixture
def messagebird(settings):
    return MessageBird.configured(settings(**KEY, public_base_url="https://tocsin.example.com/"))


@pytest.fixture
def built(messagebird, now):
    return lambda message: orjson.loads(messagebird.build([message], now).body)


@pytest.fixture
def read(messagebird, text):
    def read(status, body, headers=None):
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        response = HttpResponse(status=status, headers=headers or {}, body=raw)
        (outcome,) = messagebird.read([text()], response)
        return outcome

    return read


def error(code, parameter=None, description="words"):
    return {"errors": [{"code": code, "description": description, "parameter": parameter}]}


def test_a_text_is_one_request_for_one_recipient(messagebird, text, tag, now):
    request = messagebird.build([text()], now)
    assert (request.method, request.url) == ("POST", "https://rest.messagebird.com/messages")
    assert request.headers["Authorization"] == "AccessKey live_key"
    assert request.headers["Content-Type"] == "application/json"
    assert orjson.loads(request.body) == {
        "originator": "15552221111",
        "body": "Stay inside",
        "recipients": ["15554443333"],
        "reference": str(tag),
        "reportUrl": "https://tocsin.example.com/webhooks/messagebird",
        "type": "sms",
        "datacoding": "auto",
    }


def test_two_recipients_never_share_a_request(messagebird, text, now):
    assert messagebird.batch == 1
    with pytest.raises(ValueError, match="unpack"):
        messagebird.build([text(), text()], now)


def test_without_an_address_of_ours_nothing_is_called_back(settings, text, now):
    made = MessageBird.configured(settings(**KEY))
    assert "reportUrl" not in orjson.loads(made.build([text()], now).body)


@pytest.mark.parametrize(
    ("sender", "said"), [("TOWNHALL", "TOWNHALL"), ("Hall <+31612345678>", "31612345678")]
)
def test_a_sender_is_written_as_messagebird_takes_it(built, text, sender, said):
    assert built(text(sender=sender))["originator"] == said


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(timedelta(hours=1), 3600), (timedelta(seconds=90, milliseconds=900), 90), (timedelta(seconds=-5), 1)],
)
def test_validity_is_the_time_left(built, text, now, left, seconds):
    assert built(text(expires_at=now + left))["validity"] == seconds


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sms": {"media": ["https://e/a.png"]}}, "media"),
        ({"sms": {"max_price": "1"}}, "price"),
        ({"text": ""}, "text"),
    ],
)
def test_what_does_not_fit_is_named_and_not_built(messagebird, text, now, changes, named):
    assert named in messagebird.cannot_express(text(**changes))
    with pytest.raises(Invalid, match=named):
        messagebird.build([text(**changes)], now)


def test_201_is_accepted_with_its_id(read):
    assert read(201, TAKEN) == Outcome(
        kind=OutcomeClass.ACCEPTED, external_id="e8077d803532c0b5937c639b60216938"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "e80', b"[]", b'{"id": null}'])
@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_success_that_names_no_message_is_unknown(read, status, body):
    assert read(status, body).kind == OutcomeClass.UNKNOWN


def test_200_is_not_what_messagebird_says_when_it_has_taken_a_message(read):
    assert read(200, TAKEN).kind == OutcomeClass.UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (401, error(2, "access_key"), "config", "account"),
        (422, error(9, "recipients"), "recipient", None),
        (422, error(10, "recipients"), "recipient", None),
        (422, error(10, "recipient"), "recipient", None),
        (422, error(9, "body"), "content", None),
        (422, error(10, "body"), "content", None),
        (422, error(10, None), "content", None),
        (422, error(10, "originator"), "config", "sender"),
        (422, error(9, "originator"), "config", "sender"),
        (422, error("10", "recipients"), "recipient", None),
        (404, error(20), "config", "account"),
        (422, error(25), "config", "account"),
        (500, error(98), "transient", None),
        (500, error(99), "transient", None),
        (422, error(777), "content", None),
        (422, b"not json", "content", None),
        (422, {"errors": ["odd"]}, "content", None),
        (422, {"errors": {}}, "content", None),
        (401, b"", "config", "account"),
        (404, b"<html>", "config", "account"),
        (405, b"", "config", "account"),
        (429, b"", "throttle", None),
        (500, b"", "unknown", None),
        (500, error(777), "unknown", None),
        (502, b"<html>", "unknown", None),
        (503, b"", "transient", None),
        (504, b"", "unknown", None),
        (418, b"", "unknown", None),
    ],
)
def test_each_answer_has_its_class(read, status, body, kind, scope):
    outcome = read(status, body)
    assert (outcome.kind, outcome.scope) == (OutcomeClass(kind), ConfigScope(scope) if scope else None)


def test_a_throttle_waits_as_long_as_it_says_where_it_says(read):
    assert read(429, b"", {"retry-after": "3"}).retry_after == timedelta(seconds=3)
    assert read(503, b"", {"retry-after": "3"}).retry_after is None


@pytest.mark.parametrize("number", ["15554443333", "+15554443333"])
def test_the_vendors_words_are_kept_without_the_number(read, number):
    outcome = read(422, error(10, "recipients", f"no (correct) recipients: {number}"))
    assert (outcome.code, outcome.detail) == ("10", "no (correct) recipients: <removed>")


def test_an_answer_without_words_is_named_by_its_status(read):
    assert read(502, b"<html>").code == "http_502"


def test_nothing_configured_is_no_gateway(settings):
    assert MessageBird.configured(settings()) is None


def test_an_address_without_a_key_is_a_mistake(settings):
    with pytest.raises(ConfigurationError, match="MESSAGEBIRD_ACCESS_KEY"):
        MessageBird.configured(settings(messagebird_url="http://127.0.0.1:1"))


def test_another_address_may_be_set(settings, text, now):
    made = MessageBird.configured(settings(**KEY, messagebird_url="http://127.0.0.1:1/"))
    assert made.build([text()], now).url == "http://127.0.0.1:1/messages"


def test_the_key_is_not_shown(messagebird):
    assert "live_key" not in repr(messagebird)
