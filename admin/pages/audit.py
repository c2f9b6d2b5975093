"""Audit: who changed what, from where, and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, request, url_for

from admin.exports import csv_file
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.spans import day_of, end_of
from app.services.audit_reading import MOST_EXPORTED, AuditFilters, AuditView

_HEADING = ("at", "actor", "origin", "action", "target", "why", "before", "after")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One field that is not as it was; None where it was not, or is no more."""

    field: str
    before: str | None
    after: str | None


class AuditPage(ListPage):
    """The log, newest first."""

    key = "audit"
    title = "Audit"
    template = "audit/list.html"
    filters = (
        Filter(name="actor", label="Who", hint="console/anna@…"),
        Filter(name="action", label="What was done", hint="suppression.release"),
        Filter(name="target", label="To what", hint="gateway:postal", wide=True),
        Filter(name="since", label="From", kind="date"),
        Filter(name="until", label="To", kind="date"),
    )
    empty = Empty(says="Nobody has changed anything yet.", todo="Each change will be here, with its reason.")

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        page = self.app.audit.search(_filters(wanted), cursor=after, limit=limit)
        return Found(rows=[(each, changes(each)) for each in page.items], after=page.next)

    @expose("/export")
    def export(self) -> Response:
        """Give what fits the filters as CSV."""
        found = self.app.audit.export(_filters(request.args))
        return csv_file("audit", _HEADING, map(_line, found))

    @property
    def export_url(self) -> str:
        """Where the list that is shown can be had as a file."""
        filters = [(name, value) for name, value in request.args.items() if name != "after"]
        return f"{url_for('audit.export')}?{urlencode(filters)}"

    @property
    def most_exported(self) -> int:
        """How many lines a file has at most."""
        return MOST_EXPORTED


def changes(entry: AuditView) -> Sequence[Change]:
    """Compare before and after, field by field."""
    before, after = entry.before or {}, entry.after or {}
    return [
        Change(field=name, before=_spelled(before, name), after=_spelled(after, name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name, ...) != after.get(name, ...)
    ]


def _spelled(values: Mapping[str, Any], name: str) -> str | None:
    if name not in values:
        return None
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filters(wanted: Mapping[str, str]) -> AuditFilters:
    return AuditFilters(
        actor=wanted.get("actor") or None,
        action=wanted.get("action") or None,
        target=wanted.get("target") or None,
        since=day_of(wanted, "since"),
        until=end_of(wanted, "until"),
    )


def _line(entry: AuditView) -> Sequence[object]:
    before, after = (None if part is None else json.dumps(part) for part in (entry.before, entry.after))
    return (entry.at, entry.actor, entry.origin, entry.action, entry.target, entry.why, before, after)
