"""Bodies and answers about the reputation of our mail's names."""

from typing import Annotated

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.gateways import Why
from app.services.reputation import ReputationView


class ReputationList(Answer):
    items: list[ReputationView]


class Lift(Why):
    hours: Annotated[float, Field(gt=0, le=168)] = 24
    """For so long campaigns go whatever is counted."""
