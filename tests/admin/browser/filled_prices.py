"""Prices: one that holds, one of last year, one to come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.bootstrap import App
from app.domain.vocabulary import Channel
from app.services.audit import Who
from app.services.prices import PriceDraft


def fill_prices(app: App) -> tuple[str, ...]:
    """Set prices; gives the address of their form."""
    now = datetime.now(UTC)
    drafts = [
        PriceDraft(
            channel=Channel.SMS,
            gateway="twilio",
            amount=Decimal(amount),
            currency="USD",
            valid_from=now + timedelta(days=days),
            prefix=prefix,
        )
        for amount, days, prefix in (("0.0079", -30, "+1"), ("0.04", -400, "+44"), ("0.0463", -3, "+44"))
    ]
    app.prices.save(Who(actor="console/anna@example.com"), drafts)
    return ("/admin/prices/new",)
