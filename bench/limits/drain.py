"""The bare loop: the same claim, template, bodies, server and settle, and nothing else; one thread."""

import os
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import psycopg
import pycurl

from app.db.sql import statement
from app.domain.rendering import Compiled, compile_parts
from app.queue import PACKAGE
from bench.fill import HTML, SUBJECT, TEXT
from bench.ground import dsn

IN_FLIGHT = 64


def main() -> None:
    """Drain the campaign lane whenever told to."""
    database = psycopg.connect(dsn(os.environ["DATABASE_URL"]), autocommit=True)
    template = compile_parts(SUBJECT, HTML, TEXT)
    url = os.environ["POSTAL_URL"] + "/api/v1/send/message"
    key = os.environ["POSTAL_API_KEY"]
    loop = _Loop(url, ["Content-Type: application/json", f"X-Server-API-Key: {key}", "Expect:"])
    database.execute("LISTEN drain")
    print("listening", flush=True)
    while True:
        for _ in database.notifies(stop_after=1):
            pass
        _drain(database, template, loop)


def _drain(database: psycopg.Connection, template: Compiled, loop: "_Loop") -> None:
    claim_sql, settle_sql = statement(PACKAGE, "claim").encode(), statement(PACKAGE, "settle").encode()
    position: tuple[datetime, int] | None = None
    while True:
        claim = uuid4()
        rows = database.execute(claim_sql, claiming(claim, position)).fetchall()
        if not rows:
            return
        position = max((row[24], row[2]) for row in rows)
        bodies = [(row[2], row[26], _body(template, row)) for row in rows]
        database.execute(settle_sql, settling(claim, loop.send(bodies)))


def claiming(claim: object, position: tuple[datetime, int] | None, size: int = 500) -> dict[str, object]:
    """Make the parameters of a claim of campaign emails, from where the last one ended."""
    return {
        "priority": "P3",
        "channels": ["email"],
        "claim": claim,
        "size": size,
        "worker": "bare",
        "lease": timedelta(seconds=300),
        "channels_at": ["email"] if position else [],
        "clients_at": [1] if position else [],
        "times_at": [position[0]] if position else [],
        "ids_at": [position[1]] if position else [],
        "on_clock": False,
        "stopped_clients": [],
    }


def _body(template: Compiled, row: tuple[Any, ...]) -> bytes:
    content = template.render(row[18])
    return orjson.dumps(
        {
            "to": [row[11]],
            "from": "Bench <bench@example.com>",
            "subject": content.subject,
            "plain_body": content.text,
            "html_body": content.html,
            "tag": f"{row[3]}_P3_{row[26]}",
        }
    )


def settling(claim: object, sent: list[tuple[int, int, str]], gateway: str = "postal") -> dict[str, object]:
    """Make the parameters that settle a claim of which each message (id, try, external id) was sent."""
    count = len(sent)
    ids, tries = [each[0] for each in sent], [each[1] for each in sent]
    external = [each[2] for each in sent]
    nothing, nowait = [None] * count, [0.0] * count
    return {
        "priority": "P3",
        "claim": claim,
        "worker": "bare",
        "lease": timedelta(seconds=300),
        "finished": True,
        "source": "worker",
        "ids": ids,
        "try_numbers": tries,
        "statuses": ["sent"] * count,
        "gateways": [gateway] * count,
        "external_ids": external,
        "delays": nowait,
        "extensions": nowait,
        "rounds": [0] * count,
        "tried": [""] * count,
        "duplicates": [False] * count,
        "errors": nothing,
        "error_classes": nothing,
        "event_ids": ids,
        "event_types": ["sent"] * count,
        "event_attempts": tries,
        "event_gateways": [gateway] * count,
        "event_outcomes": ["accepted"] * count,
        "event_codes": nothing,
        "event_details": nothing,
        "event_external_ids": external,
        "event_data": nothing,
    }


class _Loop:
    """libcurl as it comes, 64 in flight."""

    def __init__(self, url: str, headers: list[str]) -> None:
        self._multi = pycurl.CurlMulti()
        self._free = [self._handle(url, headers) for _ in range(IN_FLIGHT)]

    def _handle(self, url: str, headers: list[str]) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.NOSIGNAL, 1)
        return curl

    def send(self, bodies: list[tuple[int, int, bytes]]) -> list[tuple[int, int, str]]:
        sent, flying = [], {}
        waiting = iter(bodies)
        left = len(bodies)
        while left:
            while self._free and (following := next(waiting, None)):
                curl, answer = self._free.pop(), bytearray()
                curl.setopt(pycurl.POSTFIELDS, following[2])
                curl.setopt(pycurl.WRITEFUNCTION, answer.extend)
                flying[curl] = (following, answer)
                self._multi.add_handle(curl)
            self._multi.perform()
            _, done, failed = self._multi.info_read()
            assert not failed, failed
            for curl in done:
                (message, attempt, _), answer = flying.pop(curl)
                entries = orjson.loads(answer)["data"]["messages"].values()
                sent.append((message, attempt, str(next(iter(entries))["id"])))
                self._multi.remove_handle(curl)
                self._free.append(curl)
            left -= len(done)
            if not done:
                self._multi.select(0.5)
        return sent


if __name__ == "__main__":
    main()
