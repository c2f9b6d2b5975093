"""Dead letters and unknown outcomes: what was not sent, what may have been, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from flask import request

from admin.actions import Action
from admin.formats import number
from admin.letter_actions import LetterActions, criteria_of
from admin.lists import Empty, Filter, Found, ListPage
from admin.message_actions import MessageActions
from admin.spans import SPANS
from app.bootstrap import App
from app.domain.vocabulary import Channel, OutcomeClass, Priority, Status
from app.services.dead_letter_rows import DEAD
from app.services.dead_letter_views import Reasons, ReplayView


def _words(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((value, value.replace("_", " ")) for value in values)


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersFound(Found):
    """One page of letters, and how many of all that fit there are for each reason."""

    reasons: Reasons


class _LettersPage(ListPage):
    """What the two have in common: filters, and actions on rows and on all that fit."""

    template = "dead_letters/list.html"
    on_rows: ClassVar[Sequence[str]]
    on_all: ClassVar[Sequence[str]]
    tells_reasons: ClassVar[bool] = False

    def __init__(self, app: App) -> None:
        super().__init__(app)
        rows, whole = MessageActions(app).by_name, LetterActions(app).by_name
        self._acts = {name: rows[name] for name in self.on_rows} | {name: whole[name] for name in self.on_all}

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to some, and to all that fit."""
        return self._acts

    @property
    def wanted(self) -> str:
        """The filters that are set, as a query."""
        given = [(each.name, request.args[each.name]) for each in self.filters if request.args.get(each.name)]
        return urlencode([*given, *self._always()])

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        return _words(sorted(self.app.gateways)) if each.name == "gateway" else each.choices

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        criteria = criteria_of({**wanted, **dict(self._always())})
        page = self.app.dead_letters.page(criteria, owner=None, cursor=after, limit=limit)
        reasons = self.app.dead_letters.reasons(criteria, owner=None)
        counted = number(sum(each.count for each in reasons.items), at_least=not reasons.complete)
        return LettersFound(rows=page.items, after=page.next, total=counted, reasons=reasons)

    def replays(self) -> Sequence[ReplayView]:
        """List the replays that were begun lately."""
        return ()

    def _always(self) -> Sequence[tuple[str, str]]:
        return ()


_FILTERS = (
    Filter(name="error", label="Error", choices=_words(list(OutcomeClass))),
    Filter(name="code", label="Gateway's code"),
    Filter(name="gateway", label="Gateway"),
    Filter(name="channel", label="Channel", choices=_words(list(Channel))),
    Filter(name="priority", label="Priority", choices=_words(list(Priority))),
    Filter(name="batch", label="Batch", hint="its uuid"),
    Filter(name="days", label="Came to rest in", choices=SPANS),
)


class DeadLettersPage(_LettersPage):
    """What failed or came too late, by reason."""

    key = "dead_letters"
    title = "Dead letters"
    filters = (Filter(name="status", label="State", choices=_words(DEAD)), *_FILTERS)
    empty = Empty(
        says="Nothing has failed.", todo="What fails or comes too late will be here, by its reason."
    )
    bulk = ("replay", "suppress")
    on_rows = bulk
    on_all = ("replay_all",)
    tells_reasons = True

    def replays(self) -> Sequence[ReplayView]:
        return self.app.dead_letters.replays(owner=None, limit=10)


class UnknownPage(_LettersPage):
    """Messages of which nobody knows whether the gateway took them."""

    key = "unknown"
    title = "Unknown outcomes"
    filters = _FILTERS
    empty = Empty(
        says="Every outcome is known.",
        todo="What a gateway may have taken when it was lost is held here until it is proven or decided.",
    )
    bulk = ("mark_sent", "resend", "give_up")
    on_rows = bulk
    on_all = ("all_sent", "all_again", "all_up")

    def _always(self) -> Sequence[tuple[str, str]]:
        return (("status", Status.HELD.value),)
