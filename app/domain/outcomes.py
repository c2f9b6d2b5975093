"""What one try at a gateway came to."""

from dataclasses import dataclass
from datetime import timedelta

from app.domain.vocabulary import ConfigScope, OutcomeClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One message's outcome, in our words, with the gateway's own kept beside them.

    `code` and `detail` are the gateway's, cut to a sensible length and free of secrets and addresses.
    `retry_after` is the wait that the gateway asked for. `scope` is set for `config` only.
    `opt_out` marks a `recipient` outcome by which the person has unsubscribed from this sender.
    `counts_as_fault` is what the breaker is told: was this the gateway's fault?
    """

    kind: OutcomeClass
    code: str = ""
    detail: str = ""
    external_id: str | None = None
    retry_after: timedelta | None = None
    scope: ConfigScope | None = None
    opt_out: bool = False

    @property
    def counts_as_fault(self) -> bool:
        """Tell whether this is a mark against the gateway itself."""
        return self.kind in (OutcomeClass.TRANSIENT, OutcomeClass.UNKNOWN)
