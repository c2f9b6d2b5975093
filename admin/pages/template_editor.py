"""Where templates, layouts and partials are written, with what they come to beside it."""

from typing import Any

from flask import Response, flash, redirect, request
from flask.typing import ResponseReturnValue

from admin import people, template_forms
from admin.answers import link, told
from admin.page import Page, expose
from admin.template_forms import Form
from admin.template_names import LABELS, editor_of, name_of, of_new_needs, page_of
from admin.template_views import VIEWS, not_shown, shown
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel, MessageType
from app.errors import Conflict, Fault, Invalid
from app.services import template_checks
from app.services.template_checks import Report
from app.services.template_views import Name, TemplateDraft, VersionView

_FIRST = {
    Kind.TEMPLATE: "<h1>Hello {{ name }}</h1>\n<p>Good to have you.</p>\n",
    Kind.LAYOUT: (
        "<!doctype html>\n<html>\n<head>\n<style>\nbody { font-family: sans-serif; }\n</style>\n</head>\n"
        "<body>\n{{ content }}\n</body>\n</html>\n"
    ),
    Kind.PARTIAL: '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>\n',
}


class TemplateEditorPage(Page):
    """The editor. It works without a script: checks and previews are buttons of the same form."""

    key = "template_editor"
    title = "Editor"

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """Ask what is to be written, or show an empty editor for it."""
        asked = request.args
        if not asked.get("slug"):
            return self.show(
                "template_editor/new.html",
                channels=[(channel.value, channel.value) for channel in Channel],
                kinds=[(kind.value, LABELS[kind]) for kind in Kind],
                asked=asked,
            )
        name = name_of(
            asked.get("kind", Kind.TEMPLATE), asked.get("channel", ""), asked["slug"], asked.get("locale")
        )
        body = "body_html" if name.channel is Channel.EMAIL else "body_text"
        texts = {"name": asked.get("name") or name.slug, "markup": "html"}
        if name.channel is Channel.EMAIL or name.kind is Kind.TEMPLATE:
            texts[body] = _FIRST[name.kind] if body == "body_html" else "Hello {{ name }}"
        return self._editor(name, Form(texts=texts))

    @expose("/one/<kind>/<channel>/<slug>")
    def edit(self, kind: str, channel: str, slug: str) -> ResponseReturnValue:
        """Show a version to make the next one of; for another locale where one is to be added."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        view = self.app.templates.get(slug, name.channel, locale=name.locale, kind=name.kind)
        asked = request.args.get("version", "")
        wanted = int(asked) if asked.isdigit() else view.latest_version
        version = self.app.templates.version(name, wanted)
        other = request.args.get("as_locale", "").strip()
        target = name._replace(locale=other) if other else name
        return self._editor(target, template_forms.of(view, version), based_on=version)

    @expose("/save/<kind>/<channel>/<slug>", methods=("POST",))
    def save(self, kind: str, channel: str, slug: str) -> ResponseReturnValue:
        """Save what was written as the next version, or say what is wrong with it."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        form = template_forms.read(request.form)
        wanted = form["then"] == "activate" or bool(form["despite"])
        try:
            draft = self._draft(form, name)
            self._require_newest(form, name)
            if wanted and (needs := self._new_needs(form, name)):
                return self._editor(name, form, needs=needs), 422
            saved = self.app.templates.save(
                people.who(),
                slug,
                name.channel,
                draft,
                locale=name.locale,
                activate=wanted,
                kind=name.kind,
            )
        except (Invalid, Conflict) as exc:
            faults = exc.faults if isinstance(exc, Invalid) else (Fault("meanwhile", str(exc)),)
            return self._editor(name, form, faults=faults), 422
        page = page_of(name, version=saved.version)
        flash(_told(saved, page, wanted=wanted), "success")
        return redirect(page)

    @expose("/check/<kind>/<channel>/<slug>", methods=("POST",))
    def check(self, kind: str, channel: str, slug: str) -> ResponseReturnValue:
        """Look over what was written; a script asks for the findings alone."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        form = template_forms.read(request.form)
        report = self._report(form, name)
        if request.args.get("part") == "findings":
            return self.show("template_editor/findings.html", report=report)
        return self._editor(name, form, report=report)

    @expose("/preview/<kind>/<channel>/<slug>", methods=("POST",))
    def preview(self, kind: str, channel: str, slug: str) -> Response:
        """Show what was written as it would arrive, filled in with its examples."""
        name = name_of(kind, channel, slug, request.args.get("locale"))
        try:
            draft = self._draft(template_forms.read(request.form), name)
            preview = self.app.template_desk.preview_draft(
                draft, {}, channel=name.channel, locale=name.locale, fill=True, kind=name.kind
            )
        except Invalid as exc:
            return not_shown(exc.faults)
        return shown(name.channel, preview, request.form.get("view", ""))

    @property
    def allowed(self) -> bool:
        """Keep it out of the menu: one gets here from a template."""
        return False

    def _require_newest(self, form: Form, name: Name) -> None:
        """Raise Conflict once where somebody else saved a version since this one was opened."""
        if not form["based_on"].isdigit():
            return
        view = self.app.templates.get(name.slug, name.channel, locale=name.locale, kind=name.kind)
        if view.latest_version != int(form["based_on"]):
            newest = self.app.templates.version(name, view.latest_version)
            raise Conflict(
                f"{newest.created_by} saved version {newest.version} since you opened this: look at it, "
                "or save again to go on without it"
            )

    def _new_needs(self, form: Form, name: Name) -> tuple[str, ...]:
        """Name what messages would have to bring from now on, unless all of it was asked about already.

        What cannot be activated is not asked about: saving it says what is wrong.
        """
        report = self._report(form, name)
        is_new = set(report.newly_needed) - set(form["despite"].split())
        return report.newly_needed if report.is_good and is_new else ()

    def _draft(self, form: Form, name: Name) -> TemplateDraft:
        draft = template_forms.draft_of(form, name)
        return self.app.template_desk.completed(name.channel, draft, locale=name.locale, kind=name.kind)

    def _report(self, form: Form, name: Name) -> Report:
        try:
            draft = self._draft(form, name)
        except Invalid as exc:
            return template_checks.of_faults(exc.faults)
        return self.app.template_desk.check_draft(
            name.channel, draft, locale=name.locale, kind=name.kind, slug=name.slug
        )

    def _editor(
        self,
        name: Name,
        form: Form,
        *,
        faults: tuple[Fault, ...] = (),
        report: Report | None = None,
        based_on: VersionView | None = None,
        needs: tuple[str, ...] = (),
    ) -> str:
        if report is None:
            report = template_checks.of_faults(faults) if faults else self._report(form, name)
        latest = self._latest(name)
        return self.show(
            "template_editor/editor.html",
            name=name,
            form=form,
            faults={fault.field: fault.message for fault in faults},
            report=report,
            based_on=based_on,
            needs=needs,
            consequence=of_new_needs(needs),
            latest=latest,
            label=LABELS[name.kind],
            here=lambda view: page_of(name, view).replace("/admin/templates/", "/admin/template-editor/"),
            back="/admin/templates/" if latest is None else page_of(name),
            layouts=self._slugs(Kind.LAYOUT, name),
            partials=self._slugs(Kind.PARTIAL, name),
            message_types=[(kind.value, kind.value) for kind in MessageType],
            variable_types=template_forms.VARIABLE_TYPES,
            plain_parts=template_forms.PLAIN_PARTS[name.channel] if name.kind is Kind.TEMPLATE else {},
            views=VIEWS[name.channel],
            editor_of=editor_of,
        )

    def _slugs(self, kind: Kind, name: Name) -> list[tuple[str, str]]:
        page = self.app.templates.list(kind=kind, channel=name.channel, limit=200)
        names: dict[str, Any] = {each.slug: each.name for each in page.items if each.is_active}
        return list(names.items())

    def _latest(self, name: Name) -> int | None:
        """Give the number of its newest version; None where there is none yet."""
        known = self.app.templates.list(kind=name.kind, channel=name.channel, slug=name.slug, limit=200).items
        return next((each.latest_version for each in known if each.locale == name.locale), None)


def _told(saved: VersionView, page: str, *, wanted: bool) -> str:
    version = link(f"Version {saved.version}", page)
    if saved.is_active:
        return told("{} is saved and active.", version)
    if wanted:
        return told("{} is saved. A second person has to activate it.", version)
    return told("{} is saved. It is not active yet.", version)
