"""The OpenAPI document as a page for people: plain HTML and one style sheet, nothing fetched, no script."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from app.api.problems import KINDS

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*(.+?)\*\*")
_TEXT = {"date-time": "time", "uuid": "UUID", "base64": "base64", "base64url": "base64"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member of an object, as a row of a table. `reference` names the schema to look at."""

    name: str
    type: str
    required: bool
    description: str
    reference: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One operation on the page."""

    id: str
    method: str
    path: str
    details: Schema
    example: str | None


def page(document: Schema) -> str:
    """Render the whole reference."""
    return (
        _environment()
        .get_template("reference.html")
        .render(
            document=document,
            groups=_groups(document),
            schemas={name: members(schema) for name, schema in document["components"]["schemas"].items()},
            kinds=sorted(KINDS.values(), key=lambda kind: (kind.status, kind.slug)),
        )
    )


def problem_page(slug: str) -> str | None:
    """Render what one kind of problem means; None where there is no such kind."""
    kind = KINDS.get(slug)
    return None if kind is None else _environment().get_template("problem.html").render(kind=kind)


def style() -> str:
    """Give the style sheet."""
    return _environment().get_template("reference.css").render()


def members(schema: Schema) -> list[Member]:
    """List the members of an object's schema; none where it is a plain value."""
    required = schema.get("required", ())
    return [
        Member(
            name=name,
            type=_type(part),
            required=name in required,
            description=part.get("description", ""),
            reference=_reference(part),
        )
        for name, part in schema.get("properties", {}).items()
    ]


def prose(text: str) -> Markup:
    """Make paragraphs, lists, code and strong words of a description."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return Markup("").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    lines = block.strip().splitlines()
    if all(line.startswith("- ") for line in lines):
        items = Markup("").join(Markup("<li>{}</li>").format(_inline(line[2:])) for line in lines)
        return Markup("<ul>{}</ul>").format(items)
    return Markup("<p>{}</p>").format(_inline(" ".join(lines)))


def _inline(text: str) -> Markup:
    marked = _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", str(escape(text))))
    return Markup(marked)  # noqa: S704 - Everything but our own tags was escaped just before.


def _groups(document: Schema) -> list[tuple[Schema, list[Entry]]]:
    entries = [
        (details["tags"][0], _entry(document, method, path, details))
        for path, methods in document["paths"].items()
        for method, details in methods.items()
    ]
    return [(tag, [entry for name, entry in entries if name == tag["name"]]) for tag in document["tags"]]


def _entry(document: Schema, method: str, path: str, details: Schema) -> Entry:
    return Entry(
        id=details["operationId"],
        method=method.upper(),
        path=path,
        details=details,
        example=_example(document, details),
    )


def _example(document: Schema, details: Schema) -> str | None:
    """Make an example of a JSON body: what is required, with values of the right kind."""
    content = details.get("requestBody", {}).get("content", {}).get("application/json")
    if not content:
        return None
    return json.dumps(_sample(document, content["schema"]), indent=2, ensure_ascii=False)


def _sample(document: Schema, schema: Schema, name: str = "") -> Any:
    if "$ref" in schema:
        return _sample(document, document["components"]["schemas"][_reference(schema) or ""], name)
    if schema.get("enum"):
        return schema["enum"][-1]
    if schema.get("type") == "object" and "properties" in schema:
        wanted = schema.get("required", ())
        return {key: _sample(document, schema["properties"][key], key) for key in wanted}
    if schema.get("type") == "array":
        return [_sample(document, schema.get("items", {}), name)]
    plain = {"integer": 1, "number": 1, "boolean": True, "object": {}}
    return plain.get(str(schema.get("type")), "reader@example.com" if "address" in name else name or "…")


def _reference(schema: Schema) -> str | None:
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        if "$ref" in part:
            return str(part["$ref"]).rpartition("/")[2]
        if "$ref" in part.get("items", {}):
            return _reference(part["items"])
    return None


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return str(_reference(schema))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return _TEXT.get(str(schema.get("format")), str(schema.get("type", "anything")))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.api", "pages"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.filters["members"] = members
    return environment
