"""Gateways: in which order they are tried, how they do, and what takes one out of use and back."""

from collections.abc import Mapping

from admin.actions import Action
from admin.gateway_actions import GatewayActions
from admin.page import Page, expose
from app.bootstrap import App
from app.domain.vocabulary import Channel

_CHANGES_SHOWN = 30


class GatewaysPage(Page):
    """All gateways by channel, those with credentials first."""

    key = "gateways"
    title = "Gateways"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._acts = GatewayActions(app.gateway_control)

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to a gateway."""
        return self._acts.by_name

    @expose("/")
    def index(self) -> str:
        """Show them all, and what changed lately."""
        found = self.app.gateway_control.list()
        channels = [(channel, [view for view in found if view.channel is channel]) for channel in Channel]
        return self.show(
            "gateways/list.html",
            channels=[(channel, views) for channel, views in channels if views],
            counted=min((at for view in found if (at := view.figures.checked_at)), default=None),
            changes=self.app.gateway_control.changes(limit=_CHANGES_SHOWN).items,
            possible=self._acts.possible,
        )
