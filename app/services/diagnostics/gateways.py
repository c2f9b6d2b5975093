"""Whether there is a healthy way out for each channel."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

import sqlalchemy as sa

from app.db.tables import channel_health, message_queue
from app.domain.condition import Condition, judge
from app.domain.lanes import Lane
from app.domain.routing import Route
from app.domain.vocabulary import BreakerState, Channel, Status
from app.limits.breaker import Standing
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "gateways"

LATEST_CHECK = timedelta(minutes=15)
ALARMING = 0.5
# So many waiting messages of a lane are looked at.
LOOKED = 20_000
# What one vendor's door at our web process is called, where several of its gateways share it.
DOORS = {"twilio_whatsapp": "twilio", "twilio_voice": "twilio", "fcm": "firebase", "apns": "firebase"}

_finding = partial(Finding, subject=SUBJECT)


def configured(scene: Scene) -> Iterator[Finding]:
    """Look whether each channel in use has a way out, and another behind it."""
    routes = _by_channel(scene)
    for channel in Channel:
        if not scene.settings.is_enabled(channel):
            continue
        usable = [route for route in routes[channel] if route.enabled]
        if routes[channel] and not usable:
            yield _finding(
                code="channel_without_gateway",
                target=channel.value,
                priority=Severity.CRITICAL,
                meaning=f"Every gateway for {channel.value} is disabled: its messages wait, then expire.",
                advice="Enable one, or configure another.",
            )
        elif len(usable) == 1:
            yield _finding(
                code="no_failover",
                target=channel.value,
                priority=Severity.LOW,
                meaning=f"{usable[0].gateway} is the only gateway for {channel.value}: when it fails, "
                "nothing is left.",
                advice="Configure a second gateway for the channel.",
            )
    if not any(routes.values()):
        yield _finding(
            code="no_gateway",
            priority=Severity.CRITICAL,
            meaning="No gateway is configured at all.",
            advice="Set the credentials of at least one; `tocsin settings` lists them.",
        )


def breakers(scene: Scene) -> Iterator[Finding]:
    """Look which gateways are taken out of use by their breaker."""
    routes = _by_channel(scene)
    pairs = [(route.channel, route.gateway) for some in routes.values() for route in some]
    standings = scene.breakers.states(pairs) if pairs else {}
    for channel, some in routes.items():
        states = {route.gateway: standings[channel, route.gateway] for route in some if route.enabled}
        yield from _of_channel(channel, states)


def _of_channel(channel: Channel, states: Mapping[str, Standing]) -> Iterator[Finding]:
    ill = {name: each for name, each in states.items() if each.state is not BreakerState.CLOSED}
    for gateway, standing in ill.items():
        if standing.state is BreakerState.OPEN:
            priority = Severity.CRITICAL if len(ill) == len(states) else Severity.HIGH
        else:
            priority = Severity.LOW
        yield _finding(
            code="breaker_open" if standing.state is BreakerState.OPEN else "breaker_half_open",
            target=f"{channel.value}:{gateway}",
            priority=priority,
            meaning=f"{gateway} is taken out of use for {channel.value}: "
            f"{standing.reason or 'it failed too often'}.",
            advice="See the vendor's status page and the reason; close the breaker once it is mended.",
            automatic="Others take its messages; probes find out when it is well, and it comes back by "
            "itself.",
            evidence={
                "state": standing.state.value,
                "since": standing.since.isoformat() if standing.since else None,
                "retry_at": standing.retry_at.isoformat() if standing.retry_at else None,
            },
        )


def accepting(scene: Scene) -> Iterator[Finding]:
    """Look which gateways in use fail more than a tenth of what they are given, with their breaker closed."""
    table = channel_health.c
    asked = {
        (route.channel, route.gateway)
        for some in _by_channel(scene).values()
        for route in some
        if route.enabled
    }
    query = sa.select(table.channel, table.gateway, table.success_rate_1h, table.success_rate_24h)
    with scene.database() as conn:
        rows = conn.execute(query.where(table.breaker_state == BreakerState.CLOSED.value)).all()
    for row in rows:
        hour, day = row.success_rate_1h, row.success_rate_24h
        found = judge(breaker=BreakerState.CLOSED, breaker_reason="", share=1.0, hour=hour, day=day)
        if found.condition is not Condition.DEGRADED or (Channel(row.channel), row.gateway) not in asked:
            continue
        yield _finding(
            code="gateway_degraded",
            target=f"{row.channel}:{row.gateway}",
            priority=_priority_of(hour),
            meaning=f"{row.gateway} is degraded for {row.channel}: {found.reason}.",
            advice="See by which errors its tries fail, and the vendor's status page; drain it where another "
            "takes its messages.",
            automatic="What fails is tried again, elsewhere where there is another; enough faults in a row "
            "open its breaker.",
            evidence={"success_rate_1h": hour, "success_rate_24h": day},
        )


def _priority_of(hour: float | None) -> Severity:
    """Of an earlier hour there is nothing to save any more."""
    if hour is None:
        return Severity.LOW
    return Severity.HIGH if hour < ALARMING else Severity.MEDIUM


def health(scene: Scene) -> Iterator[Finding]:
    """Look whether health is kept up to date, and who was taken out by hand."""
    names = {(route.channel.value, route.gateway) for some in _by_channel(scene).values() for route in some}
    with scene.database() as conn:
        rows = conn.execute(sa.select(channel_health)).all()
    for row in rows:
        if (row.channel, row.gateway) not in names:
            continue
        target = f"{row.channel}:{row.gateway}"
        if (
            row.last_check_at is not None
            and scene.now() - row.last_check_at > LATEST_CHECK
            and not row.is_healthy
        ):
            yield _finding(
                code="health_outdated",
                target=target,
                priority=Severity.MEDIUM,
                meaning=f"{row.gateway} counts as ill, and was not looked at since "
                f"{row.last_check_at:%H:%M} UTC.",
                advice="See whether the scheduler runs.",
                evidence={"last_check_at": row.last_check_at.isoformat()},
            )
        if row.disabled_by or row.drained_by:
            yield _finding(
                code="gateway_disabled" if row.disabled_by else "gateway_drained",
                target=target,
                priority=Severity.LOW,
                meaning=f"{row.gateway} was taken out of use by {row.disabled_by or row.drained_by}: "
                f"{row.disabled_why or row.drained_why or 'no reason given'}.",
                advice="Put it back when the reason is gone.",
            )


def named(scene: Scene) -> Iterator[Finding]:
    """Look which messages wait for a gateway that they name, and that is out of use."""
    usable = {(route.channel.value, route.gateway) for route in scene.catalog.routes() if route.enabled}
    waiting: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], datetime] = {}
    with scene.database() as conn:
        for row in chain.from_iterable(conn.execute(_naming(lane)) for lane in scene.settings.lanes.values()):
            place = (row.channel, row.gateway)
            if place not in usable:
                waiting[place] += row.waiting
                first[place] = min(row.expires_at, first.get(place, row.expires_at))
    for (channel, gateway), count in sorted(waiting.items()):
        yield _finding(
            code="messages_wait_for_gateway",
            target=f"{channel}:{gateway}",
            priority=Severity.HIGH,
            meaning=f"{count} messages or more name {gateway}, which is out of use for {channel}: no other "
            f"may take them, and the first expires at {first[channel, gateway]:%Y-%m-%d %H:%M} UTC.",
            advice="Put it back into use; or clear the queue of what is to go through it, and replay that "
            "through another.",
            evidence={"count": count, "first_expires_at": first[channel, gateway].isoformat()},
        )


def _naming(lane: Lane) -> sa.Select[tuple[str, str, int, datetime]]:
    """Count what waits in a lane and may go through one gateway alone, among the first that are due there."""
    table = message_queue.c
    looked = (
        sa.select(table.channel, table.gateway, table.gateway_pinned, table.options, table.expires_at)
        .where(table.priority == lane.priority.value, table.status == Status.PENDING.value)
        .order_by(table.channel, table.client_id, table.scheduled_for, table.id)
        .limit(LOOKED)
        .subquery()
        .c
    )
    alone = sa.and_(looked.gateway_pinned, looked.gateway.is_not(None))
    if lane.always_tries:
        alone = sa.and_(alone, looked.options["gateway_only"].astext == "true")
    counted = sa.select(
        looked.channel,
        looked.gateway,
        sa.func.count().label("waiting"),
        sa.func.min(looked.expires_at).label("expires_at"),
    )
    return counted.where(alone).group_by(looked.channel, looked.gateway)


def doors(scene: Scene) -> Iterator[Finding]:
    """Look whether each gateway can tell us what became of its messages."""
    for name in sorted(scene.gateways):
        if DOORS.get(name, name) not in scene.webhooks:
            yield _finding(
                code="webhook_not_provable",
                target=name,
                priority=Severity.MEDIUM,
                meaning=f"Webhooks of {name} cannot be proven with what is set, so none is taken: "
                "deliveries, "
                "bounces and opt-outs stay unknown.",
                advice="Set the secrets of its webhooks; `tocsin settings` lists them.",
            )
    if scene.gateways and not scene.settings.public_base_url:
        yield _finding(
            code="no_public_url",
            priority=Severity.MEDIUM,
            meaning="PUBLIC_BASE_URL is not set: gateways are not told where to report, and links lead "
            "nowhere.",
            advice="Set it to the address under which the world reaches the web process.",
        )


def _by_channel(scene: Scene) -> dict[Channel, list[Route]]:
    found: dict[Channel, list[Route]] = defaultdict(list)
    for route in scene.catalog.routes():
        found[route.channel].append(route)
    return found


CHECKS = tuple(
    Check(name=f"gateways_{check.__name__}", subject=SUBJECT, run=check)
    for check in (configured, breakers, accepting, health, named, doors)
)
