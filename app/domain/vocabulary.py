"""The words that callers, the console and SQL share."""

from enum import StrEnum


class Priority(StrEnum):
    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class MessageType(StrEnum):
    EMERGENCY = "emergency"
    ALERT = "alert"
    NEWSLETTER = "newsletter"
    CAMPAIGN = "campaign"
    TRANSACTIONAL = "transactional"

    @property
    def priority(self) -> Priority:
        """The priority that messages of this type have unless a scope allows another."""
        return _PRIORITY_OF[self]


_PRIORITY_OF = dict(zip(MessageType, Priority, strict=True))


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    VOICE = "voice"
    PUSH = "push"


class Status(StrEnum):
    """Where a message is; docs/states.md draws how it moves."""

    PENDING = "pending"
    PROCESSING = "processing"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPPRESSED = "suppressed"
    HELD = "held"


class EventType(StrEnum):
    QUEUED = "queued"
    ATTEMPT_FAILED = "attempt_failed"
    SENT = "sent"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    CONVERTED = "converted"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HELD = "held"
    FAILED_OVER = "failed_over"
    SUPPRESSED = "suppressed"
    REPLIED = "replied"
    CONFIRMED = "confirmed"
    REPLAYED = "replayed"


class SuppressionReason(StrEnum):
    BOUNCE_HARD = "bounce_hard"
    BOUNCE_SOFT = "bounce_soft"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    LEGAL = "legal"


class OutcomeClass(StrEnum):
    """What a gateway's answer means for a message; the same words for every gateway."""

    ACCEPTED = "accepted"
    RECIPIENT = "recipient"
    UNREACHABLE = "unreachable"
    CONTENT = "content"
    CONFIG = "config"
    THROTTLE = "throttle"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class ConfigScope(StrEnum):
    """Whose fault a `config` outcome is: it decides what is taken out of use."""

    ACCOUNT = "account"
    SENDER = "sender"
    DESTINATION = "destination"


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class ClaimState(StrEnum):
    CLAIMED = "claimed"
    SENDING = "sending"
    CLOSED = "closed"
