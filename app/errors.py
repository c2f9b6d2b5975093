"""Every error Tocsin raises on purpose, in one tree.

TocsinError
├── ConfigurationError        settings are wrong or missing; the message says which and how to mend it
├── Unavailable               PostgreSQL or Redis cannot be reached now; asking again later may work
│   └── CountsLost            Redis is there, but what rate limits had counted is not
├── ClaimClosed               a worker's claim was released meanwhile; it may start nothing more of it
├── Refused                   the caller asked for something that cannot be done
│   ├── Invalid               the request has faults, each with its field
│   ├── Unauthenticated       no key, or one that is unknown, expired or revoked
│   ├── Forbidden             the key lacks a scope
│   ├── NotFound              no such message, batch, template …
│   ├── Conflict              the thing is not in a state that allows this
│   │   └── InFlight          a request with the same idempotency key is still running
│   ├── KeyReused             the idempotency key came with another body before
│   ├── TooLarge              the body is larger than allowed
│   ├── Busy                  the share of threads for this kind of request is used up
│   └── NoGateway             the channel has no gateway that could send this
└── Forged                    a webhook whose proof does not hold
    ├── ProofMissing          it came without credentials that its sender gives when asked for them
    └── ProofUnavailable      its proof could not be checked now; the sender should try again
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")


class TocsinError(Exception):
    """Anything Tocsin raises on purpose."""


class ConfigurationError(TocsinError):
    """Settings are wrong or missing; the text says which and how to mend it."""


class Unavailable(TocsinError):
    """A server we depend on cannot be reached now."""


class CountsLost(Unavailable):
    """Redis lost what the rate limits had counted: somebody has to count anew, or has just begun to.

    `seconds` is how long that will take; 0 where nobody has begun.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        self.seconds = seconds
        super().__init__(message)


class ClaimClosed(TocsinError):
    """A claim is no longer this worker's: it was released, or another worker has it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where (a dotted path), and what to do about it."""

    field: str
    message: str


class Refused(TocsinError):
    """The caller asked for something that cannot be done; its text may be shown to the caller."""


class Invalid(Refused):
    """A request with faults: all of them, not just the first."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in self.faults))

    @classmethod
    def of(cls, field: str, message: str) -> "Invalid":
        """Make the error for a single fault."""
        return cls([Fault(field, message)])


class Faults:
    """Notes what is wrong with a request part by part, so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[Fault] = []

    def add(self, field: str, message: str) -> None:
        """Note one fault."""
        self._found.append(Fault(field, message))

    def of(self, read: Callable[..., _T], *args: Any, **kwargs: Any) -> _T | None:
        """Read one part; None where that is Invalid, whose faults are noted."""
        try:
            return read(*args, **kwargs)
        except Invalid as exc:
            self._found += exc.faults
            return None

    def end(self) -> None:
        """Raise Invalid with all that was noted, the first of each field; nothing where all is well."""
        if self._found:
            raise Invalid(list({fault.field: fault for fault in reversed(self._found)}.values())[::-1])


class Unauthenticated(Refused): ...


class Forbidden(Refused): ...


class NotFound(Refused): ...


class Conflict(Refused): ...


class InFlight(Conflict): ...


class KeyReused(Refused): ...


class TooLarge(Refused): ...


class Busy(Refused): ...


class NoGateway(Refused): ...


class Forged(TocsinError):
    """A webhook whose proof does not hold; the text names the check that failed, never the content."""


class ProofMissing(Forged):
    """A webhook without the credentials that it must carry; the answer asks for them, as HTTP has it."""


class ProofUnavailable(Forged):
    """A webhook's proof needs a key or certificate that cannot be had now."""
