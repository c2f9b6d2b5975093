"""/v1/gateways: the ways out, how they do, and how they are used."""

from datetime import timedelta

from flask import Response

from app.api import problems
from app.api.answers import answer
from app.api.calls import Call
from app.api.models.gateways import (
    Changed,
    ChangesOf,
    GatewayList,
    InChannel,
    Order,
    Reset,
    Trial,
    TrialSent,
    Trip,
    Why,
)
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.vocabulary import Channel
from app.services.gateway_views import GatewayView
from app.services.health import ChangeView
from app.services.views import Page

resource = Resource("gateways", "The ways out: how they do, their order, and taking them out of use.")

_ONE = "/v1/gateways/<channel:channel>/<slug:gateway>"
_READ, _WRITE = "diagnostics:read", "gateways:write"
_AS_IT_IS = {200: Reply("The gateway as it is now", GatewayView)}


@resource.operation(
    "GET", "/v1/gateways", scope=_READ, query=InChannel, replies={200: Reply("In their order", GatewayList)}
)
def index(app: App, call: Call, query: InChannel) -> Response:  # noqa: ARG001 - A view's signature.
    """List gateways.

    Of credentials it tells only whether there are any.
    """
    return answer(200, {"items": app.gateway_control.list(channel=query.channel)})


@resource.operation(
    "GET",
    "/v1/gateways/changes",
    scope=_READ,
    query=ChangesOf,
    replies={200: Reply("One page, newest first", Page[ChangeView])},
)
def changes(app: App, call: Call, query: ChangesOf) -> Response:  # noqa: ARG001 - A view's signature.
    """List changes of health.

    Breakers, shares and use of gateways, and the reputation of pools and domains, each with its reason.
    """
    page = app.gateway_control.changes(
        channel=query.channel, gateway=query.gateway, cursor=query.cursor, limit=query.limit
    )
    return answer(200, page)


@resource.operation("GET", _ONE, scope=_READ, replies={200: Reply("The gateway", GatewayView)})
def look(app: App, call: Call, channel: Channel, gateway: str) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a gateway."""
    return answer(200, app.gateway_control.get(channel, gateway))


@resource.operation("PATCH", _ONE, scope=_WRITE, body=Changed, replies=_AS_IT_IS)
def change(app: App, call: Call, channel: Channel, gateway: str, body: Changed) -> Response:
    """Change a gateway's tier, weight or pools."""
    changed = app.gateway_control.change(call.who, channel, gateway, body.changes(), why=body.why)
    return answer(200, changed)


@resource.operation(
    "PUT",
    "/v1/gateways/<channel:channel>/order",
    scope=_WRITE,
    body=Order,
    replies={200: Reply("The channel's gateways in their new order", GatewayList)},
)
def order(app: App, call: Call, channel: Channel, body: Order) -> Response:
    """Put a channel's gateways in order.

    What waits goes by the new order too, unless a gateway has tried it already.
    """
    return answer(200, {"items": app.gateway_control.set_order(call.who, channel, body.tiers, why=body.why)})


@resource.operation(
    "POST", f"{_ONE}/switch", scope=_WRITE, body=Why, replies=_AS_IT_IS, problems=(problems.CONFLICT,)
)
def switch(app: App, call: Call, channel: Channel, gateway: str, body: Why) -> Response:
    """Let a gateway come first in its channel."""
    return answer(200, app.gateway_control.switch(call.who, channel, gateway, why=body.why))


@resource.operation("POST", f"{_ONE}/drain", scope=_WRITE, body=Why, replies=_AS_IT_IS)
def drain(app: App, call: Call, channel: Channel, gateway: str, body: Why) -> Response:
    """Drain a gateway.

    It gets no more messages but those that name it; what waits for it goes elsewhere.
    """
    return answer(200, app.gateway_control.drain(call.who, channel, gateway, why=body.why))


@resource.operation("POST", f"{_ONE}/undrain", scope=_WRITE, body=Why, replies=_AS_IT_IS)
def undrain(app: App, call: Call, channel: Channel, gateway: str, body: Why) -> Response:
    """Give a drained gateway messages again."""
    return answer(200, app.gateway_control.undrain(call.who, channel, gateway, why=body.why))


@resource.operation("POST", f"{_ONE}/disable", scope=_WRITE, body=Why, replies=_AS_IT_IS)
def disable(app: App, call: Call, channel: Channel, gateway: str, body: Why) -> Response:
    """Take a gateway out of use.

    It gets nothing at all; messages that name it wait, but for P0 and P4, which go elsewhere.
    """
    return answer(200, app.gateway_control.disable(call.who, channel, gateway, why=body.why))


@resource.operation("POST", f"{_ONE}/enable", scope=_WRITE, body=Why, replies=_AS_IT_IS)
def enable(app: App, call: Call, channel: Channel, gateway: str, body: Why) -> Response:
    """Take a gateway into use again."""
    return answer(200, app.gateway_control.enable(call.who, channel, gateway, why=body.why))


@resource.operation("POST", f"{_ONE}/trip", scope=_WRITE, body=Trip, replies=_AS_IT_IS)
def trip(app: App, call: Call, channel: Channel, gateway: str, body: Trip) -> Response:
    """Open a gateway's breaker.

    Its messages go elsewhere; after the wait a few probes may close it again.
    """
    wait = None if body.minutes is None else timedelta(minutes=body.minutes)
    tripped = app.gateway_control.trip(
        call.who, channel, gateway, why=body.why, wait=wait, sender=body.sender
    )
    return answer(200, tripped)


@resource.operation("POST", f"{_ONE}/reset", scope=_WRITE, body=Reset, replies=_AS_IT_IS)
def reset(app: App, call: Call, channel: Channel, gateway: str, body: Reset) -> Response:
    """Close a gateway's breaker."""
    return answer(
        200, app.gateway_control.reset(call.who, channel, gateway, why=body.why, sender=body.sender)
    )


@resource.operation(
    "POST", f"{_ONE}/test", scope=_WRITE, body=Trial, replies={202: Reply("It was accepted", TrialSent)}
)
def test(app: App, call: Call, channel: Channel, gateway: str, body: Trial) -> Response:
    """Send a test message through a gateway.

    It is an ordinary transactional message, and its status can be followed.
    """
    sent = app.gateway_control.test(call.who, channel, gateway, body.address, why=body.why)
    links = {"self": f"/v1/messages/{sent.uuid}"}
    return answer(202, {"uuid": sent.uuid, "status": sent.status, "links": links})
