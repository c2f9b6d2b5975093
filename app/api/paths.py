"""What stands for what in paths: Flask's converters, and their schemas in the OpenAPI document."""

import re
from typing import Any

from werkzeug.routing import BaseConverter
from werkzeug.routing.converters import UUIDConverter

from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel
from app.services.limit_rows import LimitType

FRAGMENTS = {"layouts": Kind.LAYOUT, "partials": Kind.PARTIAL}

_LARGEST_ID = 10**18 - 1
_PART = re.compile(r"<(?:(\w+):)?(\w+)>")


class SlugConverter(BaseConverter):
    """A short name without anything that a path, a log or a database could stumble over."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


class AddressConverter(BaseConverter):
    """An address of any channel: mail, a number, a device's token."""

    regex = r"[^\x00-\x20\x7f/]{1,4096}"


class ChannelConverter(BaseConverter):
    """One of our channels."""

    regex = "|".join(Channel)

    def to_python(self, value: str) -> Channel:
        return Channel(value)


class FragmentsConverter(BaseConverter):
    """What templates are made with."""

    regex = "|".join(FRAGMENTS)

    def to_python(self, value: str) -> Kind:
        return FRAGMENTS[value]


class LimitTypeConverter(BaseConverter):
    """What can be limited."""

    regex = "|".join(LimitType)

    def to_python(self, value: str) -> LimitType:
        return LimitType(value)


class LimitKeyConverter(BaseConverter):
    """A domain, an ISP, a pool, a gateway or a recipient, as limits name them."""

    regex = r"[A-Za-z0-9+][A-Za-z0-9.!#$&'*+=?^_`{|}~@:-]{0,319}"


class IdConverter(BaseConverter):
    """A row's number, of no more digits than the database takes."""

    regex = r"[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)


CONVERTERS: dict[str, type[BaseConverter]] = {
    "uuid": UUIDConverter,
    "slug": SlugConverter,
    "address": AddressConverter,
    "channel": ChannelConverter,
    "id": IdConverter,
    "limit_type": LimitTypeConverter,
    "limit_key": LimitKeyConverter,
    "fragments": FragmentsConverter,
}

_SCHEMAS: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "slug": {"type": "string", "pattern": f"^{SlugConverter.regex}$"},
    "address": {"type": "string", "pattern": f"^{AddressConverter.regex}$"},
    "channel": {"type": "string", "enum": [channel.value for channel in Channel]},
    "fragments": {"type": "string", "enum": list(FRAGMENTS)},
    "id": {"type": "integer", "minimum": 0, "maximum": _LARGEST_ID},
    "limit_type": {"type": "string", "enum": [limit_type.value for limit_type in LimitType]},
    "limit_key": {"type": "string", "pattern": f"^{LimitKeyConverter.regex}$"},
}


def template(rule: str) -> str:
    """Spell a rule as OpenAPI spells paths."""
    return _PART.sub(r"{\2}", rule)


def pattern(rule: str) -> str:
    """Spell a rule as a regular expression whose groups are its variable parts, all of them plain text."""
    return _PART.sub(lambda part: f"(?P<{part[2]}>{_text(part[1])})", rule)


def parameters(rule: str) -> list[dict[str, Any]]:
    """Describe the variable parts of a rule as OpenAPI's parameters."""
    return [
        {"name": name, "in": "path", "required": True, "schema": _SCHEMAS[kind]}
        for kind, name in _PART.findall(rule)
    ]


def _text(kind: str) -> str:
    converter = CONVERTERS[kind]
    if converter.to_python is not BaseConverter.to_python:
        raise TypeError(f"a path's {kind} is not plain text")
    return converter.regex
