"""Which pages there are, and how the menu groups them. A new page is one line here."""

from collections.abc import Sequence
from dataclasses import dataclass

from admin.account import AccountPage
from admin.page import Page
from admin.pages.audit import AuditPage
from admin.pages.batch_upload import BatchUploadPage
from admin.pages.batches import BatchesPage
from admin.pages.clients import ClientsPage
from admin.pages.dead_letters import DeadLettersPage, UnknownPage
from admin.pages.devices import DevicesPage
from admin.pages.diagnostics import DiagnosticsPage
from admin.pages.emergency import EmergencyPage
from admin.pages.gateways import GatewaysPage
from admin.pages.home import HomePage
from admin.pages.limits import LimitsPage
from admin.pages.messages import MessagesPage
from admin.pages.prices import PricesPage
from admin.pages.senders import SendersPage
from admin.pages.suppressions import SuppressionsPage
from admin.pages.template_editor import TemplateEditorPage
from admin.pages.templates import TemplatesPage
from admin.pages.topics import TopicsPage
from admin.pages.users import UsersPage
from admin.pages.webhooks import WebhooksPage


@dataclass(frozen=True, slots=True)
class Group:
    """Some pages under one heading; without one, they stand above all others."""

    heading: str
    pages: Sequence[type[Page]]


GROUPS = (
    Group("", (HomePage, EmergencyPage)),
    Group("Traffic", (MessagesPage, BatchesPage, TemplatesPage)),
    Group("Recipients", (SuppressionsPage, DevicesPage, TopicsPage)),
    Group(
        "Delivery",
        (
            GatewaysPage,
            LimitsPage,
            SendersPage,
            PricesPage,
            WebhooksPage,
            DeadLettersPage,
            UnknownPage,
            DiagnosticsPage,
        ),
    ),
    Group("People", (ClientsPage, UsersPage, AuditPage)),
)

# Not in the menu.
FURTHER: Sequence[type[Page]] = (AccountPage, BatchUploadPage, TemplateEditorPage)
