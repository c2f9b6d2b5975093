"""Looking a template over: everything that is wrong with it, or might be, with place and advice."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.domain.templates import checking_mail, checking_texts
from app.domain.templates.building import Built, Kind, Shelf, TakenIn, Written, build
from app.domain.templates.findings import Finding, Level, error, info, warning
from app.domain.variables import Variable
from app.domain.vocabulary import Channel, MessageType
from app.errors import Fault, Invalid
from app.services import template_rows
from app.services.template_previews import render
from app.services.template_shelf import ActiveShelf, PinnedShelf
from app.services.template_views import VersionView

_NEWLY_NEEDED = "newly_needed"
_VARIABLES = "variables."
_LINE = re.compile(r"line (\d+)(?: of ((?:layout|partial) \S+))?: (.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was found. Only where it `is_good` may the version be activated."""

    is_good: bool
    findings: tuple[Finding, ...]

    @property
    def newly_needed(self) -> tuple[str, ...]:
        """Name the variables that messages must bring from then on, and need not yet."""
        found = (each.place for each in self.findings if each.code == _NEWLY_NEEDED)
        return tuple(place.removeprefix(_VARIABLES) for place in found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is looked over, and what it is for."""

    kind: Kind
    channel: Channel
    message_type: MessageType | None
    written: Written


def report(
    subject: Subject, shelf: Shelf, *, most_segments: int, in_use: Sequence[Variable] | None = None
) -> Report:
    """Build a version and look it over; what cannot be built is a finding as well.

    `in_use` are the variables of the version that it takes the place of, None where there is none.
    """
    try:
        built = build(subject.written, shelf, kind=subject.kind)
    except Invalid as exc:
        return of_faults(exc.faults)
    found = findings(subject, built, most_segments=most_segments)
    return of_findings((*found, *_of_needs(built.variables, in_use)))


def of_faults(faults: Sequence[Fault]) -> Report:
    """Report what keeps a version from being saved at all."""
    return of_findings(tuple(map(_as_finding, faults)))


def of_findings(found: tuple[Finding, ...]) -> Report:
    """Put findings in order, the worst first."""
    levels = list(Level)
    ordered = sorted(found, key=lambda each: levels.index(each.level))
    return Report(is_good=not any(each.level is Level.ERROR for each in found), findings=tuple(ordered))


def findings(subject: Subject, built: Built, *, most_segments: int) -> Iterator[Finding]:
    """Look over what could be built."""
    yield from built.findings
    yield from _of_variables(built)
    html = built.assembled.get("body_html")
    is_template = subject.kind is Kind.TEMPLATE
    if html:
        # What surrounds a layout or stands beside a partial is only known in a template.
        yield from checking_mail.html_findings(html, subject.message_type if is_template else None)
    if is_template:
        yield from _of_example(subject, built, most_segments)


def outdated(taken_in: tuple[TakenIn, ...], shelf: Shelf) -> Iterator[Finding]:
    """Tell which layouts and partials have another version in use by now."""
    for each in taken_in:
        now = (shelf.layout if each.kind is Kind.LAYOUT else shelf.partial)(each.slug)
        if now and now.origin.id != each.id:
            yield warning(
                "outdated",
                "layout" if each.kind is Kind.LAYOUT else "body_html",
                f"it was made with version {each.version} of the {each.kind} {each.slug}, "
                f"and version {now.origin.version} is in use",
                "rebuild the template to take the newer one in",
            )


def _of_variables(built: Built) -> Iterator[Finding]:
    for variable in built.variables:
        place = f"{_VARIABLES}{variable.name}"
        if variable.name not in built.used:
            yield warning(
                "unused", place, f"{variable.name} is declared and never used", "use it, or take it out"
            )
        elif variable.required and variable.example is None and variable.default is None:
            yield info("no_example", place, f"{variable.name} has no example", "give one for previews")


def _of_needs(variables: Sequence[Variable], in_use: Sequence[Variable] | None) -> Iterator[Finding]:
    if in_use is None:
        return
    known = {variable.name for variable in in_use if _is_needed(variable)}
    for variable in variables:
        if _is_needed(variable) and variable.name not in known:
            yield warning(
                _NEWLY_NEEDED,
                f"{_VARIABLES}{variable.name}",
                f"{variable.name} is needed, and the version in use does without it",
                "once this is active, messages that do not bring it are refused: mend it where it is "
                "mistyped, else give it a default or have callers bring it first",
            )


def _is_needed(variable: Variable) -> bool:
    return variable.required and variable.default is None


def _of_example(subject: Subject, built: Built, most_segments: int) -> Iterator[Finding]:
    try:
        example = render(subject.channel, built.compiled, built.variables, {}, fill=True)
    except Invalid as exc:
        for fault in exc.faults:
            yield warning(
                "no_rendering",
                fault.field,
                f"it cannot be filled in with the examples: {fault.message}",
                "give each variable an example that fits how it is used",
            )
        return
    if subject.channel is Channel.EMAIL:
        yield from checking_mail.subject_findings(example.subject)
        yield from checking_mail.size_findings(example.html)
    yield from checking_texts.text_findings(
        subject.channel,
        example.subject,
        example.text,
        example.parts,
        message_type=subject.message_type,
        most_segments=most_segments,
    )


def _as_finding(fault: Fault) -> Finding:
    found = _LINE.fullmatch(fault.message)
    advice = "a template that cannot be built cannot be saved"
    if not found:
        return error("does_not_compile", fault.field, fault.message, advice)
    return Finding(
        level=Level.ERROR,
        code="does_not_compile",
        place=fault.field,
        message=found[3],
        advice=advice,
        line=int(found[1]),
        fragment=found[2],
    )


def subject_of(head: sa.Row[Any], written: Written) -> Subject:
    """Say what a version of this head is looked over as."""
    return Subject(
        kind=Kind(head.kind),
        channel=Channel(head.channel),
        message_type=MessageType(head.message_type) if head.message_type else None,
        written=written,
    )


def looked_over(
    conn: sa.Connection, head: sa.Row[Any], saved: VersionView, *, most_segments: int
) -> tuple[Finding, ...]:
    """Look a saved version over with what it was made with, not with what is active by now."""
    subject = subject_of(head, saved.written)
    shelf = PinnedShelf(conn, saved.taken_in)
    found = report(subject, shelf, most_segments=most_segments, in_use=in_use(conn, head)).findings
    now = ActiveShelf(conn, subject.channel, head.locale)
    return (*found, *outdated(saved.taken_in, now))


def in_use(conn: sa.Connection, head: sa.Row[Any]) -> tuple[Variable, ...] | None:
    """Give the variables of the version that new messages get; None where they get none.

    Messages are made of templates only: a layout's or a partial's come with a template's next version.
    """
    if head.kind != Kind.TEMPLATE or not head.is_active or head.active_version is None:
        return None
    return template_rows.version_of(conn, head, head.active_version).variables


def require_no_error(found: Sequence[Finding]) -> None:
    """Raise Invalid with each error that was found."""
    errors = [each for each in found if each.level is Level.ERROR]
    if errors:
        raise Invalid([Fault(each.place, _told(each)) for each in errors])


def _told(finding: Finding) -> str:
    where = f"line {finding.line}" if finding.line else ""
    where += f" of {finding.fragment}" if finding.fragment else ""
    return (
        f"{where}: {finding.message}; {finding.advice}" if where else f"{finding.message}; {finding.advice}"
    )
