"""/v1/reputation: what bounces and complaints say about our sending domains and IP pools."""

from datetime import timedelta

from flask import Response

from app.api.answers import answer
from app.api.calls import Call
from app.api.models.reputation import Lift, ReputationList
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.reputation import NameKind
from app.services.reputation import ReputationView

resource = Resource("reputation", "What mailbox providers may think of our domains and IP pools.")


@resource.operation(
    "GET",
    "/v1/reputation",
    scope="diagnostics:read",
    replies={200: Reply("All names of the last week, those in danger first", ReputationList)},
)
def index(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell rates of bounces and complaints.

    Campaigns of a name go slower from 80 % of a bound on and stop at it; newsletters follow one step later.
    """
    return answer(200, {"items": app.reputation.list()})


@resource.operation(
    "POST",
    "/v1/reputation/domains/<slug:name>/lift",
    scope="gateways:write",
    body=Lift,
    replies={200: Reply("The domain as it is now", ReputationView)},
)
def lift_domain(app: App, call: Call, name: str, body: Lift) -> Response:
    """Let a domain's campaigns go for a time."""
    return answer(200, _lifted(app, call, NameKind.DOMAIN, name, body))


@resource.operation(
    "POST",
    "/v1/reputation/ip-pools/<slug:name>/lift",
    scope="gateways:write",
    body=Lift,
    replies={200: Reply("The pool as it is now", ReputationView)},
)
def lift_pool(app: App, call: Call, name: str, body: Lift) -> Response:
    """Let an IP pool's campaigns go for a time."""
    return answer(200, _lifted(app, call, NameKind.IP_POOL, name, body))


def _lifted(app: App, call: Call, kind: NameKind, name: str, body: Lift) -> ReputationView:
    return app.reputation.lift(call.who, kind, name, why=body.why, length=timedelta(hours=body.hours))
