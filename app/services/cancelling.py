"""Taking back what was not sent yet."""

from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.callers import Caller
from app.errors import Conflict
from app.queue import PACKAGE
from app.services.reading import read
from app.services.views import MessageView


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
