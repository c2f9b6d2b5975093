"""How an outcome is spelled in the ledger, for whoever has to settle it after a crash."""

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass

_BETWEEN = "\x1f"


def spell(gateway: str, outcome: Outcome) -> str:
    """Write down what settling needs: who answered, the class, the gateway's id and its code."""
    return _BETWEEN.join((gateway, outcome.kind, outcome.external_id or "", outcome.code))


def read(text: str) -> tuple[str, Outcome]:
    """Read back what `spell` wrote."""
    gateway, kind, external_id, code = text.split(_BETWEEN)
    return gateway, Outcome(kind=OutcomeClass(kind), external_id=external_id or None, code=code)
