"""The magic recipients: what happens to a message is written in its address.

Email: the local part is the fate, as in `bounce@…`, `bounce+anything@…` and `bounce-17@…`.
Telephone numbers: the three digits after +1 555 are the fate's code, as in +1 555 550 0017. Where mail,
HTTP or SIP has a status code for it, that is the code: 550 no such mailbox, 503 down, 486 busy.
Tokens of FCM begin with the fate and a hyphen or a colon, as in `bounce-17:…`; tokens of APNs with
70c51 (how hexadecimal digits spell Tocsi) and the same three digits, as in `70c51550…`.
Every other address is delivered, FCM's topics and conditions too.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from app.domain.vocabulary import Channel


class Fate(StrEnum):
    """What becomes of a message; each is the local part of a magic recipient."""

    DELIVERED = "delivered"
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    DEFERRED = "deferred"
    SOFT_BOUNCE = "soft-bounce"
    BOUNCE = "bounce"
    LATE_BOUNCE = "late-bounce"
    SUPPRESSED = "suppressed"
    REJECTED = "rejected"
    HELD = "held"
    THROTTLED = "throttled"
    SLOW = "slow"
    LOST = "lost"
    SILENT = "silent"
    DOWN = "down"
    GARBAGE = "garbage"
    CONFIRMED = "confirmed"
    MACHINE = "machine"
    BUSY = "busy"
    NO_ANSWER = "no-answer"

    @property
    def broken(self) -> bool:
        """Tell whether the gateway itself gives no sensible answer, and so takes nothing."""
        return self in _BROKEN


_BROKEN = frozenset({Fate.SILENT, Fate.DOWN, Fate.GARBAGE})
_ONLY_CALLS = frozenset({Fate.CONFIRMED, Fate.MACHINE, Fate.BUSY, Fate.NO_ANSWER})


@dataclass(frozen=True, slots=True)
class Story:
    """What a magic recipient stands for, and the three digits that say so in a number or an APNs token."""

    meaning: str
    code: str


STORIES = {
    Fate.DELIVERED: Story("delivered; so is every other address", "200"),
    Fate.OPEN: Story("delivered, then opened or read", "201"),
    Fate.CLICK: Story("delivered, opened, a link clicked", "202"),
    Fate.UNSUBSCRIBE: Story("delivered, then unsubscribed; by phone they answer STOP", "205"),
    Fate.COMPLAINT: Story("delivered, then marked as spam", "206"),
    Fate.DEFERRED: Story("delayed, then delivered", "451"),
    Fate.SOFT_BOUNCE: Story("mailbox full or phone switched off, until the gateway gives up", "452"),
    Fate.BOUNCE: Story("no such mailbox, number or device", "550"),
    Fate.LATE_BOUNCE: Story("delivered, then bounced after all", "551"),
    Fate.SUPPRESSED: Story("on the gateway's own suppression list: opted out there", "553"),
    Fate.REJECTED: Story("content refused", "554"),
    Fate.HELD: Story("taken, then held for our configuration", "423"),
    Fate.THROTTLED: Story("sending too fast", "429"),
    Fate.SLOW: Story("taken at once, answered after seconds, delivered", "408"),
    Fate.LOST: Story("taken and delivered, but the connection is cut instead of an answer", "499"),
    Fate.SILENT: Story("never taken, never answered", "504"),
    Fate.DOWN: Story("not taken: the gateway is down", "503"),
    Fate.GARBAGE: Story("not taken: an answer that means nothing", "502"),
    Fate.CONFIRMED: Story("a call that a person answers, and confirms by the digit asked for", "210"),
    Fate.MACHINE: Story("a call that an answering machine takes", "211"),
    Fate.BUSY: Story("a call that finds the line busy", "486"),
    Fate.NO_ANSWER: Story("a call that nobody answers", "480"),
}

Platform = Literal["fcm", "apns"]

_MOST_NUMBERS = 10_000
_MOST_DELIVERED_NUMBERS = 1_000_000
_FCM_LENGTH = 142

_FATE_OF_CODE = {story.code: fate for fate, story in STORIES.items()}
_NUMBER = re.compile(r"(?:[a-z]+:)?\+?1555([0-9]{3})[0-9]{4}")
_APNS = re.compile(r"70c51([0-9]{3})[0-9a-f]{56,}", re.IGNORECASE)
_NAMES = "|".join(sorted(set(Fate) - _ONLY_CALLS, key=len, reverse=True))
_LOCAL_PART = re.compile(rf"({_NAMES})(?:\+.*|-\d+)?", re.IGNORECASE | re.DOTALL)
_FCM = re.compile(rf"({_NAMES})[-:]", re.IGNORECASE)


def fates_of(channel: Channel) -> list[Fate]:
    """List the fates that a message on this channel can have."""
    return [fate for fate in Fate if channel is Channel.VOICE or fate not in _ONLY_CALLS]


def fate_of(address: str) -> Fate:
    """Tell what becomes of a message to this address, on whatever channel.

    `bounce@…`, `bounce+anything@…` and `bounce-17@…` are the same magic recipient, so that a crowd
    of different addresses can share one fate; whatever is not magic is delivered. A number is read
    with or without `+`, and with a prefix such as `whatsapp:`. The fates of calls are for numbers alone,
    and what a number with one of them means for a text message is up to the gateway: delivered.
    """
    if "@" in address:
        return _named(_LOCAL_PART.fullmatch(address.rpartition("@")[0]))
    coded = _NUMBER.fullmatch(address) or _APNS.fullmatch(address)
    if coded:
        return _FATE_OF_CODE.get(coded[1], Fate.DELIVERED)
    return _named(_FCM.match(address))


def address_for(fate: Fate, channel: Channel, number: int = 0, *, platform: Platform = "fcm") -> str:
    """Make an address with this fate; each `number` from 0 gives another one.

    Numbers there are 10,000 for each fate, and a million that are delivered. Raises ValueError where
    there are no more, and for a call's fate on another channel.
    """
    if fate not in fates_of(channel):
        raise ValueError(f"{fate} is no fate of a message by {channel}")
    if channel is Channel.EMAIL:
        return f"{fate}+{number}@example.com"
    if channel is not Channel.PUSH:
        return _number_for(fate, number)
    if platform == "apns":
        return f"70c51{STORIES[fate].code}{number:056x}"
    return f"{fate}-{number}:".ljust(_FCM_LENGTH, "A")


def _number_for(fate: Fate, number: int) -> str:
    most = _MOST_DELIVERED_NUMBERS if fate is Fate.DELIVERED else _MOST_NUMBERS
    if number >= most:
        raise ValueError(f"there are only {most:,} numbers that are {fate}")
    return f"+15550{number:06}" if fate is Fate.DELIVERED else f"+1555{STORIES[fate].code}{number:04}"


def _named(found: re.Match[str] | None) -> Fate:
    return Fate(found[1].lower()) if found else Fate.DELIVERED
