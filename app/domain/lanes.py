"""The five lanes: what each priority promises, and the figures that keep the promise."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from app.domain.vocabulary import MessageType, Priority


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One priority's lane.

    `max_age` is the time within which a message must be handed to a gateway. `max_attempts` counts
    rounds through the chain of gateways, `backoff` the waits between them (the last one repeats).
    `lease` is how long a claim is a worker's own without renewal; `released_every` how often lapsed
    ones are looked for. `claim_size` messages are claimed at once. `held_back` lanes wait while P1 is
    deep; between `min_threads` and `max_threads` a lane follows its load by `grow_by` threads each
    `grow_every`; in `urgent` lanes a failed try goes to the next gateway at once. `on_clock` lanes expire by
    the clock; in the others time that we made a message wait does not count.
    """

    priority: Priority
    name: str
    message_type: MessageType
    max_age: timedelta
    max_attempts: int
    queue: str
    lease: timedelta
    released_every: timedelta
    claim_size: int
    min_threads: int
    max_threads: int
    grow_by: int
    grow_every: timedelta
    backoff: tuple[timedelta, ...]
    held_back: bool
    urgent: bool
    always_tries: bool
    on_clock: bool
    unknown: Literal["resend", "hold"]

    def changed(self, **changes: Any) -> "Lane":
        """Copy the lane with other figures."""
        return replace(self, **changes)


def _seconds(*values: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=value) for value in values)


_QUICK = _seconds(2, 10, 30, 60)
_SLOW = _seconds(120, 240, 480, 960, 1920)

_ALL = (
    Lane(
        priority=Priority.P0,
        name="emergency",
        message_type=MessageType.EMERGENCY,
        max_age=timedelta(seconds=300),
        max_attempts=5,
        queue="messages-p0",
        lease=timedelta(seconds=30),
        released_every=timedelta(seconds=1),
        claim_size=100,
        min_threads=10,
        max_threads=10,
        grow_by=0,
        grow_every=timedelta(seconds=1),
        backoff=_QUICK,
        held_back=False,
        urgent=True,
        always_tries=True,
        on_clock=True,
        unknown="resend",
    ),
    Lane(
        priority=Priority.P1,
        name="alerts",
        message_type=MessageType.ALERT,
        max_age=timedelta(seconds=900),
        max_attempts=3,
        queue="messages-p1",
        lease=timedelta(seconds=60),
        released_every=timedelta(seconds=15),
        claim_size=500,
        min_threads=5,
        max_threads=30,
        grow_by=5,
        grow_every=timedelta(seconds=1),
        backoff=_SLOW,
        held_back=False,
        urgent=True,
        always_tries=False,
        on_clock=True,
        unknown="resend",
    ),
    Lane(
        priority=Priority.P2,
        name="newsletters",
        message_type=MessageType.NEWSLETTER,
        max_age=timedelta(seconds=3600),
        max_attempts=3,
        queue="messages-p2",
        lease=timedelta(seconds=300),
        released_every=timedelta(seconds=60),
        claim_size=500,
        min_threads=3,
        max_threads=20,
        grow_by=3,
        grow_every=timedelta(seconds=3),
        backoff=_SLOW,
        held_back=True,
        urgent=False,
        always_tries=False,
        on_clock=False,
        unknown="hold",
    ),
    Lane(
        priority=Priority.P3,
        name="campaigns",
        message_type=MessageType.CAMPAIGN,
        max_age=timedelta(seconds=86_400),
        max_attempts=3,
        queue="messages-p3",
        lease=timedelta(seconds=300),
        released_every=timedelta(seconds=60),
        claim_size=500,
        min_threads=5,
        max_threads=25,
        grow_by=3,
        grow_every=timedelta(seconds=3),
        backoff=_SLOW,
        held_back=True,
        urgent=False,
        always_tries=False,
        on_clock=False,
        unknown="hold",
    ),
    Lane(
        priority=Priority.P4,
        name="transactional",
        message_type=MessageType.TRANSACTIONAL,
        max_age=timedelta(seconds=3600),
        max_attempts=5,
        queue="messages-p4",
        lease=timedelta(seconds=60),
        released_every=timedelta(seconds=1),
        claim_size=100,
        min_threads=2,
        max_threads=10,
        grow_by=2,
        grow_every=timedelta(seconds=1),
        backoff=_QUICK,
        held_back=False,
        urgent=True,
        always_tries=True,
        on_clock=True,
        unknown="resend",
    ),
)

LANES: dict[Priority, Lane] = {lane.priority: lane for lane in _ALL}
