"""What the database alone can do: claim and settle a thousand messages at a time over one connection."""

import os
from uuid import uuid4

import psycopg

from app.db.sql import statement
from app.queue import PACKAGE
from bench.ground import dsn
from bench.limits.drain import claiming, settling

SIZE = 1000


def main() -> None:
    """Claim and settle the campaign lane whenever told to."""
    database = psycopg.connect(dsn(os.environ["DATABASE_URL"]), autocommit=True)
    database.execute("LISTEN drain")
    print("listening", flush=True)
    while True:
        for _ in database.notifies(stop_after=1):
            pass
        _drain(database)


def _drain(database: psycopg.Connection) -> None:
    claim_sql, settle_sql = statement(PACKAGE, "claim").encode(), statement(PACKAGE, "settle").encode()
    position = None
    while True:
        claim = uuid4()
        rows = database.execute(claim_sql, claiming(claim, position, SIZE)).fetchall()
        if not rows:
            return
        position = max((row[24], row[2]) for row in rows)
        sent = [(row[2], row[26], f"x.{row[2]}") for row in rows]
        database.execute(settle_sql, settling(claim, sent, "sendgrid"))


if __name__ == "__main__":
    main()
