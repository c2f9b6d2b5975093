"""`tocsin status`: a message with its history, or a batch with its counts."""

from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar
from uuid import UUID

import click

from app.cli.operator import application, local_caller
from app.cli.output import json_option, print_fields, print_json, print_table
from app.domain.callers import Caller
from app.domain.vocabulary import Status
from app.errors import NotFound
from app.services.views import BatchView, EventView, MessageView

V = TypeVar("V", MessageView, BatchView)

_NOT_ON_TOP = {"events", "body_html"}
_COUNTS = ("received", "queued", "waiting", "invalid", "duplicate", *Status)
_OF_BATCH = (
    "uuid", "state", "channel", "priority", "message_type", "category", "template", "source_type",
    "source_id", "scheduled_for", "created_at", "accepted_at", "finished_at", "expected_end",
)  # fmt: skip


@click.command()
@click.argument("uuid", type=click.UUID)
@json_option
def status(*, uuid: UUID, as_json: bool) -> None:
    """Show a message with all that happened to it, or a batch with its counts and first rejected rows."""
    app = application()
    caller = local_caller(app)
    view = _look(app.messages.get_status, caller, uuid) or _look(app.messages.batch, caller, uuid)
    if view is None:
        raise NotFound(f"There is neither a message nor a batch {uuid}.")
    if as_json:
        print_json(view)
    elif isinstance(view, MessageView):
        show_message(view)
    else:
        show_batch(view)


def show_message(view: MessageView) -> None:
    """Print a message and its history for people."""
    print_fields(
        (field.name, getattr(view, field.name)) for field in fields(view) if field.name not in _NOT_ON_TOP
    )
    print_table(("when", "event", "by", "gateway", "what"), map(_event, view.events), empty="no event yet")


def show_batch(view: BatchView) -> None:
    """Print a batch for people."""
    print_fields((name, getattr(view, name)) for name in _OF_BATCH)
    counts = [(name, getattr(view, name)) for name in _COUNTS]
    print_table(("rows", "number"), [(name, f"{count:,}") for name, count in counts if count])
    click.echo(f"{view.percentage:.1f} % left, {view.rate:,.0f} a second")
    if view.rejects:
        print_table(("line", "rejected because"), [(reject.line, reject.reason) for reject in view.rejects])


def _look(read: Callable[[Caller, UUID], V], caller: Caller, uuid: UUID) -> V | None:
    try:
        return read(caller, uuid)
    except NotFound:
        return None


def _event(event: EventView) -> tuple[object, ...]:
    data = dict(event.data)
    gateway = data.pop("gateway", None)
    words = [str(data.pop(name)) for name in ("outcome", "code", "detail") if data.get(name)]
    return event.occurred_at, event.event_type, event.source, gateway, " · ".join([*words, *_rest(data)])


def _rest(data: dict[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in data.items()]
