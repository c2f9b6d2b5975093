"""Where a finding leads: the page of the console that its advice is about, where there is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from app.services.diagnostics.findings import Finding


@dataclass(frozen=True, slots=True)
class Lead:
    """A page by its name for people, and where it is. Everybody may open it: parts of Home are drawn once."""

    page: str
    address: str


_GATEWAYS = Lead("gateways", "/admin/gateways/")
_LIMITS = Lead("limits", "/admin/limits/")
_SENDERS = Lead("senders", "/admin/senders/")
_WEBHOOKS = Lead("webhooks", "/admin/webhooks/")

# What a finding says most exactly; `{}` stands for its target.
_BY_CODE: Mapping[str, Lead] = {
    "held_messages": Lead("unknown outcomes", "/admin/unknown/?priority={}"),
    "messages_expired": Lead("dead letters", "/admin/dead-letters/?status=expired&days=1h"),
    "messages_failed": Lead("dead letters", "/admin/dead-letters/?status=failed&days=1h"),
    "template_fails": Lead("templates", "/admin/templates/?search={}"),
    "batches_not_expanded": Lead("batches", "/admin/batches/?state=accepted"),
    "lane_over_limit": Lead("the messages that wait", "/admin/messages/?status=pending&priority={}"),
    "lane_near_limit": Lead("the messages that wait", "/admin/messages/?status=pending&priority={}"),
}
_BY_SUBJECT: Mapping[str, Lead] = {
    "gateways": _GATEWAYS,
    "limits": _LIMITS,
    "webhooks": _WEBHOOKS,
    "sending domains": _SENDERS,
    "sender numbers": _SENDERS,
}


def lead_of(finding: Finding) -> Lead | None:
    """Find where somebody goes who follows its advice; None where that is outside of the console."""
    found = _BY_CODE.get(finding.code) or _BY_SUBJECT.get(finding.subject)
    return found and Lead(found.page, found.address.format(quote(finding.target, safe="")))
