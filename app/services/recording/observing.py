"""What is shown of what gateways told: figures, and traces where somebody wants them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.domain.vocabulary import Channel, Priority
from app.queue.rows import Claimed
from app.services import message_metrics
from app.services.recording.heard import Heard
from app.services.recording.record import Recorded
from app.services.sending.tools import Tools

Delivered = list[tuple[Claimed, datetime]]


def told(tools: Tools, result: Recorded) -> None:
    """Show how long messages took to be delivered; to be called once that is committed."""
    groups: dict[tuple[str, str, str], Delivered] = defaultdict(list)
    for message, gateway, at in result.delivered:
        groups[message.priority, message.channel, gateway].append((message, at))
    for (priority, channel, gateway), some in groups.items():
        lane = tools.lanes[Priority(priority)]
        message_metrics.note_delivered(lane, Channel(channel), gateway, some)


def worked_off(tools: Tools, rows: Sequence[sa.Row[Any]], heard: Iterable[Heard]) -> None:
    """Show how long webhooks waited for their effect, and what they told."""
    now = tools.now()
    message_metrics.note_webhook_lag(((row.gateway, row.received_at) for row in rows), now)
    if tools.traces is None:
        return
    came = {row.id: row.received_at for row in rows}
    for each in heard:
        if each.uuid is not None:
            received_at = came.get(each.inbox, now)
            tools.traces.told(each.uuid, each.gateway, each.fact, received_at=received_at, ended_at=now)
