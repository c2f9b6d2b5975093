"""`tocsin send`: one message to one recipient."""

import time
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import click
import orjson

from app.cli.operator import application, local_caller
from app.cli.output import json_option, print_fields, print_json
from app.cli.parameters import Content, Moment, OneOf, data_of, data_option
from app.cli.status import show_message
from app.domain.vocabulary import Channel, MessageType, Priority, Status
from app.services.requests import SendRequest
from app.services.views import Accepted, MessageView

_UNDER_WAY = {Status.PENDING, Status.PROCESSING, Status.SENT}
_LOOK = 0.25  # seconds
_PATIENCE = 30.0  # seconds
# As in the table of exit codes: refused, and trying again will not help.
_REFUSED = 5


@click.command()
@click.option(
    "--to", "recipient_address", required=True, metavar="ADDRESS", help="Email address, number or token."
)
@click.option("--channel", type=OneOf(Channel), default=Channel.EMAIL, show_default="email", help="How.")
@click.option(
    "--type",
    "message_type",
    type=OneOf(MessageType),
    default=MessageType.TRANSACTIONAL,
    show_default="transactional",
    help="What kind of message it is.",
)
@click.option("--priority", type=OneOf(Priority), help="Another priority than its type's.")
@click.option("--subject", help="Subject, where no template is given.")
@click.option("--text", "body_text", type=Content(), help="Plain text.")
@click.option("--html", "body_html", type=Content(), help="HTML.")
@click.option("--template", help="Slug of a template, instead of subject, text and HTML.")
@data_option("What the template is filled in with")
@click.option("--locale", help="Language of the template.")
@click.option("--sender", help="Slug of a sender; else the type's default one.")
@click.option("--reply-to", help="Where answers go.")
@click.option("--category", help="Your own kind of message, to unsubscribe from.")
@click.option("--source-type", help="Your own reference, with --source-id.")
@click.option("--source-id", type=int, help="Number in your own reference.")
@click.option("--gateway", help="Through this gateway only.")
@click.option("--at", "scheduled_for", type=Moment(), help="Not before, as in +15m.")
@click.option("--expires", "expires_at", type=Moment(), help="Not after.")
@click.option("--idempotency-key", help="The same key with the same message sends once.")
@click.option("--wait", is_flag=True, help="Stay until it is known what became of it, 30 seconds at most.")
@json_option
def send(
    *, idempotency_key: str | None, data: tuple[str, ...], wait: bool, as_json: bool, **fields: Any
) -> int:
    """Send one message.

    Exits with 5 where the address may not be contacted.
    """
    request = SendRequest(**fields, data=data_of(data))
    app = application()
    caller = local_caller(app)
    accepted = app.messages.send(
        caller, request, idempotency_key=idempotency_key, request_hash=_digest(fields, request.data)
    )
    if wait and accepted.status is Status.PENDING:
        _show(_followed(lambda: app.messages.get_status(caller, accepted.uuid)), as_json=as_json)
    else:
        _show(accepted, as_json=as_json)
    return _REFUSED if accepted.status is Status.SUPPRESSED else 0


def _digest(fields: dict[str, Any], data: object) -> bytes:
    """Digest what was asked for, by which a repeated key is told from a reused one."""
    return sha256(orjson.dumps({**fields, "data": data}, option=orjson.OPT_SORT_KEYS)).digest()


def _followed(look: Callable[[], MessageView]) -> MessageView:
    """Look until the message has arrived, or waits for something that takes longer."""
    give_up_at = time.monotonic() + _PATIENCE
    view = look()
    while view.status in _UNDER_WAY and time.monotonic() < give_up_at:
        time.sleep(_LOOK)
        view = look()
    return view


def _show(view: Accepted | MessageView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    elif isinstance(view, MessageView):
        show_message(view)
    else:
        print_fields(asdict(view).items())
