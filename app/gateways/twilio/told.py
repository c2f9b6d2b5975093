"""A callback taken apart: what our own address says, and what Twilio adds to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.domain.facts import Tag
from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.twilio.callbacks import Step
from app.gateways.twilio.proof import parameters_of, query_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A proven callback. `ours` is the query of the address that we gave; `said` is Twilio's part.

    `at` is when it came: what is told of messages has no time of its own.
    """

    ours: Mapping[str, str]
    said: Mapping[str, str]
    url: str
    at: datetime

    @property
    def tag(self) -> Tag | None:
        """The message and the try that it is about, where the address names them."""
        return Tag.parse(self.ours.get("tag"))

    @property
    def step(self) -> Step | None:
        """The step of a call that it is about, if any."""
        named = self.ours.get("step")
        return Step(named) if named in set(Step) else None

    @property
    def occurred_at(self) -> datetime:
        """The time that Twilio names, which it does for calls, else the time at which it came."""
        try:
            named = parsedate_to_datetime(self.said.get("Timestamp", ""))
        except ValueError:
            return self.at
        return named if named.tzinfo else named.replace(tzinfo=UTC)


def told_by(request: WebhookRequest) -> Told:
    """Take a request apart; one that holds nothing that can be read says nothing."""
    ours = dict(query_of(request))
    try:
        said = dict(parameters_of(request)) if request.method == "POST" else ours
    except Forged:
        said = {}
    return Told(ours=ours, said=said, url=request.url, at=request.received_at)
