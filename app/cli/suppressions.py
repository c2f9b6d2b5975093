"""`tocsin suppressions`: whom not to contact."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, cast, get_args

import click

from app.cli.operator import application, operator
from app.cli.output import json_option, print_fields, print_json, print_table
from app.cli.parameters import Moment, OneOf
from app.domain.vocabulary import SuppressionReason
from app.services.suppressions import SuppressionChannel, SuppressionDraft, SuppressionView

_COLUMNS = (
    "id",
    "channel",
    "address",
    "reason",
    "source",
    "community",
    "category",
    "sender",
    "since",
    "until",
    "note",
)
_CHUNK = 64 * 1024
_SOURCE = "cli"
_Channel = click.Choice(list(get_args(SuppressionChannel)))


@click.group()
def suppressions() -> None:
    """Search, add, release, import and export suppressions."""


@suppressions.command("list")
@click.argument("address", required=False)
@click.option("--channel", type=_Channel, help="Only this channel's.")
@click.option("--reason", type=OneOf(SuppressionReason), help="Only for this reason.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="So many at most.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def list_(
    *,
    address: str | None,
    channel: str | None,
    reason: SuppressionReason | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List suppressions, newest first, all or those of an ADDRESS."""
    service = application().suppressions
    page = service.search(channel=channel, address=address, reason=reason, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(_COLUMNS, map(_row, page.items), empty="no such suppression")
    if page.next:
        click.echo(f"There are more: --cursor {page.next}", err=True)


@suppressions.command()
@click.argument("address")
@click.option("--channel", type=_Channel, default="email", show_default=True, help="Where.")
@click.option(
    "--reason",
    type=OneOf(SuppressionReason),
    default=SuppressionReason.MANUAL,
    show_default="manual",
    help="Why.",
)
@click.option("--community", "community_id", type=int, help="In this community only.")
@click.option("--category", help="For this category only.")
@click.option("--sender", help="For this sender's address or number only.")
@click.option("--until", "expires_at", type=Moment(), help="It ends then; else never.")
@click.option("--note", help="For whoever reads the list.")
@json_option
def add(
    *,
    address: str,
    channel: SuppressionChannel,
    reason: SuppressionReason,
    community_id: int | None,
    category: str | None,
    sender: str | None,
    expires_at: datetime | None,
    note: str | None,
    as_json: bool,
) -> None:
    """Let nothing more be sent to ADDRESS; it holds at once."""
    draft = SuppressionDraft(
        channel=channel,
        address=address,
        reason=reason,
        community_id=community_id,
        category=category,
        sender=sender,
        note=note,
        expires_at=expires_at,
    )
    view, added = application().suppressions.add(operator(), draft, source=_SOURCE, why=note)
    if as_json:
        print_json({"suppression": view, "added": added})
    else:
        state = "is suppressed" if added else "was suppressed already"
        click.echo(f"{view.address} {state} ({view.channel}, {view.reason}, row {view.id}).")


@suppressions.command()
@click.argument("suppression_id", metavar="ID", type=int)
@click.option("--why", required=True, help="For the audit log.")
@json_option
def release(*, suppression_id: int, why: str, as_json: bool) -> None:
    """Remove a row of the list; the audit log keeps it, with who and why."""
    view = application().suppressions.release(operator(), suppression_id, why=why)
    if as_json:
        print_json(view)
    else:
        click.echo(f"{view.address} is released ({view.channel}, {view.reason}).")


@suppressions.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), help="Else told by the file's name.")
@click.option("--why", help="For the audit log.")
@json_option
def import_(*, file: Path, form: str | None, why: str | None, as_json: bool) -> None:
    """Add all rows of FILE (NDJSON or CSV, also gzipped; - is standard input), as `export` writes them."""
    service = application().suppressions
    is_csv = (form or file.name.removesuffix(".gz").rpartition(".")[2]) == "csv"
    who, chunks = operator(), _chunks(file)
    if is_csv:
        imported = service.import_csv(who, chunks, why=why)
    else:
        imported = service.import_ndjson(who, chunks, why=why)
    if as_json:
        print_json(imported)
        return
    print_fields((name, getattr(imported, name)) for name in ("received", "added", "known", "invalid"))
    if imported.rejects:
        print_table(
            ("line", "rejected because"), [(reject.line, reject.reason) for reject in imported.rejects]
        )


@suppressions.command()
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Else standard output.")
def export(*, output: Path | None) -> None:
    """Write the whole list as NDJSON, as `import` reads it."""
    pieces = application().suppressions.export()
    to: AbstractContextManager[IO[bytes]] = nullcontext(sys.stdout.buffer)
    with output.open("wb") if output else to as file:
        file.writelines(pieces)


def _chunks(file: Path) -> Iterator[bytes]:
    with _opened(file) as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _opened(file: Path) -> AbstractContextManager[IO[bytes]]:
    if str(file) == "-":
        return nullcontext(sys.stdin.buffer)
    if file.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(file))
    return file.open("rb")


def _row(view: SuppressionView) -> tuple[object, ...]:
    return (
        view.id, view.channel, view.address, view.reason, view.source, view.community_id, view.category,
        view.sender, view.created_at, view.expires_at, view.note,
    )  # fmt: skip
