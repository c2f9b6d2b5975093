"""Queries about diagnostics."""

from typing import Annotated

from pydantic import Field

from app.api.models.base import Query, Word


class Diagnostics(Query):
    fresh: bool = False
    """Look now, which takes some seconds; left out, the newest run of the scheduler is given."""
    deep: bool = False
    """With `fresh`: ask the world outside, too (gateways' addresses, DNS, vendors)."""
    subject: Word | None = None
    """With `fresh`: look at this one only, at all of it."""


class Runs(Query):
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
