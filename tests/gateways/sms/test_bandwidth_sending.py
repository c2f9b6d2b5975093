from base64 import b64decode
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass, Priority
from app.errors import ConfigurationError, Invalid
from app.gateways.base import HttpResponse
from app.gateways.sms.bandwidth.sending import Bandwidth

ACCOUNT = {
    "bandwidth_account_id": "9900000",
    "bandwidth_application_id": "93de2206",
    "bandwidth_username": "api-user",
    "bandwidth_password": "p:ss",
}
PNG = "https://example.org/a.png"


@pytest.fixture
def bandwidth(settings):
    return Bandwidth.configured(settings(**ACCOUNT))


@pytest.fixture
def built(bandwidth, now):
    return lambda message: orjson.loads(bandwidth.build([message], now).body)


@pytest.fixture
def read(bandwidth, text):
    def read(status, body, headers=None, **changes):
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        response = HttpResponse(status=status, headers=headers or {}, body=raw)
        (outcome,) = bandwidth.read([text(**changes)], response)
        return outcome

    return read


def test_a_text_is_one_request_for_one_recipient(bandwidth, text, tag, now):
    request = bandwidth.build([text()], now)
    assert (request.method, request.url) == (
        "POST",
        "https://messaging.bandwidth.com/api/v2/users/9900000/messages",
    )
    assert request.headers["Content-Type"] == "application/json"
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"api-user:p:ss"
    assert orjson.loads(request.body) == {
        "applicationId": "93de2206",
        "to": ["+15554443333"],
        "from": "+15552221111",
        "text": "Stay inside",
        "tag": str(tag),
        "priority": "default",
    }


def test_two_recipients_never_share_a_request(bandwidth, text, now):
    assert bandwidth.batch == 1
    with pytest.raises(ValueError, match="unpack"):
        bandwidth.build([text(), text()], now)


def test_a_sender_is_written_without_its_name(built, text):
    assert built(text(sender="Town Hall <+15552221111>"))["from"] == "+15552221111"


def test_media_go_along(built, text):
    assert built(text(sms={"media": [PNG]}))["media"] == [PNG]
    assert "text" not in built(text(text=None, sms={"media": [PNG]}))


def test_the_end_of_validity_is_told_in_utc(built, text):
    expires_at = datetime(2026, 11, 21, 14, 0, 0, 900_000, tzinfo=UTC).astimezone()
    assert built(text(expires_at=expires_at))["expiration"] == "2026-11-21T14:00:00Z"


@pytest.mark.parametrize(
    ("priority", "said"),
    [
        (Priority.P0, "high"),
        (Priority.P1, "high"),
        (Priority.P2, "default"),
        (Priority.P3, "default"),
        (Priority.P4, "high"),
    ],
)
def test_what_is_urgent_has_high_priority(built, text, priority, said):
    assert built(text(priority=priority))["priority"] == said


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"text": "x" * 2049}, "2048 characters"),
        ({"sms": {"media": ["https://e/" + "x" * 4096]}}, "media address"),
        ({"sms": {"content_sid": "HX"}}, "template"),
        ({"text": ""}, "without text"),
    ],
)
def test_what_does_not_fit_is_named_and_not_built(bandwidth, text, now, changes, named):
    assert named in bandwidth.cannot_express(text(**changes))
    with pytest.raises(Invalid, match=named):
        bandwidth.build([text(**changes)], now)


def test_what_just_fits_is_built(bandwidth, text):
    assert bandwidth.cannot_express(text(text="x" * 2048)) is None


def test_202_is_accepted_with_its_id(read):
    assert read(202, {"id": "1589", "segmentCount": 1}) == Outcome(
        kind=OutcomeClass.ACCEPTED, external_id="1589"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "15', b"[]", b'{"id": null}'])
@pytest.mark.parametrize("status", [200, 202, 302])
def test_a_success_that_names_no_message_is_unknown(read, status, body):
    assert read(status, body).kind == OutcomeClass.UNKNOWN


def test_200_is_not_what_bandwidth_says_when_it_has_taken_a_message(read):
    assert read(200, {"id": "1589"}).kind == OutcomeClass.UNKNOWN


VALIDATION = "request-validation"


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "to"}]}, "recipient", None),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "to[0]"}]}, "recipient", None),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "text"}]}, "content", None),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "media"}]}, "content", None),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "topic"}]}, "content", None),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "from"}]}, "config", "sender"),
        (400, {"type": VALIDATION, "fieldErrors": [{"fieldName": "applicationId"}]}, "config", "account"),
        (
            400,
            {"type": VALIDATION, "fieldErrors": [{"fieldName": "to"}, {"fieldName": "from"}]},
            "config",
            "sender",
        ),
        (400, {"type": VALIDATION, "fieldErrors": ["odd", {"fieldName": 7}]}, "content", None),
        (400, {"type": VALIDATION}, "content", None),
        (400, {"type": "something-new"}, "content", None),
        (400, b"<html>Bad Request</html>", "transient", None),
        (401, {"type": "unauthorized", "description": "no"}, "config", "account"),
        (403, {"type": "forbidden"}, "config", "account"),
        (404, {"type": "not-found"}, "config", "account"),
        (406, b"", "config", "account"),
        (415, b"", "config", "account"),
        (408, b"", "transient", None),
        (429, {"type": "max-message-queue-size-exceeded"}, "throttle", None),
        (500, {"type": "internal-server-error"}, "transient", None),
        (502, {"type": "bad-gateway"}, "transient", None),
        (504, {"type": "gateway-timeout"}, "transient", None),
        (503, b"", "transient", None),
        (502, b"<html>", "unknown", None),
        (504, b"", "unknown", None),
        (302, b"", "unknown", None),
        (599, b"", "transient", None),
        (600, b"", "unknown", None),
    ],
)
def test_each_answer_has_its_class(read, status, body, kind, scope):
    outcome = read(status, body)
    assert (outcome.kind, outcome.scope) == (OutcomeClass(kind), ConfigScope(scope) if scope else None)
    assert outcome.external_id is None


def test_a_throttle_waits_as_long_as_it_says_where_it_says(read):
    assert read(429, {"type": "too-many"}, {"retry-after": "7"}).retry_after == timedelta(seconds=7)
    assert read(429, {"type": "too-many"}).retry_after is None
    assert read(503, b"", {"retry-after": "7"}).retry_after is None


def test_the_vendors_words_are_kept_without_the_number(read):
    body = {
        "type": VALIDATION,
        "description": "Your request could not be accepted",
        "fieldErrors": [{"fieldName": "to", "description": "'+15554443333' must be a valid number"}],
    }
    outcome = read(400, body)
    assert outcome.code == "request-validation"
    assert outcome.detail == "Your request could not be accepted to: '<removed>' must be a valid number"


def test_an_answer_without_words_is_named_by_its_status(read):
    assert read(503, b"").code == "http_503"


def test_nothing_configured_is_no_gateway(settings):
    assert Bandwidth.configured(settings()) is None


@pytest.mark.parametrize("missing", list(ACCOUNT))
def test_half_a_configuration_names_what_is_missing(settings, missing):
    half = {name: value for name, value in ACCOUNT.items() if name != missing}
    with pytest.raises(ConfigurationError) as raised:
        Bandwidth.configured(settings(**half))
    assert [name for name in ACCOUNT if name.upper() in str(raised.value)] == [missing]


def test_another_address_may_be_set(settings, text, now):
    made = Bandwidth.configured(settings(**ACCOUNT, bandwidth_url="http://127.0.0.1:1/"))
    assert made.build([text()], now).url == "http://127.0.0.1:1/api/v2/users/9900000/messages"


def test_the_password_is_not_shown(bandwidth):
    assert "p:ss" not in repr(bandwidth)
    assert "Basic" not in repr(bandwidth)
