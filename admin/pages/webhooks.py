"""Webhooks received: whether gateways tell us what became of messages, and whether we take it in."""

from collections.abc import Mapping, Sequence

from flask import request

from admin import people
from admin.actions import Action
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.webhook_actions import WebhookActions
from app.bootstrap import App
from app.errors import Invalid
from app.services.received_webhooks import SourceView, WebhookContent, WebhookState

_STATES = (
    (WebhookState.WAITING, "waits to be processed"),
    (WebhookState.FAILED, "failed, put aside"),
    (WebhookState.DONE, "processed"),
)


class WebhooksPage(ListPage):
    """Who calls, and what came in, newest first."""

    key = "webhooks"
    title = "Webhooks"
    template = "webhooks/list.html"
    filters = (
        Filter(name="gateway", label="From"),
        Filter(name="state", label="State", choices=_STATES),
    )
    empty = Empty(
        says="No gateway has called yet.",
        todo="Have each vendor call PUBLIC_BASE_URL/webhooks/…; Diagnostics says what is missing",
        link="/admin/diagnostics/",
    )
    bulk = ("replay",)

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._acts = WebhookActions(app.received_webhooks)

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to webhooks."""
        return self._acts.by_name

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        if each.name == "gateway":
            # One that called once and is not set up any more can still be asked for by its link.
            names = {*self.app.webhook_vendors, request.args.get("gateway", "")} - {""}
            return [(name, name) for name in sorted(names)]
        return each.choices

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        state = wanted.get("state")
        if state is not None and state not in set(WebhookState):
            raise Invalid.of("state", "must be one of those in the list")
        found = self.app.received_webhooks.list(
            gateway=wanted.get("gateway"),
            state=WebhookState(state) if state else None,
            cursor=after,
            limit=limit,
        )
        return Found(rows=found.items, after=found.next)

    def sources(self) -> Sequence[SourceView]:
        """List who calls."""
        return self.app.received_webhooks.sources()

    @expose("/<int:webhook>")
    def one(self, webhook: int) -> str:
        """Show what is known of one, without what it says."""
        return self._one(webhook, None, opened=False)

    @expose("/<int:webhook>", methods=("POST",))
    def open(self, webhook: int) -> str:
        """Show what one says, which the audit log keeps."""
        return self._one(webhook, self.app.received_webhooks.open(people.who(), webhook), opened=True)

    def _one(self, webhook: int, content: WebhookContent | None, *, opened: bool) -> str:
        view = self.app.received_webhooks.get(webhook)
        return self.show(
            "webhooks/one.html",
            view=view,
            content=content,
            opened=opened,
            hindrance=self.app.received_webhooks.hindrance(view),
        )
