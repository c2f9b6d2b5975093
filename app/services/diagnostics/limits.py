"""Rate limits that are nearly used up."""

from collections.abc import Iterator
from functools import partial

from app.limits.tokens import Limit
from app.services.catalog import LimitRow
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "limits"

NEARLY = 0.9

_finding = partial(Finding, subject=SUBJECT)


def usage(scene: Scene) -> Iterator[Finding]:
    """Compare what the long windows hold with what they may; short ones are full whenever a lot is sent."""
    rows = [row for row in scene.catalog.limits() if row.limit_type != "recipient"]
    if scene.tokens is None:
        yield _finding(
            code="limits_off",
            priority=Severity.MEDIUM,
            meaning="RATE_LIMITING_ENABLED is off: nothing keeps a campaign from getting our addresses "
            "blocked.",
            advice="Switch it on.",
        )
        return
    held = scene.tokens.usage([limit_of(row) for row in rows]) if rows else []
    for row, used in zip(rows, held, strict=True):
        yield from _window(row, "hour", used.per_hour, row.per_hour)
        yield from _window(row, "day", used.per_day, row.per_day)


def limit_of(row: LimitRow) -> Limit:
    """Give a row of rate_limits in the words of those who count."""
    return Limit(
        key=f"{row.limit_type}:{row.limit_key}",
        per_second=row.per_second,
        per_minute=row.per_minute,
        per_hour=row.per_hour,
        per_day=row.per_day,
    )


def _window(row: LimitRow, window: str, used: int | None, most: int | None) -> Iterator[Finding]:
    if not most or used is None or used < most * NEARLY:
        return
    full = used >= most
    yield _finding(
        code="limit_exhausted" if full else "limit_nearly_exhausted",
        target=f"{row.limit_type}:{row.limit_key}:{window}",
        priority=Severity.MEDIUM if full else Severity.LOW,
        meaning=f"{used:,} of {most:,} messages a {window} for {row.limit_type} {row.limit_key} are used up.",
        advice="Raise the limit where the other side takes more, or spread campaigns over more time or "
        "pools.",
        automatic="What is over it goes later, at the time of the next free place; P0 is not stopped by it."
        if row.limit_type != "gateway"
        else "P0, P1 and P4 go through the next gateway, the rest goes later.",
        evidence={"used": used, "most": most},
    )


CHECKS = (Check(name="limits_usage", subject=SUBJECT, run=usage),)
