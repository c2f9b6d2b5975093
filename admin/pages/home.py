"""Home: what is going on, on one screen."""

from admin.page import Page, expose


class HomePage(Page):
    """Lanes, gateways, throughput, findings and what is stopped."""

    key = "home"
    title = "Home"

    @property
    def path(self) -> str:
        return ""

    @expose("/")
    def index(self) -> str:
        """Show all of it."""
        return self.show("console/home.html", lanes=self.app.stats.queue())

    @expose("/live")
    def live(self) -> str:
        """Say what changed."""
        return ""
