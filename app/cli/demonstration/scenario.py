"""What a demonstration sends: audiences on every channel, and what is to befall some of their people.

A recipient's fate is in the address, as the simulator reads it. Addresses carry the run's own mark, so
that what an earlier run suppressed does not stand in a later one's way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import orjson

from app.domain.vocabulary import Channel, MessageType, Priority
from app.simulator.recipients import Fate, Platform, address_for

_DOMAINS = ("example.com", "example.org", "example.net", "mail.example")
_NAMES = ("anna", "ben", "chloe", "david", "elena", "felix", "grace", "hugo", "ines", "jonas", "kim", "lea")
_BLOCKED = "blocked"
# Magic numbers are few: runs that are far apart share theirs, but no two channels do.
_RUNS, _PER_RUN = 16, 600
_FIRST = {Channel.SMS: 0, Channel.WHATSAPP: 420, Channel.VOICE: 520}


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One recipient; `blocked` ones are on the suppression list before anything is sent."""

    address: str
    name: str
    blocked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """The recipients of one kind of message. `fates` says how many of `size` meet with what.

    `platform` is what issued the tokens of those who get pushes.
    """

    message_type: MessageType
    size: int
    channel: Channel = Channel.EMAIL
    platform: Platform | None = None
    fates: Mapping[str, int] = field(default_factory=dict)
    listed_twice: int = 0
    broken_rows: int = 0

    @property
    def priority(self) -> Priority:
        return self.message_type.priority

    @property
    def name(self) -> str:
        """Name it for people, as in "P1 sms"; no two have the same name."""
        return " ".join(filter(None, (self.priority, self.channel, self.platform)))

    def scaled(self, share: float) -> "Audience":
        """Make it smaller; of each fate at least one is left."""
        return replace(
            self,
            size=max(1, round(self.size * share)),
            fates={fate: max(1, round(number * share)) for fate, number in self.fates.items()},
            listed_twice=-(-self.listed_twice * round(share * 100) // 100),
            broken_rows=-(-self.broken_rows * round(share * 100) // 100),
        )

    def people(self, run: int) -> list[Person]:
        """Make the recipients up; those with a fate are spread evenly among the others."""
        fates = enumerate(self._spread())
        if self.channel is Channel.EMAIL:
            return [_reader(run, self.priority, number, fate) for number, fate in fates]
        return [self._reached(run, number, fate) for number, fate in fates]

    def _reached(self, run: int, number: int, fate: str | None) -> Person:
        if self.channel is Channel.PUSH:
            number += run * self.size
        else:
            number += _FIRST[self.channel] + run % _RUNS * _PER_RUN
        special = Fate.DELIVERED if fate is None or fate == _BLOCKED else Fate(fate)
        address = address_for(special, self.channel, number, platform=self.platform or "fcm")
        return Person(address=address, name=_NAMES[number % len(_NAMES)].title(), blocked=fate == _BLOCKED)

    def _spread(self) -> list[str | None]:
        """Give each recipient's fate, None for the many who have no special one."""
        fates = [fate for fate, number in self.fates.items() for _ in range(number)]
        step = max(1, self.size // max(1, len(fates)))
        has_one = [number % step == 0 and number // step < len(fates) for number in range(self.size)]
        return [fates[number // step] if has_one[number] else None for number in range(self.size)]


AUDIENCES = (
    Audience(
        message_type=MessageType.EMERGENCY,
        size=200,
        fates={_BLOCKED: 3, "bounce": 2, "soft-bounce": 1, "lost": 1, "open": 4},
    ),
    Audience(
        message_type=MessageType.ALERT,
        size=500,
        fates={
            _BLOCKED: 8, "bounce": 6, "soft-bounce": 4, "complaint": 2, "deferred": 5, "lost": 2, "open": 40,
        },
    ),
    Audience(
        message_type=MessageType.NEWSLETTER,
        size=2_000,
        fates={
            _BLOCKED: 30, "bounce": 20, "soft-bounce": 15, "late-bounce": 5, "complaint": 6, "deferred": 20,
            "unsubscribe": 10, "rejected": 3, "throttled": 3, "slow": 5, "silent": 2, "lost": 3, "open": 300,
            "click": 100,
        },
    ),
    Audience(
        message_type=MessageType.CAMPAIGN,
        size=10_000,
        fates={
            _BLOCKED: 100, "bounce": 80, "soft-bounce": 60, "late-bounce": 20, "complaint": 15,
            "deferred": 50, "unsubscribe": 25, "rejected": 10, "throttled": 4, "held": 2, "silent": 3,
            "lost": 5, "open": 800, "click": 200,
        },
        listed_twice=20,
        broken_rows=10,
    ),
    Audience(
        message_type=MessageType.TRANSACTIONAL,
        size=200,
        fates={_BLOCKED: 2, "bounce": 3, "deferred": 2, "throttled": 1, "lost": 1, "open": 20},
    ),
    Audience(
        message_type=MessageType.ALERT,
        channel=Channel.SMS,
        size=400,
        fates={_BLOCKED: 5, "bounce": 6, "soft-bounce": 4, "unsubscribe": 3, "lost": 1},
    ),
    Audience(
        message_type=MessageType.TRANSACTIONAL,
        channel=Channel.WHATSAPP,
        size=80,
        fates={_BLOCKED: 2, "bounce": 2, "open": 30},
    ),
    Audience(
        message_type=MessageType.EMERGENCY,
        channel=Channel.VOICE,
        size=60,
        fates={_BLOCKED: 2, "confirmed": 25, "machine": 6, "busy": 3, "no-answer": 4},
    ),
    Audience(
        message_type=MessageType.CAMPAIGN,
        channel=Channel.PUSH,
        platform="fcm",
        size=800,
        fates={"bounce": 20},
    ),
    Audience(
        message_type=MessageType.CAMPAIGN,
        channel=Channel.PUSH,
        platform="apns",
        size=400,
        fates={"bounce": 10},
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When what happens, from the begin of the show."""

    newsletter: timedelta
    alerts: timedelta
    campaign: timedelta
    outage: timedelta
    outage_lasts: timedelta
    emergency: timedelta
    codes_last: timedelta
    telling: timedelta


# Codes are asked for until after the breaker has let its probes through, so that the way back is seen.
FULL = Pace(
    newsletter=timedelta(seconds=1),
    alerts=timedelta(seconds=3),
    campaign=timedelta(seconds=4),
    outage=timedelta(seconds=5),
    outage_lasts=timedelta(seconds=8),
    emergency=timedelta(seconds=8),
    codes_last=timedelta(seconds=42),
    telling=timedelta(seconds=20),
)
SMALL = Pace(
    newsletter=timedelta(seconds=0.3),
    alerts=timedelta(seconds=0.6),
    campaign=timedelta(seconds=1),
    outage=timedelta(seconds=1.3),
    outage_lasts=timedelta(seconds=3),
    emergency=timedelta(seconds=2),
    codes_last=timedelta(seconds=5),
    telling=timedelta(seconds=20),
)
SMALL_SHARE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """An audience and its people."""

    audience: Audience
    people: Sequence[Person]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One run: its number, which is the second it began in (Unix time), its crowds, its pace."""

    number: int
    pace: Pace
    crowds: tuple[Crowd, ...]

    @property
    def source(self) -> dict[str, Any]:
        """The reference under which all messages of the run are found."""
        return {"source_type": "demo", "source_id": self.number}

    @property
    def people(self) -> list[Person]:
        """Everybody."""
        return [person for crowd in self.crowds for person in crowd.people]

    @property
    def blocked(self) -> list[tuple[Channel, str]]:
        """The addresses that must not be contacted, by their channel."""
        return [
            (crowd.audience.channel, person.address)
            for crowd in self.crowds
            for person in crowd.people
            if person.blocked
        ]

    def crowd(self, name: str) -> Crowd:
        """Find a crowd by its audience's name."""
        return next(crowd for crowd in self.crowds if crowd.audience.name == name)


def make(number: int, *, small: bool) -> Scenario:
    """Make one run up; `number` tells it from all others."""
    share = SMALL_SHARE if small else 1.0
    audiences = [audience.scaled(share) for audience in AUDIENCES]
    return Scenario(
        number=number,
        pace=SMALL if small else FULL,
        crowds=tuple(Crowd(audience=each, people=each.people(number)) for each in audiences),
    )


def rows(audience: Audience, people: Sequence[Person]) -> Iterator[bytes]:
    """Write an audience as rows of a bulk request, with what people get wrong in such files."""
    for person in people:
        yield orjson.dumps({"address": person.address, "data": {"name": person.name}})
    for person in people[: audience.listed_twice]:
        yield orjson.dumps({"address": person.address.swapcase(), "data": {"name": person.name}})
    for number in range(audience.broken_rows):
        yield orjson.dumps({"address": f"nobody-{number}.example.com"})


def _reader(run: int, priority: Priority, number: int, fate: str | None) -> Person:
    name, domain = _NAMES[number % len(_NAMES)], _DOMAINS[number % len(_DOMAINS)]
    mark = f"{run:x}.{priority.lower()}.{number}"
    if fate is None or fate == _BLOCKED:
        return Person(address=f"{name}.{mark}@{domain}", name=name.title(), blocked=fate == _BLOCKED)
    return Person(address=f"{fate}+{mark}@{domain}", name=name.title())
