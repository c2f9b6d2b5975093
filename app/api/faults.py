"""What is wrong with a body or a query: all of it, by field, in words that mend it, without the values."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from app.errors import Fault, Invalid

M = TypeVar("M", bound=BaseModel)

_MOST = 100
_LONGEST_NAME = 80
_WORDS = {
    "missing": "is missing",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "datetime_type": "must be a time with its offset, as 2027-01-31T09:00:00+01:00",
    "datetime_parsing": "must be a time with its offset, as 2027-01-31T09:00:00+01:00",
    "datetime_from_date_parsing": "must be a time with its offset, as 2027-01-31T09:00:00+01:00",
    "timezone_aware": "needs an offset, as in 2027-01-31T09:00:00+01:00",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
    "base64_decode": "must be base64",
    "string_pattern_mismatch": "has characters that are not allowed here",
}


def read(model: type[M], raw: bytes) -> M:
    """Make the model of a JSON body; raises BadRequest where it is no JSON, Invalid with all its faults."""
    plain = parsed(raw)
    if b"\\u0000" in raw:
        _refuse_nul(plain)
    try:
        return model.model_validate_json(raw)
    except ValidationError as exc:
        raise Invalid(_faults(model, exc)) from exc


def parsed(raw: bytes) -> Any:
    """Parse JSON as the standard has it, without NaN and without halves of characters; raises BadRequest."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise BadRequest(f"The body is no valid JSON: {exc.msg} ({where}).") from exc


def read_query(model: type[M], arguments: MultiDict[str, str]) -> M:
    """Make the model of an address's query; raises Invalid with all its faults."""
    faults = [Fault(name, "is given twice") for name, values in arguments.lists() if len(values) > 1]
    faults += [
        Fault(name, "must not contain a NUL character") for name, value in arguments.items() if "\0" in value
    ]
    if faults:
        raise Invalid(faults)
    try:
        return model.model_validate(arguments.to_dict())
    except ValidationError as exc:
        raise Invalid(_faults(model, exc)) from exc


def _refuse_nul(plain: object) -> None:
    fields = [".".join(path) or "body" for path in _nuls(plain, ())]
    faults = [Fault(field, "must not contain a NUL character") for field in fields]
    if faults:
        raise Invalid(faults[:_MOST])


def _nuls(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, str):
        if "\0" in value:
            yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nuls(item, (*path, str(index)))
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\0" in name:
                yield path
            yield from _nuls(item, (*path, name))


def _faults(model: type[BaseModel], error: ValidationError) -> list[Fault]:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [_fault(model, detail) for detail in details[:_MOST]]


def _fault(model: type[BaseModel], detail: ErrorDetails) -> Fault:
    path = detail["loc"]
    field = ".".join(str(part)[:_LONGEST_NAME] for part in path) or "body"
    if detail["type"] == "extra_forbidden":
        return Fault(field, _unknown(model, path))
    return Fault(field, _WORDS.get(detail["type"]) or _reworded(detail["msg"]))


def _unknown(model: type[BaseModel], path: Sequence[int | str]) -> str:
    near = get_close_matches(str(path[-1]), _fields(model, path[:-1]), n=1)
    return f'is not known here; did you mean "{near[0]}"?' if near else "is not known here"


def _fields(model: Any, path: Sequence[int | str]) -> list[str]:
    """List the fields of the model that a path leads to, through lists and optional ones."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
        if model is None:
            return []
    return list(model.model_fields)


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _reworded(message: str) -> str:
    """Say "must" where pydantic says "Input should" or "String should"."""
    _, should, rest = message.partition(" should ")
    return f"must {rest}" if should else message
