"""What a template declares about its data, and what is wrong with data that does not keep to it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.errors import Fault

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
VariableType = Literal["any", "string", "number", "boolean", "list", "object", "url"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"loop", "range", "self", "true", "false", "none", "True", "False", "None"})
# A host must follow, and nothing that could end an attribute's value or a header's line.
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f/?#\"'<>\\`]+[^\s\x00-\x20\x7f\"<>\\`]*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """One variable of a template. `default` stands in where the data has none; null counts as none."""

    name: str
    type: VariableType = "string"
    required: bool = True
    example: Plain = None
    default: Plain = None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value) is not None


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "any": (lambda _: True, ""),
    "string": (lambda value: isinstance(value, str), "must be a string"),
    "number": (_is_number, "must be a number"),
    "boolean": (lambda value: isinstance(value, bool), "must be true or false"),
    "list": (lambda value: isinstance(value, list), "must be a list"),
    "object": (lambda value: isinstance(value, dict), "must be an object"),
    "url": (_is_url, "must be an address that begins with https:// or http://"),
}


def faults(variables: Sequence[Variable], data: Mapping[str, object]) -> list[Fault]:
    """Tell all that is missing from the data or of the wrong type; data beyond the declared is fine.

    Fields are `data.<name>`; the texts name variables and types, never values.
    """
    return [fault for variable in variables if (fault := _fault(variable, data.get(variable.name)))]


def _fault(variable: Variable, value: object) -> Fault | None:
    if value is None:
        if variable.required and variable.default is None:
            return Fault(f"data.{variable.name}", "is missing")
        return None
    return _mismatch(f"data.{variable.name}", variable, value)


def _mismatch(field: str, variable: Variable, value: object) -> Fault | None:
    fits, message = _CHECKS[variable.type]
    return None if fits(value) else Fault(field, message)


def declaration_faults(variables: Sequence[Variable]) -> list[Fault]:
    """Tell what is wrong with declarations: names, repeated names, defaults and examples of another type."""
    found: list[Fault] = []
    seen: set[str] = set()
    for variable in variables:
        field = f"variables.{variable.name}"
        if not _NAME.fullmatch(variable.name) or variable.name in _RESERVED:
            found.append(Fault(field, "cannot be a name: use letters, digits and _, and no reserved word"))
        if variable.name in seen:
            found.append(Fault(field, "is declared twice"))
        seen.add(variable.name)
        found += _value_faults(field, variable)
    return found


def _value_faults(field: str, variable: Variable) -> list[Fault]:
    values = {"default": variable.default, "example": variable.example}
    mismatches = (
        _mismatch(f"{field}.{part}", variable, value) for part, value in values.items() if value is not None
    )
    return [fault for fault in mismatches if fault]
