"""/healthz, /readyz, /metrics: for those who keep the process running."""

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.answers import answer
from app.api.calls import Call
from app.api.models.answers import Alive, Readiness
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.vocabulary import Priority
from app.services.metrics import exposition
from app.services.readiness import checks, progress

resource = Resource("health", "For supervisors, load balancers and Prometheus.")


@resource.operation("GET", "/healthz", scope=None, replies={200: Reply("It lives", Alive)})
def healthz(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell that the process lives."""
    return answer(200, {"status": "ok"})


@resource.operation(
    "GET",
    "/readyz",
    scope=None,
    replies={200: Reply("It can accept messages", Readiness), 503: Reply("What fails is named", Readiness)},
)
def readyz(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell whether messages can be accepted.

    Redis and the age of the oldest emergency are shown, but without them messages are accepted still.
    """
    found = checks(app.engine, app.redis, longest_wait=app.settings.lanes[Priority.P0].max_age)
    ready = all(check.ok for check in found.values() if check.required)
    return answer(200 if ready else 503, {"ready": ready, "checks": found})


@resource.operation(
    "GET",
    "/readyz/sending",
    scope=None,
    replies={200: Reply("What was accepted gets on", Readiness), 503: Reply("What does not", Readiness)},
)
def sending(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell whether what was accepted is being sent.

    By age and progress: emergencies that wait too long, webhooks that have no effect, jobs that do not
    tick. A load balancer should ask /readyz: where nothing is sent, messages are accepted still.
    """
    found = progress(app.engine, app.settings.lanes)
    ready = all(check.ok for check in found.values())
    return answer(200 if ready else 503, {"ready": ready, "checks": found})


@resource.operation(
    "GET", "/metrics", scope=None, replies={200: Reply("Prometheus' text format", None, "text/plain")}
)
def metrics(app: App, call: Call) -> Response:  # noqa: ARG001 - A view's signature.
    """Give figures for Prometheus."""
    return Response(exposition(app.gauges), content_type=CONTENT_TYPE_LATEST)
