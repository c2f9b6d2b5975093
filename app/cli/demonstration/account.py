"""The account: what was sent, what Tocsin says became of it, and what the gateways say that they got.

Everything here is pure: recipients, messages as the API gives them, acceptances as the simulator does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.cli.demonstration.play import Played
from app.cli.demonstration.scenario import Scenario
from app.domain.vocabulary import Channel, Status

Message = Mapping[str, Any]
Acceptance = Mapping[str, Any]

_EXAMPLES = 5
_AT_GATEWAY = {Status.SENT, Status.DELIVERED, Status.BOUNCED}
_WITH_REASON = {Status.FAILED, Status.HELD, Status.EXPIRED}
_FINAL = {Status.DELIVERED, Status.BOUNCED, Status.SUPPRESSED}
# Postal takes these and says afterwards that it sends them nowhere, so another try is no second copy.
_PUT_ASIDE = {("postal", "throttled"), ("postal", "held")}
_PERCENTILES = (50, 95, 99)
# A retry that is due is taken up at the dispatcher's next look at its lane.
_TICK = timedelta(seconds=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """One promise, whether it held, and some of what broke it."""

    name: str
    held: bool
    detail: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One audience: recipients sent to, its messages by status, seconds from acceptance to gateway."""

    audience: str
    recipients: int
    statuses: Mapping[str, int]
    latency: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failover:
    """How a channel's outage went: seconds until another gateway took over, and until the first was back."""

    channel: Channel
    primary: str
    through: Mapping[str, int]
    took_over_after: float | None
    back_after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Everything the demonstration has to say at its end."""

    rows: tuple[Row, ...]
    failovers: tuple[Failover, ...]
    marked_duplicates: int
    unmarked_duplicates: int
    waiting_until: datetime | None
    promises: tuple[Promise, ...]

    @property
    def held(self) -> bool:
        """Tell whether every promise held."""
        return all(promise.held for promise in self.promises)


@dataclass(frozen=True, kw_only=True)
class Books:
    """Both sides' books about one run, read at `at`."""

    scenario: Scenario
    played: Played
    primaries: Mapping[Channel, str]
    messages: Sequence[Message]
    acceptances: Sequence[Acceptance]
    accepted_at: Mapping[str, datetime]
    """batch → when it was accepted"""
    at: datetime
    by_uuid: dict[str, list[Acceptance]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for acceptance in self.acceptances:
            self.by_uuid[acceptance["uuid"]].append(acceptance)

    def is_of_now(self, acceptance: Acceptance) -> bool:
        """Tell what was taken since the run began: some earlier run had the same numbers."""
        began = datetime.fromtimestamp(self.scenario.number, UTC)
        return _time(acceptance["received_at"]) >= began

    def copies(self, message: Message) -> int:
        """Count how often a gateway took the message and did not put it aside."""
        found = self.by_uuid.get(message["uuid"], [])
        return sum((entry["gateway"], entry["fate"]) not in _PUT_ASIDE for entry in found)


def settle_up(books: Books) -> Account:
    """Compare both books."""
    doubled = [message for message in books.messages if books.copies(message) > 1]
    unmarked = [message for message in doubled if not message["possible_duplicate"]]
    return Account(
        rows=tuple(_rows(books)),
        failovers=tuple(_failover(books, *each) for each in books.primaries.items()),
        marked_duplicates=len(doubled) - len(unmarked),
        unmarked_duplicates=len(unmarked),
        waiting_until=max(_retries(books), default=None),
        promises=(
            _everybody_has_a_message(books),
            _every_message_is_explained(books),
            _nothing_is_lost(books),
            _nothing_is_doubled(books, doubled, unmarked),
            _nobody_suppressed_was_contacted(books),
            _everything_is_in_time(books),
            _repeated_requests_sent_nothing(books),
        ),
    )


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Give p50, p95 and p99 by nearest rank; nothing for nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    ranks = {percent: -(-percent * len(ordered) // 100) - 1 for percent in _PERCENTILES}
    return {f"p{percent}": ordered[rank] for percent, rank in ranks.items()}


def _rows(books: Books) -> Iterator[Row]:
    for crowd in books.scenario.crowds:
        addresses = {person.address for person in crowd.people}
        messages = [
            message
            for message in books.messages
            if message["priority"] == crowd.audience.priority
            and message["channel"] == crowd.audience.channel
            and message["recipient_address"] in addresses
        ]
        yield Row(
            audience=crowd.audience.name,
            recipients=len(crowd.people),
            statuses=dict(Counter(message["status"] for message in messages)),
            latency=percentiles(list(_latencies(books, messages))),
        )


def _latencies(books: Books, messages: Iterable[Message]) -> Iterator[float]:
    for message in messages:
        if message["sent_at"] is not None:
            accepted = books.accepted_at.get(message["batch"] or "") or _time(message["created_at"])
            yield (_time(message["sent_at"]) - accepted).total_seconds()


def _failover(books: Books, channel: Channel, first: str) -> Failover:
    known = {message["uuid"] for message in books.messages if message["channel"] == channel}
    of_run = [entry for entry in books.acceptances if entry["uuid"] in known]
    began, ended = books.played.outage_began, books.played.outage_ended
    others = (_time(entry["received_at"]) for entry in of_run if entry["gateway"] != first)
    primary = (_time(entry["received_at"]) for entry in of_run if entry["gateway"] == first)
    return Failover(
        channel=channel,
        primary=first,
        through=dict(Counter(entry["gateway"] for entry in of_run)),
        took_over_after=_first_after(others, began),
        back_after=_first_after(primary, ended),
    )


def _first_after(times: Iterable[datetime], since: datetime | None) -> float | None:
    if since is None:
        return None
    return min(((time - since).total_seconds() for time in times if time >= since), default=None)


def _everybody_has_a_message(books: Books) -> Promise:
    sent_to = Counter(person.address.lower() for person in books.scenario.people)
    known = Counter(message["recipient_address"].lower() for message in books.messages)
    wrong = [address for address in sent_to | known if sent_to[address] != known[address]]
    return _promise(
        "every recipient has exactly one message",
        f"{sent_to.total():,} recipients, {len(books.messages):,} messages",
        wrong,
    )


def _every_message_is_explained(books: Books) -> Promise:
    open_ends = [_name(message) for message in books.messages if not _is_explained(books, message)]
    return _promise(
        "every message is in a final state, or in one that explains itself",
        f"{len(books.messages):,} messages, {len(list(_retries(books)))} of them wait for a later retry",
        open_ends,
    )


def _is_explained(books: Books, message: Message) -> bool:
    status = Status(message["status"])
    if status in _FINAL:
        return True
    if status in _WITH_REASON:
        return bool(message["last_error"])
    if status is Status.SENT:
        return message["uuid"] in books.by_uuid
    due = _time(message["scheduled_for"])
    return status is Status.PENDING and (due > books.at or (_was_tried(message) and due > books.at - _TICK))


def _was_tried(message: Message) -> bool:
    return message["last_error"] is not None


def _retries(books: Books) -> Iterator[datetime]:
    for message in books.messages:
        if message["status"] == Status.PENDING:
            yield _time(message["scheduled_for"])


def _nothing_is_lost(books: Books) -> Promise:
    said = [message for message in books.messages if message["status"] in _AT_GATEWAY]
    lost = [_name(message) for message in said if message["uuid"] not in books.by_uuid]
    return _promise(
        "nothing is lost", f"{len(said):,} sent, and all of them at a gateway by their uuid", lost
    )


def _nothing_is_doubled(books: Books, doubled: Sequence[Message], unmarked: Sequence[Message]) -> Promise:
    known = {message["uuid"] for message in books.messages}
    addresses = {person.address.lower() for person in books.scenario.people}
    strange = [
        f"{entry['address']} got {entry['tag']}"
        for entry in books.acceptances
        if entry["uuid"] not in known and entry["address"].lower() in addresses and books.is_of_now(entry)
    ]
    return _promise(
        "nothing is doubled unmarked",
        f"{len(doubled)} came twice, {len(doubled) - len(unmarked)} of them marked as possible duplicates",
        [*map(_name, unmarked), *strange],
    )


def _nobody_suppressed_was_contacted(books: Books) -> Promise:
    blocked = {address.lower() for _, address in books.scenario.blocked}
    contacted = [
        entry["address"]
        for entry in books.acceptances
        if entry["address"].lower() in blocked and books.is_of_now(entry)
    ]
    others = [
        _name(message)
        for message in books.messages
        if message["recipient_address"].lower() in blocked and message["status"] != Status.SUPPRESSED
    ]
    return _promise(
        "nobody suppressed was contacted", f"{len(blocked)} suppressed recipients", [*contacted, *others]
    )


def _everything_is_in_time(books: Books) -> Promise:
    late = [
        _name(message)
        for message in books.messages
        if message["status"] == Status.EXPIRED
        or (message["sent_at"] is not None and _time(message["sent_at"]) > _time(message["expires_at"]))
    ]
    return _promise("everything was sent within its priority's time", "none late, none expired", late)


def _repeated_requests_sent_nothing(books: Books) -> Promise:
    wrong = books.played.repeated_wrongly
    return _promise(
        "a repeated request is answered as the first was",
        f"{books.played.repeated} requests came twice under their idempotency key",
        [f"{wrong} answered otherwise"] if wrong else [],
    )


def _promise(name: str, detail: str, broken: Sequence[str]) -> Promise:
    if not broken:
        return Promise(name=name, held=True, detail=detail)
    return Promise(
        name=name, held=False, detail=f"{len(broken)} break it", examples=tuple(broken[:_EXAMPLES])
    )


def _name(message: Message) -> str:
    return f"{message['priority']} {message['uuid']} ({message['status']}, {message['recipient_address']})"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
