"""The ways into Valkey or Redis: three kinds of client, scripts, and one translation of errors."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.db.sentinel import is_sentinel, master_client
from app.errors import Unavailable

_CONNECT = timedelta(seconds=2)
_SHORT = timedelta(seconds=3)
_QUICK = timedelta(milliseconds=300)
_BROKER = timedelta(seconds=30)
_MARGIN = timedelta(seconds=5)
_REMEMBERED = timedelta(seconds=2)

T = TypeVar("T")


class Database(IntEnum):
    """Who keeps data where, for as long as the URL names no database itself.

    The broker's maintenance walks over every key of its database, so nothing else may live there.
    """

    LIMITS = 0
    BROKER = 1
    CACHE = 2


def short_client(url: str, database: Database = Database.LIMITS) -> redis.Redis:
    """Make a client for operations that answer at once; strings come back as str.

    Nothing is retried: most of our scripts count, and a repeated call would count twice.
    """
    return _client(url, database, _SHORT, decode_responses=True)


class Hangs:
    """Remembers that a server hung: connected, or not even that, and not answering.

    The clients of a process that share one let the first of many calls wait, and refuse the others at once,
    until it was `remembered` long enough.
    """

    def __init__(self, remembered: timedelta = _REMEMBERED) -> None:
        self._remembered = remembered.total_seconds()
        self._until = float("-inf")

    def heed(self, call: Callable[[], T]) -> T:
        """Make a call, unless one has waited in vain just now."""
        if time.monotonic() < self._until:
            raise redis.TimeoutError("it did not answer a moment ago")
        try:
            return call()
        except redis.TimeoutError:
            self._until = time.monotonic() + self._remembered
            raise


def quick_client(
    url: str,
    database: Database = Database.LIMITS,
    *,
    hangs: Hangs | None = None,
    decode_responses: bool = True,
) -> redis.Redis:
    """Make a client for what nobody may wait for: it soon gives up, at once where it `hangs`."""
    retry = None if hangs is None else _Heeding(hangs)
    return _client(url, database, _QUICK, connect=_QUICK, retry=retry, decode_responses=decode_responses)


def broker_client(url: str) -> redis.Redis:
    """Make Dramatiq's client: patient, no retries (it does its own), bytes come back."""
    return _client(url, Database.BROKER, _BROKER, decode_responses=False)


def blocking_client(url: str, longest_block: timedelta, database: Database = Database.LIMITS) -> redis.Redis:
    """Make a client for commands that wait up to `longest_block` at the server, and for listening."""
    return _client(url, database, longest_block + _MARGIN, decode_responses=True)


def _client(
    url: str,
    database: Database,
    timeout: timedelta,
    *,
    connect: timedelta = _CONNECT,
    retry: Retry | None = None,
    decode_responses: bool,
) -> redis.Redis:
    make = master_client if is_sentinel(url) else redis.Redis.from_url
    return make(
        url,
        db=database.value,
        socket_timeout=timeout.total_seconds(),
        socket_connect_timeout=connect.total_seconds(),
        retry=retry or Retry(NoBackoff(), 0),
        decode_responses=decode_responses,
        # RESP3 would only add a handshake about push messages that nobody here reads.
        protocol=2,
    )


class _Heeding(Retry):
    """Retries nothing, and tries nothing where the server has just hung: every call goes through here."""

    def __init__(self, hangs: Hangs) -> None:
        super().__init__(NoBackoff(), 0)
        self._hangs = hangs

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Heeding":
        """Share one memory: each connection is given a copy."""
        return self

    def call_with_retry(self, do: Callable[[], T], *args: Any, **options: Any) -> T:
        call_once = super().call_with_retry
        return self._hangs.heed(lambda: call_once(do, *args, **options))


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever redis-py raises into Unavailable.

    That goes for refusals by the server too (loading, read-only, disk full, out of memory): a caller
    does the same about each, it goes on without Redis or tries later.
    """
    try:
        yield
    except redis.RedisError as exc:
        raise Unavailable(f"Redis: {exc or type(exc).__name__}") from exc


class Script:
    """A Lua script as a call; the server may forget it at any time. Raises Unavailable."""

    def __init__(self, client: redis.Redis, source: str) -> None:
        self._client = client
        self._source = source
        # SHA-1 is the name that the server gives a script, not a safeguard.
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[str | int | float | bytes]) -> Any:
        """Run the script once."""
        with translated():
            try:
                return self._client.evalsha(self._sha, len(keys), *keys, *args)
            except redis.exceptions.NoScriptError:
                return self._client.eval(self._source, len(keys), *keys, *args)
