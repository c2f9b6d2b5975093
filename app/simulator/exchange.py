"""What passes between the port of a gateway and the vendor's module behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal, Protocol, runtime_checkable

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
    """What webhooks tell about an accepted message. `external_id` is the gateway's own name for it.

    `details` are what else the request said that its webhooks need, such as the address to call back.
    """

    external_id: str
    sender: str
    subject: str
    size: int
    destination: Sequence[str]
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    publishes: bool = True
    details: Mapping[str, str] = field(default_factory=dict)


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
    """A webhook as it goes on the wire. `path` is set, query and all, where it is not the webhook's own."""

    headers: Mapping[str, str]
    body: bytes
    method: Literal["POST", "GET"] = "POST"
    path: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A webhook to be sent `step` delays after the acceptance, to `path` and what query it has.

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


@runtime_checkable
class Storyteller(Protocol):
    """A vendor whose class says, in the vendor's own words, what its gateway does about a fate."""

    @property
    def stories(self) -> Mapping[Fate, str]: ...


@runtime_checkable
class Reachable(Protocol):
    """A vendor whose gateway takes messages from people too."""

    def inbound(self, sender: str, recipient: str, text: str, now: datetime) -> list[Webhook]:
        """List what the gateway tells when `sender` writes this to `recipient`, a number of ours."""
        ...


def tellings(vendors: Mapping[str, object]) -> dict[Fate, dict[str, str]]:
    """Say for each fate how the vendors, or their classes, tell it: their own words by name."""
    tellers = {name: vendor.stories for name, vendor in vendors.items() if isinstance(vendor, Storyteller)}
    return {
        fate: {name: stories[fate] for name, stories in tellers.items() if fate in stories} for fate in Fate
    }


def silence() -> Reply:
    """Take nothing and never answer."""
    return Reply(status=0, body=b"", headers=(), outcome=Fate.SILENT, ending=Ending.SILENCE)


GARBAGE = Reply(
    status=200,
    body=b'<html><body>\xff\xfe{"status": "succ',
    headers=(("content-type", "application/json"),),
    outcome=Fate.GARBAGE,
)


def page(status: int) -> Reply:
    """Answer as a proxy does before a server that it cannot reach: in HTML, whatever was asked for."""
    text = f"{status} from the proxy"
    return Reply(
        status=status,
        body=f"<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n".encode(),
        headers=(("content-type", "text/html"),),
        outcome="proxy",
    )
