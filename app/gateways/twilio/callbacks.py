"""The addresses at which Twilio calls us back: each names the message, the try, and what it is for.

Twilio gives nothing of ours back but the address itself, and signs it, so that nobody else can write one.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.domain.facts import Tag

PATH = "/webhooks/twilio"
# Asks Twilio to tell a status again where we did not take it. It is no part of what goes over the
# wire; whether it is part of what is signed is not written down, so that the proof allows for both.
TOLD_AGAIN = "#rc=3&rp=all"

_KEY_LENGTH = 64
_LONGEST_TEXT = 20_000


class Step(StrEnum):
    """What a callback is for, where it is no status."""

    DIGITS = "digits"
    ANSWERED = "answered"
    DETECTED = "detected"
    RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Callbacks:
    """Makes the addresses below `base`; the first of `tokens` seals what nobody else shall read in them."""

    base: str
    tokens: Sequence[str] = field(repr=False)

    def status(self, tag: Tag, **ours: str) -> str:
        """Give the address for what becomes of a message or call."""
        return self._address(tag, ours) + TOLD_AGAIN

    def step(self, tag: Tag, step: Step, **ours: str) -> str:
        """Give the address for one step of a call."""
        return self._address(tag, {"step": step.value, **ours})

    def speaking(self, tag: Tag, twiml: str) -> str:
        """Give the address that answers with this TwiML, unless a machine has taken the call."""
        return self.step(tag, Step.ANSWERED, say=sealed(twiml, tag, self.tokens[0]))

    def _address(self, tag: Tag, ours: Mapping[str, str]) -> str:
        return f"{self.base}{PATH}?{urlencode({'tag': str(tag), **ours})}"


def sealed(text: str, tag: Tag, token: str) -> str:
    """Encrypt a text for its message's address: addresses end up in logs of proxies."""
    cipher = AESSIV(_key(token))
    return urlsafe_b64encode(cipher.encrypt(zlib.compress(text.encode()), [str(tag).encode()])).decode()


def opened(written: str, tag: Tag, tokens: Sequence[str]) -> str | None:
    """Read what `sealed` wrote for this tag with one of the tokens; None for all else."""
    try:
        data = urlsafe_b64decode(written)
    except ValueError:
        return None
    for token in tokens:
        try:
            packed = AESSIV(_key(token)).decrypt(data, [str(tag).encode()])
        except (InvalidTag, ValueError):
            continue
        return zlib.decompressobj().decompress(packed, _LONGEST_TEXT).decode()
    return None


@lru_cache(maxsize=8)
def _key(token: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=_KEY_LENGTH, salt=None, info=b"text in a callback's address")
    return derive.derive(token.encode())
