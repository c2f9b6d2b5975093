"""/v1/diagnostics: what is wrong now, and what to do about it."""

from flask import Response

from app.api.answers import answer
from app.api.calls import Call
from app.api.models.diagnostics import Diagnostics, Runs
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.services.diagnostics.runs import Run, Summary
from app.services.views import Page

resource = Resource("diagnostics", "What is wrong now, what it means, and what to do about it.")


@resource.operation(
    "GET",
    "/v1/diagnostics",
    scope="diagnostics:read",
    query=Diagnostics,
    replies={200: Reply("One run: findings worst first, and what is gone since the run before", Run)},
)
def look(app: App, call: Call, query: Diagnostics) -> Response:  # noqa: ARG001 - A view's signature.
    """Tell what is wrong.

    The scheduler looks every ten minutes, and at the world outside every hour. Each finding has a stable
    `code` and `target`, a priority (critical, high, medium, low, info), what it means, what to do, what
    Tocsin does about it by itself, and the figures behind it.
    """
    kept = None if query.fresh or query.subject else app.diagnostics.latest()
    if kept is not None:
        return answer(200, kept)
    subjects = [query.subject] if query.subject else []
    return answer(200, app.diagnostics.run(subjects=subjects, deep=query.deep))


@resource.operation(
    "GET",
    "/v1/diagnostics/runs",
    scope="diagnostics:read",
    query=Runs,
    replies={200: Reply("One page of runs in short, newest first", Page[Summary])},
)
def runs(app: App, call: Call, query: Runs) -> Response:  # noqa: ARG001 - A view's signature.
    """List runs.

    They are kept for two weeks.
    """
    return answer(200, app.diagnostics.history(cursor=query.cursor, limit=query.limit))


@resource.operation(
    "GET",
    "/v1/diagnostics/runs/<id:run>",
    scope="diagnostics:read",
    replies={200: Reply("The run", Run)},
)
def one(app: App, call: Call, run: int) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a run."""
    return answer(200, app.diagnostics.get(run))
