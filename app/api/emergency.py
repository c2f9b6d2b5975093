"""/v1/emergency: what to do when something goes out that should not, or does not go."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Response

from app.api import problems
from app.api.answers import answer, members
from app.api.calls import Call
from app.api.models import emergency as models
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.errors import Invalid
from app.services.controls.views import ClearingView, StopView
from app.services.gateway_views import GatewayView

resource = Resource("emergency", "Stop and resume sending, clear the queue, switch providers.")

_SCOPE = "emergency:use"


@resource.operation(
    "GET",
    "/v1/emergency",
    scope=_SCOPE,
    replies={200: Reply("Stops in force, to come or growing again, and clearings at work", models.Emergency)},
)
def look(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell what is in force, since when, by whom and why, and what waits because of it."""
    state = app.emergency.state()
    content = {
        "sending": state.sending,
        "stops": [_stop(stop) for stop in state.stops],
        "clearings": [_clearing(clearing) for clearing in state.clearings],
    }
    return answer(200, content)


@resource.operation(
    "GET",
    "/v1/emergency/history",
    scope=_SCOPE,
    query=models.History,
    replies={200: Reply("One page, newest first", models.Uses)},
)
def history(app: App, call: Call, query: models.History) -> Response:  # noqa: ARG001 - A view's signature.
    """List every use of an emergency procedure."""
    return answer(200, app.emergency.history(cursor=query.cursor, limit=query.limit))


@resource.operation(
    "POST",
    "/v1/emergency/stop_all_sending",
    scope=_SCOPE,
    body=models.StopEverything,
    replies={201: Reply("It holds on all workers within a second", models.Stopped)},
)
def stop_all_sending(app: App, call: Call, body: models.StopEverything) -> Response:
    """Stop everything.

    Nothing is lost: messages are accepted as ever and wait. Emergencies (P0) go on unless `including_p0`.
    """
    return answer(201, _stop(app.emergency.stop(call.who, body.draft(), why=body.why)))


@resource.operation(
    "POST",
    "/v1/emergency/stop",
    scope=_SCOPE,
    body=models.StopOne,
    replies={201: Reply("It holds on all workers within a second", models.Stopped)},
)
def stop(app: App, call: Call, body: models.StopOne) -> Response:
    """Stop a channel, gateway, priority, client, template or batch.

    Messages of a stopped gateway go through the next one that fits; where there is none, or they name it,
    they wait. Any number of stops may be in force.
    """
    return answer(201, _stop(app.emergency.stop(call.who, body.draft(), why=body.why)))


@resource.operation(
    "POST",
    "/v1/emergency/resume",
    scope=_SCOPE,
    body=models.Resume,
    problems=(problems.NOT_FOUND,),
    replies={200: Reply("The stops that were lifted", models.Resumed)},
)
def resume(app: App, call: Call, body: models.Resume) -> Response:
    """Lift stops, at once or gradually.

    Name them by id, by `scope` and `key`, or lift all with `everything`.
    """
    named = [body.stops is not None, body.scope is not None, body.everything]
    if sum(named) != 1:
        raise Invalid.of("stops", "name stops by their ids, by scope and key, or set everything: one of them")
    over = None if body.over_seconds is None else timedelta(seconds=body.over_seconds)
    lifted = app.emergency.resume(
        call.who, why=body.why, ids=body.stops, scope=body.scope, key=body.key, over=over
    )
    return answer(200, {"items": [_stop(stop) for stop in lifted]})


@resource.operation(
    "POST",
    "/v1/emergency/clear_queue",
    scope=_SCOPE,
    body=models.Clear,
    problems=(problems.NOT_FOUND, problems.CONFLICT),
    replies={
        200: Reply("A preview: nothing was cancelled yet", models.Clearing),
        202: Reply("It is being cancelled, or is already", models.Clearing),
    },
)
def clear_queue(app: App, call: Call, body: models.Clear) -> Response:
    """Cancel what waits and fits a filter.

    The first call counts and gives an id; a second one with this id as `clearing` cancels just that. What
    was accepted since the preview stays, and so does what is on its way.
    """
    if body.clearing is None:
        return answer(200, _clearing(app.emergency.preview_clearing(call.who, body.filter(), why=body.why)))
    if body.filter().shown() != {"including_p0": False}:
        raise Invalid.of("clearing", "goes by the filter that was previewed: give no other beside it")
    return answer(202, _clearing(app.emergency.clear(call.who, body.clearing, why=body.why)))


@resource.operation(
    "POST",
    "/v1/emergency/undo_clear",
    scope=_SCOPE,
    body=models.UndoClear,
    problems=(problems.NOT_FOUND, problems.CONFLICT),
    replies={202: Reply("The messages are pending again, or will be in a moment", models.Clearing)},
)
def undo_clear(app: App, call: Call, body: models.UndoClear) -> Response:
    """Put back just what a clearing cancelled."""
    return answer(202, _clearing(app.emergency.undo_clearing(call.who, body.clearing, why=body.why)))


@resource.operation(
    "POST",
    "/v1/emergency/switch_provider",
    scope=_SCOPE,
    body=models.OfGateway,
    problems=(problems.NOT_FOUND, problems.CONFLICT),
    replies={200: Reply("It comes first now", models.OfGatewayNow)},
)
def switch_provider(app: App, call: Call, body: models.OfGateway) -> Response:
    """Let a gateway come first in its channel.

    Messages that wait for another one go by the new order, unless they name their gateway.
    """
    view = app.emergency.switch_provider(call.who, body.channel, body.gateway, why=body.why)
    return answer(200, _gateway(view))


@resource.operation(
    "POST",
    "/v1/emergency/reset_rate_limits",
    scope=_SCOPE,
    body=models.Because,
    replies={200: Reply("All counts are forgotten", models.LimitsReset)},
)
def reset_rate_limits(app: App, call: Call, body: models.Because) -> Response:
    """Forget what all rate limits have counted; the limits themselves stay."""
    return answer(200, {"windows": app.emergency.reset_rate_limits(call.who, why=body.why)})


@resource.operation(
    "POST",
    "/v1/emergency/trip_breaker",
    scope=_SCOPE,
    body=models.Trip,
    problems=(problems.NOT_FOUND, problems.CONFLICT),
    replies={200: Reply("It is open now", models.OfGatewayNow)},
)
def trip_breaker(app: App, call: Call, body: models.Trip) -> Response:
    """Open a gateway's breaker: messages go to the next one."""
    wait = None if body.wait_seconds is None else timedelta(seconds=body.wait_seconds)
    view = app.emergency.trip_breaker(call.who, body.channel, body.gateway, why=body.why, wait=wait)
    return answer(200, _gateway(view))


@resource.operation(
    "POST",
    "/v1/emergency/reset_breaker",
    scope=_SCOPE,
    body=models.OfGateway,
    problems=(problems.NOT_FOUND, problems.CONFLICT),
    replies={200: Reply("It is closed now", models.OfGatewayNow)},
)
def reset_breaker(app: App, call: Call, body: models.OfGateway) -> Response:
    """Close a gateway's breaker: it gets messages again."""
    return answer(
        200, _gateway(app.emergency.reset_breaker(call.who, body.channel, body.gateway, why=body.why))
    )


def _stop(view: StopView) -> Mapping[str, Any]:
    content = members(view)
    content["resume_over_seconds"] = content.pop("resume_over")
    return content


def _clearing(view: ClearingView) -> Mapping[str, Any]:
    return members(view)


def _gateway(view: GatewayView) -> Mapping[str, Any]:
    breaker = view.breaker.state
    return {"channel": view.channel, "gateway": view.gateway, "tier": view.tier, "breaker": breaker}
