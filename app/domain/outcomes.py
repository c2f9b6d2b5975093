"""What one try at a gateway came to."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.vocabulary import ConfigScope, OutcomeClass

# What is a mark against the gateway itself; its other answers show that it is there and well.
GATEWAYS_FAULT = frozenset({OutcomeClass.TRANSIENT, OutcomeClass.UNKNOWN})


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One message's outcome, in our words, with the gateway's own kept beside them.

    `code` and `detail` are the gateway's, cut to a sensible length and free of secrets and addresses.
    `retry_after` is the wait that the gateway asked for. `scope` is set for `config` only.
    `opt_out` marks a `recipient` outcome by which the person has unsubscribed from this sender. `as_of`
    is set where a `recipient` outcome holds from then on only: an address registered later is not meant.
    """

    kind: OutcomeClass
    code: str = ""
    detail: str = ""
    external_id: str | None = None
    retry_after: timedelta | None = None
    scope: ConfigScope | None = None
    opt_out: bool = False
    as_of: datetime | None = None
