"""What it means when SES takes no message: its error types and words, and our classes for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import code_in_short, in_short, json_object, wait_asked_for, words
from app.gateways.base import Envelope, HttpResponse
from app.gateways.email.mail import mailbox, well_formed


@dataclass(frozen=True, slots=True)
class Meaning:
    """A class, with a config's scope, and a wait where SES names none but its documents do."""

    kind: OutcomeClass
    scope: ConfigScope | None = None
    wait: timedelta | None = None


_ACCOUNT = Meaning(OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER = Meaning(OutcomeClass.CONFIG, ConfigScope.SENDER)
_DESTINATION = Meaning(OutcomeClass.CONFIG, ConfigScope.DESTINATION)
_CONTENT = Meaning(OutcomeClass.CONTENT)
_RECIPIENT = Meaning(OutcomeClass.RECIPIENT)
_THROTTLE = Meaning(OutcomeClass.THROTTLE)
# The quota is of the last 24 hours, whenever they began.
_QUOTA = Meaning(OutcomeClass.THROTTLE, wait=timedelta(hours=24))
_TRANSIENT = Meaning(OutcomeClass.TRANSIENT)
_UNKNOWN = Meaning(OutcomeClass.UNKNOWN)

# Types without the "Exception" that some of SES's fronts put behind them.
_MEANING: dict[str, Meaning] = {
    "TooManyRequests": _THROTTLE,
    "Throttling": _THROTTLE,
    "LimitExceeded": _QUOTA,
    "AccountSuspended": _ACCOUNT,
    "SendingPaused": _ACCOUNT,
    "MailFromDomainNotVerified": _SENDER,
    "AccessDenied": _ACCOUNT,
    "SignatureDoesNotMatch": _ACCOUNT,
    "InvalidSignature": _ACCOUNT,
    "IncompleteSignature": _ACCOUNT,
    "InvalidClientTokenId": _ACCOUNT,
    "UnrecognizedClient": _ACCOUNT,
    "MissingAuthenticationToken": _ACCOUNT,
    "ExpiredToken": _ACCOUNT,
    "MessageRejected": _CONTENT,
    "NotFound": _ACCOUNT,
    "BadRequest": _CONTENT,
    "InternalFailure": _TRANSIENT,
    "InternalServerError": _TRANSIENT,
    "InternalServiceError": _TRANSIENT,
    "ServiceUnavailable": _TRANSIENT,
}
# Of one entry of a bulk request. SES's model and its text spell some of them in different ways.
_MEANING_OF_ENTRY: dict[str, Meaning] = {
    "ACCOUNT_THROTTLED": _THROTTLE,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": _QUOTA,
    "TRANSIENT_FAILURE": _TRANSIENT,
    "ACCOUNT_SUSPENDED": _ACCOUNT,
    "ACCOUNT_SENDING_PAUSED": _ACCOUNT,
    "CONFIGURATION_SET_SENDING_PAUSED": _ACCOUNT,
    "CONFIGURATION_SET_NOT_FOUND": _ACCOUNT,
    "CONFIGURATION_SET_DOES_NOT_EXIST": _ACCOUNT,
    "INVALID_SENDING_POOL_NAME": _ACCOUNT,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": _SENDER,
    "TEMPLATE_NOT_FOUND": _CONTENT,
    "TEMPLATE_DOES_NOT_EXIST": _CONTENT,
    "MESSAGE_REJECTED": _CONTENT,
    "INVALID_PARAMETER": _CONTENT,
    "INVALID_PARAMETER_VALUE": _CONTENT,
    "FAILED": _CONTENT,
}
_TYPE_OF_ENTRY = {
    "MESSAGE_REJECTED": "MessageRejected",
    "INVALID_PARAMETER": "BadRequest",
    "INVALID_PARAMETER_VALUE": "BadRequest",
}
_MEANING_OF_STATUS = {429: _THROTTLE, 503: _TRANSIENT}

# Something between us and SES gave up waiting; what SES did is not known.
_GATEWAY_STATUSES = {502, 504}
_INTERNAL_ERROR = 500


def refusals(messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
    """Tell what an answer other than 200 means for each message of its request.

    Where it is about one recipient, the others are sent again at once, without that one.
    """
    found = [refusal(message, response) for message in messages]
    if all(each.kind is not OutcomeClass.RECIPIENT for each in found) or len(found) == 1:
        return found
    again = Outcome(kind=OutcomeClass.THROTTLE, code="refused_with_another", retry_after=timedelta(0))
    return [each if each.kind is OutcomeClass.RECIPIENT else again for each in found]


def refusal_of_entry(message: Envelope, status: str, text: str) -> Outcome:
    """Tell what it means that SES has not taken one entry of a bulk request."""
    by_text = _meaning_of_text(message, _TYPE_OF_ENTRY.get(status, ""), text.lower())
    meaning = by_text or _MEANING_OF_ENTRY.get(status, _UNKNOWN)
    return Outcome(
        kind=meaning.kind,
        scope=meaning.scope,
        code=code_in_short(status),
        detail=in_short(text, without=[message.address]),
        retry_after=meaning.wait,
    )


def refusal(message: Envelope, response: HttpResponse) -> Outcome:
    """Tell what an answer other than 200 means for its one message."""
    body = json_object(response.body)
    error_type = _type(response, body)
    text = words(body, "message") or words(body, "Message")
    meaning = _meaning(message, response.status, error_type, text, from_ses=bool(body))
    throttled = meaning.kind == OutcomeClass.THROTTLE
    return Outcome(
        kind=meaning.kind,
        scope=meaning.scope,
        code=code_in_short(error_type) or f"http_{response.status}",
        # Below its first line a signature's error repeats the request with its session token.
        detail=in_short(text.partition("\n")[0], without=[message.address]),
        retry_after=(meaning.wait or wait_asked_for(response.headers)) if throttled else None,
    )


def _type(response: HttpResponse, body: dict[str, Any]) -> str:
    """Find the error's type: it may have a namespace before a # and an address after a colon."""
    header = response.headers.get("x-amzn-errortype", "")
    named = header or words(body, "__type") or words(body, "code") or words(body, "Code")
    return named.partition(":")[0].rpartition("#")[2].strip()


def _meaning(message: Envelope, status: int, error_type: str, text: str, *, from_ses: bool) -> Meaning:
    if status in _GATEWAY_STATUSES:
        return _UNKNOWN
    kind_of_error, text = error_type.removesuffix("Exception"), text.lower()
    by_text = _meaning_of_text(message, kind_of_error, text)
    known = by_text or _MEANING.get(kind_of_error) or _MEANING_OF_STATUS.get(status)
    if known is None and status == _INTERNAL_ERROR and from_ses:
        return _TRANSIENT
    return known or _UNKNOWN


def _meaning_of_text(message: Envelope, kind_of_error: str, text: str) -> Meaning | None:
    """Tell apart what one type stands for; None where the type says it all."""
    if "daily message quota exceeded" in text:
        return _QUOTA
    if kind_of_error == "MessageRejected" and "not verified" in text:
        return _unverified(message, text)
    if kind_of_error == "NotFound" and "template" in text:
        return _CONTENT
    if kind_of_error == "BadRequest" and _is_about_recipient(message, text):
        return _RECIPIENT
    return None


def _unverified(message: Envelope, text: str) -> Meaning:
    """Tell who is not verified: in the sandbox each recipient must be, too."""
    sender = mailbox(message.sender)
    names_sender = sender is not None and sender.address.lower() in text
    return _DESTINATION if message.address.lower() in text and not names_sender else _SENDER


def _is_about_recipient(message: Envelope, text: str) -> bool:
    """Tell whether it is the recipient's address that SES calls malformed.

    SES seldom says which address it means. A broken sender must not suppress everyone it writes
    to, so the recipient is at fault only where SES names it or where ours is the one misspelt.
    """
    if "address" not in text and "domain" not in text:
        return False
    if message.address.lower() in text:
        return True
    ours = [found for each in (message.sender, message.reply_to) if each and (found := mailbox(each))]
    return not well_formed(message.address) and all(well_formed(each.address) for each in ours)
