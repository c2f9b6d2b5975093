from datetime import timedelta

import orjson
import pytest

from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse
from app.gateways.email.ses.refusals import refusal

ACCOUNT, SENDER, DESTINATION = ConfigScope.ACCOUNT, ConfigScope.SENDER, ConfigScope.DESTINATION
DAY = timedelta(hours=24)


def answer(status, error_type, text="", headers=None):
    body = orjson.dumps({"message": text})
    return HttpResponse(status=status, headers={"x-amzn-errortype": error_type} | (headers or {}), body=body)


@pytest.mark.parametrize(
    ("status", "error_type", "kind", "scope"),
    [
        (429, "TooManyRequestsException", "throttle", None),
        (400, "Throttling", "throttle", None),
        (400, "ThrottlingException", "throttle", None),
        (400, "LimitExceededException", "throttle", None),
        (400, "AccountSuspendedException", "config", ACCOUNT),
        (400, "SendingPausedException", "config", ACCOUNT),
        (400, "MailFromDomainNotVerifiedException", "config", SENDER),
        (403, "AccessDenied", "config", ACCOUNT),
        (403, "AccessDeniedException", "config", ACCOUNT),
        (403, "SignatureDoesNotMatch", "config", ACCOUNT),
        (403, "InvalidSignatureException", "config", ACCOUNT),
        (403, "InvalidClientTokenId", "config", ACCOUNT),
        (403, "UnrecognizedClientException", "config", ACCOUNT),
        (403, "MissingAuthenticationTokenException", "config", ACCOUNT),
        (403, "ExpiredToken", "config", ACCOUNT),
        (403, "ExpiredTokenException", "config", ACCOUNT),
        (400, "MessageRejected", "content", None),
        (404, "NotFoundException", "config", ACCOUNT),
        (400, "BadRequestException", "content", None),
        (500, "InternalFailure", "transient", None),
        (500, "InternalServerErrorException", "transient", None),
        (503, "ServiceUnavailable", "transient", None),
        (400, "SomethingNewException", "unknown", None),
    ],
)
def test_each_error_type_has_its_class(envelope, status, error_type, kind, scope):
    outcome = refusal(envelope(), answer(status, error_type, "words"))
    assert (outcome.kind, outcome.scope) == (OutcomeClass(kind), scope)
    assert (outcome.code, outcome.detail) == (error_type, "words")


@pytest.mark.parametrize(
    ("error_type", "text", "kind", "scope"),
    [
        ("MessageRejected", "Email address is not verified. Failed: news@example.org", "config", SENDER),
        ("MessageRejected", "Email address is not verified. Failed: RCPT@example.com", "config", DESTINATION),
        (
            "MessageRejected",
            "Email address is not verified. Failed: news@example.org, rcpt@example.com",
            "config",
            SENDER,
        ),
        ("MessageRejected", "Email address is not verified.", "config", SENDER),
        ("MessageRejected", "Transaction failed: invalid content", "content", None),
        ("NotFoundException", "Template welcome does not exist", "content", None),
        ("NotFoundException", "Configuration set <tocsin> does not exist.", "config", ACCOUNT),
        ("BadRequestException", "Invalid email address rcpt@example.com", "recipient", None),
        ("BadRequestException", "Illegal address", "content", None),
        ("BadRequestException", "Unsupported file type", "content", None),
        ("BadRequestException", "Daily message quota exceeded.", "throttle", None),
    ],
)
def test_one_type_is_told_apart_by_its_words(envelope, error_type, text, kind, scope):
    outcome = refusal(envelope(), answer(400, error_type, text))
    assert (outcome.kind, outcome.scope) == (OutcomeClass(kind), scope)


@pytest.mark.parametrize("text", ["Illegal address", "Domain starts with dot"])
def test_a_misspelt_recipient_is_at_fault_where_the_sender_is_not(envelope, text):
    response = answer(400, "BadRequestException", text)
    assert refusal(envelope(address="a..b@example.com"), response).kind == OutcomeClass.RECIPIENT
    misspelt_sender = envelope(address="a..b@example.com", sender="n..n@example.org")
    assert refusal(misspelt_sender, response).kind == OutcomeClass.CONTENT


@pytest.mark.parametrize(
    ("error_type", "text", "wait"),
    [
        ("TooManyRequestsException", "Maximum sending rate exceeded.", None),
        ("TooManyRequestsException", "Daily message quota exceeded.", DAY),
        ("Throttling", "Daily message quota exceeded", DAY),
        ("LimitExceededException", "", DAY),
    ],
)
def test_only_the_days_quota_is_waited_for_long(envelope, error_type, text, wait):
    assert refusal(envelope(), answer(400, error_type, text)).retry_after == wait


@pytest.mark.parametrize(
    "header",
    [
        "MessageRejected:http://internal.amazon.com/coral/com.amazonaws.sesv2/",
        "com.amazonaws.sesv2#MessageRejected",
        "com.amazonaws.sesv2#MessageRejected:x",
        "MessageRejected",
    ],
)
def test_a_type_is_found_whatever_is_round_it(envelope, header):
    assert refusal(envelope(), answer(400, header)).code == "MessageRejected"


@pytest.mark.parametrize("member", ["__type", "code", "Code"])
def test_a_type_is_found_in_the_body(envelope, member):
    body = orjson.dumps({member: "com.amazonaws.sesv2#AccountSuspendedException", "Message": "words"})
    outcome = refusal(envelope(), HttpResponse(status=400, headers={}, body=body))
    assert (outcome.kind, outcome.scope) == (OutcomeClass.CONFIG, ACCOUNT)
    assert (outcome.code, outcome.detail) == ("AccountSuspendedException", "words")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>", "unknown"),
        (504, b"<html>", "unknown"),
        (504, b'{"__type":"ServiceUnavailable"}', "unknown"),
        (503, b"<html>", "transient"),
        (500, b'{"message":null}', "transient"),
        (500, b"<html>", "unknown"),
        (429, b"", "throttle"),
        (404, b"<html>", "unknown"),
        (301, b"", "unknown"),
    ],
)
def test_without_a_type_the_status_decides(envelope, status, body, kind):
    outcome = refusal(envelope(), HttpResponse(status=status, headers={}, body=body))
    assert outcome.kind == OutcomeClass(kind)


def test_a_session_token_that_aws_repeats_is_not_kept(envelope):
    text = "The request signature does not match.\n\nThe Canonical String was\n'x-amz-security-token:FwoG'"
    assert refusal(envelope(), answer(403, "SignatureDoesNotMatch", text)).detail == (
        "The request signature does not match."
    )


def test_addresses_in_words_are_not_kept(envelope):
    text = "Email address is not verified: rcpt@example.com, news@example.org"
    assert "example" not in refusal(envelope(), answer(400, "MessageRejected", text)).detail
