"""What it means when Apple takes no notification: its reasons, and our classes for them."""

import threading
from collections import deque
from datetime import UTC, datetime, timedelta

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.answers import code_in_short, json_object, wait_asked_for, words
from app.gateways.base import HttpResponse

EXPIRED_TOKEN = "ExpiredProviderToken"  # noqa: S105 — the name of a reason.
TOKEN_CHANGED_TOO_OFTEN = "TooManyProviderTokenUpdates"  # noqa: S105 — likewise.

Meaning = tuple[OutcomeClass, ConfigScope | None]

_ACCOUNT: Meaning = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_CONTENT: Meaning = (OutcomeClass.CONTENT, None)
_RECIPIENT: Meaning = (OutcomeClass.RECIPIENT, None)
_THROTTLE: Meaning = (OutcomeClass.THROTTLE, None)
_TRANSIENT: Meaning = (OutcomeClass.TRANSIENT, None)
_UNKNOWN: Meaning = (OutcomeClass.UNKNOWN, None)

_MEANING: dict[str, Meaning] = {
    "Unregistered": _RECIPIENT,
    "ExpiredToken": _RECIPIENT,
    "BadDeviceToken": _RECIPIENT,
    "DeviceTokenNotForTopic": _RECIPIENT,
    "BadTopic": _ACCOUNT,
    "MissingTopic": _ACCOUNT,
    "TopicDisallowed": _ACCOUNT,
    "InvalidPushType": _ACCOUNT,
    "BadCertificate": _ACCOUNT,
    "BadCertificateEnvironment": _ACCOUNT,
    EXPIRED_TOKEN: _ACCOUNT,
    "Forbidden": _ACCOUNT,
    "InvalidProviderToken": _ACCOUNT,
    "MissingProviderToken": _ACCOUNT,
    "UnrelatedKeyIdInToken": _ACCOUNT,
    "BadEnvironmentKeyIdInToken": _ACCOUNT,
    "BadPath": _ACCOUNT,
    "MethodNotAllowed": _ACCOUNT,
    "PayloadTooLarge": _CONTENT,
    "PayloadEmpty": _CONTENT,
    "BadCollapseId": _CONTENT,
    "BadExpirationDate": _CONTENT,
    "BadMessageId": _CONTENT,
    "BadPriority": _CONTENT,
    "DuplicateHeaders": _CONTENT,
    "MissingDeviceToken": _CONTENT,
    "TooManyRequests": _THROTTLE,
    TOKEN_CHANGED_TOO_OFTEN: _THROTTLE,
    "InternalServerError": _TRANSIENT,
    "ServiceUnavailable": _TRANSIENT,
    "Shutdown": _TRANSIENT,
    "IdleTimeout": _TRANSIENT,
}
# Where no reason can be read.
_MEANING_OF_STATUS: dict[int, Meaning] = {
    403: _ACCOUNT,
    405: _ACCOUNT,
    410: _RECIPIENT,
    413: _CONTENT,
    429: _THROTTLE,
    503: _TRANSIENT,
}
# They are said of a token that is wrong, and of every token where we speak to the wrong environment of
# Apple's, or of the wrong app.
_PERHAPS_OUR_FAULT = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
# Another token needs some minutes to be welcome.
_WAIT_FOR_OUR_TOKEN = timedelta(minutes=5)
_MILLISECOND = timedelta(milliseconds=1)


def reason(response: HttpResponse) -> str:
    """Read the reason of an answer other than 200."""
    return words(json_object(response.body), "reason")


def refusal(response: HttpResponse, *, token_renewed: bool, widespread: bool) -> Outcome:
    """Tell what an answer other than 200 means for its notification.

    Where our own token has expired and is being renewed, it may go out with the next one. Where tokens
    are refused far and wide it is not they that are wrong.
    """
    code = reason(response)
    kind, scope = _MEANING.get(code) or _MEANING_OF_STATUS.get(response.status, _UNKNOWN)
    if token_renewed and code == EXPIRED_TOKEN:
        kind, scope = _TRANSIENT
    if widespread and code in _PERHAPS_OUR_FAULT:
        kind, scope = _ACCOUNT
    return Outcome(
        kind=kind,
        scope=scope,
        code=code_in_short(code) or f"http_{response.status}",
        retry_after=_wait(code, response) if kind is OutcomeClass.THROTTLE else None,
        as_of=_gone_since(response) if kind is OutcomeClass.RECIPIENT else None,
    )


def _wait(code: str, response: HttpResponse) -> timedelta | None:
    asked = wait_asked_for(response.headers)
    return asked or (_WAIT_FOR_OUR_TOKEN if code == TOKEN_CHANGED_TOO_OFTEN else None)


def _gone_since(response: HttpResponse) -> datetime | None:
    told = json_object(response.body).get("timestamp")
    if isinstance(told, bool) or not isinstance(told, int):
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + told * _MILLISECOND
    except OverflowError:
        return None


class RefusedTokens:
    """Which share of the last answers called a token wrong that may as well be right; threads share it."""

    _LOOKED_AT = 200
    _AT_LEAST = 5

    def __init__(self) -> None:
        self._answers: deque[bool] = deque(maxlen=self._LOOKED_AT)
        self._refused = 0
        self._turn = threading.Lock()

    def heard(self, code: str) -> bool:
        """Count an answer, by its reason; tells whether more than half of the last ones were such."""
        refused = code in _PERHAPS_OUR_FAULT
        with self._turn:
            if len(self._answers) == self._LOOKED_AT:
                self._refused -= self._answers[0]
            self._answers.append(refused)
            self._refused += refused
            return self._refused >= self._AT_LEAST and 2 * self._refused > len(self._answers)
