"""Figures that are looked up when somebody asks for them, kept for a while: how things stand now.

They are the whole system's, not a process's: whichever web process is asked gives the same. Each is read
by a statement that stops counting early, and none is asked more often than every few seconds.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.db.sql import run
from app.db.tables import controls, job_leader, message_queue, webhook_inbox
from app.domain.vocabulary import BreakerState, Priority, Status
from app.errors import Unavailable
from app.limits.tokens import Limit, Usage, Window
from app.queue import PACKAGE
from app.services.beats import read_beats
from app.services.deliveries import DAY, HOUR, WEEK, read_deliveries
from app.services.diagnostics.checking import Scene
from app.services.diagnostics.findings import Severity
from app.services.diagnostics.runs import Scope, latest

log = structlog.get_logger(__name__)

KEPT = 10.0  # seconds
COUNTED = 10_000
MOST_LIMITS = 200

_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_WINDOWS = {"1h": HOUR, "24h": DAY, "7d": WEEK}
_KINDS = ("web", "workers", "scheduler")

Families = Sequence[GaugeMetricFamily]

# Every gauge that is looked up: name, meaning, labels. What is not in here is not shown.
TABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "tocsin_queue_due_messages": ("Messages that are due, up to 10,000 of each caller", ("priority",)),
    "tocsin_queue_scheduled_messages": ("Messages that wait for their time, counted likewise", ("priority",)),
    "tocsin_queue_processing_messages": ("Messages in claims, counted likewise", ("priority",)),
    "tocsin_queue_oldest_age_seconds": ("How long the oldest due message waits; 0 for none", ("priority",)),
    "tocsin_queue_limit_seconds": ("Within this a message must be handed to a gateway", ("priority",)),
    "tocsin_held_messages": ("Messages of unknown outcome, counted no further than 10,000", ("priority",)),
    "tocsin_breaker_state": ("0 closed, 1 half open, 2 open", ("channel", "gateway")),
    "tocsin_gateway_enabled": ("Whether a gateway is in use", ("channel", "gateway")),
    "tocsin_limit_used_ratio": ("Share of a rate limit's window that is used up", ("limit", "window")),
    "tocsin_delivery_ratio": (
        "Share delivered of the messages that ended within the window", ("channel", "gateway", "window"),
    ),
    "tocsin_inbox_waiting_webhooks": ("Webhooks that wait for their effect, up to 10,000", ()),
    "tocsin_inbox_oldest_age_seconds": ("How long the oldest of them has waited; 0 for none", ()),
    "tocsin_controls_in_force": ("Stops in force, by what they stop", ("scope",)),
    "tocsin_scheduler_leads": ("1 where a scheduler leads", ()),
    "tocsin_processes_alive": ("Processes that were heard of within 30 s", ("kind",)),
    "tocsin_diagnostic_findings": ("Findings of the newest diagnostic run", ("priority",)),
    "tocsin_figures_missing": ("1 where these figures could not be looked up", ("part",)),
}  # fmt: skip


class Gauges(Collector):
    """Looks the figures up for Prometheus; threads may share it, one of them looks at a time."""

    def __init__(self, scene: Scene, clock: Callable[[], float] = time.monotonic) -> None:
        self._scene = scene
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Families = ()
        self._until = float("-inf")
        self._parts: dict[str, Callable[[Scene], Iterable[GaugeMetricFamily]]] = {
            "queue": queue,
            "held": held,
            "breakers": breakers,
            "limits": limits,
            "deliveries": deliveries,
            "inbox": inbox,
            "controls": stops,
            "processes": processes,
            "diagnostics": findings,
        }

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name all figures without looking any up."""
        return (family(name) for name in TABLE)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give all figures, at most ten seconds old; a part that cannot be looked up is left out."""
        with self._lock:
            if self._clock() >= self._until:
                self._kept = tuple(self._look())
                self._until = self._clock() + KEPT
            return iter(self._kept)

    def _look(self) -> Iterator[GaugeMetricFamily]:
        missing = family("tocsin_figures_missing")
        for name, part in self._parts.items():
            found: list[GaugeMetricFamily] = []
            try:
                found = list(part(self._scene))
            except (Unavailable, sa.exc.DBAPIError) as exc:
                log.warning("figures missing", part=name, error=str(exc))
            missing.add_metric([name], 0 if found else 1)
            yield from found
        yield missing


def family(name: str) -> GaugeMetricFamily:
    """Make an empty family of the table."""
    meaning, labels = TABLE[name]
    return GaugeMetricFamily(name, meaning, labels=labels)


def queue(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up depth and age of each lane."""
    parameters = {"priorities": [priority.value for priority in Priority], "counted": COUNTED}
    with scene.database() as conn:
        rows = run(conn, PACKAGE, "lane_depths", parameters).all()
    due, scheduled, processing, oldest, limit = map(
        family,
        (
            "tocsin_queue_due_messages",
            "tocsin_queue_scheduled_messages",
            "tocsin_queue_processing_messages",
            "tocsin_queue_oldest_age_seconds",
            "tocsin_queue_limit_seconds",
        ),
    )
    for row in rows:
        due.add_metric([row.priority], row.due)
        scheduled.add_metric([row.priority], row.scheduled)
        processing.add_metric([row.priority], row.processing)
        oldest.add_metric([row.priority], (row.oldest_age or timedelta(0)).total_seconds())
        lane = scene.settings.lanes[Priority(row.priority)]
        limit.add_metric([row.priority], lane.max_age.total_seconds())
    yield from (due, scheduled, processing, oldest, limit)


def held(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up how many messages are held."""
    found, table = family("tocsin_held_messages"), message_queue.c
    with scene.database() as conn:
        for priority in Priority:
            mine = (table.priority == priority.value) & (table.status == Status.HELD.value)
            few = sa.select(table.id).where(mine).limit(COUNTED).subquery()
            count = conn.scalar(sa.select(sa.func.count()).select_from(few))
            found.add_metric([priority.value], count or 0)
    yield found


def breakers(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up how each gateway's breaker stands, and whether it is in use."""
    state, enabled = family("tocsin_breaker_state"), family("tocsin_gateway_enabled")
    routes = scene.catalog.routes()
    standings = scene.breakers.states([(route.channel, route.gateway) for route in routes]) if routes else {}
    for route in routes:
        labels = [route.channel.value, route.gateway]
        state.add_metric(labels, _STATES[standings[route.channel, route.gateway].state])
        enabled.add_metric(labels, int(route.enabled))
    yield from (state, enabled)


def limits(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up how far each limit's windows are used up; recipients are left out."""
    found = family("tocsin_limit_used_ratio")
    shared = scene.catalog.limits().shared[:MOST_LIMITS] if scene.tokens is not None else ()
    used = scene.tokens.usage(shared) if scene.tokens is not None and shared else []
    for limit, usage in zip(shared, used, strict=True):
        for window, most, held_now in _windows(limit, usage):
            found.add_metric([limit.key, window], held_now / most)
    yield found


def _windows(limit: Limit, usage: Usage) -> Iterator[tuple[str, int, int]]:
    held_now = {
        Window.SECOND: usage.per_second,
        Window.MINUTE: usage.per_minute,
        Window.HOUR: usage.per_hour,
        Window.DAY: usage.per_day,
    }
    for window, most in limit.windows():
        yield window.name.lower(), max(most, 1), held_now[window] or 0


def deliveries(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up what share of each gateway's messages arrived."""
    found = family("tocsin_delivery_ratio")
    with scene.database() as conn:
        for window, length in _WINDOWS.items():
            for each in read_deliveries(conn, length):
                gateway = scene.gateways.get(each.gateway)
                if each.rate is not None and gateway is not None:
                    found.add_metric([gateway.channel.value, each.gateway, window], each.rate)
    yield found


def inbox(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up what waits in the inbox."""
    table = webhook_inbox.c
    few = (
        sa.select(table.received_at).where(table.processed_at.is_(None)).order_by(table.id).limit(COUNTED)
    ).subquery()
    age = sa.func.coalesce(sa.extract("epoch", sa.func.now() - sa.func.min(few.c.received_at)), 0)
    with scene.database() as conn:
        count, seconds = conn.execute(sa.select(sa.func.count(), age).select_from(few)).one()
    waiting, oldest = family("tocsin_inbox_waiting_webhooks"), family("tocsin_inbox_oldest_age_seconds")
    waiting.add_metric([], count)
    oldest.add_metric([], float(seconds))
    yield from (waiting, oldest)


def stops(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up which stops are in force."""
    table, now = controls.c, sa.func.now()
    in_force = (
        table.lifted_at.is_(None)
        & table.scope.is_not(None)
        & (table.from_at <= now)
        & (table.until_at.is_(None) | (table.until_at > now))
    )
    query = sa.select(table.scope, sa.func.count()).where(in_force).group_by(table.scope)
    found = family("tocsin_controls_in_force")
    with scene.database() as conn:
        for scope, count in conn.execute(query):
            found.add_metric([scope], count)
    yield found


def processes(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up who is alive, and whether somebody leads."""
    alive, leads = family("tocsin_processes_alive"), family("tocsin_scheduler_leads")
    led = sa.select(sa.func.count()).where(job_leader.c.lease_until > sa.func.now())
    with scene.database() as conn:
        kinds = [beat.kind for beat in read_beats(conn) if beat.alive]
        leads.add_metric([], int(bool(conn.scalar(led))))
    for kind in _KINDS:
        alive.add_metric([kind], kinds.count(kind))
    yield from (alive, leads)


def findings(scene: Scene) -> Iterator[GaugeMetricFamily]:
    """Look up what the newest diagnostic run found."""
    with scene.database() as conn:
        newest = latest(conn, Scope.QUICK, Scope.DEEP)
    priorities = [known.finding.priority for known in newest.findings] if newest else []
    found = family("tocsin_diagnostic_findings")
    for each in Severity:
        found.add_metric([each.value], priorities.count(each))
    yield found
