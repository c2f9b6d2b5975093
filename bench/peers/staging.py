"""Make the peer way's tasks, one a message, and put them aside: only sending them is measured."""

import sqlalchemy as sa

from app.db.tables import message_queue
from bench.peers.drain import STAGED, app, engine, send


def main() -> None:
    """Make a task for each pending message."""
    pending = sa.select(message_queue.c.id).where(
        message_queue.c.priority == "P3", message_queue.c.status == "pending"
    )
    with engine().connect() as conn, app.producer_pool.acquire() as producer:
        for message in conn.scalars(pending):
            send.apply_async((message,), queue=STAGED, producer=producer)


if __name__ == "__main__":
    main()
