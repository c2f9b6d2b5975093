"""/v1/sequences: messages that follow one another until one of them arrives."""

from uuid import UUID

from flask import Response

from app.api import problems
from app.api.answers import answer, members
from app.api.calls import Call
from app.api.models.sequences import SequenceState
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.services.sequence_views import SequenceView, StepView

resource = Resource("sequences", "Look at messages that follow one another, and stop them.")


@resource.operation(
    "GET",
    "/v1/sequences/<uuid:uuid>",
    scope="messages:read",
    replies={200: Reply("The sequence with its steps", SequenceState)},
)
def look(app: App, call: Call, uuid: UUID) -> Response:
    """Look at a sequence.

    Sequences are started by `sequence` in POST /v1/messages.
    """
    return _sequence(app.sequences.get(call.caller, uuid))


@resource.operation(
    "DELETE",
    "/v1/sequences/<uuid:uuid>",
    scope="messages:send",
    problems=(problems.CONFLICT,),
    replies={200: Reply("Nothing more of it is sent", SequenceState)},
)
def cancel(app: App, call: Call, uuid: UUID) -> Response:
    """Stop a sequence.

    Its messages that are still pending are cancelled too.
    """
    return _sequence(app.sequences.cancel(call.caller, uuid))


def _sequence(view: SequenceView) -> Response:
    return answer(200, members(view) | {"steps": [_step(step) for step in view.steps]})


def _step(step: StepView) -> dict[str, object]:
    told = members(step)
    return told | {"after_seconds": told.pop("after")}
