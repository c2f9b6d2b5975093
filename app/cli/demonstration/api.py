"""The HTTP APIs that a demonstration speaks to: Tocsin's own, and the simulator's."""

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from app.errors import TocsinError, Unavailable

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_OK = range(200, 300)
_LATER = {409, 425, 429, 503}
_TIMEOUT = urllib3.Timeout(connect=3, read=30)
_PAUSE = 0.5  # seconds
# A process that was killed is back long before.
PATIENCE = timedelta(seconds=60)
_PAGE = 200


class Unexpected(TocsinError):
    """An API gave an answer that nothing can be done with."""


class Http:
    """JSON over HTTP to one origin. Threads may share it. Raises Unavailable where no answer came."""

    def __init__(self, base_url: str, *, key: str | None = None) -> None:
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=16, retries=False, timeout=_TIMEOUT)
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Make one request, whatever the answer."""
        try:
            return self._pool.request(
                method, f"{self._base}{path}", body=body, headers={**self._headers, **(headers or {})}
            )
        except HTTPError as exc:
            raise Unavailable(f"{self._base} does not answer: {type(exc).__name__}") from exc

    def get(self, path: str, **query: object) -> Any:
        """Read one resource; raises Unexpected for what is no success."""
        given = {name: value for name, value in query.items() if value is not None}
        return _content(self.call("GET", f"{path}?{urlencode(given)}" if given else path))

    def write(self, method: str, path: str, value: object = None) -> Any:
        """Write JSON; raises Unexpected for what is no success."""
        body = None if value is None else orjson.dumps(value)
        return _content(self.call(method, path, body, headers={"Content-Type": _JSON}))

    def send(self, path: str, body: bytes, *, key: str, media_type: str = _JSON) -> tuple[Any, bool]:
        """Send under an idempotency key, again until there is an answer; tells whether it is a replay.

        So a process that dies meanwhile costs time, and neither a message nor a second one.
        """
        headers = {"Content-Type": media_type, "Idempotency-Key": key}
        give_up_at = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                response = self.call("POST", path, body, headers=headers)
                if response.status not in _LATER:
                    return _content(response), "idempotency-replayed" in response.headers
                failed: TocsinError = Unavailable(f"{path} answers {response.status}")
            except Unavailable as exc:
                failed = exc
            if time.monotonic() > give_up_at:
                raise failed
            time.sleep(_PAUSE)

    def upload(self, path: str, head: Mapping[str, Any], lines: Iterator[bytes], *, key: str) -> Any:
        """Send a bulk request as NDJSON."""
        body = b"\n".join([orjson.dumps(head), *lines])
        return self.send(path, body, key=key, media_type=_NDJSON)[0]

    def pages(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Read all items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, **query, limit=_PAGE, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """Read NDJSON."""
        for line in self.call("GET", path).data.splitlines():
            yield orjson.loads(line)


def _content(response: urllib3.BaseHTTPResponse) -> Any:
    if response.status not in _OK:
        words = response.data[:500].decode(errors="replace")
        raise Unexpected(f"{response.url or 'The API'} answers {response.status}: {words}")
    return orjson.loads(response.data) if response.data else None
