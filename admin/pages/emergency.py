"""Emergency: what is stopped and why, and everything that stops, clears, switches and resumes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from flask import request
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action, Wish
from admin.emergency_actions import EVERYTHING, EmergencyActions, named, waiting
from admin.page import Page, expose
from app.bootstrap import App
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.errors import Invalid
from app.services.controls.service import ClearFilter
from app.services.keys import list_clients

_SHOWN = 30
_AGES = (("", "of any age"), ("10", "accepted in the last 10 minutes"), ("60", "accepted in the last hour"))


class EmergencyPage(Page):
    """One look says what is going on, one button stops it."""

    key = "emergency"
    title = "Emergency"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._acts = EmergencyActions(app, partial(datetime.now, UTC))

    @property
    def actions(self) -> Mapping[str, Action]:
        """All procedures."""
        return self._acts.by_name

    @expose("/")
    def index(self) -> str:
        """Show the state, the procedures and their history."""
        return self._show()

    @expose("/clear", methods=("POST",))
    def count(self) -> ResponseReturnValue:
        """Count what would be cancelled, and ask whether that is meant."""
        why = request.form.get("why", "").strip()
        try:
            view = self.app.emergency.preview_clearing(people.who(), _clear_filter(request.form), why=why)
        except Invalid as exc:
            return self._show({fault.field: fault.message for fault in exc.faults}), 422
        return self._confirm(self.actions["clear"], Wish(who=people.who(), selected=(str(view.id),), why=why))

    def _show(self, faults: Mapping[str, str] | None = None) -> str:
        service = self.app.emergency
        gateways = [view for view in self.app.gateway_control.list() if view.credentials]
        return self.show(
            "emergency/index.html",
            state=service.state(),
            history=service.history(limit=_SHOWN).items,
            everything=EVERYTHING,
            named=named,
            waiting=waiting,
            faults=faults or {},
            said=request.form,
            scopes=[(scope.value, scope.value) for scope in StopScope if scope is not StopScope.ALL],
            channels=[(channel.value, channel.value) for channel in Channel],
            priorities=[(each.value, each.value) for each in Priority],
            clients=[(client.name, client.name) for client in list_clients(self.app.engine)],
            places=[(f"{v.channel}/{v.gateway}", f"{v.gateway} ({v.channel})") for v in gateways],
            ages=_AGES,
        )


def _clear_filter(said: Mapping[str, str]) -> ClearFilter:
    channel, priority, age = said.get("channel"), said.get("priority"), said.get("younger_than", "")
    return ClearFilter(
        channel=Channel(channel) if channel in set(Channel) else None,
        priority=Priority(priority) if priority in set(Priority) else None,
        client=said.get("client") or None,
        template=said.get("template", "").strip() or None,
        batch=said.get("batch", "").strip() or None,
        gateway=said.get("gateway", "").partition("/")[2] or None,
        source_type=said.get("source_type", "").strip() or None,
        younger_than=timedelta(minutes=int(age)) if age.isdecimal() else None,
        including_p0="including_p0" in said,
    )
