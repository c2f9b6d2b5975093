"""What operators may say about a limit, and what they are shown of it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.domain import emails
from app.domain.addresses import domain_of
from app.domain.isps import ISPS
from app.errors import Fault, Invalid
from app.limits.tokens import Window
from app.services.field_rules import name_faults
from app.services.limit_table import DEFAULT, Warmup, warmup_of

HIGHEST = 2_000_000_000
LONGEST_NOTES = 1000
_LONGEST_ADDRESS = 4096

FIGURES = ("max_per_second", "max_per_minute", "max_per_hour", "max_per_day")


class LimitType(StrEnum):
    """What can be limited."""

    DOMAIN = "domain"
    ISP = "isp"
    IP_POOL = "ip_pool"
    GATEWAY = "gateway"
    RECIPIENT = "recipient"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitDraft:
    """What a limit is to be; a window without a figure is not limited."""

    max_per_second: int | None = None
    max_per_minute: int | None = None
    max_per_hour: int | None = None
    max_per_day: int | None = None
    warmup: Warmup | None = None
    is_active: bool = True
    notes: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmupView:
    """A new pool's first days, and where it is in them; `ends_on_day` is the first without it."""

    first: int
    growth: str
    started_at: datetime
    day: int
    per_day_now: int
    ends_on_day: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowUse:
    """How much of one window is used now, and `most` as it is limited now; `share` is the used part of it."""

    window: str
    used: int
    most: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitView:
    """One limit and how much of it is used.

    `usage` is None where Redis cannot be asked, where nothing is limited, and for recipients, who have
    counts of their own. `factor` is the share of the usual pace that gateways' "too fast" leaves for now.
    """

    id: int
    limit_type: LimitType
    limit_key: str
    max_per_second: int | None
    max_per_minute: int | None
    max_per_hour: int | None
    max_per_day: int | None
    warmup: WarmupView | None
    is_active: bool
    notes: str
    usage: tuple[WindowUse, ...] | None
    factor: float
    exceeded_count: int
    last_exceeded_at: datetime | None
    last_exceeded_window: str | None
    updated_at: datetime


def checked_key(limit_type: LimitType, key: str) -> str:
    """Give what is limited as it is compared; raises Invalid."""
    if limit_type is LimitType.DOMAIN:
        return _domain(key)
    if limit_type is LimitType.ISP:
        if key not in ISPS:
            raise Invalid.of(
                "limit_key", f"is no ISP that is told apart; these are: {', '.join(sorted(ISPS))}"
            )
        return key
    if limit_type is LimitType.RECIPIENT:
        return _recipient(key)
    found = [Fault("limit_key", fault.message) for fault in name_faults("limit_key", key)]
    if found:
        raise Invalid(found)
    return key


def faults_of(limit_type: LimitType, draft: LimitDraft) -> Iterator[Fault]:
    """Tell all that is wrong with a limit."""
    figures = {name: getattr(draft, name) for name in FIGURES}
    for name, figure in figures.items():
        if figure is not None and not 1 <= figure <= HIGHEST:
            yield Fault(name, f"must be from 1 to {HIGHEST}")
    if all(figure is None for figure in figures.values()):
        yield Fault("max_per_hour", "is missing, and so are the others: limit at least one window")
    if len(draft.notes) > LONGEST_NOTES or "\x00" in draft.notes:
        yield Fault("notes", f"must have at most {LONGEST_NOTES} characters, none of them NUL")
    if draft.warmup:
        yield from _warmup_faults(limit_type, draft, draft.warmup)


def values_of(draft: LimitDraft) -> dict[str, Any]:
    """Give a draft as columns."""
    warmup = draft.warmup
    return {
        **{name: getattr(draft, name) for name in FIGURES},
        "warmup_first": warmup.first if warmup else None,
        "warmup_growth": warmup.growth if warmup else None,
        "warmup_started_at": warmup.started_at if warmup else None,
        "is_active": draft.is_active,
        "notes": draft.notes,
        "updated_at": sa.func.now(),
    }


def draft_of(row: sa.Row[Any]) -> LimitDraft:
    """Give a row as the draft that would make it."""
    return LimitDraft(
        **{name: getattr(row, name) for name in FIGURES},
        warmup=warmup_of(row),
        is_active=row.is_active,
        notes=row.notes,
    )


def for_audit(draft: LimitDraft) -> dict[str, Any]:
    """Give a draft as plain JSON, without what is not set."""
    values = asdict(draft)
    if draft.warmup:
        values["warmup"]["started_at"] = draft.warmup.started_at.isoformat()
    return {name: value for name, value in values.items() if value not in (None, "")}


def warmup_view(row: sa.Row[Any], now: datetime) -> WarmupView | None:
    """Tell where a pool is in its first days; None where it has none, or they are over."""
    warmup = warmup_of(row)
    if warmup is None:
        return None
    return WarmupView(
        first=warmup.first,
        growth=warmup.growth,
        started_at=warmup.started_at,
        day=warmup.day(now),
        per_day_now=min(row.max_per_day, warmup.figure(now)),
        ends_on_day=warmup.ends_on_day(row.max_per_day),
    )


def window_uses(figures: dict[Window, int], used: dict[Window, int]) -> tuple[WindowUse, ...]:
    """Put together what windows hold and what they may."""
    return tuple(
        WindowUse(
            window=window.name.lower(),
            used=used.get(window, 0),
            most=most,
            share=round(used.get(window, 0) / most, 4),
        )
        for window, most in figures.items()
    )


def _domain(key: str) -> str:
    try:
        return domain_of(emails.canonical(f"x@{key.strip().lower()}"))
    except Invalid as exc:
        raise Invalid.of("limit_key", "must be a domain, as in example.com") from exc


def _recipient(key: str) -> str:
    """Addresses are compared as suppressions are; what is no address limits nobody."""
    written = key.strip()
    if not written or len(written) > _LONGEST_ADDRESS or not written.isprintable():
        raise Invalid.of("limit_key", f"must be an address, or {DEFAULT!r} for everybody")
    return written.lower() if "@" in written else written


def _warmup_faults(limit_type: LimitType, draft: LimitDraft, warmup: Warmup) -> Iterator[Fault]:
    if limit_type is not LimitType.IP_POOL:
        yield Fault("warmup", "is for IP pools only")
    if draft.max_per_day is None:
        yield Fault("max_per_day", "is missing: it is where the warm-up ends")
    elif warmup.first > draft.max_per_day:
        yield Fault("warmup.first", "is more than max_per_day, where the warm-up ends")
    if warmup.first < 1:
        yield Fault("warmup.first", "must be at least 1")
