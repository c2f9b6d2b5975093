"""What a message says, rendered as it is sent."""

from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import message_queue
from app.domain.outcomes import Outcome
from app.errors import Invalid, NotFound
from app.gateways.base import Envelope
from app.queue.rows import Claimed
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.sending.content import Contents

_COLUMNS = [message_queue.c[name] for name in Claimed._fields]


def rendered(engine: sa.Engine, catalog: Catalog, uuid: UUID) -> Envelope:
    """Render a message with the template version that it was accepted with.

    Raises NotFound, and Invalid where it cannot be rendered (which is why it was not sent).
    """
    with unavailable_when_down(), engine.connect() as conn:
        row = conn.execute(sa.select(*_COLUMNS).where(message_queue.c.uuid == uuid)).one_or_none()
    if row is None:
        raise NotFound("there is no such message")
    made = Contents(engine, catalog).envelope(Claimed(*row))
    if isinstance(made, Outcome):
        raise Invalid.of("message", f"cannot be rendered: {made.detail}")
    return made


def note_opened(engine: sa.Engine, who: Who, uuid: UUID) -> None:
    """Write down that somebody looked at a message's address and contents."""
    with unavailable_when_down(), engine.begin() as conn:
        record(conn, who, "message.open", f"message:{uuid}")
