"""/v1/prices: what gateways ask for sending."""

from flask import Response

from app.api.answers import answer, empty
from app.api.calls import Call
from app.api.models.prices import NewPrices, PriceList, Prices
from app.api.operations import Reply, Resource
from app.bootstrap import App

resource = Resource("prices", "What gateways ask for a message or a segment; costs are counted by it.")


@resource.operation(
    "GET",
    "/v1/prices",
    scope="diagnostics:read",
    query=Prices,
    replies={200: Reply("All of them, past and coming ones too", PriceList)},
)
def index(app: App, call: Call, query: Prices) -> Response:  # noqa: ARG001 - A view's signature.
    """List prices."""
    return answer(200, {"items": app.prices.list(channel=query.channel, gateway=query.gateway)})


@resource.operation(
    "POST",
    "/v1/prices",
    scope="prices:write",
    body=NewPrices,
    replies={201: Reply("As they are now", PriceList)},
)
def save(app: App, call: Call, body: NewPrices) -> Response:
    """Set prices.

    What was sent before is not counted anew.
    """
    return answer(201, {"items": app.prices.save(call.who, [price.draft() for price in body.prices])})


@resource.operation(
    "DELETE",
    "/v1/prices/<id:price>",
    scope="prices:write",
    replies={204: Reply("It is removed; what was spent by it stays")},
)
def remove(app: App, call: Call, price: int) -> Response:
    """Remove a price."""
    app.prices.remove(call.who, price)
    return empty()
