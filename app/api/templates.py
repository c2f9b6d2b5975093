"""/v1/templates: what messages say, in versions that never change."""

from flask import Response

from app.api.answers import answer, empty
from app.api.calls import Call
from app.api.models.template_answers import (
    CheckReport,
    Rendered,
    TemplatePage,
    TemplateState,
    TemplateVersion,
    VersionPage,
)
from app.api.models.templates import (
    Activation,
    DraftCheck,
    DraftPreview,
    InLocale,
    NewFragment,
    NewVersion,
    Preview,
    Templates,
    Versions,
)
from app.api.operations import Reply, Resource
from app.bootstrap import App
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel

resource = Resource("templates", "Write templates, look at their versions, try them out, activate them.")

_ONE = "/v1/templates/<channel:channel>/<slug:slug>"


@resource.operation(
    "GET",
    "/v1/templates",
    scope="templates:read",
    query=Templates,
    replies={200: Reply("One page; `active` is null here", TemplatePage)},
)
def index(app: App, call: Call, query: Templates) -> Response:  # noqa: ARG001 - A view's signature.
    """List templates."""
    return listed(app, Kind.TEMPLATE, query)


def listed(app: App, kind: Kind, query: Templates) -> Response:
    """Answer with a page of templates, layouts or partials."""
    page = app.templates.list(
        kind=kind,
        channel=query.channel,
        slug=query.slug,
        search=query.search,
        cursor=query.cursor,
        limit=query.limit,
    )
    return answer(200, page)


@resource.operation(
    "POST",
    "/v1/templates",
    scope="templates:write",
    body=NewVersion,
    replies={201: Reply("The new version", TemplateVersion, headers={"Location": "The template"})},
)
def save(app: App, call: Call, body: NewVersion) -> Response:
    """Save a template.

    Makes the template, or its next version, with the layout and the partials that are in use now.
    Messages that were accepted keep the version they have. A version that is to be activated must be
    without errors; see `check`.
    """
    return saved(app, call, Kind.TEMPLATE, body, under="/v1/templates")


def saved(app: App, call: Call, kind: Kind, body: NewVersion | NewFragment, *, under: str) -> Response:
    """Save a template, a layout or a partial; answer with its new version, and where it is."""
    version = app.templates.save(
        call.who,
        body.slug,
        body.channel,
        body.draft(),
        locale=body.locale,
        activate=body.activate,
        kind=kind,
        why=body.why,
    )
    locale = f"?locale={body.locale}" if body.locale else ""
    location = f"{under}/{body.channel}/{body.slug}{locale}"
    return answer(201, version, headers={"Location": location})


@resource.operation(
    "GET",
    _ONE,
    scope="templates:read",
    query=InLocale,
    replies={200: Reply("The template with its active version", TemplateState)},
)
def look(app: App, call: Call, channel: Channel, slug: str, query: InLocale) -> Response:  # noqa: ARG001 - A view's signature.
    """Look at a template."""
    return answer(200, app.templates.get(slug, channel, locale=query.locale))


@resource.operation(
    "DELETE",
    _ONE,
    scope="templates:write",
    query=InLocale,
    replies={204: Reply("No new message can use it; accepted ones still do")},
)
def retire(app: App, call: Call, channel: Channel, slug: str, query: InLocale) -> Response:
    """Retire a template."""
    app.templates.retire(call.who, slug, channel, locale=query.locale)
    return empty()


@resource.operation(
    "GET",
    f"{_ONE}/versions",
    scope="templates:read",
    query=Versions,
    replies={200: Reply("One page, newest first", VersionPage)},
)
def versions(app: App, call: Call, channel: Channel, slug: str, query: Versions) -> Response:  # noqa: ARG001 - A view's signature.
    """List a template's versions."""
    page = app.templates.versions(slug, channel, locale=query.locale, cursor=query.cursor, limit=query.limit)
    return answer(200, page)


@resource.operation(
    "POST",
    f"{_ONE}/activate",
    scope="templates:write",
    body=Activation,
    replies={200: Reply("The template as it is now", TemplateState)},
)
def activate(app: App, call: Call, channel: Channel, slug: str, body: Activation) -> Response:
    """Activate a version.

    New messages get it within two seconds. It must be without errors; where two people are needed,
    whoever saved it is refused.
    """
    view = app.templates.activate(call.who, slug, channel, body.version, locale=body.locale, why=body.why)
    return answer(200, view)


@resource.operation(
    "POST",
    f"{_ONE}/preview",
    scope="templates:read",
    body=Preview,
    replies={200: Reply("The parts, filled in", Rendered)},
)
def preview(app: App, call: Call, channel: Channel, slug: str, body: Preview) -> Response:  # noqa: ARG001 - A view's signature.
    """Fill a saved version in."""
    shown = app.template_desk.preview(
        slug, channel, body.data, locale=body.locale, version=body.version, fill=body.fill
    )
    return answer(200, shown)


@resource.operation(
    "POST",
    "/v1/templates/preview",
    scope="templates:read",
    body=DraftPreview,
    replies={200: Reply("The parts, filled in", Rendered)},
)
def preview_draft(app: App, call: Call, body: DraftPreview) -> Response:  # noqa: ARG001 - A view's signature.
    """Fill in a template that is not saved."""
    shown = app.template_desk.preview_draft(
        body.template.draft(), body.data, channel=body.channel, locale=body.locale, fill=body.fill
    )
    return answer(200, shown)


@resource.operation(
    "POST",
    "/v1/templates/check",
    scope="templates:read",
    body=DraftCheck,
    replies={200: Reply("All that was found", CheckReport)},
)
def check_draft(app: App, call: Call, body: DraftCheck) -> Response:  # noqa: ARG001 - A view's signature.
    """Look a template over that is not saved."""
    report = app.template_desk.check_draft(body.channel, body.template.draft(), locale=body.locale)
    return answer(200, report)
