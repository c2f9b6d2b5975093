"""What keeps messages waiting: limits that are used up, gateways sent to slowly, names in bad repute."""

from collections.abc import Iterator
from functools import partial

from app.domain.reputation import Restraint, restraint
from app.domain.vocabulary import Priority
from app.limits.paces import EVERYWHERE
from app.limits.tokens import Limit
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity
from app.services.judging import read_records

SUBJECT = "limits"

NEARLY = 0.9
# Half of the usual is one "too fast", which is over in minutes.
SLOW = 0.3

_finding = partial(Finding, subject=SUBJECT)


def usage(scene: Scene) -> Iterator[Finding]:
    """Compare what the long windows hold with what they may; short ones are full whenever a lot is sent."""
    limits = scene.catalog.limits().shared
    if scene.tokens is None:
        yield _finding(
            code="limits_off",
            priority=Severity.MEDIUM,
            meaning="RATE_LIMITING_ENABLED is off: nothing keeps a campaign from getting our addresses "
            "blocked.",
            advice="Switch it on.",
        )
        return
    held = scene.tokens.usage(limits) if limits else []
    for limit, used in zip(limits, held, strict=True):
        yield from _window(limit, "hour", used.per_hour, limit.per_hour)
        yield from _window(limit, "day", used.per_day, limit.per_day)


def _window(limit: Limit, window: str, used: int | None, most: int | None) -> Iterator[Finding]:
    if not most or used is None or used < most * NEARLY:
        return
    full = used >= most
    yield _finding(
        code="limit_exhausted" if full else "limit_nearly_exhausted",
        target=f"{limit.key}:{window}",
        priority=Severity.MEDIUM if full else Severity.LOW,
        meaning=f"{used:,} of {most:,} messages a {window} for {limit.key} are used up.",
        advice="Raise the limit where the other side takes more, or spread campaigns over more time or "
        "pools.",
        automatic="What is over it goes later, at the time of the next free place; P0 is not stopped by it."
        if not limit.key.startswith("gateway:")
        else "P0, P1 and P4 go through the next gateway, the rest goes later.",
        evidence={"used": used, "most": most},
    )


def paces(scene: Scene) -> Iterator[Finding]:
    """Name gateways that are sent to far more slowly than usual, since they said "too fast"."""
    for pace in (scene.paces.all() if scene.paces else {}).values():
        if pace.factor > SLOW:
            continue
        part = "" if pace.part == EVERYWHERE else f" for {pace.part}"
        yield _finding(
            code="pace_lowered",
            target=f"{pace.gateway}|{pace.part}",
            priority=Severity.MEDIUM,
            meaning=f"{pace.gateway}{part} is sent {pace.per_second:.1f} messages a second instead of "
            f"{pace.usual:.1f}: it said {pace.why}",
            advice="Ask the other side what it takes and set that as a limit; forget the pace on the page "
            "Rate limits where it was a mistake.",
            automatic="The pace doubles every two and a half minutes until it is as before.",
            evidence={"per_second": round(pace.per_second, 2), "usual": round(pace.usual, 2)},
        )


def names(scene: Scene) -> Iterator[Finding]:
    """Name domains and pools under which campaigns are slowed or paused for bounces and complaints."""
    with scene.database() as conn:
        known = read_records(conn)
    for each in known:
        held = None if each.is_lifted(scene.now()) else restraint(Priority.P3, each.level)
        if held is None:
            continue
        kind, name = each.name
        yield _finding(
            code="campaigns_restrained",
            target=f"{kind}:{name}",
            priority=Severity.HIGH if held is Restraint.PAUSED else Severity.MEDIUM,
            meaning=f"Campaigns from {name} are {held}: {each.row.reason if each.row else ''}",
            advice="Take the addresses that bounce or complain out of the lists; lift it on the page Rate "
            "limits where you know better.",
            automatic="It ends by itself once bounces and complaints are few again. P0, P1 and P4 go on.",
        )


CHECKS = (
    Check(name="limits_usage", subject=SUBJECT, run=usage),
    Check(name="limits_paces", subject=SUBJECT, run=paces),
    Check(name="limits_names", subject=SUBJECT, run=names),
)
