"""The form that a template is written in: what is in its fields, and what they come to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from app.domain.rendering import Variable
from app.domain.templates.building import Kind, Markup
from app.domain.templates.parts import PARTS
from app.domain.vocabulary import Channel, MessageType
from app.errors import Fault, Invalid
from app.services.template_views import Name, TemplateDraft, TemplateView, VersionView

VARIABLE_TYPES = ("string", "number", "boolean", "url", "list", "object", "any")
EMPTY_ROWS = 2

_COLUMNS = ("name", "type", "required", "example", "default")

# What has a field of its own; all else of a channel's parts is written as JSON.
PLAIN_PARTS: Mapping[Channel, Mapping[str, str]] = {
    Channel.EMAIL: {},
    Channel.SMS: {},
    Channel.WHATSAPP: {"content_sid": "Approved template (HX…)"},
    Channel.VOICE: {
        "language": "Language, as in de or en-GB",
        "voice": "Voice, as the gateway names it",
        "confirm_digit": "Key that confirms",
    },
    Channel.PUSH: {"image": "Picture (https://…)", "sound": "Sound", "collapse_key": "Takes the place of"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One variable as it stands in the form."""

    name: str = ""
    type: str = "string"
    required: bool = True
    example: str = ""
    default: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """All that is in the form's fields, as text."""

    texts: Mapping[str, str] = field(default_factory=dict)
    variables: Sequence[Row] = ()

    def __getitem__(self, name: str) -> str:
        return self.texts.get(name, "")

    @property
    def rows(self) -> list[Row]:
        """The variables, and empty rows for more."""
        return [*self.variables, *(Row() for _ in range(EMPTY_ROWS))]


def read(sent: MultiDict[str, str]) -> Form:
    """Read the form as it was sent, without the row that is to be removed."""
    columns = [sent.getlist(f"variable_{name}") for name in _COLUMNS]
    rows = [
        Row(name=name.strip(), type=kind, required=need == "yes", example=example, default=default)
        for number, (name, kind, need, example, default) in enumerate(zip(*columns, strict=False))
        if name.strip() and sent.get("remove") != str(number)
    ]
    texts = {name: value.replace("\r\n", "\n") for name, value in sent.items()}
    return Form(texts=texts, variables=rows)


def of(view: TemplateView, version: VersionView) -> Form:
    """Fill the form with a version."""
    plain = PLAIN_PARTS[view.channel]
    rest = {name: value for name, value in version.parts.items() if name not in plain}
    texts = {
        "name": view.name,
        "description": view.description,
        "message_type": view.message_type or "",
        "subject": version.subject,
        "body_html": version.body_html,
        "body_text": version.body_text,
        "markup": version.markup.value,
        "layout": version.layout,
        "parts": json.dumps(rest, indent=2, ensure_ascii=False) if rest else "",
        **{f"part_{name}": version.parts.get(name) for name in plain},
    }
    return Form(
        texts={name: str(value) for name, value in texts.items() if value},
        variables=[_row(variable) for variable in version.variables],
    )


def draft_of(form: Form, name: Name) -> TemplateDraft:
    """Make a draft of what is in the form; raises Invalid for what cannot be read."""
    found: list[Fault] = []
    variables = tuple(_variable(row, found) for row in form.variables)
    parts = _parts(form, name.channel, found) if name.kind is Kind.TEMPLATE else {}
    if found:
        raise Invalid(found)
    is_template = name.kind is Kind.TEMPLATE
    return TemplateDraft(
        name=form["name"].strip(),
        description=form["description"].strip(),
        subject=(form["subject"] or None) if is_template else None,
        body_html=form["body_html"] or None,
        body_text=form["body_text"] or None,
        markup=Markup.MJML if form["markup"] == "mjml" else Markup.HTML,
        layout=(form["layout"] or None) if is_template else None,
        parts=parts,
        variables=variables,
        message_type=MessageType(form["message_type"]) if form["message_type"] in list(MessageType) else None,
        foreign=form["foreign"] == "yes",
        note=form["note"].strip() or None,
    )


def _parts(form: Form, channel: Channel, found: list[Fault]) -> dict[str, Any]:
    plain = {name: form[f"part_{name}"].strip() for name in PLAIN_PARTS[channel]}
    parts: dict[str, Any] = {name: value for name, value in plain.items() if value}
    if not form["parts"].strip() or not PARTS[channel]:
        return parts
    try:
        more = json.loads(form["parts"])
    except ValueError:
        more = None
    if not isinstance(more, dict):
        found.append(Fault("parts", 'must be a JSON object, as {"badge": 1}'))
        return parts
    return {**more, **parts}


def _row(variable: Variable) -> Row:
    return Row(
        name=variable.name,
        type=variable.type,
        required=variable.required,
        example=_written(variable.example),
        default=_written(variable.default),
    )


def _written(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _variable(row: Row, found: list[Fault]) -> Variable:
    kind = row.type if row.type in VARIABLE_TYPES else "any"
    return Variable(
        name=row.name,
        type=kind,  # type: ignore[arg-type]  # One of those that a variable's type may be.
        required=row.required,
        example=_value(row, kind, row.example, found),
        default=_value(row, kind, row.default, found),
    )


def _value(row: Row, kind: str, text: str, found: list[Fault]) -> Any:
    """Read an example: as text where the variable is one, else as JSON."""
    if not text.strip():
        return None
    if kind in {"string", "url"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        if kind == "any":
            return text
        found.append(Fault(f"variables.{row.name}", f"{text!r} is no {kind} in JSON"))
        return None
