"""What the sending half works with, made once in each process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import sqlalchemy as sa

from app.domain.lanes import Lane
from app.domain.suppression import SuppressionPolicy
from app.domain.vocabulary import Priority
from app.gateways.base import Gateway, Webhook
from app.gateways.transport import Places, Transport
from app.limits.breaker import Breakers
from app.limits.ledger import Ledger
from app.limits.minutes import MinuteCounts
from app.limits.paces import Paces
from app.limits.tokens import Tokens
from app.queue.positions import Positions
from app.services.canaries import Canaries
from app.services.catalog import Catalog
from app.services.help_desk import HelpDesk
from app.services.name_counts import NameCounts
from app.services.pulse import Pulse
from app.services.sending.content import Contents
from app.services.sending.memory import Memory
from app.services.sending.pace import Pace
from app.services.sending.stopping import Stop
from app.services.sending.stops import StopWatch
from app.services.topic_sync import TopicSync
from app.services.tracing import Traces
from app.services.way import Way
from app.wake import Wake


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Everything a sending thread shares with the others of its process.

    `once` gives connections whose statements commit by themselves: most work is one statement.
    `transport` gives the calling thread's own, and `places` says how many requests it carries at a time.
    `worker` is this process's name on its claims.
    Whoever waits for what comes due in a lane holds its lock in `waiting`.
    What somebody sends us within `reply_within` of a message is taken as an answer to it.
    """

    engine: sa.Engine
    lanes: Mapping[Priority, Lane]
    catalog: Catalog
    contents: Contents
    gateways: Mapping[str, Gateway]
    webhooks: Mapping[str, Webhook]
    breakers: Breakers
    tokens: Tokens | None
    paces: Paces | None
    ledger: Ledger
    stops: StopWatch
    wake: Wake
    transport: Callable[[], Transport]
    places: Places
    now: Callable[[], datetime]
    chance: Callable[[], float]
    worker: str
    policy: SuppressionPolicy
    gate_depth: int
    gateway_timeout: timedelta
    reply_within: timedelta = timedelta(days=7)
    help_desk: HelpDesk | None = None
    names: NameCounts | None = None
    canaries: Canaries | None = None
    minutes: MinuteCounts | None = None
    topic_sync: TopicSync | None = None
    stopping: Stop = field(default_factory=Stop)
    traces: Traces | None = None
    way: Way = field(default_factory=lambda: Way(None))
    pulse: Pulse = field(default_factory=Pulse)
    pace: Pace = field(default_factory=Pace)
    memory: Memory = field(default_factory=lambda: Memory(seconds=1))
    waiting: Mapping[Priority, Lock] = field(default_factory=lambda: {lane: Lock() for lane in Priority})
    positions: Mapping[Priority, Positions] = field(
        default_factory=lambda: {priority: Positions() for priority in Priority}
    )

    @property
    def once(self) -> sa.Engine:
        """Give the same pool with statements that commit one by one."""
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")
