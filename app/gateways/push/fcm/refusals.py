"""What it means when FCM takes no message: its error codes, and our classes for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import code_in_short, in_short, json_object, listed, part, wait_asked_for, words
from app.gateways.base import Envelope, HttpResponse
from app.gateways.push.fcm.message import is_for_a_token


@dataclass(frozen=True, slots=True)
class Meaning:
    """A class, with a config's scope, and a wait where FCM names none but its documents do."""

    kind: OutcomeClass
    scope: ConfigScope | None = None
    wait: timedelta | None = None


_ACCOUNT = Meaning(OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
# What is missing is the key for Apple's or the browsers' devices; the others are reached.
_DESTINATION = Meaning(OutcomeClass.CONFIG, ConfigScope.DESTINATION)
_CONTENT = Meaning(OutcomeClass.CONTENT)
_RECIPIENT = Meaning(OutcomeClass.RECIPIENT)
_THROTTLE = Meaning(OutcomeClass.THROTTLE, wait=timedelta(seconds=60))
_TRANSIENT = Meaning(OutcomeClass.TRANSIENT)
_UNKNOWN = Meaning(OutcomeClass.UNKNOWN)

_MEANING: dict[str, Meaning] = {
    "UNREGISTERED": _RECIPIENT,
    "SENDER_ID_MISMATCH": _RECIPIENT,
    "INVALID_ARGUMENT": _CONTENT,
    "QUOTA_EXCEEDED": _THROTTLE,
    "RESOURCE_EXHAUSTED": _THROTTLE,
    "UNAVAILABLE": _TRANSIENT,
    "INTERNAL": _TRANSIENT,
    "THIRD_PARTY_AUTH_ERROR": _DESTINATION,
    "APNS_AUTH_ERROR": _DESTINATION,
    "UNAUTHENTICATED": _ACCOUNT,
    "PERMISSION_DENIED": _ACCOUNT,
    # Without a code of FCM's own it is the project that was not found.
    "NOT_FOUND": _ACCOUNT,
}
_MEANING_OF_STATUS = {401: _ACCOUNT, 429: _THROTTLE, 503: _TRANSIENT}
# Something between us and FCM gave up waiting; what FCM did is not known.
_GATEWAY_STATUSES = frozenset({502, 504})
_UNAUTHORIZED = 401
_ABOUT_OTHER_KEYS = frozenset({"THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"})

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_FIELD_OF_TOKEN = "message.token"  # noqa: S105 — the name of a field.
_OF_THE_TOKEN = "registration token"  # noqa: S105 — words in an error's text.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Error:
    """An answer's error: FCM's own code where it has one, and the fields that it calls wrong."""

    code: str
    status: str
    text: str
    wrong_fields: tuple[str, ...]

    @classmethod
    def read(cls, response: HttpResponse) -> "_Error":
        error = part(json_object(response.body), "error")
        return cls(
            code=next((words(each, "errorCode") for each in _details(error, _FCM_ERROR)), ""),
            status=words(error, "status"),
            text=words(error, "message"),
            wrong_fields=tuple(_wrong_fields(error)),
        )

    @property
    def is_about_the_token(self) -> bool:
        """Tell whether nothing but the token is wrong.

        A fault in what we send would otherwise cost every device its registration.
        """
        if self.code != "INVALID_ARGUMENT":
            return False
        if self.wrong_fields:
            return set(self.wrong_fields) == {_FIELD_OF_TOKEN}
        return _OF_THE_TOKEN in self.text.lower()


def refusal(message: Envelope, response: HttpResponse, *, token_renewed: bool) -> Outcome:
    """Tell what an answer other than 200 means for its message.

    Where the access token was refused and is being renewed, the message may go out with the next one.
    """
    error = _Error.read(response)
    meaning = _TRANSIENT if token_renewed else _meaning(message, response.status, error)
    waits = meaning.kind in {OutcomeClass.THROTTLE, OutcomeClass.TRANSIENT}
    return Outcome(
        kind=meaning.kind,
        scope=meaning.scope,
        code=code_in_short(error.code or error.status) or f"http_{response.status}",
        detail=in_short(error.text, without=[message.address]),
        retry_after=(wait_asked_for(response.headers) or meaning.wait) if waits else None,
    )


def is_about_our_token(response: HttpResponse) -> bool:
    """Tell whether FCM refuses our access token, and not Apple or a browser our project's key."""
    return response.status == _UNAUTHORIZED and _Error.read(response).code not in _ABOUT_OTHER_KEYS


def _meaning(message: Envelope, status: int, error: _Error) -> Meaning:
    if status in _GATEWAY_STATUSES:
        return _UNKNOWN
    if error.is_about_the_token and is_for_a_token(message):
        return _RECIPIENT
    named = _MEANING.get(error.code or error.status)
    if named is _RECIPIENT and not is_for_a_token(message):
        return _CONTENT
    return named or _MEANING_OF_STATUS.get(status, _UNKNOWN)


def _details(error: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (each for each in map(part, listed(error, "details")) if each.get("@type") == kind)


def _wrong_fields(error: Mapping[str, Any]) -> Iterator[str]:
    for request in _details(error, _BAD_REQUEST):
        for violation in map(part, listed(request, "fieldViolations")):
            yield words(violation, "field")
