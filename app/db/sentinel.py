"""Valkey or Redis behind Sentinels, which say who is the master now."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import redis
from redis.sentinel import Sentinel

from app.errors import ConfigurationError

SCHEME = "redis+sentinel"
_PORT = 26379
_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentinels:
    """Whom to ask, and for what.

    The name and password are the servers'. Sentinels that ask for one get the same password.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    username: str | None = None
    password: str | None = None
    database: int | None = None


def is_sentinel(url: str) -> bool:
    """Tell whether a URL names Sentinels rather than a server."""
    return url.startswith(f"{SCHEME}://")


def sentinels(url: str) -> Sentinels:
    """Read `redis+sentinel://user:password@host:port,host:port/service/database`.

    User, password, ports and database may be left out. Raises ConfigurationError.
    """
    # Several hosts, of which one may stand in brackets, are no netloc to some versions of urlsplit.
    netloc, _, path = url.partition("://")[2].partition("/")
    login, _, where = netloc.rpartition("@")
    username, _, password = login.rpartition(":") if ":" in login else ("", "", login)
    service, _, database = path.strip("/").partition("/")
    if not service or not where:
        raise ConfigurationError(f"{SCHEME}:// wants hosts and the name of the service, as in {_EXAMPLE}")
    return Sentinels(
        hosts=tuple(_host(each) for each in where.split(",")),
        service=unquote(service),
        username=unquote(username) or None,
        password=unquote(password) or None,
        database=_number(database, "database") if database else None,
    )


def master_client(url: str, **options: Any) -> redis.Redis:
    """Make a client of whoever is the master when it connects; `options` are those of redis.Redis.

    After a failover its connections break, and the next ones lead to the new master.
    """
    named = sentinels(url)
    if named.database is not None:
        options["db"] = named.database
    asked: dict[str, Any] = {"password": named.password, "protocol": 2}
    asked |= {name: options[name] for name in _TIMEOUTS if name in options}
    # redis-py leaves the types of these out.
    sentinel = Sentinel(named.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        named.service, username=named.username, password=named.password, **options
    )
    return client


_EXAMPLE = f"{SCHEME}://10.0.0.1:26379,10.0.0.2:26379/tocsin"


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(_PORT)
    if not host:
        raise ConfigurationError(f"{SCHEME}:// has a host without a name, unlike {_EXAMPLE}")
    return host.strip("[]"), _number(port, "port")


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"{SCHEME}:// has a {what} that is no number, unlike {_EXAMPLE}") from None
