"""The OpenAPI document, put together from the operations' declarations."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from app.api import problems
from app.api.models.answers import Problem
from app.api.models.messages import BatchHead, Recipient
from app.api.operations import Operation, Reply, Resource
from app.api.paths import parameters, template
from app.api.problems import Kind
from app.domain.callers import SCOPES

_REFERENCE = "#/components/schemas/{model}"
_ABOUT = """\
Tocsin reaches people by email, SMS, WhatsApp, voice and push. A caller says what to send to whom and how \
urgent it is; Tocsin decides through which gateway, when and how often to try.

**Keys.** Each request carries `Authorization: Bearer tcs_…`. What a key may do is a list of scopes.

**Repeating safely.** A request with an `Idempotency-Key` (1 to 255 visible ASCII characters, kept for 24 \
hours) can be sent again: the first answer comes back, with `Idempotency-Replayed: true`.

**Errors** are problem details (RFC 9457, `application/problem+json`). `type` is stable, and a path that \
says more; `errors` lists all faults of a body by field. Each answer has an `X-Request-Id`, which finds the \
request in the logs; send one of your own (8 to 100 letters, digits, `.`, `_`, `:`, `-`) to have it used.
"""
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of 1 to 255 visible ASCII characters; the same one again gives the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}

Mode = Literal["validation", "serialization"]
_Models = dict[tuple[Any, Mode], dict[str, Any]]


def document(resources: Sequence[Resource], server: str | None) -> dict[str, Any]:
    """Make the whole document; `server` is the address under which the world reaches us."""
    operations = [operation for resource in resources for operation in resource.operations]
    references, schemas = _schemas(operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": version("tocsin"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server or "/"}],
        "tags": [{"name": resource.name, "description": resource.about} for resource in resources],
        "paths": _paths(operations, references),
        "components": {"schemas": schemas, "securitySchemes": {"key": _security()}},
    }


def _security() -> dict[str, Any]:
    scopes = "\n".join(f"- `{scope}`: {meaning}" for scope, meaning in SCOPES.items())
    return {"type": "http", "scheme": "bearer", "description": f"An API key. Scopes:\n\n{scopes}"}


def _schemas(operations: Iterable[Operation]) -> tuple[_Models, dict[str, Any]]:
    """Give the reference to each model, and the components they refer to."""
    wanted = dict.fromkeys(_models(operations))
    inputs = [(model, mode, TypeAdapter(model)) for model, mode in wanted]
    references, schemas = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    return dict(references), schemas["$defs"]


def _models(operations: Iterable[Operation]) -> Iterable[tuple[Any, Mode]]:
    yield Problem, "serialization"
    # They are described in words, as parts of streams.
    yield BatchHead, "validation"
    yield Recipient, "validation"
    for operation in operations:
        for model in (operation.body, operation.upload and operation.upload.model):
            if model is not None:
                yield model, "validation"
        for reply in operation.replies.values():
            if reply.model is not None:
                yield reply.model, "serialization"


def _paths(operations: Sequence[Operation], references: _Models) -> dict[str, Any]:
    by_path = sorted(operations, key=lambda operation: template(operation.rule))
    return {
        path: {operation.method.lower(): _operation(operation, references) for operation in group}
        for path, group in groupby(by_path, key=lambda operation: template(operation.rule))
    }


def _operation(operation: Operation, references: _Models) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": [
            *parameters(operation.rule),
            *_query(operation.query),
            *([_KEY_PARAMETER] if operation.idempotent else []),
        ],
        "responses": {**_replies(operation, references), **_problems(operation, references)},
        "security": [{"key": []}] if operation.scope else [],
    }
    body = _body(operation, references)
    return described | ({"requestBody": body} if body else {})


def _description(operation: Operation) -> str:
    scope = f"Needs the scope `{operation.scope}`." if operation.scope else ""
    return "\n\n".join(part for part in (operation.description, scope) if part)


def _query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = TypeAdapter(model).json_schema(ref_template=_REFERENCE)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _inlined(part, definitions),
            **({"description": part["description"]} if "description" in part else {}),
        }
        for name, part in schema.get("properties", {}).items()
    ]


def _inlined(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Give a parameter's schema without references, and without null, which a query cannot hold."""
    choices = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    part = choices[0]
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    return {name: value for name, value in part.items() if name not in ("title", "default")} | default


def _body(operation: Operation, references: _Models) -> dict[str, Any] | None:
    if operation.body is not None:
        content = {"application/json": {"schema": references[operation.body, "validation"]}}
        return {"required": True, "content": content}
    if operation.upload is None:
        return None
    described = {kind: _upload(operation, kind, references) for kind in operation.upload.media_types}
    told = "\n\n".join(f"`{kind}`: {text}" for kind, text in operation.upload.media_types.items())
    return {"required": operation.scope is not None, "content": described, "description": told}


def _upload(operation: Operation, media_type: str, references: _Models) -> dict[str, Any]:
    model = operation.upload.model if operation.upload else None
    if media_type == "application/json" and model is not None:
        return {"schema": references[model, "validation"]}
    return {}


def _replies(operation: Operation, references: _Models) -> dict[str, Any]:
    return {str(status): _reply(reply, references) for status, reply in operation.replies.items()}


def _reply(reply: Reply, references: _Models) -> dict[str, Any]:
    headers = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in reply.headers.items()
    }
    described: dict[str, Any] = {"description": reply.description}
    if headers:
        described["headers"] = headers
    if reply.model is not None:
        described["content"] = {reply.media_type: {"schema": _linked(reply, references)}}
    elif reply.media_type != "application/json":
        described["content"] = {reply.media_type: {"schema": {"type": "string"}}}
    return described


def _linked(reply: Reply, references: _Models) -> dict[str, Any]:
    schema = references[reply.model, "serialization"]
    if not reply.linked:
        return schema
    links = {"type": "object", "additionalProperties": {"type": "string"}}
    return {"allOf": [schema, {"type": "object", "properties": {"links": links}, "required": ["links"]}]}


def _problems(operation: Operation, references: _Models) -> dict[str, Any]:
    schema = references[Problem, "serialization"]
    kinds = sorted(_kinds(operation), key=lambda kind: (kind.status, kind.slug))
    return {
        str(status): {
            "description": "; or: ".join(f"{kind.title} (`{kind.type}`)" for kind in group),
            "content": {problems.MEDIA_TYPE: {"schema": schema}},
        }
        for status, group in (
            (status, list(group)) for status, group in groupby(kinds, lambda kind: kind.status)
        )
        if status not in operation.replies
    }


def _kinds(operation: Operation) -> set[Kind]:
    """Tell which problems can come of an operation: its own, and those that follow from its declaration."""
    kinds = {*operation.problems, problems.INTERNAL, problems.UNAVAILABLE}
    if operation.scope is not None:
        kinds |= {problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.TOO_MANY}
    if operation.body is not None or operation.upload is not None:
        kinds |= {problems.MALFORMED, problems.TIMED_OUT, problems.TOO_LARGE, problems.UNSUPPORTED}
    if operation.body is not None or operation.upload is not None or operation.query is not None:
        kinds.add(problems.INVALID)
    if "<" in operation.rule:
        kinds.add(problems.NOT_FOUND)
    if operation.idempotent:
        kinds |= {problems.IN_FLIGHT, problems.KEY_REUSED}
    return kinds
