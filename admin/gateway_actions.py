"""What operators can do to a gateway; each shows first what it carries, and who would take over."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, message_links, told
from admin.formats import moment, percent
from admin.gateway_standing import does_well, standing, stands
from app.domain.vocabulary import BreakerState, Channel
from app.errors import Invalid, NotFound
from app.services.gateways import GatewayChanges, GatewaysService, GatewayView
from app.services.views import Accepted

Do = Callable[[Wish, GatewayView], object]

_TAKING_AWAY = frozenset({"drain", "disable", "trip"})
# What came of an action, with the gateway in place of the braces.
_DONE = {
    "switch": "{} is asked before all others.",
    "drain": "{} is drained.",
    "undrain": "{} is used again.",
    "disable": "{} is disabled.",
    "enable": "{} is enabled.",
    "trip": "The breaker of {} is open.",
    "reset": "The breaker of {} is closed.",
    "weigh": "{} has its new place and weight.",
    "test": "A test message of {} was made.",
}


class GatewayActions:
    """The actions by name; those that make sense as a gateway stands by `possible`."""

    def __init__(self, service: GatewaysService) -> None:
        self._service = service
        self.by_name: Mapping[str, Action] = {
            "switch": self._plain("switch", "Make first", service.switch, "It is asked before all others."),
            "drain": self._plain(
                "drain",
                "Drain",
                service.drain,
                "It gets only messages that ask for it by name; all others go elsewhere.",
            ),
            "undrain": self._plain("undrain", "Use again", service.undrain, ""),
            "disable": self._plain(
                "disable",
                "Disable",
                service.disable,
                "It gets nothing. Messages that ask for it by name wait, but for P0 and P4.",
                danger=True,
            ),
            "enable": self._plain("enable", "Enable", service.enable, ""),
            "trip": self._plain(
                "trip", "Open breaker", service.trip, "All goes elsewhere until probes do well.", danger=True
            ),
            "reset": self._plain("reset", "Close breaker", service.reset, "It gets its share back at once."),
            "weigh": self._action("weigh", "Order and weight", self._weigh, "", questions=self._ask_weight),
            "test": self._action("test", "Test message", self._test, "", questions=_ask_address),
        }  # fmt: skip

    def possible(self, view: GatewayView, first: bool) -> Sequence[str]:  # noqa: FBT001 - A template calls it.
        """Name the actions that make sense; `first` tells that it is asked before all others."""
        if not view.credentials:
            return ()
        closed = view.breaker.state is BreakerState.CLOSED
        wise = {
            "switch": view.enabled and not view.drained and not first,
            "drain": not view.drained,
            "undrain": view.drained,
            "disable": view.enabled,
            "enable": not view.enabled,
            "trip": closed,
            "reset": not closed,
            "weigh": True,
            "test": view.enabled,
        }
        return [name for name, is_wise in wise.items() if is_wise]

    def _plain(
        self, name: str, label: str, do: Callable[..., object], warning: str, *, danger: bool = False
    ) -> Action:
        """Make an action that needs nothing but a reason."""

        def call(wish: Wish, view: GatewayView) -> None:
            do(wish.who, view.channel, view.gateway, why=wish.why)

        return self._action(name, label, call, warning, danger=danger)

    def _action(
        self,
        name: str,
        label: str,
        do: Do,
        warning: str,
        *,
        danger: bool = False,
        questions: Callable[[Wish], Sequence[Question]] = lambda _wish: (),
    ) -> Action:
        return Action(
            name=name,
            label=label,
            danger=danger,
            preview=partial(self._preview, name, label, warning),
            apply=partial(self._apply, name, do),
            questions=questions,
        )

    def _preview(self, name: str, label: str, warning: str, wish: Wish) -> Preview:
        view = self._selected(wish)
        success = view.figures.success_rate_1h
        others = [each for each in self._service.list(channel=view.channel) if each.gateway != view.gateway]
        return Preview(
            question=f"{label}: {view.gateway} ({view.channel})",
            facts=(
                ("It carried of late", _carried(view)),
                ("Accepted in the last hour", "nothing tried" if success is None else percent(success)),
                *standing(others),
            ),
            warning=" ".join(filter(None, (warning, _hazard(name, view, others)))),
        )

    def _apply(self, name: str, do: Do, wish: Wish) -> str:
        view = self._selected(wish)
        made = do(wish, view)
        said = told(_DONE[name], link(view.gateway, f"/admin/gateways/#{view.channel}-{view.gateway}"))
        if isinstance(made, Accepted):
            return told("{} The message is {}, {}.", said, made.status.value, message_links([made.uuid]))
        return said

    def _ask_weight(self, wish: Wish) -> Sequence[Question]:
        view = self._selected(wish)
        tier = "Lower ones come first; those of one tier share by weight."
        none = "0 takes none."
        return (
            Question(name="tier", label="Tier", value=str(view.tier or 1), kind="number", hint=tier),
            Question(name="weight", label="Weight", value=str(view.weight), kind="number", hint=none),
        )  # fmt: skip

    def _weigh(self, wish: Wish, view: GatewayView) -> None:
        changes = GatewayChanges(tier=_number(wish, "tier"), weight=_number(wish, "weight"))
        self._service.change(wish.who, view.channel, view.gateway, changes, why=wish.why)

    def _test(self, wish: Wish, view: GatewayView) -> Accepted:
        address = wish.said.get("address", "")
        return self._service.test(wish.who, view.channel, view.gateway, address, why=wish.why)

    def _selected(self, wish: Wish) -> GatewayView:
        channel, _, gateway = wish.selected[0].partition("/")
        if len(wish.selected) != 1 or channel not in set(Channel):
            raise NotFound("There is no such gateway.")
        return self._service.get(Channel(channel), gateway)


def _carried(view: GatewayView) -> str:
    """Say what it took, and of which minute that is: figures are written once a minute."""
    rate = view.figures.current_rate_per_sec
    if rate is None:
        return "nothing counted"
    return told("{} messages a second, in the minute to {}", f"{rate:,.1f}", moment(view.figures.checked_at))


def _hazard(name: str, view: GatewayView, others: Sequence[GatewayView]) -> str:
    """Warn of what the action would leave the channel with."""
    if name in _TAKING_AWAY and not any(map(does_well, others)):
        return f"None of the others for {view.channel} is healthy: messages would fail or wait."
    if name == "switch" and not does_well(view):
        return f"It is not healthy itself: {stands(view)}."
    return ""


def _ask_address(_wish: Wish) -> Sequence[Question]:
    return (Question(name="address", label="To", hint="An address or number of your own"),)


def _number(wish: Wish, name: str) -> int:
    try:
        return int(wish.said.get(name, ""))
    except ValueError as exc:
        raise Invalid.of(name, f"{name.capitalize()} must be a whole number.") from exc
