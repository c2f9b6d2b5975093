"""/webhooks/…: what gateways tell. They have no key; each proves itself in its own way."""

from contextlib import suppress
from datetime import UTC, datetime

from flask import Response

from app.api import bodies, problems
from app.api.answers import answer
from app.api.calls import Call
from app.api.models.answers import Alive
from app.api.operations import Reply, Resource, Share, Upload
from app.bootstrap import App
from app.errors import Forged, ProofMissing, ProofUnavailable, Unavailable
from app.gateways.base import WebhookRequest
from app.services.metrics import count_webhook
from app.services.rejects import note_reject

resource = Resource("webhooks", "What gateways tell us. Each request is proven by its raw bytes.")


_PROBLEMS = (
    problems.PROOF_MISSING,
    problems.FORGED,
    problems.PROOF_UNAVAILABLE,
    problems.BUSY,
    problems.TOO_LARGE,
)
_REPLIES = {200: Reply("Proven, and kept", Alive)}


@resource.operation(
    "POST",
    "/webhooks/<slug:gateway>",
    scope=None,
    upload=Upload({"*/*": "As the gateway sends it."}),
    share=Share.WEBHOOKS,
    hot=True,
    problems=_PROBLEMS,
    replies=_REPLIES,
)
def receive(app: App, call: Call, gateway: str) -> Response:
    """Take a gateway's webhook in.

    Once it is answered with 200 it is on disk; what it tells is worked off behind.
    """
    body = bodies.whole(call.environ, app.settings.max_single_body_bytes, call.edge.patience)
    return _received(app, call, gateway, body)


@resource.operation(
    "GET",
    "/webhooks/<slug:gateway>",
    scope=None,
    share=Share.WEBHOOKS,
    problems=_PROBLEMS,
    replies=_REPLIES,
)
def receive_by_get(app: App, call: Call, gateway: str) -> Response:
    """Take in a webhook that comes as a GET, as some gateways' do: all it tells is in its query."""
    return _received(app, call, gateway, b"")


def _received(app: App, call: Call, gateway: str, body: bytes) -> Response:
    environ = call.environ
    request = WebhookRequest(
        method=environ["REQUEST_METHOD"],
        url=_url(app.settings.public_base_url, environ),
        headers=_headers(environ),
        body=body,
    )
    try:
        wanted = app.webhooks.receive(gateway, request, request_id=call.request_id)
    except Forged as exc:
        # Of a gateway that is known, so that not anybody's words become labels.
        reason = "unproven" if isinstance(exc, ProofUnavailable | ProofMissing) else "forged"
        count_webhook(gateway, reason)
        with suppress(Unavailable):
            note_reject(app.redis, gateway, reason, datetime.now(UTC))
        raise
    count_webhook(gateway, "accepted")
    if wanted is not None:
        return Response(wanted.body, status=wanted.status, content_type=wanted.content_type)
    return answer(200, {"status": "ok"})


def _url(base: str | None, environ: dict[str, str]) -> str:
    """Spell the address as the world knows it: signatures may cover it."""
    query = environ.get("QUERY_STRING", "")
    path = environ["PATH_INFO"] + (f"?{query}" if query else "")
    if base:
        return base.rstrip("/") + path
    return f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}{path}"


def _headers(environ: dict[str, str]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers
