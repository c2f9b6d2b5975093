"""What is shown of a claim's requests: figures, and traces where somebody wants them."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.domain.lanes import Lane
from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.gateways.base import Request
from app.queue.rows import Claimed
from app.services import message_metrics
from app.services.sending.requests import Work
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)


def begun(tools: Tools, lane: Lane, built: Sequence[tuple[Work, Request]]) -> None:
    """Count requests that begin."""
    if built:
        gateways = tools.gateways
        started = [(gateways[name].channel, name, messages) for (name, messages, _), _ in built]
        message_metrics.note_started(lane.priority, started, tools.now())


def answered(
    tools: Tools,
    lane: Lane,
    gateway: str,
    requests: Sequence[tuple[Sequence[Claimed], Sequence[Outcome], timedelta]],
) -> None:
    """Show what one gateway's answers came to: messages, their outcomes, and how long each request took."""
    channel, now = tools.gateways[gateway].channel, tools.now()
    message_metrics.note_calls(lane.priority, channel, gateway, [took for _, _, took in requests])
    handed = []
    for messages, outcomes, took in requests:
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome.kind is OutcomeClass.ACCEPTED:
                handed.append(message)
            else:
                # The gateway's own words may hold an address: they are in the events, which can be erased.
                log.debug(
                    "not accepted",
                    message=str(message.uuid),
                    gateway=gateway,
                    outcome=outcome.kind.value,
                    code=outcome.code,
                    attempt=message.tries,
                )
            if tools.traces is not None:
                tools.traces.tried(message, gateway, outcome, ended_at=now, took=took)
    message_metrics.note_handed_over(lane, channel, gateway, handed, now)
