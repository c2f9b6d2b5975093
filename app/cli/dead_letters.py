"""`tocsin dead-letters`: what was not sent, why, and sending it after all."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from app.bootstrap import App
from app.cli.operator import application, operator
from app.cli.output import json_option, print_fields, print_json, print_table
from app.cli.parameters import Moment, OneOf
from app.domain.vocabulary import Channel, Priority, Status
from app.services.dead_letter_rows import Criteria
from app.services.dead_letter_views import HeldDecision, ReplayView

_SOURCE = "cli"
_LISTED = (Status.FAILED, Status.EXPIRED, Status.HELD)
_REPLAYED = (Status.FAILED, Status.EXPIRED)
_COLUMNS = ("uuid", "lane", "status", "channel", "gateway", "class", "code", "last error", "since")
_FILTERS = (
    click.option("--class", "error_class", help="Only errors of this class, as in transient."),
    click.option("--code", help="Only this code of the gateway's."),
    click.option("--gateway", help="Only what was to go through this gateway."),
    click.option("--channel", type=OneOf(Channel), help="Only this channel's."),
    click.option("--priority", type=OneOf(Priority), help="Only this lane's."),
    click.option("--client", "client_id", type=int, help="Only this client's, by its number."),
    click.option("--batch", type=click.UUID, help="Only this bulk request's."),
    click.option("--since", type=Moment(), help="Only what came to rest from then on."),
    click.option("--until", type=Moment(), help="Only what came to rest before then."),
)
_why = click.option("--why", required=True, help="For the audit log.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only tell how many it would be.")


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _status(*statuses: Status) -> Callable[[Callable[..., None]], Callable[..., None]]:
    names = [status.value for status in statuses]
    words = "Only these; repeatable."
    return click.option("--status", "statuses", type=click.Choice(names), multiple=True, help=words)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, count and replay what was not sent, and decide about what nobody knows the fate of."""


@dead_letters.command("list")
@_status(*_LISTED, Status.CANCELLED)
@_filters
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="So many at most.")
@click.option("--cursor", help="Where the page before ended.")
@json_option
def list_(
    *, statuses: tuple[str, ...], limit: int, cursor: str | None, as_json: bool, **filters: Any
) -> None:
    """List dead letters, newest first."""
    criteria = _criteria(statuses, _LISTED, filters)
    page = application().dead_letters.page(criteria, owner=None, cursor=cursor, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = (
        (
            letter.uuid, letter.priority, letter.status, letter.channel, letter.gateway, letter.error_class,
            letter.code, letter.last_error, letter.since,
        )
        for letter in page.items
    )  # fmt: skip
    print_table(_COLUMNS, rows, empty="no dead letter here")
    if page.next:
        click.echo(f"There are more: --cursor {page.next}", err=True)


@dead_letters.command()
@_status(*_LISTED, Status.CANCELLED)
@_filters
@json_option
def reasons(*, statuses: tuple[str, ...], as_json: bool, **filters: Any) -> None:
    """Count dead letters by reason."""
    found = application().dead_letters.reasons(_criteria(statuses, _LISTED, filters), owner=None)
    if as_json:
        print_json(found)
        return
    rows = (
        (reason.status, reason.error_class, reason.gateway, reason.code, reason.count, reason.latest)
        for reason in found.items
    )
    print_table(("status", "class", "gateway", "code", "count", "latest"), rows, empty="no dead letters")
    if not found.complete:
        click.echo("There are older ones that were not counted.", err=True)


@dead_letters.command()
@click.argument("uuids", nargs=-1, type=click.UUID)
@_status(*_REPLAYED, Status.CANCELLED)
@_filters
@_why
@click.option("--through", help="Try this gateway first; needs --channel.")
@click.option("--rate", type=float, default=50.0, show_default=True, help="So many a second.")
@_dry_run
@json_option
def replay(
    *,
    uuids: tuple[UUID, ...],
    statuses: tuple[str, ...],
    why: str,
    through: str | None,
    rate: float,
    dry_run: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send after all: the messages UUIDS, or all that match. Each leaves once."""
    _require_choice(uuids, statuses, filters)
    app, criteria = application(), _criteria(statuses, _REPLAYED, filters, uuids)
    if dry_run:
        _preview(app, criteria, as_json=as_json)
        return
    begun = app.dead_letters.replay(
        operator(), criteria, owner=None, why=why, per_second=rate, gateway=through, source=_SOURCE
    )
    _show(begun, as_json=as_json)


@dead_letters.command()
@click.argument("uuid", type=click.UUID)
@json_option
def progress(*, uuid: UUID, as_json: bool) -> None:
    """Show how far the replay UUID is."""
    _show(application().dead_letters.replay_state(uuid, owner=None), as_json=as_json)


@dead_letters.command()
@click.argument("uuid", type=click.UUID)
@_why
@json_option
def stop(*, uuid: UUID, why: str, as_json: bool) -> None:
    """Stop the replay UUID; what it has put back stays in the queue."""
    service = application().dead_letters
    _show(service.stop_replay(operator(), uuid, owner=None, why=why), as_json=as_json)


@dead_letters.command()
@click.argument("decision", type=OneOf(HeldDecision))
@click.argument("uuids", nargs=-1, type=click.UUID)
@_filters
@_why
@_dry_run
@json_option
def decide(
    *,
    decision: HeldDecision,
    uuids: tuple[UUID, ...],
    why: str,
    dry_run: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Decide about held messages: that they were sent, or are to be sent again, given up or cancelled."""
    _require_choice(uuids, (), filters)
    app, criteria = application(), _criteria((), (Status.HELD,), filters, uuids)
    if dry_run:
        _preview(app, criteria, as_json=as_json)
        return
    decided = app.held_decisions.decide(operator(), criteria, decision, owner=None, why=why, source=_SOURCE)
    if as_json:
        print_json(decided)
    else:
        click.echo(f"Decided about {decided.count} held messages: {decided.decision}.")


def _criteria(
    statuses: tuple[str, ...],
    otherwise: tuple[Status, ...],
    filters: dict[str, Any],
    uuids: tuple[UUID, ...] = (),
) -> Criteria:
    return Criteria(statuses=tuple(map(Status, statuses)) or otherwise, uuids=uuids or None, **filters)


def _require_choice(uuids: tuple[UUID, ...], statuses: tuple[str, ...], filters: dict[str, Any]) -> None:
    """Keep a command without any choice from meaning everything."""
    if not uuids and not statuses and all(value is None for value in filters.values()):
        raise click.UsageError("Name messages, or say by options which are meant.")


def _preview(app: App, criteria: Criteria, *, as_json: bool) -> None:
    counted = app.dead_letters.count(criteria, owner=None)
    if as_json:
        print_json(counted)
    else:
        click.echo(f"{counted.count} messages match{'' if counted.complete else ', and more'}.")


def _show(replay: ReplayView, *, as_json: bool) -> None:
    if as_json:
        print_json(replay)
        return
    names = ("uuid", "state", "replayed", "per_second", "gateway", "criteria", "who", "why", "created_at")
    print_fields((name, getattr(replay, name)) for name in names)
