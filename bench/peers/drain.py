"""The peer way to drain: one Celery task a message, a row read and saved by the ORM, requests for the call.

Written as a careful team would: the row is locked, its state is checked, the outcome and an event are saved
in the same transaction, the template is compiled once.
"""

import os
from functools import cache
from typing import Any

import requests
import sqlalchemy as sa
from celery import Celery
from sqlalchemy.orm import Session, registry

from app.db.tables import delivery_events, message_queue
from app.domain.rendering import compile_parts
from bench.fill import HTML, SUBJECT, TEXT

STAGED = "staged"
TIMEOUT = 15  # seconds

app = Celery("peer", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://") + "?virtual_host=5")


class Message:
    """A row of message_queue."""


class Event:
    """A row of delivery_events."""

    def __init__(self, **columns: Any) -> None:
        for name, value in columns.items():
            setattr(self, name, value)


_mapped = registry()
_mapped.map_imperatively(Message, message_queue)
_mapped.map_imperatively(Event, delivery_events, primary_key=[delivery_events.c.id])


@cache
def engine() -> sa.Engine:
    """Make the engine of this worker process."""
    return sa.create_engine(os.environ["DATABASE_URL"])


@cache
def template() -> Any:
    """Compile the template once."""
    return compile_parts(SUBJECT, HTML, TEXT)


@app.task
def send(message_id: int) -> None:
    """Send one message."""
    with Session(engine()) as session:
        message: Any = session.get(Message, (message_id, "P3"), with_for_update=True)
        if message.status != "pending":
            return
        message.external_id = _post(message)
        message.status, message.sent_at = "sent", sa.func.now()
        session.add(
            Event(message_id=message.id, priority="P3", event_type="sent", gateway="postal", source="worker")
        )
        session.commit()


def _post(message: Any) -> str:
    content = template().render(message.content_data)
    answer = requests.post(
        os.environ["POSTAL_URL"] + "/api/v1/send/message",
        headers={"X-Server-API-Key": os.environ["POSTAL_API_KEY"]},
        json={
            "to": [message.recipient_address],
            "from": "Bench <bench@example.com>",
            "subject": content.subject,
            "plain_body": content.text,
            "html_body": content.html,
            "tag": f"{message.uuid}_P3_1",
        },
        timeout=TIMEOUT,
    )
    answer.raise_for_status()
    entries = answer.json()["data"]["messages"].values()
    return str(next(iter(entries))["id"])
