"""Holding campaigns back where the name they go out under is losing its reputation."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from app.domain.decisions import Decision, put_back
from app.domain.lanes import Lane
from app.domain.reputation import NameKind, Restraint, restraint
from app.domain.vocabulary import Channel
from app.queue.rows import Claimed
from app.services.name_counts import Name, names_of
from app.services.reference_rows import NameState
from app.services.sending.tools import Tools
from app.services.sending.ways import standing_of

# A paused name is looked at again after this, or a quarter longer.
PAUSED_WAIT = timedelta(minutes=30)

_MINUTE = timedelta(minutes=1)


def restrained(
    tools: Tools, lane: Lane, messages: Sequence[Claimed], now: datetime, *, counted: set[int]
) -> dict[int, Decision]:
    """Decide about the messages that wait for the sake of a name; those not named may go.

    Costs nothing while all names are good. The time that messages wait does not count against them.
    Those `counted` were let go in their minute before, and those that are now come in. Raises Unavailable
    without Redis, where a name is throttled.
    """
    states = tools.catalog.restraints() if lane.held_back else {}
    concerned = _concerned(tools, lane, messages, states) if states else {}
    decisions: dict[int, Decision] = {}
    for (name, how), found in concerned.items():
        members = found
        if how is not Restraint.PAUSED:
            members = [message for message in found if message.id not in counted]
            counted.update(message.id for message in members)
        waits = _waits(tools, how, name, states[name], len(members))
        reason = f"mail of the {_WORDS[name[0]]} {name[1]} is {how.value}: {states[name].reason}"
        for message, wait in zip(members[len(members) - len(waits) :], waits, strict=True):
            standing = standing_of(message, message.gateway or "", ())
            decisions[message.id] = put_back(standing, lane, wait, now, reason=reason)
    return decisions


_WORDS = {NameKind.DOMAIN: "domain", NameKind.IP_POOL: "pool"}


def _concerned(
    tools: Tools, lane: Lane, messages: Iterable[Claimed], states: Mapping[Name, NameState]
) -> dict[tuple[Name, Restraint], list[Claimed]]:
    """Put together the messages that wait for the same name; the stricter of two names counts."""
    found: dict[tuple[Name, Restraint], list[Claimed]] = defaultdict(list)
    for message in messages:
        if message.channel != Channel.EMAIL:
            continue
        sender = tools.contents.sender(message)
        names = [name for name in names_of(message, sender.address if sender else None) if name in states]
        if names:
            worst = max(names, key=lambda name: states[name].level)
            how = restraint(lane.priority, states[worst].level)
            if how is not None:
                found[worst, how].append(message)
    return found


def _waits(tools: Tools, how: Restraint, name: Name, state: NameState, count: int) -> list[timedelta]:
    """Say how long each of the last ones waits; those before them may go."""
    if how is Restraint.PAUSED:
        return [PAUSED_WAIT * (1 + tools.chance() / 4) for _ in range(count)]
    if tools.minutes is None:
        return []
    asked = tools.minutes.add(f"{name[0].value}:{name[1]}", count)
    # Those that asked before in this minute and wait already come first.
    ahead = max(asked - count - state.per_minute, 0)
    over = min(max(asked - state.per_minute, 0), count)
    return [_MINUTE * (0.5 + (ahead + place) / state.per_minute) for place in range(1, over + 1)]
