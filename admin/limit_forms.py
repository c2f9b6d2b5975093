"""The form of a limit: what was typed as a draft, and a limit as what is typed."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from app.errors import Fault, Invalid
from app.services.limit_rows import FIGURES, HIGHEST, LimitDraft, LimitView
from app.services.limit_table import Warmup

_GROWTHS = ("double", "linear")


def draft_of(said: Mapping[str, str]) -> LimitDraft:
    """Read a form; raises Invalid with all that cannot be read."""
    faults: list[Fault] = []
    figures = {name: _figure(said, name, faults) for name in FIGURES}
    warmup = _warmup(said, faults)
    if faults:
        raise Invalid(faults)
    return LimitDraft(
        **figures,
        warmup=warmup,
        is_active=said.get("is_active") == "yes",
        notes=said.get("notes", "").strip(),
    )


def fields_of(view: LimitView) -> dict[str, str]:
    """Give a limit as its form's fields."""
    return dict(_fields(view))


def _fields(view: LimitView) -> Iterator[tuple[str, str]]:
    yield "limit_type", view.limit_type
    yield "limit_key", view.limit_key
    yield "is_active", "yes" if view.is_active else "no"
    yield "notes", view.notes
    for name in FIGURES:
        figure = getattr(view, name)
        yield name, "" if figure is None else str(figure)
    if view.warmup:
        yield "warmup_first", str(view.warmup.first)
        yield "warmup_growth", view.warmup.growth
        yield "warmup_started_at", f"{view.warmup.started_at.astimezone(UTC):%Y-%m-%dT%H:%M}"


def _figure(said: Mapping[str, str], name: str, faults: list[Fault]) -> int | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(HIGHEST)):
        faults.append(Fault(name, f"must be a whole number, {HIGHEST:,} at most"))
        return None
    return int(text)


def _warmup(said: Mapping[str, str], faults: list[Fault]) -> Warmup | None:
    first = _figure(said, "warmup_first", faults)
    if first is None:
        return None
    growth = said.get("warmup_growth", "")
    if growth not in _GROWTHS:
        faults.append(Fault("warmup_growth", f"must be one of {', '.join(_GROWTHS)}"))
    try:
        started = datetime.fromisoformat(said.get("warmup_started_at", ""))
    except ValueError:
        faults.append(Fault("warmup_started_at", "must be a day and time: its first day begins there"))
        return None
    return Warmup(first=first, growth=growth, started_at=started.replace(tzinfo=UTC))
