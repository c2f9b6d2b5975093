"""Who calls, from where, and whether they may."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from redis import Redis, RedisError
from werkzeug.exceptions import TooManyRequests

from app.bootstrap import App
from app.domain.callers import Caller
from app.errors import Forbidden, Unauthenticated
from app.services.keys import Known

log = structlog.get_logger(__name__)

_SCHEME = "bearer "
_MINUTE = 60


def address_of(environ: Mapping[str, Any], proxies: int) -> str:
    """Tell the client's address: what the outermost of our `proxies` saw, else the other end's.

    Each proxy adds to X-Forwarded-For whom it was called by, so what stands further left is hearsay.
    """
    direct = str(environ.get("REMOTE_ADDR", ""))
    if not proxies:
        return direct
    told = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    return told[-proxies] if len(told) >= proxies else direct


def caller_of(app: App, environ: Mapping[str, Any], address: str, scope: str) -> Caller:
    """Tell whose key came with the request; raises Unauthenticated, Forbidden, TooManyRequests."""
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    if header[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated("the header Authorization with a key is missing")
    known = app.authenticator.authenticate(header[len(_SCHEME) :].strip(), address=address)
    if not known.caller.may(scope):
        raise Forbidden(f"the key lacks the scope {scope}")
    if known.max_per_minute is not None:
        _count(app.redis, known, known.max_per_minute)
    return known.caller


def _count(client: Redis, known: Known, most: int) -> None:
    """Count a request of a key in this minute; without Redis nothing is counted, and all may pass."""
    now = datetime.now(UTC)
    key = f"api:minute:{known.caller.key_id}:{int(now.timestamp()) // _MINUTE}"
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, 2 * _MINUTE)
            used = int(pipe.execute()[0])
    except RedisError as exc:
        log.warning("requests of keys are not counted", error=type(exc).__name__)
        return
    if used > most:
        raise TooManyRequests(f"the key may make {most} requests a minute", retry_after=_MINUTE - now.second)
