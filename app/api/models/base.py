"""What all bodies share: strict types, no unknown fields."""

import base64
import binascii
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Locale = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Address = Annotated[str, Field(min_length=1, max_length=4096)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Plain = dict[str, JsonValue]
Time = AwareDatetime
Version = Annotated[int, Field(ge=1, lt=2**31)]


def _decoded(text: object) -> bytes:
    """Decode base64; pydantic's own way passes over what is no base64."""
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else _no_base64()
    except binascii.Error:
        return _no_base64()


def _no_base64() -> bytes:
    raise PydanticCustomError("base64_decode", "must be base64")


Base64 = Annotated[
    bytes, PlainValidator(_decoded), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]


class Body(BaseModel):
    """A JSON object as callers send it."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Query(BaseModel):
    """The query of an address: text, so numbers and times are read from it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
