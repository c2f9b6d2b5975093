"""/v1/rate-limits: how fast who may be sent to, and how much of it is used."""

from flask import Response

from app.api import problems
from app.api.answers import answer, empty
from app.api.calls import Call
from app.api.models.limits import (
    Because,
    EventsOf,
    Figures,
    LimitList,
    LimitsOf,
    NewFigures,
    PaceList,
    PacePart,
    ResetDone,
    WhyReset,
)
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.services.limit_events import LimitEvent
from app.services.limit_rows import LimitType, LimitView
from app.services.views import Page

resource = Resource("rate-limits", "How fast who may be sent to, and how much of it is used.")

_ALL = "/v1/rate-limits"
_ONE = "/v1/rate-limits/<limit_type:limit_type>/<limit_key:limit_key>"
_READ, _WRITE = "diagnostics:read", "limits:write"


@resource.operation(
    "GET", _ALL, scope=_READ, query=LimitsOf, replies={200: Reply("All, by type and key", LimitList)}
)
def index(app: App, call: Call, query: LimitsOf) -> Response:  # noqa: ARG001 - A view's signature.
    """List limits with their usage."""
    items = app.limits.list(limit_type=query.limit_type)
    enabled = app.settings.rate_limiting_enabled
    return answer(200, {"items": items, "rate_limiting_enabled": enabled})


@resource.operation("GET", _ONE, scope=_READ, replies={200: Reply("The limit", LimitView)})
def look(app: App, call: Call, limit_type: LimitType, limit_key: str) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a limit."""
    return answer(200, app.limits.get(limit_type, limit_key))


@resource.operation(
    "PUT",
    _ONE,
    scope=_WRITE,
    body=Figures,
    replies={200: Reply("It is replaced", LimitView), 201: Reply("It is new", LimitView)},
)
def save(app: App, call: Call, limit_type: LimitType, limit_key: str, body: Figures) -> Response:
    """Make or replace a limit.

    `default` is the recipient that stands for all who have no limit of their own. A new window counts what
    was sent in the last hour.
    """
    view, is_new = app.limits.set(call.who, limit_type, limit_key, body.draft(), why=body.why)
    return answer(201 if is_new else 200, view)


@resource.operation(
    "PATCH", _ONE, scope=_WRITE, body=NewFigures, replies={200: Reply("As it is now", LimitView)}
)
def change(app: App, call: Call, limit_type: LimitType, limit_key: str, body: NewFigures) -> Response:
    """Change a limit."""
    return answer(200, app.limits.change(call.who, limit_type, limit_key, body.changes(), why=body.why))


@resource.operation("DELETE", _ONE, scope=_WRITE, query=Because, replies={204: Reply("It is removed")})
def remove(app: App, call: Call, limit_type: LimitType, limit_key: str, query: Because) -> Response:
    """Remove a limit, with what it has counted."""
    app.limits.remove(call.who, limit_type, limit_key, why=query.why)
    return empty()


@resource.operation(
    "POST", f"{_ONE}/reset", scope=_WRITE, body=WhyReset, replies={200: Reply("As it is now", LimitView)}
)
def reset(app: App, call: Call, limit_type: LimitType, limit_key: str, body: WhyReset) -> Response:
    """Forget what a limit has counted.

    As if nothing had been sent lately: the other side may see more than it takes.
    """
    return answer(200, app.limits.reset(call.who, limit_type, limit_key, why=body.why))


@resource.operation(
    "POST", f"{_ALL}/reset", scope=_WRITE, body=WhyReset, replies={200: Reply("It is done", ResetDone)}
)
def reset_all(app: App, call: Call, body: WhyReset) -> Response:
    """Forget what all limits have counted, but those of single recipients, and all lowered paces."""
    return answer(200, {"limits": app.limits.reset_all(call.who, why=body.why)})


@resource.operation(
    "GET", f"{_ALL}/paces", scope=_READ, replies={200: Reply("Those that are lower than usual", PaceList)}
)
def paces(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """List lowered paces.

    A gateway that says "too fast" is sent to at half the pace, which creeps up again by itself.
    """
    return answer(200, {"items": app.limits.paces()})


@resource.operation(
    "GET",
    f"{_ALL}/events",
    scope=_READ,
    query=EventsOf,
    replies={200: Reply("One page, newest first", Page[LimitEvent])},
)
def happened(app: App, call: Call, query: EventsOf) -> Response:  # noqa: ARG001 - A view's signature.
    """List when limits were used up and paces lowered.

    A window that is used up is told once in its length, and one limit's once a minute at most.
    """
    return answer(200, app.limits.events(cursor=query.cursor, limit=query.limit))


@resource.operation(
    "DELETE",
    f"{_ALL}/paces",
    scope=_WRITE,
    query=PacePart,
    problems=(problems.NOT_FOUND,),
    replies={204: Reply("It is sent to as fast as usual again")},
)
def forget_pace(app: App, call: Call, query: PacePart) -> Response:
    """Send to a gateway as fast as usual again."""
    app.limits.forget_pace(call.who, query.gateway, query.part, why=query.why)
    return empty()
