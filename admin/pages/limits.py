"""Rate limits: how much of each is used, who is sent to more slowly than usual, and in what repute we are."""

from collections.abc import Mapping, Sequence

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action
from admin.answers import link, told
from admin.limit_actions import KINDS, LimitActions, address_of, limit_of, named, place
from admin.limit_forms import draft_of, fields_of
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import reason_given
from app.bootstrap import App
from app.domain.isps import ISPS
from app.errors import Faults, Invalid, NotFound, Unavailable
from app.services import paging
from app.services.limit_events import LimitEvent
from app.services.limit_rows import LimitDraft, checked_key, faults_of
from app.services.limits import LimitType, LimitView, PaceView
from app.services.reputation import ReputationView
from app.services.views import Page as Part

_EVENTS_SHOWN = 20
_NAMES_SHOWN = 100
_TYPES = tuple((kind.value, words) for kind, words in KINDS.items())


class LimitsPage(ListPage):
    """Limits by type and key, and what comes with them."""

    key = "limits"
    title = "Rate limits"
    template = "limits/list.html"
    filters = (
        Filter(name="type", label="What", choices=_TYPES),
        Filter(name="name", label="Which", hint="gmail, postal, example.com"),
    )
    empty = Empty(
        says="Nothing is limited.",
        todo="Set a first limit, for a gateway or a mailbox provider",
        link="/admin/limits/edit",
    )

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._acts = LimitActions(app)

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to limits, paces and names."""
        return self._acts.by_name

    @property
    def enabled(self) -> bool:
        """Tell whether limits limit anybody at all."""
        return self.app.settings.rate_limiting_enabled

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        known = self.app.limits.list(limit_type=_type_of(wanted.get("type")))
        fitting = [view for view in known if _fits(view, wanted.get("name", "").lower())]
        # There are few, and each page needs what all of them have used.
        (last,) = paging.position(after, int) or (None,)
        at = next((place for place, view in enumerate(fitting, 1) if view.id == last), 0)
        shown = fitting[at : at + limit]
        is_end = at + limit >= len(fitting)
        return Found(rows=shown, after=None if is_end else paging.cursor(shown[-1].id))

    def paces(self) -> Sequence[PaceView] | None:
        """List who is sent to more slowly; None where Redis cannot be asked."""
        try:
            return self.app.limits.paces()
        except Unavailable:
            return None

    def names(self) -> Sequence[ReputationView]:
        """List the names that mail went out under, those in danger first."""
        return self.app.reputation.list()[:_NAMES_SHOWN]

    def events(self) -> Part[LimitEvent]:
        """Give what happened lately, or further back where the reader asks for that."""
        try:
            return self.app.limits.events(cursor=request.args.get("events") or None, limit=_EVENTS_SHOWN)
        except Invalid:
            return self.app.limits.events(limit=_EVENTS_SHOWN)

    def each(self, window: str) -> str:
        """Say how long a window is, behind its figure."""
        return " an hour" if window == "hour" else f" a {window}"

    def kind(self, limit_type: str) -> str:
        """Say what sort of thing is limited."""
        return dict(_TYPES).get(limit_type, limit_type)

    def place(self, pace: PaceView) -> str:
        """Say to whom a pace applies."""
        return place(pace)

    @expose("/edit")
    def edit(self) -> str:
        """Show the form of a limit, or of a new one."""
        if "id" in request.args:
            view = limit_of(self.app.limits, request.args["id"])
            return self._form(fields_of(view), view)
        return self._form({"limit_type": request.args.get("type", ""), "is_active": "yes"}, None)

    @expose("/save", methods=("POST",))
    def save(self) -> ResponseReturnValue:
        """Set a limit as the form says."""
        said = {name: value.strip() for name, value in request.form.items()}
        view = limit_of(self.app.limits, said["id"]) if "id" in said else None
        try:
            draft = self._draft(said, view)
            if view is None:
                kind, key = LimitType(said["limit_type"]), said.get("limit_key", "")
            else:
                kind, key = view.limit_type, view.limit_key
            saved, is_new = self.app.limits.set(people.who(), kind, key, draft, why=said["why"])
        except Invalid as exc:
            faults = {fault.field.replace("warmup.", "warmup_"): fault.message for fault in exc.faults}
            return self._form(said, view, faults), 422
        done = "set" if is_new else "changed"
        flash(told("The limit of {} is {}.", link(named(saved), address_of(saved)), done), "success")
        return redirect(url_for("limits.index"))

    def _draft(self, said: Mapping[str, str], view: LimitView | None) -> LimitDraft:
        """Read the form; raises Invalid with all that is wrong with it."""
        faults = Faults()
        kind = view.limit_type if view else _type_of(said.get("limit_type"))
        if kind is None:
            faults.add("limit_type", "must be one of those in the list")
        elif view is None:
            faults.of(self._require_new, kind, said.get("limit_key", ""))
        faults.of(reason_given)
        draft = faults.of(draft_of, said)
        for fault in faults_of(kind, draft) if kind and draft else ():
            faults.add(fault.field, fault.message)
        faults.end()
        return draft or LimitDraft()

    def _require_new(self, kind: LimitType, key: str) -> None:
        try:
            self.app.limits.get(kind, checked_key(kind, key))
        except NotFound:
            return
        raise Invalid.of("limit_key", "has a limit already; change that one")

    def _form(
        self, said: Mapping[str, str], view: LimitView | None, faults: Mapping[str, str] | None = None
    ) -> str:
        return self.show(
            "limits/form.html",
            said=said,
            view=view,
            named=named,
            faults=faults or {},
            types=_TYPES,
            isps=sorted(ISPS),
        )


def _type_of(name: str | None) -> LimitType | None:
    return LimitType(name) if name in set(LimitType) else None


def _fits(view: LimitView, name: str) -> bool:
    """Tell whether a limit is looked for; nobody finds an address that they do not know whole."""
    if view.limit_type is LimitType.RECIPIENT:
        return name in ("", view.limit_key)
    return name in view.limit_key.lower()
