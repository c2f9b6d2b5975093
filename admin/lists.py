"""Pages that list: filters by indexed columns, keyset pages, rows to select and act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import request
from flask.typing import ResponseReturnValue

from admin.page import Page, expose
from app.errors import Faults, Invalid

PAGE = 50
# So much of what cannot be is said again.
_QUOTED = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """One field above a list. `kind` is an input's type; with `choices` (value, label) it is a select."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    kind: str = "search"
    hint: str = ""
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One page of what was found: the rows, where the next page begins, and how many there are in words.

    `total` is a bounded count ("312", "10,000+"), or empty where nobody counted.
    """

    rows: Sequence[Any]
    after: str | None = None
    total: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Empty:
    """What a list says that has nothing to show, and what to do next (a link, where there is one)."""

    says: str
    todo: str = ""
    link: str = ""


_FURTHER_BACK = Empty(says="None is among the newest that were looked at.", todo="Look further back below.")
_NOT_LOOKED = Empty(says="Nothing was looked for.", todo="Mend what is marked above, or clear it.")


class ListPage(Page):
    """A list. A page says its `template` (it extends console/list.html), its filters, and how to find rows.

    No page counts its rows or skips over some: `find` reads one page behind a position.
    """

    template: ClassVar[str]
    filters: ClassVar[Sequence[Filter]] = ()
    empty: ClassVar[Empty] = Empty(says="Nothing here yet.")
    empty_filtered: ClassVar[Empty] = Empty(
        says="Nothing fits these filters.", todo="Take one away, or look at a longer time."
    )
    # Names of the actions that may be done to many rows at once.
    bulk: ClassVar[Sequence[str]] = ()

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        """Find one page; `wanted` holds the filters that are filled in. Raises Invalid by a filter's name."""
        raise NotImplementedError

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        """Give what a select offers; a page whose choices come from data overrides it."""
        return each.choices

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """Show one page of the list; a filter that cannot be is told beside it, as 400, and finds nothing."""
        wanted = {each.name: value for each in self.filters if (value := _given(each.name))}
        try:
            self._check(wanted)
            found = self.find(wanted, request.args.get("after") or None, PAGE)
        except Invalid as exc:
            faults = {fault.field: fault.message for fault in exc.faults}
            return self._list(wanted, Found(rows=()), faults), 400
        return self._list(wanted, found, {})

    def _check(self, wanted: Mapping[str, str]) -> None:
        """Raise Invalid for what no select of ours offers, and for what no column can hold."""
        faults = Faults()
        for each in self.filters:
            value = wanted.get(each.name, "")
            if "\x00" in value:
                faults.add(each.name, "has a character that nothing can have")
            elif value and each.choices and value not in dict(each.choices):
                faults.add(each.name, f"must be one of those in the list, not {value[:_QUOTED]!r}")
        faults.end()

    def _list(self, wanted: Mapping[str, str], found: Found, faults: Mapping[str, str]) -> str:
        return self.show(
            self.template,
            found=found,
            wanted=wanted,
            faults=faults,
            filters=[(each, self.choices(each)) for each in self.filters],
            nothing=self._nothing(wanted, found, faults),
            following=self._page(wanted, found.after) if found.after else "",
            first=self._page(wanted, None) if request.args.get("after") else "",
            bulk=[self.actions[name] for name in self.bulk if self.may(name)],
        )

    def _nothing(self, wanted: Mapping[str, str], found: Found, faults: Mapping[str, str]) -> Empty:
        if faults:
            return _NOT_LOOKED
        if found.after:
            return _FURTHER_BACK
        return self.empty_filtered if wanted else self.empty

    def _page(self, wanted: Mapping[str, str], after: str | None) -> str:
        query = urlencode({**wanted, **({"after": after} if after else {})})
        return f"{request.path}?{query}" if query else request.path


def _given(name: str) -> str:
    return request.args.get(name, "").strip()
