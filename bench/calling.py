"""Calling the API as a module of the organisation would."""

import http.client
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

TYPES = {"P0": "emergency", "P1": "alert", "P2": "newsletter", "P3": "campaign", "P4": "transactional"}
_LONGEST = 300.0  # seconds


class Refused(Exception):
    """The API answered, and did not accept."""


@dataclass
class Caller:
    """One kept-alive connection with a key; for one thread."""

    port: int
    key: str
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def send(self, message: Mapping[str, object], key: str | None = None) -> dict[str, Any]:
        """Send one message; OSError or Refused where it was not accepted."""
        headers = self._headers("application/json", key)
        return self._answer("/v1/messages", orjson.dumps(message), headers)

    def bulk(self, body: bytes | Iterable[bytes], length: int, key: str | None = None) -> dict[str, Any]:
        """Upload a bulk request as NDJSON of `length` bytes."""
        headers = self._headers("application/x-ndjson", key) | {"Content-Length": str(length)}
        return self._answer("/v1/messages/bulk", body, headers)

    def insist(self, message: Mapping[str, object], within: float = _LONGEST) -> dict[str, Any]:
        """Send one message until it is accepted, always with the same idempotency key."""
        key = str(uuid4())
        return self._insist(lambda: self.send(message, key), within)

    def insist_bulk(self, body: bytes, within: float = _LONGEST) -> dict[str, Any]:
        """Upload until it is accepted, always with the same idempotency key."""
        key = str(uuid4())
        return self._insist(lambda: self.bulk(body, len(body), key), within)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _insist(self, call: Any, within: float) -> dict[str, Any]:
        ends_at = time.monotonic() + within
        while True:
            with suppress(OSError, http.client.HTTPException, Refused):
                answer: dict[str, Any] = call()
                return answer
            self.close()
            if time.monotonic() > ends_at:
                raise TimeoutError(f"not accepted within {within:g} s")
            time.sleep(0.1)

    def _headers(self, media_type: str, key: str | None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": media_type}
        return headers | ({"Idempotency-Key": key} if key else {})

    def _answer(self, path: str, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LONGEST)
        try:
            self._connection.request("POST", path, body=body, headers=headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.status not in {200, 202}:
            raise Refused(f"{response.status} {content[:500].decode(errors='replace')}")
        answer: dict[str, Any] = orjson.loads(content)
        return answer


def message(priority: str, address: str, **fields: object) -> dict[str, object]:
    """Make the body of a plain email, to which fields may be added."""
    return {
        "channel": "email",
        "priority": priority,
        "message_type": TYPES[priority],
        "recipient_address": address,
        "subject": "Please read",
        "body_text": "This is important to you. " * 8,
        **fields,
    }


def upload(priority: str, addresses: Iterable[str], **fields: object) -> bytes:
    """Make a bulk request of templated emails as NDJSON."""
    head = {
        "channel": "email",
        "priority": priority,
        "message_type": TYPES[priority],
        "template": "offer",
        "shared_data": {"day": "Friday", "place": "The Copper Kettle"},
        **fields,
    }
    lines = [orjson.dumps(head)]
    for number, address in enumerate(addresses):
        data = {"first": f"Ada{number}", "code": f"K{number}"}
        lines.append(orjson.dumps({"address": address, "id": number, "data": data}))
    return b"\n".join(lines) + b"\n"


def received_at(entry: Mapping[str, Any]) -> float:
    """Tell when a gateway got a message, as seconds of this machine's clock."""
    return datetime.fromisoformat(entry["received_at"]).astimezone(UTC).timestamp()
