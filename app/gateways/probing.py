"""What vendors' answers to harmless questions have in common."""

from datetime import timedelta

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.gateways.base import HttpResponse

# A vendor that says nothing for so long is not well, whatever messages are given.
PROBE_TIMEOUT = timedelta(seconds=5)

_OK = range(200, 300)
_SERVER = range(500, 600)
_MEANING = {
    401: (OutcomeClass.CONFIG, ConfigScope.ACCOUNT),
    402: (OutcomeClass.CONFIG, ConfigScope.ACCOUNT),
    429: (OutcomeClass.THROTTLE, None),
}

WELL = Outcome(kind=OutcomeClass.ACCEPTED, code="well")


def refused_account(code: str, detail: str = "") -> Outcome:
    """Say that nothing can go through this account."""
    return Outcome(kind=OutcomeClass.CONFIG, scope=ConfigScope.ACCOUNT, code=code, detail=detail)


def outcome_by_status(response: HttpResponse) -> Outcome:
    """Read an answer by its status alone.

    A 403 is unknown: keys that may only send are forbidden to ask, and that is how they should be.
    """
    if response.status in _OK:
        return WELL
    kind, scope = _MEANING.get(response.status, (OutcomeClass.UNKNOWN, None))
    if response.status in _SERVER:
        kind = OutcomeClass.TRANSIENT
    return Outcome(kind=kind, scope=scope, code=f"http_{response.status}")
