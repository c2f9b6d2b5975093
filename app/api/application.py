"""The Flask application: every resource, one error handler."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from flask import Flask, Response, request

from app import logs
from app.api import (
    batches,
    bodies,
    bulk,
    dead_letters,
    devices,
    diagnostics,
    docs,
    emergency,
    gateways,
    health,
    inbound,
    layouts,
    limits,
    messages,
    prices,
    problems,
    recipients,
    reputation,
    senders,
    sequences,
    stats,
    suppressions,
    template_versions,
    templates,
    topics,
    webhooks,
)
from app.api.bodies import Environ
from app.api.calls import CLIENT, REQUEST_ID, Edge
from app.api.dispatch import blueprint, serving
from app.api.observing import Observed
from app.api.operations import Resource
from app.api.paths import CONVERTERS
from app.api.server import Patience
from app.api.shares import Shares, threads
from app.api.shortcut import Shortcut
from app.bootstrap import App, build
from app.services.beats import Heart
from app.services.pulse import Pulse
from app.settings import Settings

log = structlog.get_logger(__name__)

RESOURCES = (
    messages.resource,
    bulk.resource,
    batches.resource,
    dead_letters.resource,
    recipients.resource,
    stats.resource,
    diagnostics.resource,
    templates.resource,
    template_versions.resource,
    layouts.resource,
    suppressions.resource,
    emergency.resource,
    senders.resource,
    gateways.resource,
    reputation.resource,
    limits.resource,
    prices.resource,
    sequences.resource,
    devices.resource,
    topics.resource,
    inbound.resource,
    webhooks.resource,
    health.resource,
)


# What a process for webhooks alone serves.
WEBHOOKS = (webhooks.resource, health.resource)


def create_app(app: App, resources: Sequence[Resource] = RESOURCES) -> Flask:
    """Make the WSGI application that serves these parts of the API."""
    flask = Flask("tocsin", static_folder=None)
    flask.url_map.converters.update(CONVERTERS)
    # A redirect for a doubled slash would answer a POST with a page for browsers.
    flask.url_map.merge_slashes = False
    edge = Edge(patience=Patience(), shares=Shares(app.settings))
    for resource in resources:
        flask.register_blueprint(blueprint(app, edge, resource))
    if resources is RESOURCES:
        flask.register_blueprint(docs.blueprint(RESOURCES, app.settings.public_base_url))
    refuse = partial(_refuse, edge)
    flask.register_error_handler(Exception, lambda error: refuse(request.environ, error))
    hot = [
        (operation, serving(app, edge, operation))
        for resource in resources
        for operation in resource.operations
        if operation.hot
    ]
    flask.wsgi_app = Observed(Shortcut(flask.wsgi_app, hot, refuse))  # type: ignore[method-assign]
    return flask


def check(settings: Settings) -> None:
    """Raise ConfigurationError where the settings do not do for a web process; connects to nothing."""
    app = build(settings, "web")
    app.webhook_vendors  # noqa: B018 - Made when first asked for, and complains then.
    app.catalog  # noqa: B018 - Likewise.


def for_this_process(settings: Settings) -> Flask:
    """Make the application with all that it needs, in the process that is to serve it."""
    return create_app(app_of(settings, "web"))


def for_webhooks(settings: Settings) -> Flask:
    """Make the application of a process for webhooks alone, in that process."""
    return create_app(app_of(settings, "webhooks"), WEBHOOKS)


def app_of(settings: Settings, kind: str) -> App:
    """Make the services of a process that serves HTTP, with a connection for each of its threads."""
    logs.configure(settings)
    # A thread never waits for a connection, whatever the others do.
    connections = max(settings.database_pool, threads(settings))
    app = build(settings, kind, connections=connections + 1, accepts=True)
    Heart(app.engine, Pulse(), partial(datetime.now, UTC), kind=kind, threads=threads(settings)).start()
    tend = partial(app.catalog.tend, threading.Event())
    threading.Thread(target=tend, name="reference data", daemon=True).start()
    return app


def _refuse(edge: Edge, environ: Environ, error: Exception) -> Response:
    kind = problems.kind_of(error)
    if kind is problems.INTERNAL:
        log.error("unexpected error", exc_info=error)
    # Strangers' bodies are not worth a thread, and who was sent away for being too many gets none either.
    if CLIENT in environ and kind is not problems.BUSY:
        bodies.drain(environ, edge.patience, kind)
    return problems.answer(error, environ[REQUEST_ID])
