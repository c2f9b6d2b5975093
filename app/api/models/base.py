"""What all bodies share: strict types, no unknown fields."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Locale = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Address = Annotated[str, Field(min_length=1, max_length=4096)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Plain = dict[str, JsonValue]
Time = AwareDatetime
Version = Annotated[int, Field(ge=1, lt=2**31)]


class Body(BaseModel):
    """A JSON object as callers send it."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Query(BaseModel):
    """The query of an address: text, so numbers and times are read from it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
