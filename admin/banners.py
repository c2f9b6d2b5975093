"""What stands above every page: that nothing leaves this machine, and what is stopped or paused."""

from dataclasses import dataclass
from datetime import datetime

from admin.emergency_actions import address_of
from admin.overview import Overview
from app.domain.stops import StopScope
from app.services.controls.views import StopState, StopView
from app.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """One line above a page, and the page where something can be done about it."""

    tone: str
    text: str
    since: datetime | None = None
    page: str = ""
    address: str = ""


_SIMULATED = Banner(
    tone="simulated",
    text="Gateways are simulated: nothing leaves this machine, and nobody gets these messages.",
)
_WORDS = {StopState.IN_FORCE: "Stopped", StopState.RESUMING: "Resuming"}
_PAUSED = _WORDS | {StopState.IN_FORCE: "Paused"}


def for_strangers(settings: Settings) -> list[Banner]:
    """List what anybody may know."""
    return [_SIMULATED] if settings.simulated else []


def of(settings: Settings, seen: Overview) -> list[Banner]:
    """List what everybody who is signed in has to know now."""
    stops = seen.emergency.stops if seen.emergency else ()
    return [*for_strangers(settings), *(_banner(stop, seen) for stop in stops if stop.state in _WORDS)]


def _banner(stop: StopView, seen: Overview) -> Banner:
    is_batch = stop.scope is StopScope.BATCH
    state = (_PAUSED if is_batch else _WORDS)[stop.state]
    what = "all sending" if stop.key is None else f"{stop.scope} {seen.batches.get(stop.key, stop.key)}"
    urgent = ", emergencies (P0) too" if stop.including_p0 else ""
    growing = f" at {stop.share:.0%} of the usual rate" if stop.state is StopState.RESUMING else ""
    return Banner(
        tone="stopped",
        text=f"{state}: {what}{urgent}{growing}, by {stop.who}: {stop.why}",
        since=stop.since,
        page="Open the batch" if is_batch else "Emergency",
        address=address_of(stop) if is_batch else "/admin/emergency/",
    )
