"""Requests out of queued messages: rendered and built; what cannot be said is concluded instead."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import Invalid, Unavailable
from app.gateways.base import Envelope, Joining, Request
from app.queue.rows import Claimed
from app.services.sending.tools import Tools

Queue = deque[tuple[str, Claimed]]  # the gateway that shall take it, and the message
Work = tuple[str, Sequence[Claimed], Sequence[Envelope]]  # gateway, messages of one request, as rendered
Conclude = Callable[[str, Claimed, Outcome], None]
Hear = Callable[[str, Sequence[tuple[Sequence[Claimed], Sequence[Outcome], timedelta]]], None]


class Requests:
    """Makes requests from the head of a queue. `conclude` hears of messages that none can be made for.

    `hear` is told where that is the gateway's fault, as if it had answered so.
    """

    def __init__(self, tools: Tools, queue: Queue, conclude: Conclude, hear: Hear) -> None:
        self._tools = tools
        self._queue = queue
        self._conclude = conclude
        self._hear = hear
        self._kept: dict[int, Envelope] = {}

    def take(self, free: int, now: datetime) -> list[tuple[Work, Request]]:
        """Make up to `free` requests."""
        return [each for work in self._render(free) for each in self._built(work, now)]

    def put_back(self, works: Sequence[Work]) -> None:
        """Queue messages again, in front of all others."""
        self._queue.extendleft((gateway, message) for gateway, messages, _ in works for message in messages)

    def _render(self, free: int) -> list[Work]:
        rendered: list[Work] = []
        while self._queue and len(rendered) < free:
            gateway = self._queue[0][0]
            messages, envelopes = self._fill(gateway, self._tools.gateways[gateway].batch)
            rendered += self._divided(gateway, messages, envelopes)
        self._keep(rendered[free:])
        return rendered[:free]

    def _divided(
        self, gateway: str, messages: Sequence[Claimed], envelopes: Sequence[Envelope]
    ) -> Iterator[Work]:
        """Put into each request what the gateway can say in one, as much of it as comes together."""
        vendor = self._tools.gateways[gateway]
        # Whether an object fits a protocol takes longer to ask than a request takes to build.
        joining = vendor if len(messages) > 1 and isinstance(vendor, Joining) else None
        while messages:
            count = joining.joint(envelopes) if joining else len(messages)
            yield gateway, messages[:count], envelopes[:count]
            messages, envelopes = messages[count:], envelopes[count:]

    def _keep(self, works: Sequence[Work]) -> None:
        """Queue rendered messages again in their order, and keep what they say for then."""
        self._kept = {
            message.id: envelope
            for _, messages, envelopes in works
            for message, envelope in zip(messages, envelopes, strict=True)
        }
        back = [(gateway, message) for gateway, messages, _ in works for message in messages]
        self._queue.extendleft(reversed(back))

    def _fill(self, gateway: str, size: int) -> tuple[list[Claimed], list[Envelope]]:
        messages: list[Claimed] = []
        envelopes: list[Envelope] = []
        while self._queue and self._queue[0][0] == gateway and len(messages) < size:
            message = self._queue.popleft()[1]
            envelope = self._kept.pop(message.id, None) or self._tools.contents.envelope(message)
            if isinstance(envelope, Outcome):
                self._conclude(gateway, message, envelope)
            else:
                messages.append(message)
                envelopes.append(envelope)
        return messages, envelopes

    def _built(self, work: Work, now: datetime) -> list[tuple[Work, Request]]:
        """Make a request of a work; what the gateway would have to drop from a message goes elsewhere."""
        gateway, messages, envelopes = work
        vendor = self._tools.gateways[gateway]
        try:
            return self._build(work, now)
        except Invalid:
            fitting = []
            for message, envelope in zip(messages, envelopes, strict=True):
                if missing := vendor.cannot_express(envelope):
                    self._conclude(gateway, message, _inexpressible(missing))
                else:
                    fitting.append((message, envelope))
        if not fitting:
            return []
        return self._build(
            (gateway, [message for message, _ in fitting], [envelope for _, envelope in fitting]), now
        )

    def _build(self, work: Work, now: datetime) -> list[tuple[Work, Request]]:
        """Make a request of a work; where the gateway lacks what that takes, only its messages do without."""
        gateway, messages, envelopes = work
        try:
            return [(work, self._tools.gateways[gateway].build(envelopes, now))]
        except Unavailable as exc:
            outcome = Outcome(kind=OutcomeClass.TRANSIENT, code="not_built", detail=str(exc))
            self._hear(gateway, [(messages, [outcome] * len(messages), timedelta(0))])
            return []


def _inexpressible(missing: str) -> Outcome:
    """Another gateway may be able to say it."""
    return Outcome(
        kind=OutcomeClass.CONFIG, scope=ConfigScope.DESTINATION, code="cannot_express", detail=missing
    )
