"""What an author may save, before it is built: names, parts that belong together, foreign HTML."""

import re
from collections.abc import Iterator
from dataclasses import replace

import orjson

from app.domain.rendering import compile_parts
from app.domain.templates import mail
from app.domain.templates.building import Kind, Markup
from app.domain.templates.parts import part_faults, stands_for_words
from app.domain.vocabulary import Channel
from app.errors import Fault, Invalid
from app.services.template_views import Name, TemplateDraft, VersionView

_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_LONGEST_NOTE = 1000


def checked_draft(name: Name, draft: TemplateDraft) -> TemplateDraft:
    """Judge a draft as far as that can be done without its layout and partials; raises Invalid.

    Foreign HTML comes back clean.
    """
    found = [
        *_name_faults(name),
        *(_template_faults(name.channel, draft) if name.kind is Kind.TEMPLATE else _fragment_faults(draft)),
        *_text_faults(draft),
        *part_faults(name.channel, draft.parts),
        *_html_faults(name.channel, draft),
        *_declaration_faults(draft),
    ]
    if found:
        raise Invalid(found)
    return with_clean_html(draft)


def with_clean_html(draft: TemplateDraft) -> TemplateDraft:
    """Clean HTML that comes from elsewhere; raises Invalid where that would cost it a tag."""
    if draft.foreign and draft.body_html:
        return replace(draft, body_html=mail.cleaned(draft.body_html, "body_html"))
    return draft


def compared_parts(version: VersionView) -> dict[str, str | None]:
    """Give all that two versions are compared by, as texts."""
    return {
        "subject": version.subject,
        "body_html": version.body_html,
        "body_text": version.body_text,
        "layout": version.layout,
        "markup": version.markup.value,
        "parts": _spelled(version.parts),
        "variables": "\n".join(_spelled_variables(version)),
        "taken_in": "\n".join(f"{each.kind} {each.slug} {each.version}" for each in version.taken_in),
    }


def _spelled(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() if value else ""


def _spelled_variables(version: VersionView) -> Iterator[str]:
    for variable in version.variables:
        example = orjson.dumps(variable.example).decode()
        default = orjson.dumps(variable.default).decode()
        need = "required" if variable.required else "optional"
        yield f"{variable.name}: {variable.type}, {need}, example {example}, default {default}"


def _name_faults(name: Name) -> Iterator[Fault]:
    if not _SLUG.fullmatch(name.slug):
        yield Fault("slug", "must have 1 to 100 small letters, digits, and . _ - between them")
    if name.locale is not None and not _LOCALE.fullmatch(name.locale):
        yield Fault("locale", "must be a language tag, as in de or pt-BR")


def _template_faults(channel: Channel, draft: TemplateDraft) -> Iterator[Fault]:
    says_something = draft.body_text or draft.body_html or stands_for_words(channel, draft.parts)
    if not says_something:
        yield Fault("body_text", "is missing: a template needs body_text or body_html")
    if channel is Channel.EMAIL and not draft.subject:
        yield Fault("subject", "is missing")


def _fragment_faults(draft: TemplateDraft) -> Iterator[Fault]:
    if not draft.body_text and not draft.body_html:
        yield Fault("body_text", "is missing: write body_html, body_text or both")
    for field in ("subject", "layout", "parts"):
        if getattr(draft, field):
            yield Fault(field, "is for templates only")


def _html_faults(channel: Channel, draft: TemplateDraft) -> Iterator[Fault]:
    if channel is not Channel.EMAIL and draft.body_html:
        yield Fault("body_html", "is for email only")
    if draft.foreign and draft.markup is Markup.MJML:
        yield Fault("foreign", "is for HTML: what is no MJML cannot be compiled as such")


def _text_faults(draft: TemplateDraft) -> Iterator[Fault]:
    if not draft.name.strip():
        yield Fault("name", "is missing")
    if draft.note and len(draft.note) > _LONGEST_NOTE:
        yield Fault("note", f"is longer than {_LONGEST_NOTE} characters")
    for field in ("name", "description", "subject", "body_html", "body_text", "note", "layout"):
        if "\x00" in (getattr(draft, field) or ""):
            yield Fault(field, "contains the character NUL; remove it")


def _declaration_faults(draft: TemplateDraft) -> Iterator[Fault]:
    try:
        compile_parts(None, None, None, variables=draft.variables or ())
    except Invalid as exc:
        yield from exc.faults
