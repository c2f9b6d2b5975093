"""Batches: how far each is, what was refused, pausing, going on, giving up."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from flask import Response

from admin.actions import Action, Preview, Wish
from admin.answers import link, told
from admin.exports import csv_file
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import one_of
from app.domain.stops import StopScope
from app.domain.vocabulary import Priority, Status
from app.errors import Conflict, Invalid, NotFound
from app.services.batch_desk import STATES, BatchFilters
from app.services.controls.service import StopDraft
from app.services.controls.views import StopView
from app.services.keys import list_clients
from app.services.views import BatchView

_OVER = frozenset({"finished", "cancelled"})
_BADGES = {
    "accepted": ("waiting", "accepted"),
    "expanding": ("running", "being made"),
    "expanded": ("running", "being sent"),
    "finished": ("finished", "finished"),
    "cancelled": ("cancelled", "cancelled"),
}
_HEADING = ("line", "reason")


class BatchesPage(ListPage):
    """All batches, newest first."""

    key = "batches"
    title = "Batches"
    template = "batches/list.html"
    filters = (
        Filter(name="state", label="State", choices=tuple((name, _BADGES[name][1]) for name in STATES)),
        Filter(name="client", label="Client"),
    )
    empty = Empty(says="Nobody has sent to many at once.", todo="Upload a list", link="/admin/batch-upload/")
    empty_filtered = Empty(says="No batch fits.", todo="Take a filter away.")
    badges = _BADGES

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to a batch."""
        return {
            "pause": Action(name="pause", label="Pause", preview=self._preview_pause, apply=self._pause),
            "resume": Action(name="resume", label="Resume", preview=self._preview_resume, apply=self._resume),
            "cancel": Action(
                name="cancel",
                label="Cancel what waits",
                preview=self._preview_cancel,
                apply=self._cancel,
                danger=True,
            ),
        }

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        if each.name == "client":
            return tuple((client.name, client.name) for client in list_clients(self.app.engine))
        return each.choices

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        filters = BatchFilters(state=one_of(wanted, "state", STATES), client=wanted.get("client"))
        rows, behind = self.app.batch_desk.look(filters, cursor=after, limit=limit)
        paused = {stop.key for stop in self._stops()}
        return Found(rows=[(row, _share(row), str(row.uuid) in paused) for row in rows], after=behind)

    @expose("/<uuid:uuid>")
    def one(self, uuid: UUID) -> str:
        """Show how far a batch is."""
        view = self.app.batch_desk.progress(uuid)
        paused = self._stop_of(uuid)
        return self.show(
            "batches/one.html",
            batch=view,
            row=self.app.batch_desk.row(uuid),
            counts=[(status.value, getattr(view, status.value)) for status in Status],
            left=_left(view),
            paused=paused,
            is_over=view.state in _OVER and not _left(view),
            possible=_possible(view, paused),
        )

    @expose("/<uuid:uuid>/rejects")
    def rejects(self, uuid: UUID) -> Response:
        """Give the refused rows as CSV, with their lines in the upload."""
        self.app.batch_desk.row(uuid)
        lines = ((each.line, each.reason) for each in self.app.batch_desk.rejects(uuid))
        return csv_file(f"batch-{uuid}-refused", _HEADING, lines)

    def _stops(self) -> list[StopView]:
        """List the stops of single batches."""
        found = self.app.emergency.state(counting=False).stops
        return [stop for stop in found if stop.scope is StopScope.BATCH and stop.share == 0]

    def _stop_of(self, uuid: UUID) -> StopView | None:
        return next((stop for stop in self._stops() if stop.key == str(uuid)), None)

    def _preview_pause(self, wish: Wish) -> Preview:
        uuid, view = self._selected(wish)
        return Preview(
            question="Pause this batch?",
            facts=_facts(view),
            warning="Nothing of it goes out until it is resumed, but what a gateway has by then. What "
            "expires meanwhile is not sent.",
            possible=_left(view) > 0 and self._stop_of(uuid) is None,
        )

    def _pause(self, wish: Wish) -> str:
        uuid, view = self._selected(wish)
        if self._stop_of(uuid) is not None:
            raise Conflict("It is paused already.")
        if not _left(view):
            raise Conflict("It is over: nothing of it is left to pause.")
        draft = StopDraft(scope=StopScope.BATCH, key=str(uuid), including_p0=view.priority is Priority.P0)
        self.app.emergency.stop(wish.who, draft, why=wish.why)
        return told("{} is paused, on all workers within a second.", _link(uuid))

    def _preview_resume(self, wish: Wish) -> Preview:
        uuid, view = self._selected(wish)
        return Preview(
            question="Resume this batch?", facts=_facts(view), possible=self._stop_of(uuid) is not None
        )

    def _resume(self, wish: Wish) -> str:
        uuid, _ = self._selected(wish)
        self.app.emergency.resume(wish.who, scope=StopScope.BATCH, key=str(uuid), why=wish.why)
        return told("{} is resumed.", _link(uuid))

    def _preview_cancel(self, wish: Wish) -> Preview:
        _, view = self._selected(wish)
        waits = view.waiting + view.pending
        never = "They are never sent. A replay can make cancelled ones pending again, one by one."
        none = "Workers have all that is left. What they put back waits again, and can be cancelled then."
        return Preview(
            question=f"Cancel {waits:,} messages that wait?" if waits else "Nothing waits just now.",
            facts=_facts(view),
            warning=never if waits else none,
            possible=waits > 0,
        )

    def _cancel(self, wish: Wish) -> str:
        uuid, before = self._selected(wish)
        after = self.app.batch_desk.cancel(wish.who, uuid, why=wish.why)
        cancelled = max(after.cancelled - before.cancelled, 0)
        messages = link(f"{cancelled:,} messages", f"/admin/messages/?batch={uuid}&status=cancelled")
        rows = f"{before.waiting:,}"
        return told("Cancelled of {}: {}, and {} rows that were none yet.", _link(uuid), messages, rows)

    def _selected(self, wish: Wish) -> tuple[UUID, BatchView]:
        try:
            uuid = UUID(wish.selected[0])
        except ValueError as exc:
            raise NotFound("There is no such batch.") from exc
        if len(wish.selected) > 1:
            raise Invalid.of("selected", "must be one batch")
        return uuid, self.app.batch_desk.progress(uuid)


def _link(uuid: UUID) -> str:
    return link(f"The batch …{str(uuid)[-8:]}", f"/admin/batches/{uuid}")


def _facts(view: BatchView) -> list[tuple[str, str]]:
    gone = view.sent + view.delivered
    return [
        ("Wait to be sent", f"{view.waiting + view.pending:,}"),
        ("With workers, or at a gateway", f"{view.processing:,}"),
        ("Sent already", f"{gone:,}"),
    ]


def _left(view: BatchView) -> int:
    return view.waiting + view.pending + view.processing + view.held


def _possible(view: BatchView, paused: StopView | None) -> list[str]:
    """Name the actions that fit a batch now."""
    left = _left(view) > 0
    pausing = ["resume"] if paused else ["pause"] if left else []
    # What workers have comes back where the batch is paused or a gateway takes it not.
    return [*pausing, *(["cancel"] if left else [])]


def _share(row: object) -> tuple[float, int]:
    """Give which share of a batch's messages has left, and how many there are."""

    def count(name: str) -> int:
        return int(getattr(row, name))

    total = count("received") - count("invalid") - count("duplicate")
    done = ("sent", "delivered", "bounced", "failed", "expired", "cancelled", "suppressed")
    return (sum(map(count, done)) / total if total else 1.0), total
