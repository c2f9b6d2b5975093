"""The ways out, as operators see and change them: order, weight, use, breakers, a test message."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.routing import Route
from app.domain.vocabulary import BreakerState, Channel
from app.errors import Conflict, NotFound, Unavailable
from app.limits.breaker import Breakers, Change, Standing
from app.services import health
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.gateway_rows import (
    USES,
    GatewayChanges,
    complete,
    faults_of,
    plain,
    require_why,
    save_route,
    target_of,
)
from app.services.gateway_views import GatewayView, Place, views
from app.services.health import ChangeView, HealthChange, Kind, changes
from app.services.trial_messages import TrialMessages
from app.services.views import Accepted, Page

__all__ = ["GatewayChanges", "GatewayView", "GatewaysService"]


class GatewaysService:
    """Looking at gateways and changing how they are used; each change needs a reason, and is audited.

    Each call raises Unavailable where PostgreSQL is down, NotFound for a gateway that is not there, and
    Invalid without a reason. Workers go by a change at once, where Redis tells them of it, else within five
    seconds; what is on its way to a gateway by then is not called back.
    """

    def __init__(
        self,
        engine: sa.Engine,
        catalog: Catalog,
        breakers: Breakers,
        *,
        known: Mapping[str, Channel],
        trials: TrialMessages,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._breakers = breakers
        self._known = known
        self._trials = trials
        self._now = now

    # Looking

    def list(self, *, channel: Channel | None = None, written: bool = False) -> tuple[GatewayView, ...]:
        """List all gateways by channel, in the order in which they are tried; those not configured last.

        With `written` Redis is not asked, and breakers are as they were last written down.
        """
        self._catalog.forget()
        with unavailable_when_down():
            routes = self._catalog.routes()
            standings = None if written else self._standings(routes)
            with self._engine.connect() as conn:
                found = views(conn, self._known, routes, standings)
        return tuple(view for view in found if channel is None or view.channel is channel)

    def get(self, channel: Channel, gateway: str) -> GatewayView:
        """Give one gateway."""
        for view in self.list(channel=channel):
            if view.gateway == gateway:
                return view
        raise NotFound(f"there is no gateway {gateway} for {channel}")

    def changes(
        self,
        *,
        channel: Channel | None = None,
        gateway: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[ChangeView]:
        """List changes of health and use, newest first; raises Invalid for a cursor that is none of ours."""
        return changes(self._engine, channel=channel, gateway=gateway, cursor=cursor, limit=limit)

    # Order and weight

    def change(
        self, who: Who, channel: Channel, gateway: str, changes: GatewayChanges, *, why: str
    ) -> GatewayView:
        """Change a gateway's tier, weight or pools."""
        require_why(why, *faults_of(changes))
        route = self._route(channel, gateway)
        values = {name: value for name, value in asdict(changes).items() if value is not None}
        before = {name: plain(getattr(route, name)) for name in values}
        after = {name: plain(value) for name, value in values.items()}
        if changes.tier is not None and changes.tier != route.tier:
            values["ordered_at"] = sa.func.now()
        with unavailable_when_down(), self._engine.begin() as conn:
            save_route(conn, route, values)
            record(conn, who, "gateway.change", target_of(route), before=before, after=after, why=why)
        self._catalog.changed()
        return self.get(channel, gateway)

    def set_order(
        self, who: Who, channel: Channel, tiers: Sequence[Sequence[str]], *, why: str
    ) -> tuple[GatewayView, ...]:
        """Put a channel's gateways in order: the first tier first, those not named behind, as they were.

        What waits goes by the new order, but for messages that another gateway has tried already.
        """
        routes = [route for route in self._routes() if route.channel is channel]
        wanted = complete(tiers, routes)
        require_why(why)
        before = {route.gateway: route.tier for route in routes}
        with unavailable_when_down(), self._engine.begin() as conn:
            for route in routes:
                save_route(conn, route, {"tier": wanted[route.gateway], "ordered_at": sa.func.now()})
            record(conn, who, "gateway.order", f"channel:{channel}", before=before, after=wanted, why=why)
            self._note_first(conn, who, routes, wanted, why)
        self._catalog.changed()
        return self.list(channel=channel)

    def switch(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Let a gateway come first in its channel, and the others behind it as they were.

        Raises Conflict where it is out of use.
        """
        route = self._route(channel, gateway)
        if not route.enabled or route.drained:
            raise Conflict(f"{gateway} is out of use: enable and undrain it first")
        others = sorted(
            (each for each in self._routes() if each.channel is channel and each.gateway != gateway),
            key=lambda each: each.tier,
        )
        tiers: dict[int, list[str]] = {}
        for each in others:
            tiers.setdefault(each.tier, []).append(each.gateway)
        self.set_order(who, channel, [[gateway], *tiers.values()], why=why)
        return self.get(channel, gateway)

    # Use

    def drain(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Give it no more messages but those that name it; what waits for it goes elsewhere."""
        return self._use(who, channel, gateway, "drain", why=why)

    def undrain(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Give it messages again."""
        return self._use(who, channel, gateway, "undrain", why=why)

    def disable(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Give it nothing at all; messages that name it wait, but for P0 and P4, which go elsewhere."""
        return self._use(who, channel, gateway, "disable", why=why)

    def enable(self, who: Who, channel: Channel, gateway: str, *, why: str) -> GatewayView:
        """Take it into use again."""
        return self._use(who, channel, gateway, "enable", why=why)

    # Breakers

    def trip(
        self,
        who: Who,
        channel: Channel,
        gateway: str,
        *,
        why: str,
        wait: timedelta | None = None,
        sender: str | None = None,
    ) -> GatewayView:
        """Open the breaker, of the gateway or of one sender at it; probes may try after `wait`.

        Without one that is as after faults. Without Redis it is written down, and holds once it is back.
        """
        require_why(why)
        route = self._route(channel, gateway)
        scope, at = sender or "", self._now()
        standing = Standing(
            state=BreakerState.OPEN, reason=why, since=at, retry_at=at + (wait or timedelta(seconds=30))
        )
        try:
            change = self._breakers.trip(channel, gateway, why, wait=wait, scope=scope)
            found = self._breakers.states([(channel, gateway)], scope=scope)[channel, gateway]
            before = change.before if change else BreakerState.OPEN
            at = change.at if change else found.changed_at or at
        except Unavailable:
            found, before = standing, BreakerState.CLOSED
        changed = Change(
            channel=channel,
            gateway=gateway,
            scope=scope,
            before=before,
            after=BreakerState.OPEN,
            reason=why,
            at=at,
            retry_at=found.retry_at or standing.retry_at,
        )
        self._write_breaker(who, route, changed, "gateway.trip", why)
        return self.get(channel, gateway)

    def reset(
        self, who: Who, channel: Channel, gateway: str, *, why: str, sender: str | None = None
    ) -> GatewayView:
        """Close the breaker, of the gateway or of one sender at it. Raises Unavailable without Redis."""
        require_why(why)
        route = self._route(channel, gateway)
        scope = sender or ""
        change = self._breakers.reset(channel, gateway, why, scope=scope)
        found = self._breakers.states([(channel, gateway)], scope=scope)[channel, gateway]
        changed = Change(
            channel=channel,
            gateway=gateway,
            scope=scope,
            before=change.before if change else BreakerState.CLOSED,
            after=BreakerState.CLOSED,
            reason=why,
            at=change.at if change else found.changed_at or self._now(),
        )
        self._write_breaker(who, route, changed, "gateway.reset", why)
        return self.get(channel, gateway)

    # Trying

    def test(self, who: Who, channel: Channel, gateway: str, address: str, *, why: str) -> Accepted:
        """Send a short message through this gateway to that address, as a transactional one.

        Raises what MessageService.send does.
        """
        require_why(why)
        route = self._route(channel, gateway)
        accepted = self._trials.send(channel, gateway, address)
        with unavailable_when_down(), self._engine.begin() as conn:
            after = {"message": str(accepted.uuid), "status": accepted.status.value}
            record(conn, who, "gateway.test", target_of(route), after=after, why=why)
        return accepted

    def _routes(self) -> tuple[Route, ...]:
        self._catalog.forget()
        with unavailable_when_down():
            return self._catalog.routes()

    def _route(self, channel: Channel, gateway: str) -> Route:
        for route in self._routes():
            if (route.channel, route.gateway) == (channel, gateway):
                return route
        raise NotFound(f"there is no gateway {gateway} for {channel} with credentials")

    def _standings(self, routes: Sequence[Route]) -> Mapping[Place, Standing] | None:
        try:
            return self._breakers.states([(route.channel, route.gateway) for route in routes])
        except Unavailable:
            return None

    def _use(self, who: Who, channel: Channel, gateway: str, verb: str, *, why: str) -> GatewayView:
        require_why(why)
        route, use = self._route(channel, gateway), USES[verb]
        was = getattr(route, use.column)
        with unavailable_when_down(), self._engine.begin() as conn:
            save_route(conn, route, {use.column: use.value})
            health.write(conn, channel, gateway, use.blame(who.actor, why))
            before, after = {use.column: was}, {use.column: use.value}
            record(conn, who, f"gateway.{verb}", target_of(route), before=before, after=after, why=why)
            if was != use.value:
                self._note_use(conn, who, route, before=use.before, after=use.after, reason=why)
        self._catalog.changed()
        return self.get(channel, gateway)

    def _note_use(
        self, conn: sa.Connection, who: Who, route: Route, *, before: str, after: str, reason: str
    ) -> None:
        health.note(
            conn,
            HealthChange(
                kind=Kind.USE,
                channel=route.channel,
                gateway=route.gateway,
                before=before,
                after=after,
                reason=reason,
                at=self._now(),
                who=who.actor,
            ),
        )

    def _note_first(
        self, conn: sa.Connection, who: Who, routes: Sequence[Route], wanted: Mapping[str, int], why: str
    ) -> None:
        """Note that another gateway comes first in its channel, where that is so."""
        was = min(routes, key=lambda route: route.tier)
        now = min(routes, key=lambda route: wanted[route.gateway])
        if wanted[was.gateway] > wanted[now.gateway]:
            before, after = f"{was.gateway} first", f"{now.gateway} first"
            self._note_use(conn, who, now, before=before, after=after, reason=why)

    def _write_breaker(self, who: Who, route: Route, change: Change, action: str, why: str) -> None:
        after = {"state": change.after.value, "sender": change.scope or None}
        with unavailable_when_down(), self._engine.begin() as conn:
            before = {"state": change.before.value}
            record(conn, who, action, target_of(route), before=before, after=after, why=why)
            health.write_breaker(conn, change)
            if change.before is not change.after:
                health.note_breaker(conn, change, who=who.actor)
