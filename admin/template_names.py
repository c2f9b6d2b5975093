"""How pages name templates, layouts and partials in addresses and forms, and what they need."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from flask import abort

from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel
from app.services.template_views import Name

LABELS = {Kind.TEMPLATE: "Template", Kind.LAYOUT: "Layout", Kind.PARTIAL: "Partial"}


class Chosen(NamedTuple):
    """One thing to act on, and the version that is meant, where one is."""

    name: Name
    version: int | None


def name_of(kind: str, channel: str, slug: str, locale: str | None) -> Name:
    """Read a name from an address; 404 for what cannot be one."""
    try:
        return Name(slug, Channel(channel), locale or None, Kind(kind))
    except ValueError:
        abort(404)


def chosen(text: str) -> Chosen:
    """Read what an action is for: "template/email/welcome/de@3"; 404 for anything else."""
    path, _, version = text.partition("@")
    parts = path.split("/")
    if len(parts) != len(Name._fields) or not (version.isdigit() or not version):
        abort(404)
    kind, channel, slug, locale = parts
    return Chosen(name_of(kind, channel, slug, locale), int(version) if version else None)


def spelled(name: Name, version: int | None = None) -> str:
    """Write what an action is for."""
    path = f"{name.kind}/{name.channel}/{name.slug}/{name.locale or ''}"
    return path if version is None else f"{path}@{version}"


def of_new_needs(names: Sequence[str]) -> str:
    """Say what follows where a version needs variables that the one in use does not; nothing for none."""
    if not names:
        return ""
    them = "it" if len(names) == 1 else "them"
    return (
        f"This version needs what the one in use does not: {', '.join(names)}. "
        f"Messages that do not bring {them} will be refused."
    )


def page_of(name: Name, view: str = "one", **query: object) -> str:
    """Give the address of a thing's page, or of another view of it."""
    return _address("templates", view, name, query)


def editor_of(name: Name, **query: object) -> str:
    """Give the address where a thing is written."""
    return _address("template-editor", "one", name, query)


def _address(page: str, view: str, name: Name, query: dict[str, object]) -> str:
    asked = {**({"locale": name.locale} if name.locale else {}), **query}
    path = f"/admin/{page}/{view}/{name.kind}/{name.channel}/{name.slug}"
    return f"{path}?{urlencode(asked)}" if asked else path
