"""How an outcome is spelled in the ledger, for whoever has to settle it after a crash."""

from datetime import datetime, timedelta

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass


def spell(gateway: str, outcome: Outcome) -> str:
    """Write down who answered, and all of the outcome that deciding needs; the gateway's words are not."""
    wait = None if outcome.retry_after is None else outcome.retry_after.total_seconds()
    return orjson.dumps(
        [
            gateway,
            outcome.kind,
            outcome.external_id,
            outcome.code,
            outcome.scope,
            wait,
            outcome.opt_out,
            outcome.as_of,
        ]
    ).decode()


def read(text: str) -> tuple[str, Outcome]:
    """Read back what `spell` wrote."""
    gateway, kind, external_id, code, scope, wait, opt_out, as_of = orjson.loads(text)
    return gateway, Outcome(
        kind=OutcomeClass(kind),
        external_id=external_id,
        code=code,
        scope=None if scope is None else ConfigScope(scope),
        retry_after=None if wait is None else timedelta(seconds=wait),
        opt_out=opt_out,
        as_of=None if as_of is None else datetime.fromisoformat(as_of),
    )
