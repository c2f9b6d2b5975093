"""Asking vendors whether our accounts are well, without sending anything."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import Unavailable
from app.gateways.base import HttpFailure, HttpResponse, Probing, Request, outcome_of_failure
from app.services import health
from app.services.health import HealthChange, Kind
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

Place = tuple[Channel, str]

_NEVER = "never"


def probe_gateways(tools: Tools) -> str:
    """Ask all vendors that can be asked, at once; tells what it came to.

    An account that is refused opens its gateway's breaker. A good answer closes none: only messages prove
    that messages get through. Takes a probe's time-out at most. Raises Unavailable.
    """
    outcomes = _ask(tools)
    if not outcomes:
        return ""
    _write(tools, outcomes)
    for place, outcome in outcomes.items():
        if outcome.kind is OutcomeClass.CONFIG and outcome.scope is ConfigScope.ACCOUNT:
            reason = f"the vendor refuses our account: {_words(outcome)}"
            change = tools.breakers.trip(*place, reason)
            if change:
                health.note_change(tools.engine, change)
    return ", ".join(f"{name}: {outcome.kind.value}" for (_, name), outcome in outcomes.items())


def _ask(tools: Tools) -> dict[Place, Outcome]:
    waiting = _requests(tools)
    outcomes: dict[Place, Outcome] = {}
    transport = tools.transport()
    for finished in transport.exchange(lambda free: [waiting.pop() for _ in range(min(free, len(waiting)))]):
        for (channel, name), reply in finished:
            outcomes[channel, name] = _read(tools, name, reply)
    return outcomes


def _requests(tools: Tools) -> list[tuple[Place, Request]]:
    made: list[tuple[Place, Request]] = []
    for route in tools.catalog.routes():
        gateway = tools.gateways.get(route.gateway)
        if route.enabled and isinstance(gateway, Probing):
            try:
                made.append(((route.channel, route.gateway), gateway.probe(tools.now())))
            except Unavailable as exc:
                log.warning("gateway cannot be probed", gateway=route.gateway, error=str(exc))
    return made


def _read(tools: Tools, name: str, reply: HttpResponse | HttpFailure) -> Outcome:
    gateway = tools.gateways[name]
    if isinstance(reply, HttpFailure):
        return outcome_of_failure(reply)
    return gateway.read_probe(reply) if isinstance(gateway, Probing) else Outcome(kind=OutcomeClass.UNKNOWN)


def _write(tools: Tools, outcomes: Mapping[Place, Outcome]) -> None:
    """Write down what each came to, and tell where that is another than the time before."""
    now = tools.now()
    with unavailable_when_down(), tools.engine.begin() as conn:
        before = _known(conn)
        for (channel, name), outcome in sorted(outcomes.items(), key=lambda item: item[0]):
            values = {
                "probed_at": now,
                "probe_outcome": outcome.kind.value,
                "probe_detail": _words(outcome),
            }
            health.write(conn, channel, name, values)
            was = before.get((channel, name), _NEVER)
            if was != outcome.kind.value and (was, outcome.kind) != (_NEVER, OutcomeClass.ACCEPTED):
                change = HealthChange(
                    kind=Kind.PROBE,
                    channel=channel,
                    gateway=name,
                    before=was,
                    after=outcome.kind.value,
                    reason=_words(outcome) or "the vendor answers as it should",
                    at=now,
                )
                health.note(conn, change)


def _known(conn: sa.Connection) -> dict[Place, str]:
    table = channel_health.c
    query = sa.select(table.channel, table.gateway, table.probe_outcome)
    rows: Sequence[Any] = conn.execute(query.where(table.probe_outcome.is_not(None))).all()
    return {(Channel(row.channel), row.gateway): row.probe_outcome for row in rows}


def _words(outcome: Outcome) -> str:
    return ": ".join(part for part in (outcome.code, outcome.detail) if part)
