"""Who must not be contacted: which reasons to suppress an address hold for which messages.

The scope of a suppression (community, category, sender) is judged by the database's own function
`suppressions_of`; here is what the reasons mean.
"""

from app.domain.vocabulary import MessageType, Priority, SuppressionReason

MARKETING = frozenset({MessageType.NEWSLETTER, MessageType.CAMPAIGN})

# An unsubscribe is not among them: it holds by category, by sender, or for all marketing.
_BLOCKED = {
    SuppressionReason.BOUNCE_HARD: frozenset(Priority),
    SuppressionReason.LEGAL: frozenset(Priority),
    SuppressionReason.MANUAL: frozenset(Priority),
    SuppressionReason.COMPLAINT: frozenset({Priority.P1, Priority.P2, Priority.P3}),
    # An emergency is worth a try at a mailbox that was full last week.
    SuppressionReason.BOUNCE_SOFT: frozenset(Priority) - {Priority.P0},
}


def reasons_that_block(priority: Priority) -> list[SuppressionReason]:
    """List the reasons for which messages of this priority do not go, whatever they are about."""
    return [reason for reason, priorities in _BLOCKED.items() if priority in priorities]
