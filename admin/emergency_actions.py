"""What an operator does in an emergency; each says first what it stops or changes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from markupsafe import Markup

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, told
from admin.clearing_actions import ClearingActions
from admin.gateway_standing import does_well, standing, stands
from app.bootstrap import App
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel
from app.errors import Invalid, NotFound
from app.services.controls.service import EmergencyService, StopDraft
from app.services.controls.views import StopView, Waiting

EVERYTHING = StopScope.ALL.value
_P0 = (("no", "go on"), ("yes", "are stopped too"))
_UNTIL = (
    ("0", "until somebody resumes"),
    ("15", "for 15 minutes"),
    ("60", "for an hour"),
    ("240", "for 4 hours"),
    ("1440", "for a day"),
)
_OVER = (
    ("0", "at once"),
    ("5", "by tenths, over 5 minutes"),
    ("15", "by tenths, over 15 minutes"),
    ("60", "by tenths, over an hour"),
)


class EmergencyActions:
    """The actions by name. What is selected: a thing ("channel:sms", "all"), or the number of a use."""

    def __init__(self, app: App, now: Callable[[], datetime]) -> None:
        self._app = app
        self._service: EmergencyService = app.emergency
        self._now = now
        actions = (*self._stopping_actions(), *ClearingActions(app).all, *self._adjusting_actions())
        self.by_name: Mapping[str, Action] = {each.name: each for each in actions}

    def _stopping_actions(self) -> tuple[Action, ...]:
        stop = Action(
            name="stop",
            label="Stop",
            preview=self._preview_stop,
            apply=self._stop,
            questions=_ask_stop,
            danger=True,
        )
        resume = Action(
            name="resume",
            label="Resume",
            preview=self._preview_resume,
            apply=self._resume,
            questions=_ask_resume,
        )
        return stop, resume

    def _adjusting_actions(self) -> tuple[Action, ...]:
        switch = Action(name="switch", label="Make first", preview=self._preview_switch, apply=self._switch)
        reset = Action(
            name="reset_limits",
            label="Forget all counts",
            preview=_preview_reset,
            apply=self._reset,
            danger=True,
        )
        return switch, reset

    def _preview_stop(self, wish: Wish) -> Preview:
        scope, key = _thing(wish)
        draft = StopDraft(scope=scope, key=key, including_p0=wish.said.get("including_p0") == "yes")
        try:
            found = self._service.would_stop(draft)
        except Invalid as exc:
            faults = "; ".join(fault.message for fault in exc.faults)
            return Preview(question=f"Nothing can be stopped so: {scope.value} {faults}.", possible=False)
        return Preview(
            question="Stop everything?" if scope is StopScope.ALL else f"Stop {scope.value} {key}?",
            facts=(
                (f"Due now, {_where(scope, key)}", counted(found.due, found.at_least)),
                ("Due later", counted(found.later, found.at_least)),
                ("Emergencies (P0)", "counted" if draft.including_p0 else "go on, and are not counted"),
                ("Works", "on all workers within a second"),
                ("What is accepted", "waits; nothing is lost"),
            ),
            warning=self._taken_over(key) if scope is StopScope.GATEWAY else "",
        )

    def _taken_over(self, gateway: str | None) -> str:
        """Say who takes what was to go by a gateway, since then it does not wait."""
        views = self._app.gateway_control.list()
        channels = {view.channel for view in views if view.gateway == gateway}
        others = [
            view.gateway if does_well(view) else f"{view.gateway} ({stands(view)})"
            for view in views
            if view.channel in channels
            and view.gateway != gateway
            and view.credentials
            and view.enabled
            and not view.drained
        ]
        if not others:
            return "No other gateway is in use for its channel: what is due waits."
        return f"What does not name it goes by {', '.join(others)}; only the rest waits."

    def _stop(self, wish: Wish) -> str:
        scope, key = _thing(wish)
        minutes = _minutes(wish, "minutes")
        draft = StopDraft(
            scope=scope,
            key=key,
            including_p0=wish.said.get("including_p0") == "yes",
            until=self._now() + minutes if minutes else None,
        )
        stop = self._service.stop(wish.who, draft, why=wish.why)
        said = "Emergencies too." if stop.including_p0 else "Emergencies go on."
        # It is in force already: counting what waits delays nothing.
        found = self._service.would_stop(draft)
        what = link(named(stop).capitalize(), address_of(stop))
        return told("{} is stopped. {} {}", what, said, _kept(scope, found))

    def _preview_resume(self, wish: Wish) -> Preview:
        stops = self._stops(wish)
        return Preview(
            question="Resume?" if len(stops) > 1 else f"Resume {named(stops[0])}?",
            facts=[(named(stop), waiting(stop)) for stop in stops],
        )

    def _resume(self, wish: Wish) -> str:
        over = _minutes(wish, "over") or None
        lifted = self._service.resume(
            wish.who, ids=[stop.id for stop in self._stops(wish)], over=over, why=wish.why
        )
        return told("Resumed: {}.", Markup(", ").join(link(named(each), address_of(each)) for each in lifted))

    def _preview_switch(self, wish: Wish) -> Preview:
        channel, gateway = _place(wish)
        views = self._app.gateway_control.list(channel=channel)
        order = ", ".join(view.gateway for view in views if view.credentials)
        ill = [view for view in views if view.gateway == gateway and not does_well(view)]
        return Preview(
            question=f"Let {gateway} take all of {channel}?",
            facts=(
                ("The order so far", order),
                *standing([view for view in views if view.gateway != gateway]),
            ),
            warning=f"It is not healthy itself: {stands(ill[0])}." if ill else "",
        )

    def _switch(self, wish: Wish) -> str:
        channel, gateway = _place(wish)
        self._service.switch_provider(wish.who, channel, gateway, why=wish.why)
        return told(
            "{} comes first for {} now.", link(gateway, f"/admin/gateways/#{channel}-{gateway}"), channel
        )

    def _reset(self, wish: Wish) -> str:
        windows = self._service.reset_rate_limits(wish.who, why=wish.why)
        return told("{} windows of the {} are forgotten.", f"{windows:,}", link("limits", "/admin/limits/"))

    def _stops(self, wish: Wish) -> Sequence[StopView]:
        found = [stop for stop in self._service.state().stops if str(stop.id) in wish.selected]
        if not found:
            raise NotFound("That stop has ended already.")
        return found


def named(stop: StopView) -> str:
    """Say what a stop is about."""
    return "everything" if stop.scope is StopScope.ALL else f"{stop.scope.value} {stop.key}"


def address_of(stop: StopView) -> str:
    """Say where what a stop is about is shown."""
    key = quote(stop.key or "", safe="")
    pages = {
        StopScope.GATEWAY: "/admin/gateways/",
        StopScope.BATCH: f"/admin/batches/{key}",
        StopScope.TEMPLATE: f"/admin/templates/?search={key}",
    }
    of_messages = {StopScope.CHANNEL, StopScope.PRIORITY, StopScope.CLIENT}
    found = f"/admin/messages/?{stop.scope.value}={key}&status=pending"
    return found if stop.scope in of_messages else pages.get(stop.scope, f"/admin/emergency/#stop-{stop.id}")


def waiting(stop: StopView) -> str:
    """Say how many wait because of a stop, and how many will."""
    if stop.waiting is None:
        return "What waits because of it was not counted."
    found = Waiting(due=stop.waiting, later=stop.later or 0, at_least=bool(stop.at_least))
    return _kept(stop.scope, found)


def counted(number: int, at_least: bool) -> str:  # noqa: FBT001 - Both belong together.
    """Write a count that may not have come to its end."""
    if at_least and not number:
        return "not known: none among the first looked at"
    return f"{number:,}{' or more' if at_least else ''}"


def _kept(scope: StopScope, found: Waiting) -> str:
    if found.at_least and not found.due:
        return "Whether messages wait because of it is not known: none of the first looked at does."
    one = found.due == 1 and not found.at_least
    due = f"{counted(found.due, found.at_least)} {'message' if one else 'messages'}"
    if scope is StopScope.GATEWAY:
        # Most of these do not wait: the next gateway takes them.
        were, wait = ("was", "waits") if one else ("were", "wait")
        return f"{due} due now {were} to go by it, and {wait} only where no other gateway may take over."
    due += f" {'waits' if one else 'wait'} because of it"
    return f"{due}; {counted(found.later, found.at_least)} more will when due." if found.later else f"{due}."


def _where(scope: StopScope, key: str | None) -> str:
    return "in all lanes" if scope is StopScope.ALL else f"of {scope.value} {key}"


def _ask_stop(wish: Wish) -> Sequence[Question]:
    del wish
    return (
        Question(name="minutes", label="How long", choices=_UNTIL, value="0"),
        Question(name="including_p0", label="Emergencies (P0)", choices=_P0, value="no"),
    )


def _ask_resume(wish: Wish) -> Sequence[Question]:
    del wish
    return (Question(name="over", label="It grows", choices=_OVER, value="0"),)


def _preview_reset(_wish: Wish) -> Preview:
    return Preview(
        question="Forget what all limits have counted?",
        warning="Every window begins anew: for a while twice as much as its limit may go out.",
    )


def _thing(wish: Wish) -> tuple[StopScope, str | None]:
    """Read what is to be stopped: "all", "scope:key", or what the form says beside it."""
    scope, _, key = wish.selected[0].partition(":")
    if scope == "form":
        scope, key = wish.said.get("scope", ""), wish.said.get("key", "").strip()
    if scope not in set(StopScope):
        raise Invalid.of("scope", "Say what is to be stopped.")
    found = StopScope(scope)
    if found is not StopScope.ALL and not key:
        raise Invalid.of("key", f"Say which {found.value}.")
    return found, None if found is StopScope.ALL else key


def _place(wish: Wish) -> tuple[Channel, str]:
    place = wish.said.get("place", "") or wish.selected[0]
    channel, _, gateway = place.partition("/")
    if channel not in set(Channel):
        raise NotFound("There is no such gateway.")
    return Channel(channel), gateway


def _minutes(wish: Wish, name: str) -> timedelta:
    text = wish.said.get(name, "0")
    return timedelta(minutes=int(text)) if text.isdecimal() else timedelta(0)
