"""Senders: one that is the default for most, one for campaigns at one gateway, one that is retired."""

from app.bootstrap import App
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.senders import SenderDraft

OPERATOR = Who(actor="console/anna@example.com")


def fill_senders(app: App) -> tuple[str, ...]:
    """Make senders; gives the addresses of their forms."""
    drafts = {
        "house": SenderDraft(
            address="house@example.com", name="The House", default_for=tuple(MessageType)[:-1]
        ),
        "news": SenderDraft(
            address="news@news.example.com", name="News", gateways=("postal",), ip_pool="campaigns"
        ),
        "old": SenderDraft(address="old@example.com", is_active=False),
    }
    for slug, draft in drafts.items():
        app.senders.save(OPERATOR, Channel.EMAIL, slug, draft)
    return ("/admin/senders/edit", "/admin/senders/edit?sender=email/house")
