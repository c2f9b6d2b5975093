from datetime import timedelta

import orjson
import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.base import HttpResponse
from app.gateways.sms.bird.sending import Bird

ACCOUNT = {
    "bird_access_key": "live_key",
    "bird_workspace_id": "ws-1",
    "bird_channels": "+15552221111=ch-1, TOWNHALL=ch-2",
}


@pytest.fixture
def bird(settings):
    return Bird.configured(settings(**ACCOUNT))


@pytest.fixture
def read(bird, text):
    def read(status, body, headers=None):
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        response = HttpResponse(status=status, headers=headers or {}, body=raw)
        (outcome,) = bird.read([text()], response)
        return outcome

    return read


def test_a_text_is_one_request_for_one_recipient(bird, text, tag, now):
    request = bird.build([text()], now)
    assert (request.method, request.url) == (
        "POST",
        "https://api.bird.com/workspaces/ws-1/channels/ch-1/messages",
    )
    assert request.headers["Authorization"] == "AccessKey live_key"
    assert request.headers["Content-Type"] == "application/json"
    assert orjson.loads(request.body) == {
        "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": "+15554443333"}]},
        "body": {"type": "text", "text": {"text": "Stay inside"}},
        "reference": str(tag),
    }


def test_the_sender_chooses_the_channel(bird, text, now):
    assert "/channels/ch-2/" in bird.build([text(sender="TOWNHALL")], now).url
    assert "/channels/ch-1/" in bird.build([text(sender="Hall <+15552221111>")], now).url


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sender": "+15552220000"}, "sender without a channel"),
        ({"sms": {"media": ["https://e/a.png"]}}, "media"),
        ({"text": ""}, "without text"),
    ],
)
def test_what_does_not_fit_is_named_and_not_built(bird, text, now, changes, named):
    assert named in bird.cannot_express(text(**changes))
    with pytest.raises(Invalid, match=named):
        bird.build([text(**changes)], now)


def test_two_recipients_never_share_a_request(bird, text, now):
    assert bird.batch == 1
    with pytest.raises(ValueError, match="unpack"):
        bird.build([text(), text()], now)


def test_202_is_accepted_with_its_id(read):
    assert read(202, {"id": "96a0b5fa", "status": "accepted"}) == Outcome(
        kind=OutcomeClass.ACCEPTED, external_id="96a0b5fa"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "96', b"[]", b'{"id": null}'])
@pytest.mark.parametrize("status", [200, 202, 302])
def test_a_success_that_names_no_message_is_unknown(read, status, body):
    assert read(status, body).kind == OutcomeClass.UNKNOWN


def test_200_is_not_what_bird_says_when_it_has_taken_a_message(read):
    assert read(200, {"id": "96a0b5fa"}).kind == OutcomeClass.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, "content", None),
        (401, "config", "account"),
        (402, "config", "account"),
        (403, "config", "account"),
        (404, "config", "sender"),
        (422, "content", None),
        (429, "throttle", None),
        (500, "unknown", None),
        (502, "unknown", None),
        (503, "transient", None),
        (504, "unknown", None),
        (418, "unknown", None),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", {"code": "SomeCode", "message": "words"}])
def test_each_status_has_its_class(read, status, body, kind, scope):
    outcome = read(status, body)
    assert (outcome.kind, outcome.scope) == (OutcomeClass(kind), ConfigScope(scope) if scope else None)


def test_the_vendors_words_are_kept_without_the_number(read):
    outcome = read(422, {"code": "InvalidPayload", "message": "no such number: +15554443333"})
    assert (outcome.code, outcome.detail) == ("InvalidPayload", "no such number: <removed>")
    assert read(422, b"").code == "http_422"


def test_a_throttle_waits_as_long_as_it_says_where_it_says(read):
    assert read(429, b"", {"retry-after": "3"}).retry_after == timedelta(seconds=3)


def test_nothing_configured_is_no_gateway(settings):
    assert Bird.configured(settings()) is None
    assert Bird.configured(settings(bird_channels="+15552221111=ch-1")) is None


@pytest.mark.parametrize("missing", list(ACCOUNT))
def test_half_a_configuration_names_what_is_missing(settings, missing):
    half = {name: value for name, value in ACCOUNT.items() if name != missing}
    with pytest.raises(ConfigurationError) as raised:
        Bird.configured(settings(**half))
    assert [name for name in ACCOUNT if name.upper() in str(raised.value)] == [missing]


@pytest.mark.parametrize("channels", ["ch-1", "=ch-1", "+15552221111=", "+15552221111=ch-1,x"])
def test_a_channel_without_its_sender_is_a_mistake(settings, channels):
    with pytest.raises(ConfigurationError, match="BIRD_CHANNELS"):
        Bird.configured(settings(**ACCOUNT | {"bird_channels": channels}))


def test_another_address_may_be_set(settings, text, now):
    made = Bird.configured(settings(**ACCOUNT, bird_url="http://127.0.0.1:1/"))
    assert made.build([text()], now).url == "http://127.0.0.1:1/workspaces/ws-1/channels/ch-1/messages"


def test_the_key_is_not_shown(bird):
    assert "live_key" not in repr(bird)
