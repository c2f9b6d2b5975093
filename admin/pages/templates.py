"""Templates, layouts and partials: the list, one with its versions, what differs between two."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response, abort, request
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.template_actions import TemplateActions
from admin.template_names import LABELS, editor_of, name_of, page_of, spelled
from admin.template_views import VIEWS, not_shown, shown
from app.domain.templates.building import Kind
from app.domain.templates.diffing import PartDiff
from app.domain.vocabulary import Channel
from app.errors import Invalid, NotFound
from app.services.template_views import Name, TemplateView, VersionView

_CHANNELS = [(channel.value, channel.value) for channel in Channel]
_KINDS = [(kind.value, f"{LABELS[kind]}s") for kind in Kind]
_AROUND = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """Lines that differ, with some before and behind; `skipped` lines are the same before it."""

    skipped: int
    lines: tuple[object, ...]


class TemplatesPage(ListPage):
    """What messages say, for everybody to see and for editors to change."""

    key = "templates"
    title = "Templates"
    template = "templates/list.html"
    filters = (
        Filter(name="search", label="Name or slug", wide=True),
        Filter(name="kind", label="Kind", choices=_KINDS),
        Filter(name="channel", label="Channel", choices=_CHANNELS),
    )
    empty = Empty(
        says="There is no template yet.",
        todo="Write the first one",
        link="/admin/template-editor/",
    )

    @property
    def actions(self) -> Mapping[str, Action]:
        return TemplateActions(self.app).all()

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        try:
            kind = Kind(wanted["kind"]) if wanted.get("kind") else None
            channel = Channel(wanted["channel"]) if wanted.get("channel") else None
        except ValueError as exc:
            raise Invalid.of("kind", "is none of these") from exc
        page = self.app.templates.list(
            kind=kind, channel=channel, search=wanted.get("search"), cursor=after, limit=limit
        )
        return Found(rows=[(each, page_of(_name(each))) for each in page.items], after=page.next)

    @expose("/one/<kind>/<channel>/<slug>")
    def one(self, kind: str, channel: str, slug: str) -> str:
        """Show one with its versions, its locales, and what was found about it."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        view = self.app.templates.get(slug, name.channel, locale=name.locale, kind=name.kind)
        versions = self.app.templates.versions(
            slug, name.channel, locale=name.locale, kind=name.kind, cursor=request.args.get("after")
        )
        version = _version_asked() or view.active_version or view.latest_version
        locales = self.app.templates.list(kind=name.kind, channel=name.channel, slug=slug, limit=200)
        return self.show(
            "templates/one.html",
            name=name,
            view=view,
            versions=versions,
            version=self.app.templates.version(name, version),
            report=self.app.template_desk.check(name, version),
            locales=[(each, page_of(_name(each))) for each in locales.items],
            dependents=self._dependents(name),
            views=VIEWS[name.channel],
            label=LABELS[name.kind],
            spelled=spelled,
            page_of=page_of,
            editor_of=editor_of,
        )

    @expose("/shown/<kind>/<channel>/<slug>/<int:version>")
    def shown(self, kind: str, channel: str, slug: str, version: int) -> Response:
        """Show a saved version filled in with its examples."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        try:
            preview = self.app.template_desk.preview(
                slug, name.channel, {}, locale=name.locale, version=version, fill=True, kind=name.kind
            )
        except Invalid as exc:
            return not_shown(exc.faults)
        return shown(name.channel, preview, request.args.get("view", ""))

    @expose("/diff/<kind>/<channel>/<slug>")
    def diff(self, kind: str, channel: str, slug: str) -> ResponseReturnValue:
        """Show what differs between two versions."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        old, new = (request.args.get(which, "") for which in ("old", "new"))
        if not (old.isdigit() and new.isdigit()):
            abort(404)
        parts = [each for each in self.app.templates.diff(name, int(old), int(new)) if each.is_changed]
        return self.show(
            "templates/diff.html",
            name=name,
            old=self.app.templates.version(name, int(old)),
            new=self.app.templates.version(name, int(new)),
            parts=[(each, hunks(each)) for each in parts],
            page_of=page_of,
            spelled=spelled,
        )

    def _dependents(self, name: Name) -> tuple[Name, ...]:
        return () if name.kind is Kind.TEMPLATE else self.app.template_rebuilding.dependents(name)

    def may_activate(self, view: TemplateView, version: VersionView) -> bool:
        """Tell whether who is signed in could activate it, so that no button leads nowhere."""
        return not view.second_person or version.created_by != people.who().actor


def hunks(part: PartDiff) -> list[Hunk]:
    """Leave out what is the same far from any change."""
    changed = [at for at, line in enumerate(part.lines) if line.op != "same"]
    near = sorted(
        {
            at
            for place in changed
            for at in range(max(0, place - _AROUND), min(len(part.lines), place + _AROUND + 1))
        }
    )
    found: list[Hunk] = []
    end = 0
    start = 0
    for number, at in enumerate(near):
        is_last = number == len(near) - 1 or near[number + 1] != at + 1
        if is_last:
            first = near[start]
            found.append(Hunk(skipped=first - end, lines=part.lines[first : at + 1]))
            end, start = at + 1, number + 1
    if end < len(part.lines):
        found.append(Hunk(skipped=len(part.lines) - end, lines=()))
    return found


def _name(view: TemplateView) -> Name:
    return Name(view.slug, view.channel, view.locale, view.kind)


def _version_asked() -> int | None:
    asked = request.args.get("version", "")
    if asked and not asked.isdigit():
        raise NotFound("there is no such version")
    return int(asked) if asked else None
