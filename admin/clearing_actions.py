"""Clearing the queue: what is counted is shown, and a clearing of everything asks for a word."""

from collections.abc import Sequence

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, told
from admin.formats import duration
from app.bootstrap import App
from app.errors import Invalid, NotFound
from app.services.controls.views import ClearingView, WorkState

_ALL = "everything"


class ClearingActions:
    """Doing what was counted, and undoing it. What is selected is the number of a clearing."""

    def __init__(self, app: App) -> None:
        self._service = app.emergency

    @property
    def all(self) -> tuple[Action, ...]:
        """Both actions."""
        clear = Action(
            name="clear",
            label="Cancel these messages",
            preview=self._preview_clear,
            apply=self._clear,
            questions=self._ask_clear,
            danger=True,
        )
        undo = Action(name="undo", label="Undo", preview=self._preview_undo, apply=self._undo)
        return clear, undo

    def _preview_clear(self, wish: Wish) -> Preview:
        view = self._clearing(wish)
        facts = [(f"{each['priority']} {each['channel']}", f"{each['count']:,}") for each in view.counted]
        possible = view.state is WorkState.PREVIEWED and view.count > 0
        undo = "They can be made pending again, by Undo below." if possible else "Nothing fits: go back."
        if _narrowing(view):
            return Preview(
                question=f"Cancel {view.count:,} messages?",
                facts=[*_narrowing(view), *facts],
                warning=undo,
                possible=possible,
            )
        p0 = "the emergencies too" if view.filter.get("including_p0") else "but for emergencies (P0)"
        return Preview(
            question=f"Cancel everything that waits: {view.count:,} messages?",
            facts=facts,
            warning="No filter is set: this takes every message of every client, on all channels and in all "
            f"lanes, {p0}, also what is scheduled for later. {undo}",
            possible=possible,
        )

    def _ask_clear(self, wish: Wish) -> Sequence[Question]:
        """Ask for a word where nothing narrows what is cancelled, so that nobody does that in passing."""
        if _narrowing(self._clearing(wish)):
            return ()
        hint = f"As a sign that you mean all of it, type: {_ALL}"
        return (Question(name="word", label="Everything?", hint=hint),)

    def _clear(self, wish: Wish) -> str:
        narrowed = _narrowing(self._clearing(wish))
        if not narrowed and wish.said.get("word", "").strip().lower() != _ALL:
            raise Invalid.of("word", f"Type the word {_ALL}, or go back and set a filter.")
        view = self._service.clear(wish.who, self._clearing(wish).id, why=wish.why)
        found = link(f"{view.cancelled:,} messages", "/admin/messages/?status=cancelled&days=30")
        return told("{} are cancelled{}.", found, _so_far(view))

    def _preview_undo(self, wish: Wish) -> Preview:
        view = self._clearing(wish)
        return Preview(
            question=f"Make {view.cancelled:,} messages pending again?",
            warning="They are sent, unless they are stopped or no longer of use.",
        )

    def _undo(self, wish: Wish) -> str:
        view = self._service.undo_clearing(wish.who, self._clearing(wish).id, why=wish.why)
        found = link(f"{view.restored:,} messages", "/admin/messages/?status=pending&days=30")
        return told("{} are pending again{}.", found, _so_far(view))

    def _clearing(self, wish: Wish) -> ClearingView:
        if not wish.selected[0].isdecimal():
            raise NotFound("There is no such clearing.")
        return self._service.clearing(int(wish.selected[0]), within=0)


def _narrowing(view: ClearingView) -> list[tuple[str, str]]:
    """Name the filters of a clearing that leave something out."""
    ages = {"older_than", "younger_than"}
    return [
        (f"Only by {name.replace('_', ' ')}", duration(float(value)) if name in ages else str(value))
        for name, value in view.filter.items()
        if name != "including_p0"
    ]


def _so_far(view: ClearingView) -> str:
    return "" if view.state in (WorkState.DONE, WorkState.UNDONE) else " so far; the rest follows by itself"
