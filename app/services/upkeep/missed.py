"""The net under suppressing: bounces and complaints that were recorded without their consequence."""

from datetime import timedelta

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.vocabulary import Channel, SuppressionReason
from app.queue import PACKAGE
from app.services.sending.tools import Tools
from app.services.suppressing import Blame, suppress

WINDOW = timedelta(hours=1)
MOST = 5000


def suppress_missed(tools: Tools) -> int:
    """Suppress what the last hour's bounces and complaints call for and nobody did; gives how many.

    Events suppress at once, so that there should be nothing. Soft bounces are looked at again, but not
    counted: most are below the threshold. Raises Unavailable.
    """
    with unavailable_when_down(), tools.engine.begin() as conn:
        rows = run(conn, PACKAGE, "missed_suppressions", {"window": WINDOW, "limit": MOST}).all()
        blames = [
            Blame(
                message=row.message_id,
                channel=Channel(row.channel),
                address=row.recipient_address,
                reason=SuppressionReason(row.reason),
                source=row.source,
            )
            for row in rows
        ]
        suppress(conn, tools.policy, blames)
    return sum(blame.reason is not SuppressionReason.BOUNCE_SOFT for blame in blames)
