"""What it means when SendGrid takes no request: its statuses and named fields, and our classes for them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import code_in_short, in_short, json_object, listed, part, wait_asked_for, words
from app.gateways.base import Envelope, HttpResponse

Meaning = tuple[OutcomeClass, ConfigScope | None]

_ACCOUNT = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER = (OutcomeClass.CONFIG, ConfigScope.SENDER)
_CONTENT = (OutcomeClass.CONTENT, None)
_RECIPIENT = (OutcomeClass.RECIPIENT, None)
_THROTTLE = (OutcomeClass.THROTTLE, None)
_TRANSIENT = (OutcomeClass.TRANSIENT, None)
_UNKNOWN = (OutcomeClass.UNKNOWN, None)

_BAD_REQUEST = 400
_FORBIDDEN = 403
_TOO_LARGE = 413

# A status that is not here, 500, 502 and 504 among them, does not tell what SendGrid did.
_MEANING_OF_STATUS: dict[int, Meaning] = {
    400: _CONTENT,
    401: _ACCOUNT,
    403: _ACCOUNT,
    404: _ACCOUNT,
    405: _ACCOUNT,
    406: _ACCOUNT,
    413: _CONTENT,
    415: _ACCOUNT,
    429: _THROTTLE,
    503: _TRANSIENT,
}

# What a refusal is about, by the first word of the field that it names; all else is the content.
_MEANING_OF_FIELD: dict[str, Meaning] = {"from": _SENDER, "ip_pool_name": _SENDER, "asm": _SENDER}

_ENTRY = re.compile(r"personalizations\.([0-9]{1,4})(?:\.(.+))?", re.ASCII)
_ABOUT_THE_ADDRESS = re.compile(r"to(?:\.0(?:\.email)?)?", re.ASCII)
_TOLD_TWICE = "only be included once"
_UNVERIFIED_SENDER = "sender identity"
_RESET = re.compile(r"[0-9]{1,12}", re.ASCII)
# Nobody waits longer for a limit: a figure beyond it is no time at which one ends.
_LONGEST_RESET = timedelta(hours=24)


def refusals(messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
    """Tell what an answer without success means for each message of the request.

    SendGrid validates a request as a whole: where it names entries at fault, the others were not sent
    for no fault of their own and go again at once.
    """
    errors = [part(each) for each in listed(json_object(response.body), "errors")]
    if response.status != _BAD_REQUEST:
        return [_whole(messages, response, errors)] * len(messages)
    at_fault: dict[int, Outcome] = {}
    about_all: list[dict[str, Any]] = []
    for error in errors:
        entry = _ENTRY.fullmatch(words(error, "field"))
        if entry and int(entry[1]) < len(messages):
            number = int(entry[1])
            at_fault.setdefault(number, _entry(messages[number], entry[2] or "", error))
        else:
            about_all.append(error)
    rest = _NOT_AT_FAULT if at_fault and not about_all else _whole(messages, response, about_all)
    return [at_fault.get(number, rest) for number in range(len(messages))]


_NOT_AT_FAULT = Outcome(
    kind=OutcomeClass.THROTTLE,
    code="http_400",
    detail="another message of the same request was refused",
    retry_after=timedelta(0),
)


def _entry(message: Envelope, field: str, error: dict[str, Any]) -> Outcome:
    said = words(error, "message")
    kind, scope = _RECIPIENT if _ABOUT_THE_ADDRESS.fullmatch(field) else _CONTENT
    if _TOLD_TWICE in said.lower():
        # SendGrid takes two addresses for one that we hold for different: they only need to go apart.
        kind, scope = _TRANSIENT
    elif field.startswith("from"):
        kind, scope = _SENDER
    code = code_in_short(field) or "personalizations"
    return Outcome(kind=kind, scope=scope, code=code, detail=in_short(said, without=[message.address]))


def _whole(messages: Sequence[Envelope], response: HttpResponse, errors: list[dict[str, Any]]) -> Outcome:
    error = errors[0] if errors else {}
    field, said = words(error, "field"), words(error, "message")
    kind, scope = _meaning(messages, response.status, field, said.lower())
    return Outcome(
        kind=kind,
        scope=scope,
        code=code_in_short(field) or f"http_{response.status}",
        detail=in_short(said, without=[message.address for message in messages if message.address in said]),
        retry_after=_wait(response) if kind is OutcomeClass.THROTTLE else None,
    )


def _meaning(messages: Sequence[Envelope], status: int, field: str, said: str) -> Meaning:
    first = field.partition(".")[0]
    if status == _BAD_REQUEST and first in _MEANING_OF_FIELD:
        return _MEANING_OF_FIELD[first]
    if status == _FORBIDDEN and (first == "from" or _UNVERIFIED_SENDER in said):
        return _SENDER
    if status == _TOO_LARGE and len(messages) > 1:
        # Together they are too much for something on the way; each alone may well not be.
        return _TRANSIENT
    return _MEANING_OF_STATUS.get(status, _UNKNOWN)


def _wait(response: HttpResponse) -> timedelta | None:
    """Read how long to wait: Retry-After, else X-RateLimit-Reset against the answer's own time."""
    if asked := wait_asked_for(response.headers):
        return asked
    reset = _RESET.fullmatch(response.headers.get("x-ratelimit-reset", "").strip())
    answered = _date(response)
    if not reset or answered is None:
        return None
    wait = timedelta(seconds=int(reset[0]) - answered.timestamp())
    return max(wait, timedelta(0)) if wait <= _LONGEST_RESET else None


def _date(response: HttpResponse) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
