"""/v1/templates/layouts and /v1/templates/partials: what templates are made with, in versions as well."""

from flask import Response

from app.api.answers import answer, empty
from app.api.calls import Call
from app.api.models.template_answers import (
    CheckReport,
    Dependents,
    RebuiltTemplates,
    TemplatePage,
    TemplateState,
    TemplateVersion,
    VersionDiff,
    VersionPage,
)
from app.api.models.templates import (
    Activation,
    InLocale,
    NewFragment,
    OfVersion,
    Rebuilding,
    Restoring,
    Templates,
    Versions,
)
from app.api.operations import Reply, Resource
from app.api.paths import FRAGMENTS
from app.api.templates import listed, saved
from app.bootstrap import App
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel
from app.services.template_views import Name

resource = Resource(
    "layouts", "Write what surrounds templates and what stands in many, and rebuild the templates with it."
)

_ALL = "/v1/templates/<fragments:kind>"
_ONE = f"{_ALL}/<channel:channel>/<slug:slug>"
_PLURAL = {kind: plural for plural, kind in FRAGMENTS.items()}


@resource.operation(
    "GET",
    _ALL,
    scope="templates:read",
    query=Templates,
    replies={200: Reply("One page; `active` is null here", TemplatePage)},
)
def index(app: App, call: Call, *, kind: Kind, query: Templates) -> Response:  # noqa: ARG001 - A view's signature.
    """List layouts or partials."""
    return listed(app, kind, query)


@resource.operation(
    "POST",
    _ALL,
    scope="templates:write",
    body=NewFragment,
    replies={201: Reply("The new version", TemplateVersion, headers={"Location": "Where it is"})},
)
def save(app: App, call: Call, *, kind: Kind, body: NewFragment) -> Response:
    """Save a layout or a partial.

    A layout says {{ content }} once, where a template goes. Templates that are there keep what they were
    saved with, until they are rebuilt.
    """
    return saved(app, call, kind, body, under=f"/v1/templates/{_PLURAL[kind]}")


@resource.operation(
    "GET",
    _ONE,
    scope="templates:read",
    query=InLocale,
    replies={200: Reply("It, with its active version", TemplateState)},
)
def look(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, query: InLocale) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a layout or a partial."""
    return answer(200, app.templates.get(slug, channel, locale=query.locale, kind=kind))


@resource.operation(
    "DELETE",
    _ONE,
    scope="templates:write",
    query=InLocale,
    replies={204: Reply("No new version can take it in; those that did still have it")},
)
def retire(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, query: InLocale) -> Response:
    """Retire a layout or a partial."""
    app.templates.retire(call.who, slug, channel, locale=query.locale, kind=kind)
    return empty()


@resource.operation(
    "GET",
    f"{_ONE}/versions",
    scope="templates:read",
    query=Versions,
    replies={200: Reply("One page, newest first", VersionPage)},
)
def versions(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, query: Versions) -> Response:  # noqa: ARG001 - A view's signature.
    """List its versions."""
    page = app.templates.versions(
        slug, channel, locale=query.locale, cursor=query.cursor, limit=query.limit, kind=kind
    )
    return answer(200, page)


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
    kind: Kind,
    channel: Channel,
    slug: str,
    old: int,
    new: int,
    query: InLocale,
) -> Response:
    """Compare two of its versions."""
    parts = app.templates.diff(Name(slug, channel, query.locale, kind), old, new)
    return answer(200, {"parts": parts})


@resource.operation(
    "POST",
    f"{_ONE}/versions/<id:version>/restore",
    scope="templates:write",
    body=Restoring,
    replies={201: Reply("The new version, which is not active", TemplateVersion)},
)
def restore(
    app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, version: int, body: Restoring
) -> Response:
    """Save one of its old versions again."""
    name = Name(slug, channel, body.locale, kind)
    return answer(201, app.templates.restore(call.who, name, version, why=body.why))


@resource.operation(
    "GET",
    f"{_ONE}/check",
    scope="templates:read",
    query=OfVersion,
    replies={200: Reply("All that was found", CheckReport)},
)
def check(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, query: OfVersion) -> Response:  # noqa: ARG001 - A view's signature.
    """Look one of its versions over."""
    return answer(200, app.template_desk.check(Name(slug, channel, query.locale, kind), query.version))


@resource.operation(
    "POST",
    f"{_ONE}/activate",
    scope="templates:write",
    body=Activation,
    replies={200: Reply("It, as it is now", TemplateState)},
)
def activate(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, body: Activation) -> Response:
    """Activate one of its versions."""
    view = app.templates.activate(
        call.who, slug, channel, body.version, locale=body.locale, kind=kind, why=body.why
    )
    return answer(200, view)


@resource.operation(
    "GET",
    f"{_ONE}/templates",
    scope="templates:read",
    query=InLocale,
    replies={200: Reply("At most 500", Dependents)},
)
def dependents(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, query: InLocale) -> Response:  # noqa: ARG001 - A view's signature.
    """List the templates that have it in their active version."""
    found = app.template_rebuilding.dependents(Name(slug, channel, query.locale, kind))
    templates = [{"slug": each.slug, "channel": each.channel, "locale": each.locale} for each in found]
    return answer(200, {"templates": templates})


@resource.operation(
    "POST",
    f"{_ONE}/rebuild",
    scope="templates:write",
    body=Rebuilding,
    replies={200: Reply("What became of each template", RebuiltTemplates)},
)
def rebuild(app: App, call: Call, *, kind: Kind, channel: Channel, slug: str, body: Rebuilding) -> Response:
    """Rebuild the templates that have it in their active version.

    One that cannot be rebuilt is told and stops no other.
    """
    rebuilt = app.template_rebuilding.rebuild_dependents(
        call.who, Name(slug, channel, body.locale, kind), activate=body.activate, why=body.why
    )
    return answer(200, {"templates": rebuilt})
