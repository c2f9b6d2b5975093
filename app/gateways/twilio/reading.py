"""What Twilio's answer to a request means; messages and calls are answered alike."""

from collections.abc import Iterable
from typing import Any

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import identifier, in_short, json_object, wait_asked_for, words
from app.gateways.base import HttpResponse
from app.gateways.twilio.codes import UNKNOWN, Meaning, meaning_of, number_of

_SUCCESS = range(200, 300)
_GIVEN_UP = frozenset({"failed", "undelivered", "canceled"})

# For answers without a code that we know: what says for sure that nothing was taken.
_MEANING_OF_STATUS = {
    401: Meaning(kind=OutcomeClass.CONFIG, scope=ConfigScope.ACCOUNT),
    429: Meaning(kind=OutcomeClass.THROTTLE),
    503: Meaning(kind=OutcomeClass.TRANSIENT),
}


def outcome_of(response: HttpResponse, *, without: Iterable[str]) -> Outcome:
    """Tell what an answer means for the one message of its request; nothing of `without` is kept."""
    answer = json_object(response.body)
    if response.status in _SUCCESS:
        return _taken(response, answer, without)
    return _refused(response, answer, number_of(answer.get("code")), without)


def _taken(response: HttpResponse, answer: dict[str, Any], without: Iterable[str]) -> Outcome:
    sid = identifier(answer.get("sid"))
    if words(answer, "status") in _GIVEN_UP:
        return _refused(response, answer, number_of(answer.get("error_code")), without)
    if sid is None:
        return Outcome(kind=OutcomeClass.UNKNOWN, code=f"http_{response.status}", detail="names no message")
    return Outcome(kind=OutcomeClass.ACCEPTED, external_id=sid)


def _refused(
    response: HttpResponse, answer: dict[str, Any], code: int | None, without: Iterable[str]
) -> Outcome:
    meaning = meaning_of(code) or _MEANING_OF_STATUS.get(response.status, UNKNOWN)
    throttled = meaning.kind is OutcomeClass.THROTTLE
    return Outcome(
        kind=meaning.kind,
        scope=meaning.scope,
        opt_out=meaning.opt_out,
        code=f"http_{response.status}" if code is None else str(code),
        detail=in_short(_said(answer), without=without),
        external_id=identifier(answer.get("sid")),
        retry_after=(wait_asked_for(response.headers) or meaning.wait) if throttled else None,
    )


def _said(answer: dict[str, Any]) -> str:
    """Give Twilio's words: older answers have a message, newer ones a detail or a title alone."""
    found = (words(answer, name) for name in ("message", "error_message", "detail", "title"))
    return next(filter(None, found), "")
