"""What passes between the port of a gateway and the vendor's module behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from app.simulator.recipients import Fate

STEP = timedelta(milliseconds=1)  # What follows the acceptance happened so much later, one after another.


class Headers(Protocol):
    """Request headers; names are in lower case."""

    def get(self, key: str, default: str | None = None) -> str | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """What webhooks tell about an accepted message. `external_id` is the gateway's own name for it."""

    external_id: str
    sender: str
    subject: str
    size: int
    destination: Sequence[str]
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    publishes: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """One recipient's message that a gateway took. `serial` only ever grows, over restarts too."""

    serial: int
    tag: str
    address: str
    fate: Fate
    mail: Mail


class Ending(Enum):
    ANSWER = "answer"
    CUT = "cut"
    SILENCE = "silence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the gateway does about a request. `outcome` names it in the counts where nothing was taken."""

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]]
    outcome: str | None = None
    accepted: Sequence[Acceptance] = ()
    ending: Ending = Ending.ANSWER
    slow: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A webhook as it goes on the wire."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A webhook to be sent `step` delays after the acceptance.

    `compose` makes the request; each call gives it another id, as a vendor does that tells a fact
    twice. `tries` and `given_up_at` are the vendor's rule for telling it again: a status for which
    `given_up_at` is true is final though it is no success.
    """

    path: str
    step: int
    compose: Callable[[datetime], Post]
    tries: int
    timeout: float
    given_up_at: Callable[[int], bool]
    held_back: bool = True


class Vendor(Protocol):
    """One gateway's protocol, without I/O."""

    @property
    def name(self) -> str: ...

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:
        """Answer a request; `imposed` is the fate of every message while the gateway has a fault."""
        ...

    def broken(self, fate: Fate, status: int = 503) -> Reply:
        """Answer as the gateway does when it is down or talks nonsense."""
        ...

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List what the gateway will tell about these messages."""
        ...


def silence() -> Reply:
    """Take nothing and never answer."""
    return Reply(status=0, body=b"", headers=(), outcome=Fate.SILENT, ending=Ending.SILENCE)


GARBAGE = Reply(
    status=200,
    body=b'<html><body>\xff\xfe{"status": "succ',
    headers=(("content-type", "application/json"),),
    outcome=Fate.GARBAGE,
)
