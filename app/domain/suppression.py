"""Who may not be contacted, by which priority: the one rule for accepting and for sending.

The table says why and how widely an address is suppressed; the SQL function `suppressions_of` compares
the scopes. What it is asked with comes from here. Addresses are compared as `suppression_key` writes
them, senders by their address or number.
"""

from dataclasses import dataclass
from datetime import timedelta

from app.domain.vocabulary import MessageType, Priority, SuppressionReason

SOFT_WINDOW = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionPolicy:
    """What bounces and complaints lead to. What is not permanent lasts as long as `SOFT_WINDOW`."""

    hard_bounce_permanent: bool = True
    complaint_permanent: bool = True
    soft_bounce_threshold: int = 3

    def lasts(self, reason: SuppressionReason) -> timedelta | None:
        """Say for how long a suppression for this reason holds; None is for ever."""
        passing = {SuppressionReason.BOUNCE_SOFT}
        if not self.hard_bounce_permanent:
            passing.add(SuppressionReason.BOUNCE_HARD)
        if not self.complaint_permanent:
            passing.add(SuppressionReason.COMPLAINT)
        return SOFT_WINDOW if reason in passing else None


# Mail that nobody needs and that people may refuse as a whole.
MARKETING = frozenset({MessageType.NEWSLETTER, MessageType.CAMPAIGN})

_ALWAYS = (SuppressionReason.BOUNCE_HARD, SuppressionReason.LEGAL, SuppressionReason.MANUAL)
_NOT_COMPLAINTS = frozenset({Priority.P0, Priority.P4})


def reasons_that_block(priority: Priority) -> tuple[SuppressionReason, ...]:
    """List the reasons that stop a message of this priority, whatever its kind.

    An unsubscribe is none of them: it stops a category, a sender or all marketing, see `Question`.
    """
    reasons = list(_ALWAYS)
    if priority not in _NOT_COMPLAINTS:
        reasons.append(SuppressionReason.COMPLAINT)
    if priority is not Priority.P0:
        reasons.append(SuppressionReason.BOUNCE_SOFT)
    return tuple(reasons)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What the suppression list is asked with for one kind of message."""

    marketing: bool
    reasons: tuple[SuppressionReason, ...]


def question(priority: Priority, message_type: MessageType) -> Question:
    """Say what to ask the suppression list with."""
    return Question(marketing=message_type in MARKETING, reasons=reasons_that_block(priority))
