"""Home: what is going on, on one screen, and live."""

import hashlib

import orjson
from flask import Response, request

from admin import charts, people
from admin.overview import watch
from admin.page import Page, expose
from app.bootstrap import App
from app.errors import Unavailable
from app.services.throughput import Span

# How often a browser asks again; each answer is one event and ends, so that no viewer holds a thread.
RETRY = 2000  # milliseconds
PARTS = ("state", "findings", "lanes", "gateways", "chart")


class HomePage(Page):
    """Lanes, gateways, throughput, findings and what is stopped."""

    key = "home"
    title = "Home"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._drawn: tuple[object, dict[str, str]] | None = None

    @property
    def path(self) -> str:
        return ""

    @expose("/")
    def index(self) -> str:
        """Show all of it."""
        return self.show("console/home.html", parts=self._parts(), live=self._address(), now=people.now())

    @expose("/live")
    def live(self) -> Response:
        """Tell what changed as a server-sent event; a browser comes again by itself after a moment.

        A stream that stays open would hold a thread of the process for each viewer.
        """
        parts = self._parts()
        name = _name(parts)
        lines = [f"retry: {RETRY}"]
        if request.headers.get("Last-Event-ID", request.args.get("seen")) == name:
            lines.append(": nothing new")
        else:
            told = orjson.dumps({"parts": parts}).decode()
            lines += [f"id: {name}", f"data: {told}"]
        return Response("\n".join(lines) + "\n\n", mimetype="text/event-stream")

    def _parts(self) -> dict[str, str]:
        """Draw each part, once for all who look at the same. None of them depends on who looks."""
        seen = watch().look(people.now())
        span, kind = _wanted()
        drawn = self._drawn
        if drawn is not None and drawn[0] == (seen.at, span, kind):
            return drawn[1]
        values = {"seen": seen, "chart": self._chart(span, kind), "span": span, "kind": kind}
        parts = {name: self.show(f"console/home/{name}.html", **values).strip() for name in PARTS}
        self._drawn = ((seen.at, span, kind), parts)
        return parts

    def _chart(self, span: Span, kind: str) -> charts.Chart | None:
        try:
            found = watch().chart(span, people.now())
        except Unavailable:
            return None
        return charts.by_priority(found) if kind == "priority" else charts.by_status(found)

    def _address(self) -> str:
        span, kind = _wanted()
        return f"/admin/live?span={span}&by={kind}"


def _wanted() -> tuple[Span, str]:
    asked = request.args.get("span", "")
    span = Span(asked) if asked in set(Span) else Span.HOUR
    return span, "priority" if request.args.get("by") == "priority" else "status"


def _name(parts: dict[str, str]) -> str:
    return hashlib.sha256("".join(parts.values()).encode()).hexdigest()[:16]
