"""What gateways tell against the names of our mail: hard bounces and complaints."""

from collections.abc import Iterable

import sqlalchemy as sa

from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.services.name_counts import Tally, names_of, write
from app.services.recording.effects import Effect, Line
from app.services.sending.tools import Tools

_BOUNCES = frozenset({EventType.BOUNCED, EventType.FAILED})
_BAD = _BOUNCES | {EventType.COMPLAINED}


def count_against_names(conn: sa.Connection, tools: Tools, effects: Iterable[Effect]) -> None:
    """Count these effects' bounces and complaints under the names the mails went out under.

    In the transaction that records them, so that each fact counts once.
    """
    tally = Tally.empty()
    for effect in effects:
        if effect.message.channel != Channel.EMAIL:
            continue
        bad = [line for line in effect.lines if line.event_type in _BAD]
        if not bad:
            continue
        bounced = any(_is_bounce(line) for line in bad)
        complained = any(line.event_type is EventType.COMPLAINED for line in bad)
        if bounced or complained:
            sender = tools.contents.sender(effect.message)
            for name in names_of(effect.message, sender.address if sender else None):
                tally.bounced[name] += bounced
                tally.complained[name] += complained
    if tally:
        write(conn, tally)


def _is_bounce(line: Line) -> bool:
    return line.event_type in _BOUNCES and line.says.outcome is OutcomeClass.RECIPIENT
