"""The magic recipients: what happens to a message is decided by the local part of its address."""

import re
from dataclasses import dataclass
from enum import StrEnum


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

    @property
    def broken(self) -> bool:
        """Tell whether the gateway itself gives no sensible answer, and so takes nothing."""
        return self in _BROKEN


_BROKEN = frozenset({Fate.SILENT, Fate.DOWN, Fate.GARBAGE})


@dataclass(frozen=True, slots=True)
class Story:
    """What a magic recipient stands for, and how each gateway tells it where they differ."""

    meaning: str
    postal: str
    ses: str


STORIES = {
    Fate.DELIVERED: Story("delivered; so is every other address", "MessageSent", "Send, Delivery"),
    Fate.OPEN: Story("delivered, then opened", "MessageSent, MessageLoaded", "Send, Delivery, Open"),
    Fate.CLICK: Story(
        "delivered, opened, a link clicked",
        "MessageSent, MessageLoaded, MessageLinkClicked",
        "Send, Delivery, Open, Click",
    ),
    Fate.UNSUBSCRIBE: Story(
        "delivered, then unsubscribed",
        "MessageSent (Postal has no such event)",
        "Send, Delivery, Subscription",
    ),
    Fate.COMPLAINT: Story(
        "delivered, then marked as spam",
        "MessageSent (Postal has no such event)",
        "Send, Delivery, Complaint",
    ),
    Fate.DEFERRED: Story(
        "delayed, then delivered", "MessageDelayed, MessageSent", "Send, DeliveryDelay, Delivery"
    ),
    Fate.SOFT_BOUNCE: Story(
        "mailbox full until the gateway gives up",
        "MessageDelayed, MessageDeliveryFailed (too many attempts)",
        "Send, Bounce (Transient, MailboxFull)",
    ),
    Fate.BOUNCE: Story(
        "no such mailbox",
        "MessageDeliveryFailed (550 5.1.1)",
        "Send, Bounce (Permanent, General)",
    ),
    Fate.LATE_BOUNCE: Story(
        "delivered, then bounced after all", "MessageSent, MessageBounced", "Send, Delivery, Bounce"
    ),
    Fate.SUPPRESSED: Story(
        "on the gateway's own suppression list",
        "MessageHeld (suppression list)",
        "Send, Bounce (Permanent, OnAccountSuppressionList)",
    ),
    Fate.REJECTED: Story(
        "content refused",
        "MessageDeliveryFailed (likely spam)",
        "400 MessageRejected",
    ),
    Fate.HELD: Story(
        "taken, then held for our configuration",
        "MessageHeld (development mode)",
        "Send, Delivery (SES holds nothing)",
    ),
    Fate.THROTTLED: Story(
        "sending too fast",
        "MessageHeld (send limit); Postal's API has no such answer",
        "429 TooManyRequestsException",
    ),
    Fate.SLOW: Story("taken at once, answered after seconds, delivered", "MessageSent", "Send, Delivery"),
    Fate.LOST: Story(
        "taken and delivered, but the connection is cut instead of an answer", "MessageSent", "Send, Delivery"
    ),
    Fate.SILENT: Story("never taken, never answered", "nothing", "nothing"),
    Fate.DOWN: Story("not taken: the gateway is down", "503, an HTML page", "503 ServiceUnavailable"),
    Fate.GARBAGE: Story("not taken: an answer that means nothing", "200, half an HTML page", "the same"),
}

_LONGEST_FIRST = sorted(Fate, key=len, reverse=True)
_MAGIC = re.compile(rf"({'|'.join(_LONGEST_FIRST)})(?:\+.*|-\d+)?", re.IGNORECASE | re.DOTALL)


def fate_of(address: str) -> Fate:
    """Tell what becomes of a message to this address.

    `bounce@…`, `bounce+anything@…` and `bounce-17@…` are the same magic recipient, so that a crowd
    of different addresses can share one fate; whatever is not magic is delivered.
    """
    match = _MAGIC.fullmatch(address.rpartition("@")[0])
    return Fate(match[1].lower()) if match else Fate.DELIVERED
