"""Messages that all say the same, in one request to SES."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Tag
from app.domain.vocabulary import Priority
from app.gateways.base import Attachment, HttpResponse
from app.gateways.email.ses.sending import Ses

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SES = Ses(
    region="eu-west-1",
    credentials=lambda: ReadOnlyCredentials("AKIDEXAMPLE", "a-secret", None),
    endpoint="https://email.eu-west-1.amazonaws.com",
    configuration_set="tocsin-events",
)
FILE = Attachment(filename="a", content_type="a/b", content=b"x")


@pytest.fixture(scope="module")
def several(envelope):
    """Makes messages of one content; `changes` are by position."""

    def make(count, common=None, **changes):
        return [
            envelope(
                **{
                    "tag": Tag(uuid=UUID(int=n), priority=Priority.P1, attempt=1),
                    "address": f"a{n}@example.com",
                }
                | (common or {})
                | changes.get(f"at{n}", {})
            )
            for n in range(count)
        ]

    return make


def answer(body, status=200, error=""):
    return HttpResponse(status=status, headers={"x-amzn-errortype": error}, body=orjson.dumps(body))


def results(*entries):
    return answer({"BulkEmailEntryResults": list(entries)})


def taken(number):
    return {"Status": "SUCCESS", "MessageId": f"0100-{number}"}


DIGEST = {"category": "digest", "reply_to": "Büro <b@example.org>"}
HEADERS = {"List-Unsubscribe": "<https://example.org/1>", "X-Ort": "Köln"}


def bulk_entry(number, **own):
    """Give what the digest's request says of one recipient."""
    return {
        "Destination": {"ToAddresses": [f"a{number}@example.com"]},
        "ReplacementTags": [
            {"Name": "tocsin", "Value": f"00000000-0000-0000-0000-00000000000{number}_P1_1"},
            {"Name": "category", "Value": "digest"},
        ],
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": "{}"}},
        **own,
    }


def test_one_content_is_said_once_and_each_recipient_has_tags_and_headers_of_their_own(several):
    request = SES.build(several(2, DIGEST, at1={"headers": HEADERS}), NOW)
    assert request.url == "https://email.eu-west-1.amazonaws.com/v2/email/outbound-bulk-emails"
    headers = [
        {"Name": "List-Unsubscribe", "Value": "<https://example.org/1>"},
        {"Name": "X-Ort", "Value": "=?utf-8?b?S8O2bG4=?="},
    ]
    content = {"Subject": "Hello", "Text": "Plain words", "Html": "<p>Rich words</p>"}
    assert orjson.loads(request.body) == {
        "FromEmailAddress": "Town Hall <news@example.org>",
        "ReplyToAddresses": ["=?utf-8?b?QsO8cm8=?= <b@example.org>"],
        "DefaultContent": {"Template": {"TemplateContent": content, "TemplateData": "{}"}},
        "BulkEmailEntries": [bulk_entry(0), bulk_entry(1, ReplacementHeaders=headers)],
        "ConfigurationSetName": "tocsin-events",
    }


def test_the_request_has_the_shape_that_sess_own_model_asks_for(several):
    request = SES.build(several(2, DIGEST, at1={"headers": HEADERS}), NOW)
    shape = Session().get_service_model("sesv2").operation_model("SendBulkEmail").input_shape
    assert ParamValidator().validate(orjson.loads(request.body), shape).generate_report() == ""


def test_a_message_alone_goes_as_before(several):
    assert SES.build(several(1), NOW).url.endswith("/v2/email/outbound-emails")


def test_fifty_go_together(several):
    assert SES.joint(several(51)) == 50
    assert SES.batch == 50


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "Other"},
        {"text": "Other"},
        {"html": None},
        {"sender": "other@example.org"},
        {"reply_to": "other@example.org"},
        {"attachments": [FILE]},
        {"address": "no..body@example.com"},
        {"headers": {"X-A": "a" * 801}},
        {"headers": {f"X-{n}": "v" for n in range(16)}},
        {"headers": {"Bcc": "a@example.net"}},
    ],
)
def test_what_differs_from_the_first_waits_for_the_next_request(several, other):
    assert SES.joint(several(4, at2=other)) == 2


@pytest.mark.parametrize(
    "common",
    [
        {"subject": "{{a}}"},
        {"text": "write {{ in two"},
        {"html": "<p>{{{x}}}</p>"},
        {"attachments": [FILE]},
        {"text": "x" * 400_001},
    ],
)
def test_what_would_be_a_placeholder_or_fits_no_template_goes_alone(several, common):
    assert SES.joint(several(3, common)) == 1


@pytest.mark.parametrize("text", ["a { b } c", "}}", "{%x%}", "\\", "{ {"])
def test_what_is_no_placeholder_goes_together(several, text):
    assert SES.joint(several(3, {"text": text})) == 3


def test_each_has_an_id_of_its_own_by_position(several):
    outcomes = SES.read(several(3), results(taken(1), taken(2), taken(3)))
    assert [(each.kind, each.external_id) for each in outcomes] == [
        ("accepted", "0100-1"),
        ("accepted", "0100-2"),
        ("accepted", "0100-3"),
    ]


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        ("MESSAGE_REJECTED", "content", None),
        ("MAIL_FROM_DOMAIN_NOT_VERIFIED", "config", "sender"),
        ("CONFIGURATION_SET_NOT_FOUND", "config", "account"),
        ("CONFIGURATION_SET_DOES_NOT_EXIST", "config", "account"),
        ("TEMPLATE_NOT_FOUND", "content", None),
        ("TEMPLATE_DOES_NOT_EXIST", "content", None),
        ("ACCOUNT_SUSPENDED", "config", "account"),
        ("ACCOUNT_THROTTLED", "throttle", None),
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", "throttle", None),
        ("INVALID_SENDING_POOL_NAME", "config", "account"),
        ("ACCOUNT_SENDING_PAUSED", "config", "account"),
        ("CONFIGURATION_SET_SENDING_PAUSED", "config", "account"),
        ("INVALID_PARAMETER", "content", None),
        ("INVALID_PARAMETER_VALUE", "content", None),
        ("TRANSIENT_FAILURE", "transient", None),
        ("FAILED", "content", None),
        ("SOMETHING_NEW", "unknown", None),
        ("", "unknown", None),
    ],
)
def test_each_status_is_of_its_entry_alone(several, status, kind, scope):
    outcomes = SES.read(several(3), results(taken(1), {"Status": status, "Error": "words"}, taken(3)))
    assert [each.kind for each in outcomes] == ["accepted", kind, "accepted"]
    assert (outcomes[1].scope, outcomes[1].detail) == (scope, "words")


def test_the_days_quota_is_waited_for_long(several):
    entry = {"Status": "ACCOUNT_DAILY_QUOTA_EXCEEDED"}
    assert SES.read(several(2), results(entry, taken(2)))[0].retry_after == timedelta(hours=24)


def test_an_entry_whose_address_ses_names_is_about_the_recipient(several):
    entry = {"Status": "INVALID_PARAMETER", "Error": "Illegal address: a0@example.com"}
    outcome = SES.read(several(2), results(entry, taken(2)))[0]
    assert (outcome.kind, "a0@" in outcome.detail) == ("recipient", False)


@pytest.mark.parametrize(
    "response",
    [
        results(taken(1)),
        results(taken(1), taken(2), taken(3)),
        answer({"MessageId": "0100"}),
        answer([]),
        HttpResponse(status=200, headers={}, body=b"<html>"),
    ],
)
def test_results_that_are_not_one_for_each_leave_all_unknown(several, response):
    assert [each.kind for each in SES.read(several(2), response)] == ["unknown", "unknown"]


def test_a_success_without_an_id_leaves_its_own_unknown(several):
    outcomes = SES.read(several(2), results({"Status": "SUCCESS"}, taken(2)))
    assert [each.kind for each in outcomes] == ["unknown", "accepted"]


@pytest.mark.parametrize(
    ("status", "error", "text", "kind"),
    [
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", "throttle"),
        (403, "SignatureDoesNotMatch", "no", "config"),
        (503, "ServiceUnavailable", "down", "transient"),
        (504, "", "", "unknown"),
        (400, "MessageRejected", "Message content was found to be invalid.", "content"),
        (400, "BadRequestException", "Something is wrong.", "content"),
    ],
)
def test_an_answer_to_all_is_of_each(several, status, error, text, kind):
    outcomes = SES.read(several(3), answer({"message": text}, status, error))
    assert [each.kind for each in outcomes] == [kind] * 3


def test_one_bad_address_does_not_fail_the_others(several):
    refused = answer({"message": "Illegal address: a1@example.com"}, 400, "BadRequestException")
    outcomes = SES.read(several(3), refused)
    assert [(each.kind, each.retry_after) for each in outcomes] == [
        ("throttle", timedelta(0)),
        ("recipient", None),
        ("throttle", timedelta(0)),
    ]


@given(
    st.integers(0, 999),
    st.binary()
    | st.lists(st.none() | st.integers(-9, 9) | st.text()).map(
        lambda entries: orjson.dumps({"BulkEmailEntryResults": entries})
    ),
)
def test_no_answer_makes_reading_fail(several, status, body):
    messages = several(3)
    assert len(SES.read(messages, HttpResponse(status=status, headers={}, body=body))) == 3
