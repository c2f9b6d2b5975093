"""Suppressions: who gets nothing, why, and letting them have it again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Row

from admin import people, suppression_forms
from admin.actions import Action, Preview, Wish
from admin.answers import link, some, told
from admin.exports import csv_file
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import numbers_selected, reason_given
from admin.uploads import chunks, given_file, require_file
from app.domain.vocabulary import Channel
from app.errors import Faults, Invalid, NotFound
from app.services import suppression_looking
from app.services.audit import Who
from app.services.looking import Wanted, look
from app.services.requests import Filters
from app.services.suppressions import Imported

_LATEST = 5
_ASKED = {"complaint", "unsubscribe", "legal"}
_IMPORTED = (
    "channel", "address", "reason", "community_id", "category", "sender", "note", "expires_at",
)  # fmt: skip


class SuppressionsPage(ListPage):
    """The list, newest first."""

    key = "suppressions"
    title = "Suppressions"
    template = "suppressions/list.html"
    filters = (
        Filter(name="address", label="Address", hint="whole address or number", wide=True),
        Filter(name="channel", label="Channel", choices=suppression_forms.CHANNELS),
        Filter(name="reason", label="Reason", choices=suppression_forms.REASONS),
        Filter(name="community_id", label="Community", hint="its number"),
        Filter(name="category", label="Category"),
        Filter(name="sender", label="Sender", hint="its address or number"),
    )
    empty = Empty(
        says="Nobody is suppressed.",
        todo="Import the list of the service you used before",
        link="/admin/suppressions/import",
    )
    empty_filtered = Empty(
        says="Nobody is suppressed by this.",
        todo="Take a filter away. Addresses and numbers have to be whole.",
    )
    bulk = ("release",)
    most_exported = suppression_looking.MOST_EXPORTED
    columns = _IMPORTED

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to rows, one or many."""
        release = Action(
            name="release", label="Release", preview=self._preview, apply=self._release, danger=True
        )
        return {"release": release}

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        filters = suppression_forms.filters_of(wanted)
        region = self.app.settings.phone_region
        rows, behind = suppression_looking.look(self.app.engine, filters, region, cursor=after, limit=limit)
        return Found(rows=rows, after=behind)

    @expose("/<int:suppression_id>")
    def one(self, suppression_id: int) -> str:
        """Show one row with what it came of, its address hidden."""
        return self._one(suppression_id, opened=False)

    @expose("/<int:suppression_id>", methods=("POST",))
    def open(self, suppression_id: int) -> str:
        """Show one row whole, which the audit log keeps."""
        suppression_looking.row_of(self.app.engine, suppression_id)
        suppression_looking.note_opened(self.app.engine, people.who(), suppression_id)
        return self._one(suppression_id, opened=True)

    @expose("/new")
    def new(self) -> str:
        """Ask whom to suppress."""
        return self._form()

    @expose("/new", methods=("POST",))
    def add(self) -> ResponseReturnValue:
        """Suppress one address."""
        try:
            draft = suppression_forms.draft_of(request.form, self.app.settings.phone_region)
            view, is_new = self.app.suppressions.add(people.who(), draft, source="console", why=draft.note)
        except Invalid as exc:
            return self._form({fault.field: fault.message for fault in exc.faults}), 422
        said = (
            "is suppressed from now on"
            if is_new
            else "was suppressed already; it lasts as long as the longer"
        )
        row = link(f"Suppression {view.id}", url_for("suppressions.one", suppression_id=view.id))
        flash(told("The address {}: {}.", said, row), "success")
        return redirect(url_for("suppressions.one", suppression_id=view.id))

    @expose("/import")
    def import_form(self) -> str:
        """Ask for a file."""
        return self._import_form()

    @expose("/import", methods=("POST",))
    def take_in(self) -> ResponseReturnValue:
        """Add what a file lists, and tell what came of it."""
        try:
            faults = Faults()
            why = faults.of(reason_given)
            faults.of(require_file, "file")
            faults.end()
            with given_file("file") as file:
                is_csv = (file.filename or "").lower().endswith(".csv")
                service = self.app.suppressions
                take = service.import_csv if is_csv else service.import_ndjson
                imported = take(people.who(), chunks(file), why=why)
        except Invalid as exc:
            told_at = {"recipients": "file"}
            return self._import_form({told_at.get(e.field, e.field): e.message for e in exc.faults}), 422
        return self._import_form(imported=imported)

    @expose("/export", methods=("POST",))
    def export(self) -> Response:
        """Give what fits the filters as CSV."""
        filters = suppression_forms.filters_of(request.form)
        region = self.app.settings.phone_region
        rows = suppression_looking.export(self.app.engine, people.who(), filters, region)
        return csv_file("suppressions", suppression_forms.HEADING, map(suppression_forms.line_of, rows))

    @expose("/export-all", methods=("POST",))
    def export_all(self) -> Response:
        """Give the whole list as NDJSON, in the form that can be imported again."""
        suppression_looking.note_exported(self.app.engine, people.who(), {})
        response = Response(self.app.suppressions.export(), content_type="application/x-ndjson")
        name = f"suppressions-{people.now():%Y-%m-%d}.ndjson"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def back(self, wish: Wish) -> str:
        """Leave a row's own page with the row."""
        target = super().back(wish)
        own = {url_for("suppressions.one", suppression_id=each) for each in wish.selected if each.isdecimal()}
        return url_for("suppressions.index") if target in own and "confirmed" in request.form else target

    def _one(self, suppression_id: int, *, opened: bool) -> str:
        row = suppression_looking.row_of(self.app.engine, suppression_id)
        origin = suppression_looking.origin_of(self.app.engine, row)
        return self.show(
            "suppressions/one.html", row=row, origin=origin, latest=self._latest(row), opened=opened
        )

    def _latest(self, row: Row[Any]) -> Sequence[Row[Any]]:
        """Give the newest messages to an address: what it was sent, and what was withheld from it."""
        channel = None if row.channel == "all" else Channel(row.channel)
        try:
            wanted = Wanted(filters=Filters(recipient_address=row.address, channel=channel))
            return look(self.app.engine, wanted, self.app.settings.phone_region, limit=_LATEST).rows
        except Invalid:
            # What is listed as it came, such as a name in front of a domain, was never sent to.
            return ()

    def _form(self, faults: Mapping[str, str] | None = None) -> str:
        return self.show(
            "suppressions/new.html",
            said=request.form,
            faults=faults or {},
            channels=suppression_forms.CHANNELS,
            reasons=suppression_forms.REASONS,
        )

    def _import_form(self, faults: Mapping[str, str] | None = None, imported: Imported | None = None) -> str:
        return self.show(
            "suppressions/import.html", said=request.form, faults=faults or {}, imported=imported
        )

    def _preview(self, wish: Wish) -> Preview:
        found = Counter[str]()
        for each in numbers_selected(wish):
            try:
                found[self.app.suppressions.get(each).reason.value] += 1
            except NotFound:
                found["released already"] += 1
        ready = sum(count for reason, count in found.items() if reason != "released already")
        asked = sum(found[reason] for reason in _ASKED)
        warning = "Whatever is sent to them from now on goes out again."
        if asked:
            warning = f"{asked:,} asked not to be contacted. {warning}"
        return Preview(
            question=f"Release {ready:,} of {len(wish.selected):,}?",
            facts=[(reason.replace("_", " "), f"{count:,}") for reason, count in found.items()],
            warning=warning,
            possible=ready > 0,
        )

    def _release(self, wish: Wish) -> str:
        released = [each for each in numbers_selected(wish) if self._released(wish.who, wish.why, each)]
        gone = len(wish.selected) - len(released)
        if not released:
            raise NotFound("All of them were released already.")
        log = [link(f"number {each}", f"/admin/audit/?target=suppression:{each}") for each in released]
        said = told("Released: {}. The audit log keeps {}.", f"{len(released):,}", some(log))
        return told("{} {} were released already.", said, f"{gone:,}") if gone else said

    def _released(self, who: Who, why: str, suppression_id: int) -> bool:
        try:
            self.app.suppressions.release(who, suppression_id, why=why)
        except NotFound:
            return False
        return True
