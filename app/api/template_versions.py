"""/v1/templates/…: comparing, checking, restoring and trying out what was saved."""

from flask import Response

from app.api.answers import answer
from app.api.calls import Call
from app.api.models.template_answers import (
    CheckReport,
    TemplateState,
    TemplateVersion,
    TestMessages,
    VersionDiff,
)
from app.api.models.templates import InLocale, OfVersion, Protection, Rebuilding, Restoring, TestSend
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.vocabulary import Channel
from app.errors import Forbidden
from app.services.template_views import Name

resource = Resource("template versions", "Compare, check, restore, rebuild and try out what was saved.")

_ONE = "/v1/templates/<channel:channel>/<slug:slug>"


@resource.operation(
    "GET",
    f"{_ONE}/versions/<id:version>",
    scope="templates:read",
    query=InLocale,
    replies={200: Reply("The version", TemplateVersion)},
)
def version(app: App, call: Call, *, channel: Channel, slug: str, version: int, query: InLocale) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a version."""
    return answer(200, app.templates.version(Name(slug, channel, query.locale), version))


@resource.operation(
    "GET",
    f"{_ONE}/versions/<id:old>/diff/<id:new>",
    scope="templates:read",
    query=InLocale,
    replies={200: Reply("Every part, line by line", VersionDiff)},
)
def diff(
    app: App,
    call: Call,  # noqa: ARG001 - A view's signature.
    *,
    channel: Channel,
    slug: str,
    old: int,
    new: int,
    query: InLocale,
) -> Response:
    """Compare two versions."""
    parts = app.templates.diff(Name(slug, channel, query.locale), old, new)
    return answer(200, {"parts": parts})


@resource.operation(
    "POST",
    f"{_ONE}/versions/<id:version>/restore",
    scope="templates:write",
    body=Restoring,
    replies={201: Reply("The new version, which is not active", TemplateVersion)},
)
def restore(app: App, call: Call, *, channel: Channel, slug: str, version: int, body: Restoring) -> Response:
    """Save an old version again.

    It becomes the newest version, exactly as it was, layout and partials included.
    """
    name = Name(slug, channel, body.locale)
    return answer(201, app.templates.restore(call.who, name, version, why=body.why))


@resource.operation(
    "POST",
    f"{_ONE}/rebuild",
    scope="templates:write",
    body=Rebuilding,
    replies={201: Reply("The new version", TemplateVersion)},
)
def rebuild(app: App, call: Call, *, channel: Channel, slug: str, body: Rebuilding) -> Response:
    """Save the active version with newer layouts and partials.

    A version keeps the layout and the partials it was saved with; this takes in those in use now.
    """
    name = Name(slug, channel, body.locale)
    made = app.template_rebuilding.rebuild(call.who, name, activate=body.activate, why=body.why)
    return answer(201, made)


@resource.operation(
    "GET",
    f"{_ONE}/check",
    scope="templates:read",
    query=OfVersion,
    replies={200: Reply("All that was found", CheckReport)},
)
def check(app: App, call: Call, *, channel: Channel, slug: str, query: OfVersion) -> Response:  # noqa: ARG001 - A view's signature.
    """Look a saved version over.

    The active version where none is named, else the newest. Addresses are judged as they are written;
    none is asked for over the network.
    """
    return answer(200, app.template_desk.check(Name(slug, channel, query.locale), query.version))


@resource.operation(
    "POST",
    f"{_ONE}/protect",
    scope="templates:write",
    body=Protection,
    replies={200: Reply("The template as it is now", TemplateState)},
)
def protect(app: App, call: Call, *, channel: Channel, slug: str, body: Protection) -> Response:
    """Say whether two people are needed.

    Asking for a second person takes templates:write; letting one alone do it again takes admin as well.
    """
    if not body.second_person and not call.caller.may("admin"):
        raise Forbidden("this key lacks the scope admin, without which a second person stays needed")
    name = Name(slug, channel, body.locale)
    return answer(200, app.templates.protect(call.who, name, second_person=body.second_person, why=body.why))


@resource.operation(
    "POST",
    f"{_ONE}/test",
    scope="templates:write",
    body=TestSend,
    replies={202: Reply("One message for each address", TestMessages)},
)
def test_send(app: App, call: Call, *, channel: Channel, slug: str, body: TestSend) -> Response:
    """Send a test.

    It goes the way of every message, by P4, to five addresses at most; thirty tests of a template an
    hour. An address that may not be contacted is told as suppressed.
    """
    name = Name(slug, channel, body.locale)
    sent = app.template_trials.send(call.who, name, body.trial(), caller=call.caller)
    messages = [{"uuid": each.uuid, "status": each.status, "reason": each.reason} for each in sent]
    return answer(202, {"messages": messages})
