"""What everybody who looks at the console sees: read once for all of them, at most every two seconds."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from flask import Flask, Response, current_app, request

from app.bootstrap import App
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.errors import Unavailable
from app.services.controls.views import EmergencyState
from app.services.diagnostics.runs import Run
from app.services.diagnostics.service import Standing
from app.services.gateway_views import GatewayView
from app.services.limits import PaceView
from app.services.stats import LaneDepth
from app.services.throughput import RATED, Span, Throughput, lane_rates, read_throughput

log = structlog.get_logger(__name__)

_NAME = "tocsin.watch"
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

EVERY = timedelta(seconds=2)
FINDINGS_EVERY = timedelta(seconds=10)
CHART_EVERY = timedelta(seconds=20)

_Part = TypeVar("_Part")


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneNow:
    """One lane, and how many messages a second it sent just now."""

    depth: LaneDepth
    rate: float | None

    @property
    def used(self) -> float:
        """Say which share of its time the oldest message has waited."""
        age = self.depth.oldest_age
        return 0.0 if age is None else age / self.depth.max_age


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayNow:
    """One gateway that has credentials. `traffic` is its share of its channel's messages just now.

    `slowed` are messages a second that it said were enough, the lowest where it said so of several parts.
    """

    view: GatewayView
    traffic: float | None
    limit: str
    limit_used: float | None
    slowed: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """One look at all of it. What could not be read is None, and `missing` says what that was.

    Lanes' rates are those of the last `rated`. `batches` names those that are paused, by their UUIDs.
    `looked` is what diagnostics found just now in what changes soon; None where Redis would be waited for.
    """

    at: datetime
    lanes: Sequence[LaneNow] | None
    gateways: Sequence[GatewayNow] | None
    without_credentials: int
    emergency: EmergencyState | None
    rated: timedelta
    batches: Mapping[str, str]
    standing: Standing | None
    looked: Run | None
    missing: Sequence[str]

    @property
    def rate(self) -> float | None:
        """Add up what all lanes send in a second."""
        rates = [lane.rate for lane in self.lanes or () if lane.rate is not None]
        return sum(rates) if rates else None

    @property
    def due(self) -> int:
        """Add up what is due in all lanes, as far as it was counted."""
        return sum(lane.depth.due for lane in self.lanes or ())

    @property
    def scheduled(self) -> int:
        """Add up what is due later in all lanes, as far as it was counted."""
        return sum(lane.depth.scheduled for lane in self.lanes or ())

    @property
    def in_flight(self) -> int:
        """Add up what is on its way in all lanes."""
        return sum(lane.depth.processing for lane in self.lanes or ())

    def has_more(self, count: str) -> bool:
        """Tell whether there is more `due`, `scheduled` or `processing` than was counted."""
        return any(count in lane.depth.at_least for lane in self.lanes or ())


class Watch:
    """Looks for all viewers of a process: a look is as good for everybody until it is too old.

    Nobody waits for a look while there is one that is only a little older.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._reading = threading.Lock()
        self._seen: Overview | None = None
        self._findings: tuple[datetime, Run] | None = None
        self._charts: dict[Span, tuple[datetime, Throughput]] = {}

    def look(self, now: datetime) -> Overview:
        """Give what is going on; raises nothing for what cannot be read."""
        seen = self._seen
        if seen is not None and now - seen.at < EVERY:
            return seen
        if not self._reading.acquire(blocking=seen is None):
            assert seen is not None  # noqa: S101 - Else it would have waited.
            return seen
        try:
            # Somebody may have looked while this one waited.
            if self._seen is None or now - self._seen.at >= EVERY:
                self._seen = _read(self._app, now, partial(self._look, now))
            return self._seen
        finally:
            self._reading.release()

    def chart(self, span: Span, now: datetime) -> Throughput:
        """Give what went through; raises Unavailable."""
        known = self._charts.get(span)
        if known is not None and now - known[0] < CHART_EVERY:
            return known[1]
        found = read_throughput(self._app.engine, span, now=now)
        self._charts[span] = (now, found)
        return found

    def look_again(self) -> None:
        """Forget what was seen, where somebody has just changed it."""
        self._seen = self._findings = None

    def _look(self, now: datetime) -> Run:
        known = self._findings
        if known is None or now - known[0] >= FINDINGS_EVERY:
            known = self._findings = (now, self._app.diagnostics.look())
        return known[1]


def install(flask: Flask, app: App) -> None:
    """Have one watch for all pages, which looks again after whatever may have changed something."""
    found = flask.extensions[_NAME] = Watch(app)

    def note(response: Response) -> Response:
        if request.method in _CHANGING:
            found.look_again()
        return response

    flask.after_request(note)


def watch() -> Watch:
    """Give the watch of this application."""
    found: Watch = current_app.extensions[_NAME]
    return found


def _read(app: App, now: datetime, look: Callable[[], Run]) -> Overview:
    missing: list[str] = []

    def part(name: str, read: Callable[[], _Part]) -> _Part | None:
        try:
            return read()
        except Unavailable as exc:
            missing.append(name)
            log.warning("a part of the overview cannot be read", part=name, error=str(exc))
            return None

    rates = part("rates", lambda: lane_rates(app.engine)) or {}
    paces = part("limits", app.limits.paces)
    # Where Redis hangs, one wait for it is enough: there may be a stop to be seen.
    views = part("gateways", partial(app.gateway_control.list, written=paces is None))
    limits = None if paces is None else part("limits", lambda: _limits(app))
    looked = None if paces is None else look()
    emergency = part("stops", lambda: app.emergency.state(counting=False))
    return Overview(
        at=now if now.tzinfo else now.replace(tzinfo=UTC),
        lanes=part("lanes", lambda: _lanes(app, rates)),
        gateways=None if views is None else _gateways(views, limits or {}, paces or ()),
        without_credentials=sum(not view.credentials for view in views or ()),
        emergency=emergency,
        rated=RATED,
        batches=part("batches", lambda: _paused(app, emergency)) or {},
        standing=part("findings", lambda: app.diagnostics.standing(looked=looked)),
        looked=looked,
        missing=missing,
    )


def _paused(app: App, emergency: EmergencyState | None) -> Mapping[str, str]:
    stops = emergency.stops if emergency else ()
    return app.batch_desk.names([stop.key for stop in stops if stop.scope is StopScope.BATCH and stop.key])


def _lanes(app: App, rates: Mapping[Priority, float]) -> list[LaneNow]:
    return [LaneNow(depth=depth, rate=rates.get(depth.priority)) for depth in app.stats.queue()]


def _gateways(
    views: Sequence[GatewayView], limits: Mapping[str, tuple[str, float]], paces: Sequence[PaceView]
) -> list[GatewayNow]:
    totals: dict[Channel, float] = {}
    slowed: dict[str, float] = {}
    for pace in paces:
        slowed[pace.gateway] = min(pace.per_second, slowed.get(pace.gateway, pace.per_second))
    for view in views:
        totals[view.channel] = totals.get(view.channel, 0) + (view.figures.current_rate_per_sec or 0)
    return [
        GatewayNow(
            view=view,
            traffic=_share(view.figures.current_rate_per_sec, totals[view.channel]),
            limit=limits.get(view.gateway, ("", 0.0))[0],
            limit_used=limits[view.gateway][1] if view.gateway in limits else None,
            slowed=slowed.get(view.gateway),
        )
        for view in views
        if view.credentials
    ]


def _share(part: float | None, whole: float) -> float | None:
    return part / whole if part is not None and whole else None


def _limits(app: App) -> dict[str, tuple[str, float]]:
    """Tell of each gateway that has limits which one is used most, and how far."""
    if not app.settings.rate_limiting_enabled:
        return {}
    limits = [limit for limit in app.catalog.limits().shared if limit.key.startswith("gateway:")]
    found = {}
    for limit, used in zip(limits, app.tokens.usage(limits) if limits else [], strict=True):
        windows = [
            (f"{held:,} of {most:,} a {window}", held / most)
            for window, held, most in (
                ("second", used.per_second, limit.per_second),
                ("minute", used.per_minute, limit.per_minute),
                ("hour", used.per_hour, limit.per_hour),
                ("day", used.per_day, limit.per_day),
            )
            if most and held is not None
        ]
        if windows:
            found[limit.key.removeprefix("gateway:")] = max(windows, key=lambda each: each[1])
    return found
