"""The limit of bulk: COPY of finished rows into a table with the same columns, checks and indexes."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

COLUMNS = (
    "priority, message_type, client_id, batch_id, channel, recipient_type, recipient_id, recipient_address, "
    "content_data, ip_pool, gateway, scheduled_for, expires_at, max_attempts"
)
_CHUNK = 256 * 1024


def write_rows(path: Path, count: int) -> None:
    """Write the rows as COPY reads them, in the order of COLUMNS."""
    with path.open("w") as file:
        for number in range(count):
            data = f'{{"code": "K{number}", "first": "Ada{number}"}}'
            file.write(
                f"P3\tcampaign\t1\t1\temail\tsmb\t{number}\t"
                f"reader{number}@mail{number % 50}.example.com\t{data}\t"
                "campaigns\tpostal\tnow\ttomorrow\t3\n"
            )


def copy(database: psycopg.Connection, path: Path) -> float:
    """Copy the rows into an empty table and commit; gives the seconds it took."""
    database.execute("DROP TABLE IF EXISTS copied")
    database.execute("CREATE TABLE copied (LIKE message_queue_p3 INCLUDING ALL)")
    began = time.monotonic()
    with database.cursor() as cursor, cursor.copy(f"COPY copied ({COLUMNS}) FROM STDIN".encode()) as into:
        for chunk in chunks(path):
            into.write(chunk)
    took = time.monotonic() - began
    database.execute("DROP TABLE copied")
    return took


def chunks(path: Path) -> Iterator[bytes]:
    """Give a file piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
