"""One request, as the functions behind the endpoints see it."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.api import bodies
from app.api.server import Patience
from app.api.shares import Shares
from app.domain.callers import Caller
from app.errors import Invalid
from app.services.audit import Who

REQUEST_ID = "tocsin.request_id"
ROUTE = "tocsin.route"
CLIENT = "tocsin.client"

NOBODY = Caller(client_id=0, name="", scopes=frozenset())

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """What belongs to the web process alone."""

    patience: Patience
    shares: Shares


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request on its way. `caller` is NOBODY where no key is asked for; `raw` is a body that was read."""

    caller: Caller
    address: str
    environ: dict[str, Any]
    edge: Edge
    raw: bytes = b""

    @property
    def request_id(self) -> str:
        return str(self.environ[REQUEST_ID])

    @property
    def who(self) -> Who:
        """Who is to be named in the audit log."""
        return Who(actor=self.caller.name, origin=self.address)

    @property
    def idempotency_key(self) -> str | None:
        """The header Idempotency-Key; raises Invalid for what cannot be one."""
        key = self.environ.get("HTTP_IDEMPOTENCY_KEY")
        if key is not None and not _KEY.fullmatch(key):
            raise Invalid.of("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        return key

    @property
    def fingerprint(self) -> bytes:
        """A digest of method, path and body: what an idempotency key stands for."""
        return self._digest(self.raw).digest()

    def upload(self) -> "Streamed":
        """Read the body as a stream."""
        digest = self._digest()
        return Streamed(digest, bodies.chunks(self.environ, self.edge.patience, digest.update))

    def _digest(self, start: bytes = b"") -> "hashlib._Hash":
        head = f"{self.environ['REQUEST_METHOD']} {self.environ['PATH_INFO']}\n"
        return hashlib.sha256(head.encode("latin-1") + start)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body as it comes, and its digest as far as it came."""

    _hash: "hashlib._Hash"
    chunks: Iterator[bytes]

    def fingerprint(self) -> bytes:
        """Give the digest; to be asked when all chunks were read."""
        return self._hash.digest()
