"""Who may not be contacted, by which priority: the one rule for accepting and for sending.

The table says why and how widely an address is suppressed; the SQL function `suppressions_of` compares
the scopes. What it is asked with comes from here. Addresses are compared as `suppression_key` writes
them, senders by their slug.
"""

from dataclasses import dataclass

from app.domain.vocabulary import MessageType, Priority, SuppressionReason

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
