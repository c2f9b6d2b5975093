from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import orjson
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import OutcomeClass
from app.errors import Invalid, Unavailable
from app.gateways.base import Attachment, HttpResponse
from app.gateways.email.ses.sending import Ses

NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
CREDENTIALS = ReadOnlyCredentials("AKIDEXAMPLE", "a-secret", None)
FILE = Attachment(filename="ä.pdf", content_type="application/pdf", content=b"%PDF\0")
PICTURE = Attachment(filename="a.png", content_type="image/png", content=b"PNG", content_id="<logo>")


@pytest.fixture(scope="module")
def ses():
    return Ses(
        region="eu-west-1",
        credentials=lambda: CREDENTIALS,
        endpoint="https://email.eu-west-1.amazonaws.com",
        configuration_set="tocsin-events",
        timeout=timedelta(seconds=9),
    )


@pytest.fixture(scope="module")
def send_email():
    return Session().get_service_model("sesv2").operation_model("SendEmail")


def built(ses, message):
    return orjson.loads(ses.build([message], NOW).body)


def test_a_request_carries_one_recipient_and_our_tag(ses, envelope):
    request = ses.build([envelope(category="digest")], NOW)
    assert (request.method, request.timeout) == ("POST", timedelta(seconds=9))
    assert request.url == "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
    assert orjson.loads(request.body) == {
        "FromEmailAddress": "Town Hall <news@example.org>",
        "Destination": {"ToAddresses": ["rcpt@example.com"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Hello", "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": "Plain words", "Charset": "UTF-8"},
                    "Html": {"Data": "<p>Rich words</p>", "Charset": "UTF-8"},
                },
            }
        },
        "EmailTags": [
            {"Name": "tocsin", "Value": "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"},
            {"Name": "category", "Value": "digest"},
        ],
        "ConfigurationSetName": "tocsin-events",
    }


@pytest.mark.parametrize("category", [None, "", "Ä", "a b", "a.b", "x" * 257])
def test_a_category_that_ses_has_no_letters_for_is_no_tag(ses, envelope, category):
    assert [tag["Name"] for tag in built(ses, envelope(category=category))["EmailTags"]] == ["tocsin"]


def test_names_beyond_ascii_are_encoded_words(ses, envelope):
    body = built(ses, envelope(sender="Büro <a@example.org>", reply_to='"Büro, Köln" <b@example.org>'))
    assert body["FromEmailAddress"] == "=?utf-8?b?QsO8cm8=?= <a@example.org>"
    assert body["ReplyToAddresses"] == ["=?utf-8?b?QsO8cm8sIEvDtmxu?= <b@example.org>"]


def test_headers_and_files_go_along(ses, envelope):
    headers = {"List-Unsubscribe": "<https://example.org/u>", "X-Ort": "Köln"}
    content = built(ses, envelope(headers=headers, attachments=[FILE, PICTURE]))["Content"]["Simple"]
    assert content["Headers"] == [
        {"Name": "List-Unsubscribe", "Value": "<https://example.org/u>"},
        {"Name": "X-Ort", "Value": "=?utf-8?b?S8O2bG4=?="},
    ]
    assert content["Attachments"] == [
        {
            "RawContent": b64encode(b"%PDF\0").decode(),
            "FileName": "ä.pdf",
            "ContentType": "application/pdf",
            "ContentDisposition": "ATTACHMENT",
        },
        {
            "RawContent": b64encode(b"PNG").decode(),
            "FileName": "a.png",
            "ContentType": "image/png",
            "ContentDisposition": "INLINE",
            "ContentId": "logo",
        },
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"subject": None, "text": None},
        {"html": None, "sender": "市役所 <a@example.org>", "reply_to": "a@example.org"},
        {"headers": {f"X-{n}": "värde" * n for n in range(1, 16)}},
        {"attachments": [FILE, PICTURE], "category": "digest"},
    ],
)
def test_what_is_built_is_what_botocores_model_describes(ses, send_email, envelope, changes):
    report = ParamValidator().validate(built(ses, envelope(**changes)), send_email.input_shape)
    assert report.generate_report() == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {f"X-{n}": "v" for n in range(16)}},
        {"headers": {"X-A": "words " * 200}},
        {"headers": {"X-A": "ä" * 400}},
        {"attachments": [Attachment(filename="a" * 256, content_type="a/b", content=b"x")]},
        {"attachments": [Attachment(filename="a", content_type="a/" + "b" * 77, content=b"x")]},
        {"attachments": [Attachment(filename="a", content_type="a/b", content=b"x", content_id="c" * 79)]},
    ],
)
def test_what_the_simple_form_has_no_place_for_goes_as_a_whole_mail(ses, send_email, envelope, changes):
    body = built(ses, envelope(**changes))
    assert list(body["Content"]) == ["Raw"]
    assert ParamValidator().validate(body, send_email.input_shape).generate_report() == ""
    mail = message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]), policy=policy.default)
    assert mail["from"] == "Town Hall <news@example.org>"
    assert body["Destination"] == {"ToAddresses": ["rcpt@example.com"]}
    assert body["EmailTags"][0]["Value"] == "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
    assert mail["message-id"] == "<019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2@example.org>"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"headers": {"X-A": "v" * 999}}, "the length of the header X-A"),
        ({"subject": "a\nb"}, "a control character in the subject"),
        (
            {"attachments": [Attachment(filename="a", content_type="a/b", content=b"x" * 31_457_281)]},
            "more than 40 MB",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_not_built(ses, envelope, changes, named):
    message = envelope(**changes)
    assert ses.cannot_express(message) == named
    with pytest.raises(Invalid):
        ses.build([message], NOW)


def test_as_much_as_fits_can_be_expressed(ses, envelope):
    headers = {f"X-{n}": "v" for n in range(13)} | {"X-A": "v" * 993, "X-B": "v" * 993}
    message = envelope(headers=headers, attachments=[FILE, PICTURE])
    assert ses.cannot_express(message) is None
    assert list(built(ses, message)["Content"]) == ["Simple"]


def test_credentials_are_asked_for_each_request(envelope):
    given_out = iter([CREDENTIALS, ReadOnlyCredentials("ASIANEXT", "another", "a-token")])
    ses = Ses(region="eu-west-1", credentials=lambda: next(given_out), endpoint="https://ses.example")
    first, second = (ses.build([envelope()], NOW).headers for _ in range(2))
    assert "Credential=AKIDEXAMPLE/20261121/eu-west-1/ses/aws4_request" in first["Authorization"]
    assert "Credential=ASIANEXT/20261121/eu-west-1/ses/aws4_request" in second["Authorization"]
    assert "X-Amz-Security-Token" not in first
    assert second["X-Amz-Security-Token"] == "a-token"


def test_credentials_that_cannot_be_renewed_are_named(envelope):
    def fail():
        raise CredentialRetrievalError(provider="test", error_msg="no")

    with pytest.raises(Unavailable, match="credentials"):
        Ses(region="eu-west-1", credentials=fail, endpoint="https://ses.example").build([envelope()], NOW)


def test_an_accepted_message_has_its_id(ses, envelope):
    response = HttpResponse(status=200, headers={}, body=b'{"MessageId":"0100-000000"}')
    (outcome,) = ses.read([envelope()], response)
    assert (outcome.kind, outcome.external_id) == (OutcomeClass.ACCEPTED, "0100-000000")


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"MessageId":null}', b'{"MessageId":""}'])
def test_a_success_that_names_no_message_leaves_it_unknown(ses, envelope, body):
    (outcome,) = ses.read([envelope()], HttpResponse(status=200, headers={}, body=body))
    assert outcome.kind == OutcomeClass.UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["message", "Message", "__type", "code", "MessageId"]), inner)
    ),
)


@given(st.binary() | JSON.map(orjson.dumps), st.integers(0, 999), st.text())
def test_no_answer_makes_reading_fail(ses, envelope, body, status, error_type):
    response = HttpResponse(status=status, headers={"x-amzn-errortype": error_type}, body=body)
    assert len(ses.read([envelope()], response)) == 1
