"""Emergency procedures as the API, the console and commands use them."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import controls, message_batches
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.errors import Conflict, Faults, NotFound
from app.services import paging
from app.services.audit import Who
from app.services.catalog import Catalog
from app.services.controls import clearing, stopping
from app.services.controls.clearing import ClearFilter
from app.services.controls.noting import audited, insert, require_reason, said
from app.services.controls.showing import for_audit, now_of, shown, used
from app.services.controls.stopping import StopDraft
from app.services.controls.targets import resolved, spelled
from app.services.controls.views import (
    ClearingView,
    ControlView,
    EmergencyState,
    Procedure,
    StopState,
    StopView,
    Waiting,
    WorkState,
)
from app.services.gateway_views import GatewayView
from app.services.gateways import GatewaysService
from app.services.sending.stops import StopWatch
from app.services.views import Page
from app.wake import Wake

__all__ = ["ClearFilter", "EmergencyService", "StopDraft"]

MOST = 200
# Whoever calls waits so long for a clearing; the scheduler does the rest.
AT_ONCE = 5.0  # seconds

_C = controls.c


class EmergencyService:
    """Stops, and what else is done in an emergency. Each use names who and why, and is audited.

    Each call raises Unavailable where PostgreSQL is down, and Invalid without a reason.
    """

    def __init__(
        self,
        engine: sa.Engine,
        catalog: Catalog,
        stops: StopWatch,
        wake: Wake,
        *,
        gateways: GatewaysService,
        forget_counts: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._stops = stops
        self._wake = wake
        self._gateways = gateways
        self._forget_counts = forget_counts

    # Looking

    def state(self, *, counting: bool = True) -> EmergencyState:
        """Tell what is in force, to come or growing again, and what waits because of it."""
        with unavailable_when_down(), self._engine.connect() as conn:
            now = now_of(conn)
            stops = tuple(shown(conn, row, now, counting=counting) for row in stopping.living(conn))
            working = (WorkState.RUNNING.value, WorkState.UNDOING.value)
            rows = conn.execute(sa.select(controls).where(_C.state.in_(working)).order_by(_C.id)).all()
        whole = any(s.scope is StopScope.ALL and s.state is StopState.IN_FORCE for s in stops)
        return EmergencyState(
            sending=not whole, stops=stops, clearings=tuple(clearing.view(row) for row in rows)
        )

    def history(self, *, cursor: str | None = None, limit: int = 50) -> Page[ControlView]:
        """List every use of a procedure, newest first; raises Invalid for a cursor that is none of ours."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = sa.select(controls).order_by(_C.id.desc()).limit(limit + 1)
        if before:
            query = query.where(_C.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            now = now_of(conn)
            rows = conn.execute(query).all()
            return paging.page(rows, limit, lambda row: used(conn, row, now))

    # Stops

    def would_stop(self, draft: StopDraft) -> Waiting:
        """Count what a stop would keep, in bounded time; raises Invalid for what is not there."""
        with unavailable_when_down(), self._engine.connect() as conn:
            key = self._resolved(conn, draft.scope, draft.key)
            return stopping.would_wait(conn, draft.scope, key, includes_p0=draft.including_p0)

    def stop(self, who: Who, draft: StopDraft, *, why: str) -> StopView:
        """Stop everything, or one thing, on all workers within a second.

        Nothing is lost: what is accepted waits, and so does what was claimed and is not on the wire.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            now = now_of(conn)
            require_reason(why, *stopping.faults_of(draft, now))
            key = self._resolved(conn, draft.scope, draft.key)
            row = insert(
                conn,
                who,
                Procedure.STOP,
                why=why,
                scope=draft.scope.value,
                scope_key=key,
                includes_p0=draft.including_p0,
                from_at=draft.since or now,
                until_at=draft.until,
                ramp=draft.resume_over or None,
            )
            view = stopping.view(row, spelled(conn, draft.scope, key), now)
            audited(conn, who, "stop", row.id, why=why, after=for_audit(view))
        self._stops.ring()
        said(who, "stop", view.id, scope=view.scope.value, key=view.key, including_p0=view.including_p0)
        return view

    def resume(
        self,
        who: Who,
        *,
        why: str,
        ids: Sequence[int] | None = None,
        scope: StopScope | None = None,
        key: str | None = None,
        over: timedelta | None = None,
    ) -> tuple[StopView, ...]:
        """Lift stops: those of these ids, those of one thing, or (naming neither) all.

        `over` lets sending grow by tenths of its usual rate. Raises NotFound where there is none to lift.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            require_reason(why, *stopping.ramp_faults(over))
            if scope is not None:
                key = self._resolved(conn, scope, key)
            found = stopping.find(conn, ids=ids, scope=scope, key=key)
            if not found or (ids is not None and len(found) < len(set(ids))):
                raise NotFound("there is no such stop in force or to come")
            lifted = stopping.lift(conn, [row.id for row in found], who.actor, why, over)
            now = now_of(conn)
            views = tuple(shown(conn, row, now, counting=False) for row in lifted)
            for view in views:
                audited(conn, who, "resume", view.id, why=why, after=for_audit(view))
        self._stops.ring()
        self._wake_all()
        self._wake_batches()
        for view in views:
            said(who, "resume", view.id, scope=view.scope.value, key=view.key)
        return views

    # The queue

    def preview_clearing(self, who: Who, wanted: ClearFilter, *, why: str) -> ClearingView:
        """Count what a filter would cancel now; `clear` then takes just this filter, and nothing younger."""
        with unavailable_when_down(), self._engine.begin() as conn:
            faults = Faults()
            parameters = faults.of(
                clearing.parameters_of, conn, wanted, gateways=self._names(), now=now_of(conn)
            )
            faults.of(require_reason, why, *wanted.faults())
            faults.end()
            details = {
                "filter": wanted.shown(),
                "parameters": parameters,
                "counted": clearing.count(conn, parameters or {}),
            }
            state = WorkState.PREVIEWED.value
            row = insert(conn, who, Procedure.CLEAR_QUEUE, why=why, state=state, details=details)
        return clearing.view(row)

    def clear(self, who: Who, clearing_id: int, *, why: str, within: float = AT_ONCE) -> ClearingView:
        """Cancel what a preview has counted, in slices; what takes longer than `within` s goes on by itself.

        Raises NotFound, and Conflict where the preview is old or was used.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            require_reason(why)
            row = self._clearing(conn, clearing_id)
            if row.state != WorkState.PREVIEWED:
                raise Conflict(f"this clearing is {row.state}; make a new preview")
            if now_of(conn) - row.from_at > clearing.PREVIEW_HOLDS:
                raise Conflict("the preview is too old to go by; make a new one")
            values = {"state": WorkState.RUNNING.value, "who": who.actor, "why": why}
            conn.execute(sa.update(controls).where(_C.id == clearing_id).values(values))
            after = {"filter": row.details["filter"], "counted": row.details["counted"]}
            audited(conn, who, "clear_queue", clearing_id, why=why, after=after)
        said(who, "clear_queue", clearing_id, filter=row.details["filter"])
        return self._work(clearing_id, within)

    def undo_clearing(self, who: Who, clearing_id: int, *, why: str, within: float = AT_ONCE) -> ClearingView:
        """Make pending again what a clearing cancelled, each message as it was, but for the time between.

        What somebody has touched since stays as it is. Raises NotFound, and Conflict where nothing was
        cancelled, or it was undone already.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            require_reason(why)
            row = self._clearing(conn, clearing_id)
            if row.state not in (WorkState.RUNNING, WorkState.DONE):
                raise Conflict(f"this clearing is {row.state}; there is nothing to undo")
            values = {
                "state": WorkState.UNDOING.value,
                "lifted_at": sa.func.now(),
                "lifted_by": who.actor,
                "lifted_why": why,
            }
            conn.execute(sa.update(controls).where(_C.id == clearing_id).values(values))
            audited(conn, who, "undo_clear", clearing_id, why=why)
        said(who, "undo_clear", clearing_id)
        view = self._work(clearing_id, within)
        self._wake_all()
        return view

    def clearing(self, clearing_id: int, *, within: float = AT_ONCE) -> ClearingView:
        """Show a clearing, going on with it for so many seconds where it is not finished; raises NotFound."""
        with unavailable_when_down(), self._engine.begin() as conn:
            self._clearing(conn, clearing_id)
        return self._work(clearing_id, within)

    # Gateways and limits

    def switch_provider(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Let a gateway come first in its channel; what waits for another goes by the new order.

        Raises NotFound, and Conflict where it is out of use.
        """
        require_reason(why)
        before = [route.gateway for route in self._catalog.routes() if route.channel is channel]
        view = self._gateways.switch(who, channel, gateway, why=why)
        details = {"channel": channel.value, "gateway": gateway, "before": before}
        self._note(who, Procedure.SWITCH_PROVIDER, details, why=why)
        self._wake_all()
        return view

    def trip_breaker(
        self, who: Who, channel: Channel, gateway: str, *, why: str, wait: timedelta | None = None
    ) -> GatewayView:
        """Open a gateway's breaker at once; probes may try after `wait`, else after the rule's."""
        require_reason(why)
        view = self._gateways.trip(who, channel, gateway, why=why, wait=wait)
        self._note(who, Procedure.TRIP_BREAKER, {"channel": channel.value, "gateway": gateway}, why=why)
        return view

    def reset_breaker(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Close a gateway's breaker at once."""
        require_reason(why)
        view = self._gateways.reset(who, channel, gateway, why=why)
        self._note(who, Procedure.RESET_BREAKER, {"channel": channel.value, "gateway": gateway}, why=why)
        self._wake_all()
        return view

    def reset_rate_limits(self, who: Who, *, why: str) -> int:
        """Forget what all limits have counted; gives how many windows. Raises Unavailable without Redis."""
        require_reason(why)
        count = self._forget_counts()
        self._note(who, Procedure.RESET_RATE_LIMITS, {"windows": count}, why=why)
        self._wake_all()
        return count

    def _clearing(self, conn: sa.Connection, clearing_id: int) -> sa.Row[Any]:
        query = sa.select(controls).where(_C.id == clearing_id, _C.procedure == Procedure.CLEAR_QUEUE.value)
        row = conn.execute(query.with_for_update()).one_or_none()
        if row is None:
            raise NotFound("there is no such clearing")
        return row

    def _work(self, clearing_id: int, within: float) -> ClearingView:
        with unavailable_when_down():
            clearing.go_on(self._engine, clearing_id, source="api", until=time.monotonic() + within)
            with self._engine.connect() as conn:
                return clearing.view(conn.execute(sa.select(controls).where(_C.id == clearing_id)).one())

    def _note(self, who: Who, procedure: Procedure, details: dict[str, Any], *, why: str) -> None:
        with unavailable_when_down(), self._engine.begin() as conn:
            row = insert(conn, who, procedure, why=why, state=WorkState.DONE.value, details=details)
            audited(conn, who, procedure.value, row.id, why=why, after=details)
        said(who, procedure.value, row.id, **details)

    def _resolved(self, conn: sa.Connection, scope: StopScope, key: str | None) -> str | None:
        return None if key is None else resolved(conn, scope, key, gateways=self._names())

    def _names(self) -> list[str]:
        return [route.gateway for route in self._catalog.routes()]

    def _wake_all(self) -> None:
        for priority in Priority:
            self._wake.lane(priority, sweep=True)

    def _wake_batches(self) -> None:
        """Have those go on who turn bulk requests into messages: a stop may have kept them from it."""
        table = message_batches.c
        query = sa.select(table.priority, table.id).where(table.state.in_(("accepted", "expanding")))
        with unavailable_when_down(), self._engine.connect() as conn:
            for row in conn.execute(query.order_by(table.priority, table.id).limit(MOST)):
                self._wake.batch(Priority(row.priority), row.id)
