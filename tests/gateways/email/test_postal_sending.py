from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import Invalid
from app.gateways.base import Attachment, HttpResponse
from app.gateways.email.postal.sending import Postal

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = "q8Zk2LmN0pXs7vTd"


@pytest.fixture(scope="module")
def postal():
    return Postal(url="https://postal.example.net", api_key=KEY, timeout=timedelta(seconds=9))


def answer(body, status=200, headers=None):
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpResponse(status=status, headers=headers or {}, body=body)


def success(messages):
    return answer(
        {"status": "success", "time": 0.02, "flags": {}, "data": {"message_id": "u@rp", "messages": messages}}
    )


def refusal(code, message="words"):
    return answer({"status": "error", "time": 0.0, "flags": {}, "data": {"code": code, "message": message}})


def test_a_request_carries_one_recipient_and_our_tag(postal, envelope):
    request = postal.build([envelope()], NOW)
    assert (request.method, request.url) == ("POST", "https://postal.example.net/api/v1/send/message")
    assert request.timeout == timedelta(seconds=9)
    assert orjson.loads(request.body) == {
        "to": ["rcpt@example.com"],
        "from": "Town Hall <news@example.org>",
        "subject": "Hello",
        "tag": "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2",
        "plain_body": "Plain words",
        "html_body": "<p>Rich words</p>",
    }


def test_headers_reply_address_and_files_go_along(postal, envelope):
    message = envelope(
        reply_to="Büro <office@example.org>",
        headers={"List-Unsubscribe": "<https://example.org/u>", "X-Ort": "Köln"},
        attachments=[Attachment(filename="ä.pdf", content_type="application/pdf", content=b"%PDF\0")],
    )
    body = orjson.loads(postal.build([message], NOW).body)
    assert body["reply_to"] == '"Büro" <office@example.org>'
    assert body["headers"] == {"List-Unsubscribe": "<https://example.org/u>", "X-Ort": "Köln"}
    assert body["attachments"] == [
        {"name": "ä.pdf", "content_type": "application/pdf", "data": b64encode(b"%PDF\0").decode()}
    ]


def test_the_api_key_is_in_its_header_and_nowhere_else(postal, envelope):
    request = postal.build([envelope()], NOW)
    assert request.headers == {"Content-Type": "application/json", "X-Server-API-Key": KEY}
    assert KEY not in request.url
    assert KEY.encode() not in request.body
    assert KEY not in repr(postal)


def test_what_cannot_be_expressed_is_not_built(postal, envelope):
    with pytest.raises(Invalid, match="subject"):
        postal.build([envelope(subject="a\r\nBcc: b@example.net")], NOW)


def test_pictures_inside_a_text_go_as_a_whole_mail(postal, envelope):
    picture = Attachment(filename="a.png", content_type="image/png", content=b"x", content_id="a")
    request = postal.build([envelope(attachments=[picture])], NOW)
    body = orjson.loads(request.body)
    assert request.url == "https://postal.example.net/api/v1/send/raw"
    assert (body["rcpt_to"], body["mail_from"]) == (["rcpt@example.com"], "news@example.org")
    mail = message_from_bytes(b64decode(body["data"]), policy=policy.default)
    assert mail["x-postal-tag"] == "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
    assert mail["message-id"] == "<019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2@example.org>"
    (_, related) = mail.iter_parts()
    assert [part["content-id"] for part in related.iter_parts()] == [None, "<a>"]


@pytest.mark.parametrize("content_id", [None, "a"])
def test_what_is_larger_than_mails_may_be_cannot_be_expressed(postal, envelope, content_id):
    file = Attachment(filename="a", content_type="a/b", content=bytes(20 * 1024**2), content_id=content_id)
    assert postal.cannot_express(envelope(attachments=[file])) == "more than 25 MB"
    assert postal.cannot_express(envelope()) is None


@pytest.mark.parametrize("spelling", ["rcpt@example.com", "RCPT@Example.com"])
def test_the_id_of_our_recipients_message_is_kept(postal, envelope, spelling):
    messages = {"other@example.com": {"id": 1}, spelling: {"id": 37171, "token": "a4udnay1"}}
    outcome = Outcome(kind=OutcomeClass.ACCEPTED, external_id="37171")
    assert postal.read([envelope()], success(messages)) == [outcome]


def test_the_only_message_is_ours_however_it_is_spelt(postal, envelope):
    outcome = postal.read([envelope()], success({"<rcpt@example.com>": {"id": 5}}))[0]
    assert (outcome.kind, outcome.external_id) == (OutcomeClass.ACCEPTED, "5")


def test_of_several_messages_none_is_ours_that_is_not_named_so(postal, envelope):
    messages = {"a@example.com": {"id": 1}, "b@example.com": {"id": 2}}
    assert postal.read([envelope()], success(messages))[0].kind == OutcomeClass.UNKNOWN


ACCOUNT, SENDER = ConfigScope.ACCOUNT, ConfigScope.SENDER


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        ("AccessDenied", "config", ACCOUNT),
        ("InvalidServerAPIKey", "config", ACCOUNT),
        ("ServerSuspended", "config", ACCOUNT),
        ("UnauthenticatedFromAddress", "config", SENDER),
        ("FromAddressMissing", "config", SENDER),
        ("NoContent", "content", None),
        ("AttachmentMissingName", "content", None),
        ("AttachmentMissingData", "content", None),
        ("NoRecipients", "content", None),
        ("TooManyToAddresses", "content", None),
        ("TooManyCCAddresses", "content", None),
        ("TooManyBCCAddresses", "content", None),
        ("SomethingNew", "unknown", None),
    ],
)
def test_each_error_code_has_its_class(postal, envelope, code, kind, scope):
    assert postal.read([envelope()], refusal(code)) == [
        Outcome(kind=OutcomeClass(kind), scope=scope, code=code, detail="words")
    ]


def test_a_parameter_error_is_about_the_content(postal, envelope):
    response = answer({"status": "parameter-error", "data": {"message": "`to` parameter is required"}})
    (outcome,) = postal.read([envelope()], response)
    assert (outcome.kind, outcome.code) == (OutcomeClass.CONTENT, "parameter-error")


def test_the_key_that_postal_repeats_is_not_kept(postal, envelope):
    data = {"code": "InvalidServerAPIKey", "message": f"The API token {KEY} is not valid", "token": KEY}
    (outcome,) = postal.read([envelope()], answer({"status": "error", "data": data}))
    assert KEY not in repr(outcome)
    assert outcome.detail == "The API token <removed> is not valid"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (503, "transient"),
        (502, "unknown"),
        (504, "unknown"),
        (500, "unknown"),
        (404, "unknown"),
        (429, "throttle"),
    ],
)
def test_another_status_is_a_proxys(postal, envelope, status, kind):
    (outcome,) = postal.read([envelope()], answer(b"<html>", status))
    assert (outcome.kind, outcome.code) == (OutcomeClass(kind), f"http_{status}")


def test_a_proxy_that_is_too_busy_may_say_how_long(postal, envelope):
    (outcome,) = postal.read([envelope()], answer(b"", 429, {"retry-after": "7"}))
    assert outcome.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>ok</html>",
        b"",
        b"[]",
        b"{}",
        {"status": "success"},
        {"status": "success", "data": {"messages": {}}},
        {"status": "success", "data": [1]},
        {"status": 1},
        {"status": "error", "data": "x"},
    ],
)
def test_an_answer_of_another_shape_leaves_it_unknown(postal, envelope, body):
    (outcome,) = postal.read([envelope()], answer(body))
    assert outcome.kind == OutcomeClass.UNKNOWN
    assert outcome.code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "data", "code", "message", "messages", "id", "rcpt@example.com"]),
            inner,
        )
    ),
)


@given(st.binary() | JSON.map(orjson.dumps), st.sampled_from([200, 200, 0, 204, 301, 429, 500, 503, 999]))
def test_no_answer_makes_reading_fail(postal, envelope, body, status):
    assert len(postal.read([envelope()], answer(body, status))) == 1


@given(st.sampled_from(["success", "error", "parameter-error"]), JSON)
def test_no_data_makes_reading_fail(postal, envelope, status, data):
    assert len(postal.read([envelope()], answer({"status": status, "data": data}))) == 1
