"""Keeping secrets out of what is shown: by their names where there are names, and by their values."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from pydantic import SecretStr

from app.settings import Settings

WITHHELD = "(withheld)"

_NAMES = re.compile(
    r"secret|token|passw|signature|api[-_]?key|access[-_]?key|auth|credential|cookie|hmac|jwt"
    r"|subscribe_?url|^sig$|^key$",
    re.IGNORECASE,
)
# A shorter word is no secret, and may be a part of any other.
_SHORTEST = 6


def secret_values(settings: Settings) -> tuple[str, ...]:
    """List the secrets that are set, longest first."""
    return tuple(sorted(_secrets(settings), key=len, reverse=True))


class Withholding:
    """Takes secrets out of foreign texts; `secrets` are looked for wherever they stand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [each for each in secrets if len(each) >= _SHORTEST]

    def text(self, text: str) -> str:
        """Give a text without the values of secrets."""
        for secret in self._secrets:
            text = text.replace(secret, WITHHELD)
        return text

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Give headers without secrets, proofs among them."""
        return {name: self._value(name, value) for name, value in headers.items()}

    def url(self, url: str) -> str:
        """Give an address without secrets in its query, and without a user's name and password."""
        parts = urlsplit(url)
        query = urlencode(self._pairs(parts.query)) if parts.query else ""
        place = parts.netloc.rpartition("@")[2]
        return self.text(urlunsplit(parts._replace(netloc=place, query=query)))

    def body(self, body: str) -> str:
        """Give a body without secrets; JSON, also within JSON, and forms are known by their looks."""
        read = _json(body)
        if read is not None:
            return self.text(orjson.dumps(self._tree(read), option=orjson.OPT_INDENT_2).decode())
        pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=False)
        if pairs and "=" in body and not any(char.isspace() for char in body.strip()):
            return "\n".join(f"{name}={value}" for name, value in self._pairs(body))
        return self.text(body)

    def _pairs(self, query: str) -> list[tuple[str, str]]:
        return [(name, self._value(name, value)) for name, value in parse_qsl(query, keep_blank_values=True)]

    def _value(self, name: str, value: str) -> str:
        return WITHHELD if _NAMES.search(name) else self.text(value)

    def _tree(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: WITHHELD if _NAMES.search(name) and each is not None else self._tree(each)
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self._tree(each) for each in value]
        if isinstance(value, str):
            inner = _json(value)
            return self.text(value) if inner is None else self._tree(inner)
        return value


def _json(text: str) -> Any:
    """Read an object or a list; None for all else."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _secrets(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, SecretStr):
                yield each.get_secret_value()
