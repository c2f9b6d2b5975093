"""Taking back what was not sent yet."""

from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import message_queue
from app.domain.callers import Caller
from app.errors import Conflict, NotFound
from app.queue import PACKAGE
from app.services.audit import Who, record
from app.services.reading import read
from app.services.views import MessageView

_M = message_queue.c


def cancel_by_hand(engine: sa.Engine, who: Who, uuid: UUID, *, why: str) -> None:
    """Cancel anybody's message that is still pending, for an operator.

    Raises NotFound, and Conflict that names its state.
    """
    parameters = {"uuid": uuid, "client_id": None, "all": True, "source": "console"}
    with unavailable_when_down(), engine.begin() as conn:
        done = run(conn, PACKAGE, "cancel", parameters).one_or_none()
        status = conn.execute(sa.select(_M.status).where(_M.uuid == uuid)).scalar()
        if status is None:
            raise NotFound("there is no such message")
        if done is None:
            raise Conflict(f"only a pending message can be cancelled; this one is {status}")
        record(conn, who, "message.cancel", f"message:{uuid}", why=why)


def cancel(engine: sa.Engine, caller: Caller, uuid: UUID) -> MessageView:
    """Cancel one message that is still pending; see MessageService."""
    parameters = {
        "uuid": uuid,
        "client_id": caller.client_id,
        "all": caller.may("admin"),
        "source": "api",
    }
    with unavailable_when_down(), engine.begin() as conn:
        done = run(conn, PACKAGE, "cancel", parameters).one_or_none()
        message = read(conn, caller, uuid)
    if done is None:
        raise Conflict(f"only a pending message can be cancelled; this one is {message.status}")
    return message
