"""`tocsin bulk`: one message to all recipients of a file."""

import gzip
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import IO, cast
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from werkzeug.exceptions import BadRequest

from app.api.faults import read
from app.api.models.messages import BatchHead
from app.bootstrap import App
from app.cli.operator import application, local_caller
from app.cli.output import json_option, print_fields, print_json
from app.cli.parameters import Content
from app.cli.status import show_batch
from app.domain.callers import Caller
from app.services.requests import Reject, Row
from app.services.uploads import csv_rows, ndjson
from app.services.views import BatchView

_CHUNK = 64 * 1024
_LOOK = 0.5  # seconds
_OVER = {"finished", "cancelled"}


@dataclass
class Reading:
    """A file on its way into a batch: its pieces, what was read of it so far, and its digest."""

    stream: IO[bytes]
    size: int | None
    advance: Callable[[int], None] = lambda _: None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def chunks(self) -> Iterator[bytes]:
        """Give the file in pieces."""
        while piece := self.stream.read(_CHUNK):
            self.digest.update(piece)
            self.advance(len(piece))
            yield piece


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--batch",
    "head",
    type=Content(),
    metavar="JSON|@FILE",
    help="The shared fields. Without it, they are the first line of NDJSON.",
)
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), help="Else told by the file's name.")
@click.option("--idempotency-key", help="The same key with the same file sends once.")
@click.option("--wait", is_flag=True, help="Stay until all of it is sent.")
@json_option
def bulk(
    *, file: Path, head: str | None, form: str | None, idempotency_key: str | None, wait: bool, as_json: bool
) -> None:
    """Send one message to the recipients in FILE (NDJSON or CSV, also gzipped; - is standard input).

    Nothing is sent before the last row was read, and a row that cannot be a recipient stops no other.
    """
    app = application()
    caller = local_caller(app)
    with _opened(file) as reading, _bar() as progress:
        shown = progress.add_task("reading", total=reading.size)
        reading.advance = lambda length: progress.advance(shown, length)
        shared, rows = _parts(reading, head, form or _form_of(file))
        accepted = app.messages.send_bulk(
            caller,
            shared.request(),
            rows,
            idempotency_key=idempotency_key,
            request_hash=reading.digest.digest,
        )
        view = _followed(app, caller, accepted.batch, progress) if wait else None
    if as_json:
        print_json(view or accepted)
    elif view:
        show_batch(view)
    else:
        fields = {"batch": accepted.batch, "received": accepted.received, "invalid": accepted.invalid or None}
        warnings = [("note", warning) for warning in accepted.warnings]
        print_fields([*fields.items(), *warnings, ("follow it", f"tocsin status {accepted.batch}")])


@contextmanager
def _opened(file: Path) -> Iterator[Reading]:
    if str(file) == "-":
        yield Reading(stream=sys.stdin.buffer, size=None)
        return
    with file.open("rb") as raw:
        if file.suffix == ".gz":
            # How far it is would be told in bytes that nobody knows the number of.
            yield Reading(stream=cast("IO[bytes]", gzip.GzipFile(fileobj=raw)), size=None)
        else:
            yield Reading(stream=raw, size=file.stat().st_size)


def _form_of(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    return "csv" if name.endswith(".csv") else "ndjson"


def _parts(reading: Reading, head: str | None, form: str) -> tuple[BatchHead, Iterator[Row | Reject]]:
    """Take the upload apart into shared fields and rows."""
    if head is not None:
        reading.digest.update(head.encode())
    if form == "csv":
        if head is None:
            raise click.UsageError("CSV has no place for the shared fields: give them with --batch.")
        return _head(head.encode()), csv_rows(reading.chunks())
    if head is None:
        first, rows = ndjson(reading.chunks())
        return _head(first), rows
    _, rows = ndjson(_behind(b"{}\n", reading.chunks()))
    # The line put in front is not in the file that people look at.
    return _head(head.encode()), (row._replace(line=row.line - 1) for row in rows)


def _behind(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _head(raw: bytes) -> BatchHead:
    try:
        return read(BatchHead, raw)
    except BadRequest as exc:
        raise click.UsageError(f"The shared fields cannot be read: {exc.description}") from exc


def _followed(app: App, caller: Caller, batch: UUID, progress: Progress) -> BatchView:
    """Show how far the batch is until nothing of it is left to be sent."""
    view = app.messages.batch(caller, batch)
    shown = progress.add_task("sending", total=100)
    while view.state not in _OVER:
        _update(progress, shown, view)
        sleep(_LOOK)
        view = app.messages.batch(caller, batch)
    _update(progress, shown, view)
    return view


def _update(progress: Progress, shown: TaskID, view: BatchView) -> None:
    words = f"sending, {view.rate:,.0f}/s" if view.rate else view.state
    progress.update(shown, completed=view.percentage, description=words)


def _bar() -> Progress:
    """Make bars beside what is printed, for people only."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
