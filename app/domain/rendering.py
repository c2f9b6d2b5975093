"""Templates for subjects and bodies: compiled once for each version, rendered for each message.

Callers see this module alone; the engine is behind `app.domain.sandbox` and can be replaced there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.sandbox.environment import Template, blank, compile_template
from app.domain.variables import Variable, VariableType, declaration_faults, faults
from app.errors import Fault, Invalid

__all__ = ["Compiled", "Content", "Variable", "VariableType", "compile_parts", "faults"]

LONGEST_SOURCE = 1024 * 1024
LONGEST_SUBJECT = 998
LONGEST_HTML = 1024 * 1024
LONGEST_TEXT = 512 * 1024
LONGEST_OWN = 4096

_PLAIN = frozenset({str, int, float, bool, list, dict})
# C0, DEL, C1 and the two separators that some mail programs take for line ends.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TAG = re.compile(r"\{[{%#]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A message's rendered parts; None where the template has no such part.

    `own` are options of the message's own channel, as a push's picture.
    """

    subject: str | None
    html: str | None
    text: str | None
    own: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One part; a source without any tag needs no engine and has no template."""

    field: str
    source: str
    template: Template | None
    longest: int

    @property
    def names(self) -> frozenset[str]:
        return self.template.names if self.template else frozenset()

    def render(self, values: dict[str, Any]) -> str:
        """Give the part's text, a subject in one line; raises Invalid."""
        # A subject may be too long only once its lines are one.
        text = self.template.render(values, LONGEST_HTML) if self.template else self.source
        text = _one_line(text) if self.field == "subject" else text
        if len(text) > self.longest:
            raise Invalid.of(self.field, f"comes to more than {self.longest} characters")
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A template version, ready to render; it keeps no state, so threads may share it.

    `names` are the variables that its parts use, declared or not.
    """

    names: frozenset[str]
    _subject: _Part | None
    _html: _Part | None
    _text: _Part | None
    _own: Mapping[str, Any]
    _absent: Mapping[str, Any] = field(repr=False)

    def render(self, data: Mapping[str, object]) -> Content:
        """Fill the parts in with plain data, as it comes from JSON; null counts as not given.

        A missing variable is an error, unless it was declared optional: then its default stands in, or
        nothing is printed. In HTML all data is escaped. The subject is one line, whatever the data.
        Raises Invalid with the faults of all parts, by part and line; no value of the data is in it.
        """
        values = self._values(data)
        found: list[Fault] = []
        content = Content(
            subject=_rendered(self._subject, values, found),
            html=_rendered(self._html, values, found),
            text=_rendered(self._text, values, found),
            own=_rendered_own(self._own, values, found) if self._own else None,
        )
        if found:
            raise Invalid(found)
        return content

    def _values(self, data: Mapping[str, object]) -> dict[str, Any]:
        values = dict(self._absent)
        for name, value in data.items():
            if type(value) in _PLAIN:
                values[name] = value
            elif value is not None:
                raise Invalid.of(f"data.{name}", "must be a string, number, boolean, list or object")
        return values


def compile_parts(
    subject: str | None,
    html: str | None,
    text: str | None,
    *,
    variables: Sequence[Variable] = (),
    own: Mapping[str, Any] | None = None,
) -> Compiled:
    """Compile what a template consists of; a part that is None stays None in what is rendered.

    Texts in `own`, options of the template's channel, are templates as well. Raises Invalid with all
    faults: fields `subject`, `body_html`, `body_text` and `parts.<name>` with line and reason, and
    `variables.<name>` for declarations that cannot be.
    """
    found = declaration_faults(variables)
    parts = [
        _compiled(subject, "subject", LONGEST_SUBJECT, found),
        _compiled(html, "body_html", LONGEST_HTML, found),
        _compiled(text, "body_text", LONGEST_TEXT, found),
    ]
    all_own = {name: _compiled_own(value, f"parts.{name}", found) for name, value in (own or {}).items()}
    if found:
        raise Invalid(found)
    return Compiled(
        names=frozenset[str]().union(*(part.names for part in [*parts, *_leaves(all_own)] if part)),
        _subject=parts[0],
        _html=parts[1],
        _text=parts[2],
        _own=all_own,
        _absent=_absent(variables),
    )


def _absent(variables: Sequence[Variable]) -> dict[str, Any]:
    """Give what stands for each variable without a value, where it may be without one."""
    optional = (variable for variable in variables if not variable.required or variable.default is not None)
    return {
        variable.name: blank(variable.name) if variable.default is None else variable.default
        for variable in optional
    }


def _compiled(source: str | None, field: str, longest: int, found: list[Fault]) -> _Part | None:
    if source is None:
        return None
    if len(source) > LONGEST_SOURCE:
        found.append(Fault(field, f"is longer than {LONGEST_SOURCE} characters"))
        return None
    try:
        return _part(source, field, longest)
    except Invalid as exc:
        found.extend(exc.faults)
        return None


def _compiled_own(value: Any, field: str, found: list[Fault]) -> Any:
    """Compile the texts of an option, however deep they are."""
    match value:
        case str():
            return _compiled(value, field, LONGEST_OWN, found)
        case dict():
            return {name: _compiled_own(each, f"{field}.{name}", found) for name, each in value.items()}
        case list():
            return [_compiled_own(each, field, found) for each in value]
    return value


def _leaves(compiled: Any) -> Iterator[_Part]:
    if isinstance(compiled, _Part):
        yield compiled
    elif isinstance(compiled, dict | list):
        for each in compiled.values() if isinstance(compiled, dict) else compiled:
            yield from _leaves(each)


def _rendered_own(compiled: Any, values: dict[str, Any], found: list[Fault]) -> Any:
    match compiled:
        case _Part():
            return _rendered(compiled, values, found)
        case dict():
            return {name: _rendered_own(each, values, found) for name, each in compiled.items()}
        case list():
            return [_rendered_own(each, values, found) for each in compiled]
    return compiled


def _part(source: str, field: str, longest: int) -> _Part:
    is_template = _TAG.search(source) is not None
    template = compile_template(source, escaped=field == "body_html", field=field) if is_template else None
    return _Part(field=field, source=source, template=template, longest=longest)


def _rendered(part: _Part | None, values: dict[str, Any], found: list[Fault]) -> str | None:
    if part is None:
        return None
    try:
        return part.render(values)
    except Invalid as exc:
        found.extend(exc.faults)
        return None


def _one_line(text: str) -> str:
    """Make a header's value of a text: what would end its line becomes a blank."""
    return _CONTROLS.sub(" ", text).strip()
