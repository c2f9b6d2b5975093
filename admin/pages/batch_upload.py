"""Sending to everybody in a file: what to say, which column is what, a trial, and only then the batch."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from admin import batch_forms, people
from admin.answers import link, told
from admin.batch_forms import Column
from admin.page import Page, expose
from admin.said import reason_given
from admin.uploads import given_file
from app.errors import Conflict, Faults, Forbidden, InFlight, Invalid, KeyReused, NoGateway
from app.services.bulk_trial import BulkTrial
from app.services.kept_uploads import KeptUpload
from app.services.requests import Reject, Row
from app.services.templates import MOST as MOST_TEMPLATES
from app.services.uploads import csv_rows

LARGEST = 8 * 1024 * 1024

_LONGEST_NAME = 200
_HELD_BACK = (Conflict, Forbidden, InFlight, KeyReused, NoGateway)


class BatchUploadPage(Page):
    """The steps of an upload. Between them the file is kept for its person alone, for an hour."""

    key = "batch_upload"
    title = "Upload a list"
    largest = LARGEST

    @expose("/")
    def index(self) -> str:
        """Ask for the file, and for what to say."""
        return self._form({})

    @expose("/", methods=("POST",))
    def take_in(self) -> ResponseReturnValue:
        """Keep the file, and go on where nothing is wrong with what was said."""
        said = {name: request.form.get(name, "") for name in batch_forms.FIELDS}
        try:
            faults = Faults()
            head, file = faults.of(batch_forms.head_of, said), faults.of(_file)
            if head:
                # An upload of no rows tells what is wrong with all the rest.
                faults.of(self.app.batch_desk.trial, head, ())
            faults.end()
        except Invalid as exc:
            return self._form({fault.field: fault.message for fault in exc.faults}), 422
        except _HELD_BACK as exc:
            return self._form({"channel": str(exc)}), 409
        name, content = file or ("", b"")
        owner = people.person().signed.user_id
        token = self.app.upload_shelf.put(owner, name[:_LONGEST_NAME], said, content)
        return redirect(url_for("batch_upload.columns", token=token))

    @expose("/<token>")
    def columns(self, token: str) -> ResponseReturnValue:
        """Show the first rows, and ask which column is what."""
        upload = self._upload(token)
        try:
            columns = batch_forms.columns_of(upload, {})
        except Invalid as exc:
            return self._form({"list": exc.faults[0].message}, upload.said), 422
        return self._columns(upload, columns)

    @expose("/<token>", methods=("POST",))
    def trial(self, token: str) -> ResponseReturnValue:
        """Find out what would become of the rows, without sending any."""
        upload, columns = self._chosen(token)
        try:
            head = batch_forms.head_of(upload.said)
            found = self.app.batch_desk.trial(head, _rows(upload, columns))
        except Invalid as exc:
            return self._columns(upload, columns, fault="; ".join(each.message for each in exc.faults)), 422
        except _HELD_BACK as exc:
            return self._columns(upload, columns, fault=str(exc)), 409
        return self._columns(upload, columns, trial=found)

    @expose("/<token>/send", methods=("POST",))
    def send(self, token: str) -> ResponseReturnValue:
        """Send to all rows, once however often this is asked for."""
        upload, columns = self._chosen(token)
        try:
            accepted = self.app.batch_desk.send(
                people.who(),
                batch_forms.head_of(upload.said),
                _rows(upload, columns),
                key=f"console-{token}",
                digest=_digest(upload, columns),
                note=_note(upload, columns),
                why=reason_given(),
            )
        except Invalid as exc:
            return self._columns(upload, columns, fault="; ".join(each.message for each in exc.faults)), 422
        except _HELD_BACK as exc:
            return self._columns(upload, columns, fault=str(exc)), 409
        refused = f", {accepted.invalid:,} of them refused" if accepted.invalid else ""
        batch = link(f"the batch …{str(accepted.batch)[-8:]}", url_for("batches.one", uuid=accepted.batch))
        flash(told("Accepted as {}: {} rows{}.", batch, f"{accepted.received:,}", refused), "success")
        for warning in accepted.warnings:
            flash(warning, "warning")
        return redirect(url_for("batches.one", uuid=accepted.batch))

    def _upload(self, token: str) -> KeptUpload:
        return self.app.upload_shelf.get(people.person().signed.user_id, token)

    def _chosen(self, token: str) -> tuple[KeptUpload, list[Column]]:
        upload = self._upload(token)
        names = [column.name for column in batch_forms.columns_of(upload, {})]
        return upload, batch_forms.columns_of(upload, batch_forms.chosen_columns(names, request.form))

    def _form(self, faults: Mapping[str, str], said: Mapping[str, str] | None = None) -> str:
        templates = self.app.templates.list(limit=MOST_TEMPLATES).items
        senders = self.app.senders.list()
        return self.show(
            "batches/upload.html",
            said=request.form if said is None else said,
            faults=faults,
            channels=batch_forms.CHANNELS,
            types=batch_forms.TYPES,
            templates=_spelled((each.slug, each.channel) for each in templates if each.active_version),
            senders=_spelled((each.slug, each.channel) for each in senders if each.is_active),
        )

    def _columns(
        self, upload: KeptUpload, columns: list[Column], *, trial: BulkTrial | None = None, fault: str = ""
    ) -> str:
        return self.show(
            "batches/columns.html",
            upload=upload,
            columns=columns,
            roles=batch_forms.ROLES,
            lines=max(upload.content.rstrip().count(b"\n"), 0),
            said=upload.said,
            trial=trial,
            fault=fault,
        )


def _file() -> tuple[str, bytes]:
    """Read the file of the form with its name; raises Invalid."""
    with given_file("list") as file:
        name, content = file.filename or "", file.stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Invalid.of("list", "is too large for the console.")
    return name, content


def _rows(upload: KeptUpload, columns: list[Column]) -> Iterator[Row | Reject]:
    names = batch_forms.names_in(columns)
    return csv_rows(upload.chunks(), names, delimiter=batch_forms.delimiter_of(upload))


def _digest(upload: KeptUpload, columns: list[Column]) -> Callable[[], bytes]:
    whole = hashlib.sha256(upload.content)
    whole.update(repr(sorted(upload.said.items())).encode())
    whole.update(repr([(column.name, column.role) for column in columns]).encode())
    return whole.digest


def _note(upload: KeptUpload, columns: list[Column]) -> dict[str, Any]:
    """Say what was sent without anything of the rows."""
    kept = ("channel", "message_type", "template", "subject", "sender", "category", "scheduled_for")
    said = {name: upload.said[name] for name in kept if upload.said.get(name)}
    return {**said, "list": upload.name, "columns": batch_forms.names_in(columns)}


def _spelled(names: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Give slugs to choose from, each once, with the channels that have one."""
    channels: dict[str, list[str]] = {}
    for slug, channel in names:
        known = channels.setdefault(slug, [])
        if channel not in known:
            known.append(channel)
    return [(slug, f"{slug} ({', '.join(known)})") for slug, known in channels.items()]
