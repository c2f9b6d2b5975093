"""Twilio's error codes, as it answers them at once and as it tells them later, in our classes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.domain.vocabulary import ConfigScope, OutcomeClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a code means for a message. `wait` is how long it lasts where Twilio's papers say so."""

    kind: OutcomeClass
    scope: ConfigScope | None = None
    opt_out: bool = False
    wait: timedelta | None = None


UNKNOWN = Meaning(kind=OutcomeClass.UNKNOWN)

_OPTED_OUT = Meaning(kind=OutcomeClass.RECIPIENT, opt_out=True)
_RECIPIENT = Meaning(kind=OutcomeClass.RECIPIENT)
_UNREACHABLE = Meaning(kind=OutcomeClass.UNREACHABLE)
_ACCOUNT = Meaning(kind=OutcomeClass.CONFIG, scope=ConfigScope.ACCOUNT)
_SENDER = Meaning(kind=OutcomeClass.CONFIG, scope=ConfigScope.SENDER)
_DESTINATION = Meaning(kind=OutcomeClass.CONFIG, scope=ConfigScope.DESTINATION)
_CONTENT = Meaning(kind=OutcomeClass.CONTENT)
_THROTTLE = Meaning(kind=OutcomeClass.THROTTLE)
_FULL_QUEUE = Meaning(kind=OutcomeClass.THROTTLE, wait=timedelta(minutes=10))
_PUMPING = Meaning(kind=OutcomeClass.THROTTLE, wait=timedelta(minutes=30))
# It ends at midnight in California; asking once an hour is cheap, and right in every season.
_DAILY_CAP = Meaning(kind=OutcomeClass.THROTTLE, wait=timedelta(hours=1))
_TRANSIENT = Meaning(kind=OutcomeClass.TRANSIENT)

_MEANINGS: dict[int, Meaning] = {
    # The person said STOP, or blocked us.
    **dict.fromkeys((21610, 63014, 63033), _OPTED_OUT),
    # No number that could ever get it: invalid, a landline, a short code, unknown to its carrier.
    **dict.fromkeys((21211, 21214, 21217, 21401, 21421, 13224), _RECIPIENT),
    **dict.fromkeys((21265, 21604, 21614, 21635), _RECIPIENT),
    **dict.fromkeys((30005, 30006, 63003, 63024), _RECIPIENT),
    # Not now: switched off, blocked on its way, not reachable from this sender.
    **dict.fromkeys((30003, 30004, 30008, 21612, 32017), _UNREACHABLE),
    # Credentials, and accounts that are closed or suspended.
    **dict.fromkeys((20003, 20005, 20006, 20403, 20404, 10001, 30002), _ACCOUNT),
    # A From that is not ours or cannot do this, services without numbers, missing registrations.
    **dict.fromkeys((21210, 21212, 21603, 21606, 21659, 21660, 21661), _SENDER),
    **dict.fromkeys((21701, 21702, 21703, 21704, 21705), _SENDER),
    **dict.fromkeys((30018, 30024, 30032, 30033, 30034, 30035), _SENDER),
    **dict.fromkeys((63001, 63002, 63007, 63008, 63020, 63051), _SENDER),
    # Countries not allowed, numbers not verified in a trial, recipients outside of the sandbox.
    **dict.fromkeys((21215, 21408, 21216, 13225, 21219, 21608, 63015), _DESTINATION),
    # Bodies, media, templates and callbacks that cannot be; filters; WhatsApp's window that is shut.
    **dict.fromkeys((21602, 21617, 21618, 21619, 21620, 21623), _CONTENT),
    **dict.fromkeys((21654, 21655, 21656, 21205, 21609, 21626), _CONTENT),
    **dict.fromkeys((30007, 30011, 30019, 11751, 12300), _CONTENT),
    **dict.fromkeys((63005, 63006, 63013, 63016, 63019, 63021, 63027, 63028, 63034), _CONTENT),
    **dict.fromkeys((63040, 63041, 63042), _CONTENT),
    # Too fast, for Twilio or for a carrier.
    **dict.fromkeys((20429, 14107, 30001, 30017, 30022, 63017, 63018, 63038), _THROTTLE),
    21611: _FULL_QUEUE,
    30450: _PUMPING,
    **dict.fromkeys((30023, 30027), _DAILY_CAP),
    **dict.fromkeys((20503, 30020, 30021, 63009, 63010, 63012, 63023, 63036), _TRANSIENT),
    # The carrier did not answer Twilio, or Twilio did not get so far as to say: it may have gone out.
    **dict.fromkeys((30410, 20500), UNKNOWN),
}

_LONGEST = 9


def number_of(value: Any) -> int | None:
    """Read a code, which comes as a number or as its digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    readable = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _LONGEST
    return int(value) if readable else None


def meaning_of(code: int | None) -> Meaning | None:
    """Give what a code means; None for one that is not known here."""
    return None if code is None else _MEANINGS.get(code)
