"""What operators can do to limits, lowered paces and names in bad repute; each shows first what it means."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, told
from admin.formats import mask
from app.bootstrap import App
from app.domain.reputation import NameKind
from app.errors import Invalid, NotFound
from app.services.limit_table import DEFAULT
from app.services.limits import LimitsService, LimitType, LimitView, PaceView
from app.services.reputation import ReputationView

_MORE_MAY_COME = "As if nothing had been sent lately: the other side may see more at once than it takes."
_LIFTS = (("1", "an hour"), ("6", "six hours"), ("24", "a day"), ("72", "three days"), ("168", "a week"))

KINDS = {
    LimitType.GATEWAY: "gateway",
    LimitType.ISP: "mailbox provider",
    LimitType.DOMAIN: "domain",
    LimitType.IP_POOL: "IP pool",
    LimitType.RECIPIENT: "recipient",
}

Fact = tuple[str, str]


class LimitActions:
    """The actions by name. Limits go by their id, paces by "gateway/part", names by "kind/key"."""

    def __init__(self, app: App) -> None:
        self._limits = app.limits
        self._reputation = app.reputation
        acts = (
            self._of_limit("reset", "Reset", self._reset, _MORE_MAY_COME),
            self._of_limit(
                "remove", "Remove", self._remove, "Nothing limits this any more, at once.", danger=True
            ),
            Action(
                name="reset_all",
                label="Reset all",
                danger=True,
                preview=self._preview_all,
                apply=self._reset_all,
            ),
            Action(
                name="forget_pace",
                label="Full pace",
                preview=self._preview_pace,
                apply=self._forget_pace,
            ),
            Action(
                name="lift",
                label="Lift",
                danger=True,
                preview=self._preview_name,
                apply=self._lift,
                questions=lambda _wish: (Question(name="hours", label="For", choices=_LIFTS, value="24"),),
            ),
        )
        self.by_name: Mapping[str, Action] = {each.name: each for each in acts}

    def _of_limit(
        self,
        name: str,
        label: str,
        do: Callable[[Wish, LimitView], str],
        warning: str,
        *,
        danger: bool = False,
    ) -> Action:
        return Action(
            name=name,
            label=label,
            danger=danger,
            preview=partial(self._preview, label, warning),
            apply=lambda wish: do(wish, self._limit(wish)),
        )

    def _preview(self, label: str, warning: str, wish: Wish) -> Preview:
        view = self._limit(wish)
        used = [(f"This {each.window}", f"{each.used:,} of {each.most:,}") for each in view.usage or ()]
        times = f"{view.exceeded_count:,} times"
        return Preview(
            question=f"{label} the limit of {named(view)}?",
            facts=(*used, *_slowed(view), ("Used up so far", times)),
            warning=warning,
        )

    def _reset(self, wish: Wish, view: LimitView) -> str:
        self._limits.reset(wish.who, view.limit_type, view.limit_key, why=wish.why)
        return told("The limit of {} counts from nothing again.", link(named(view), address_of(view)))

    def _remove(self, wish: Wish, view: LimitView) -> str:
        self._limits.remove(wish.who, view.limit_type, view.limit_key, why=wish.why)
        log = link("audit log", "/admin/audit/?action=limit.remove")
        return told("The limit of {} is removed; the {} keeps what it was.", named(view), log)

    def _preview_all(self, _wish: Wish) -> Preview:
        limits, paces = self._limits.list(), self._limits.paces()
        full = [view for view in limits if any(each.share >= 1 for each in view.usage or ())]
        return Preview(
            question="Reset all limits?",
            facts=(
                ("Limits", f"{len(limits):,}"),
                ("Used up now", f"{len(full):,}"),
                ("Lowered paces", f"{len(paces):,}"),
            ),
            warning=f"{_MORE_MAY_COME} What single recipients have got stays counted.",
        )

    def _reset_all(self, wish: Wish) -> str:
        reset = self._limits.reset_all(wish.who, why=wish.why)
        return told("{} count from nothing again.", link(f"{reset:,} limits", "/admin/limits/"))

    def _preview_pace(self, wish: Wish) -> Preview:
        pace = self._pace(wish)
        return Preview(
            question=f"Send through {pace.gateway} to {place(pace)} at full pace again?",
            facts=(
                ("Now", f"{pace.per_second:,.1f} messages a second"),
                ("Usually", f"{pace.usual:,.1f} messages a second"),
                ("Told to slow down", f"{pace.times:,} times"),
                ("Last words", pace.why or "none"),
            ),
            warning="It creeps up by itself; where that is still too fast, the other side may refuse longer.",
        )

    def _forget_pace(self, wish: Wish) -> str:
        pace = self._pace(wish)
        self._limits.forget_pace(wish.who, pace.gateway, pace.part, why=wish.why)
        gateway = link(pace.gateway, "/admin/gateways/")
        return told("{} sends to {} at full pace again.", gateway, place(pace))

    def _preview_name(self, wish: Wish) -> Preview:
        view = self._name(wish)
        return Preview(
            question=f"Let campaigns go from {view.key} all the same?",
            facts=(
                ("It is", view.level.name.lower()),
                ("Why", view.reason or "nothing is held against it"),
                ("Sent in a day", f"{view.sent_24h:,}"),
                ("Bounced", _share(view.bounce_rate_24h)),
                ("Complaints", _share(view.complaint_rate_24h)),
            ),
            warning="Mailbox providers see the same: more complaints now may shut out all mail for weeks.",
        )

    def _lift(self, wish: Wish) -> str:
        view, hours = self._name(wish), wish.said.get("hours", "")
        if hours not in dict(_LIFTS):
            raise Invalid.of("hours", "For how long is to be one of those that are offered.")
        length = timedelta(hours=int(hours))
        self._reputation.lift(wish.who, view.kind, view.key, why=wish.why, length=length)
        name = link(view.key, "/admin/limits/#h-names")
        return told("What holds campaigns from {} back is lifted for {}.", name, dict(_LIFTS)[hours])

    def _limit(self, wish: Wish) -> LimitView:
        return limit_of(self._limits, *wish.selected)

    def _pace(self, wish: Wish) -> PaceView:
        wanted = _one(wish)
        for pace in self._limits.paces():
            if (pace.gateway, pace.part) == wanted:
                return pace
        raise NotFound("It is sent to at full pace already.")

    def _name(self, wish: Wish) -> ReputationView:
        kind, key = _one(wish)
        if kind not in set(NameKind):
            raise NotFound("There is no such name.")
        return self._reputation.get(NameKind(kind), key)


def limit_of(service: LimitsService, *ids: str) -> LimitView:
    """Find one limit by its id, since its key may be somebody's address; raises NotFound."""
    for view in service.list():
        if (str(view.id),) == ids:
            return view
    raise NotFound("There is no such limit.")


def named(view: LimitView) -> str:
    """Say what a limit is about, without telling somebody's address."""
    own = view.limit_type is LimitType.RECIPIENT and view.limit_key != DEFAULT
    return f"{KINDS[view.limit_type]} {mask(view.limit_key) if own else view.limit_key}"


def address_of(view: LimitView) -> str:
    """Say where one limit is shown."""
    return f"/admin/limits/edit?id={view.id}"


def place(pace: PaceView) -> str:
    """Say to whom a lowered pace applies."""
    return "everybody" if pace.part == "*" else pace.part


def _one(wish: Wish) -> tuple[str, str]:
    if len(wish.selected) != 1:
        raise NotFound("One at a time, please.")
    kind, _, key = wish.selected[0].partition("/")
    return kind, key


def _slowed(view: LimitView) -> Sequence[Fact]:
    return (("Slowed down to", f"{view.factor:.0%} of the usual pace"),) if view.factor < 1 else ()


def _share(value: float | None) -> str:
    return "nothing counted" if value is None else f"{value:.2%}"
