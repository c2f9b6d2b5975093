"""What operators may say about a gateway, and its row in `gateways`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.tables import gateways
from app.domain.routing import Route
from app.errors import Fault, Invalid
from app.services.field_rules import name_faults

HIGHEST = 1000
LONGEST_WHY = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayChanges:
    """What is to be otherwise about a gateway; None leaves it as it is. No pools stands for every pool."""

    tier: int | None = None
    weight: int | None = None
    pools: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """Taking a gateway out of use or into it: a column of `gateways`, and words for both states.

    `columns` are those of channel_health that name who did so and why, while it is out.
    """

    column: str
    value: bool
    before: str
    after: str
    columns: tuple[str, str]

    def blame(self, actor: str, why: str) -> dict[str, Any]:
        """Say who took it out of use, or that nobody did."""
        is_out = self.after != _IN_USE
        return dict(zip(self.columns, (actor, why) if is_out else (None, None), strict=True))


_IN_USE = "in use"
_DRAINED = ("drained_by", "drained_why")
_DISABLED = ("disabled_by", "disabled_why")

USES: Mapping[str, Use] = {
    "drain": Use(column="drained", value=True, before=_IN_USE, after="drained", columns=_DRAINED),
    "undrain": Use(column="drained", value=False, before="drained", after=_IN_USE, columns=_DRAINED),
    "disable": Use(column="enabled", value=False, before=_IN_USE, after="disabled", columns=_DISABLED),
    "enable": Use(column="enabled", value=True, before="disabled", after=_IN_USE, columns=_DISABLED),
}


def require_why(why: str, *faults: Fault) -> None:
    """Raise Invalid with these faults, and where nobody said why."""
    found = list(faults)
    if not why.strip() or len(why) > LONGEST_WHY:
        found.append(Fault("why", f"must say why, in 1 to {LONGEST_WHY} characters"))
    if found:
        raise Invalid(found)


def faults_of(changes: GatewayChanges) -> Iterator[Fault]:
    """Tell what is wrong with changes."""
    if changes.tier is not None and not 1 <= changes.tier <= HIGHEST:
        yield Fault("tier", f"must be from 1 to {HIGHEST}")
    if changes.weight is not None and not 0 <= changes.weight <= HIGHEST:
        yield Fault("weight", f"must be from 0 to {HIGHEST}")
    for pool in changes.pools or ():
        yield from name_faults("pools", pool)


def complete(tiers: Sequence[Sequence[str]], routes: Sequence[Route]) -> dict[str, int]:
    """Give each gateway its tier, from 1; those not named come behind, as they were. Raises Invalid."""
    named = [gateway for tier in tiers for gateway in tier]
    strangers = set(named) - {route.gateway for route in routes}
    if strangers:
        raise Invalid.of("tiers", f"names what is not configured: {', '.join(sorted(strangers))}")
    if not named or len(set(named)) < len(named):
        raise Invalid.of("tiers", "must name each gateway once at most, and one at least")
    wanted = {
        gateway: number
        for number, tier in enumerate((tier for tier in tiers if tier), start=1)
        for gateway in tier
    }
    rest = [route for route in routes if route.gateway not in wanted]
    last = max(wanted.values())
    behind = {tier: last + number for number, tier in enumerate(sorted({r.tier for r in rest}), start=1)}
    return wanted | {route.gateway: behind[route.tier] for route in rest}


def save_route(conn: sa.Connection, route: Route, values: Mapping[str, Any]) -> None:
    """Write columns of a gateway's row, which begins as the settings have it where there is none."""
    place = {"channel": route.channel, "gateway": route.gateway}
    changed = {**values, "updated_at": sa.func.now()}
    statement = insert(gateways).values({**place, "tier": route.tier, "weight": route.weight, **changed})
    conn.execute(statement.on_conflict_do_update(index_elements=list(place), set_=changed))


def target_of(route: Route) -> str:
    """Name a gateway in the audit log."""
    return f"gateway:{route.channel}/{route.gateway}"


def plain(value: object) -> object:
    """Spell a value as JSON can."""
    return sorted(value) if isinstance(value, (frozenset, tuple)) else value
