"""Taking apart JSON Web Tokens that Tocsin signed, before anything in them is believed."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

_PARTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """The three parts of a token, and the bytes that its signature is over."""

    header: Mapping[str, object]
    claims: Mapping[str, object]
    signature: bytes
    signed: bytes

    @classmethod
    def read(cls, text: str) -> "Token | None":
        """Take a token apart; None where it is none."""
        parts = text.split(".")
        if len(parts) != _PARTS:
            return None
        try:
            header, claims = (orjson.loads(_decoded(part)) for part in parts[:2])
            signature = _decoded(parts[2])
        except ValueError:
            return None
        if not isinstance(header, dict) or not isinstance(claims, dict):
            return None
        signed = text.rpartition(".")[0].encode()
        return cls(header=header, claims=claims, signature=signature, signed=signed)

    def moment(self, claim: str) -> datetime | None:
        """Read a claim that is a time; None where it is none."""
        value = self.claims.get(claim)
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
