"""The filters and tests that templates may use, each bounded in what it costs and how much it makes.

A filter that is not listed does not exist. Left out on purpose are those whose result grows with a
number or with the product of two texts (center, indent, format, wordwrap), that reach into objects
(attr), that show Python (pprint, xmlattr), or that change from one rendering to the next (random).
"""

from collections.abc import Callable
from typing import Any

from jinja2 import filters, pass_context
from jinja2.runtime import Context
from jinja2.tests import TESTS as ENGINE_TESTS
from markupsafe import escape

from app.domain.sandbox.budget import Budget, Stopped, listed, scalar

_MOST_DIGITS = 15
_STEPS_PER_ELEMENT = 5
_WIDEST_BATCH = 1000

Filter = Callable[..., Any]


class BudgetedContext(Context):
    """A rendering's names, with the budget of work that it has left."""

    budget: Budget


def _call(function: Filter, context: BudgetedContext, *args: Any, **kwargs: Any) -> Any:
    """Call one of the engine's own filters with what it asks for in front of its arguments."""
    wanted = getattr(function, "jinja_pass_arg", None)
    if wanted is None:
        return function(*args, **kwargs)
    given = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
    return function(given[wanted.name], *args, **kwargs)


def _shallow(function: Filter) -> Filter:
    """Bound a filter that looks at no more than one element."""

    @pass_context
    def bounded(context: BudgetedContext, *args: Any, **kwargs: Any) -> Any:
        context.budget.charge(1)
        return _call(function, context, *args, **kwargs)

    return bounded


def _textual(function: Filter) -> Filter:
    """Bound a filter from text to text whose result is not much longer than what went in."""

    @pass_context
    def bounded(context: BudgetedContext, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            context.budget.charge_text(len(value) if isinstance(scalar(value), str) else 1)
        return _call(function, context, *args, **kwargs)

    return bounded


def _sequential(function: Filter) -> Filter:
    """Bound a filter over a list; it pays for all that is in the list, since it may compare all of it."""

    @pass_context
    def bounded(context: BudgetedContext, value: Any, *args: Any, **kwargs: Any) -> Any:
        return _call(function, context, _paid(context, value), *args, **kwargs)

    return bounded


def _paid(context: BudgetedContext, value: Any) -> Any:
    value = listed(value)
    context.budget.charge(len(value) * _STEPS_PER_ELEMENT)
    context.budget.charge_deep(value)
    return value


@pass_context
def _replace(context: BudgetedContext, value: Any, old: Any, new: Any, count: int | None = None) -> Any:
    for part in (value, old, new):
        scalar(part)
    # Escaping may happen before or after replacing, so both are counted.
    occurrences = str(value).count(str(old)) + str(escape(value)).count(str(old))
    context.budget.charge_text(len(str(value)) + occurrences * len(escape(new)))
    return filters.do_replace(context.eval_ctx, value, old, new, count)


@pass_context
def _join(context: BudgetedContext, value: Any, d: Any = "", attribute: Any = None) -> Any:
    items = _paid(context, value)
    if attribute is not None:
        items = filters.do_map(context, items, attribute=attribute)
    parts = [scalar(item) for item in items]
    context.budget.charge_text(sum(len(str(part)) for part in parts) + len(parts) * len(str(scalar(d))))
    return filters.do_join(context.eval_ctx, parts, d)


@pass_context
def _concatenated(context: BudgetedContext, values: list[Any]) -> Any:
    """Do what the operator `~` does."""
    return _join(context, values)


@pass_context
def _sum(context: BudgetedContext, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    if not isinstance(start, int | float):
        raise Stopped("sums up something other than numbers")
    return filters.sync_do_sum(context.environment, _paid(context, value), attribute, start)


@pass_context
def _to_json(context: BudgetedContext, value: Any) -> Any:
    context.budget.charge_deep(value)
    return filters.do_tojson(context.eval_ctx, value)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    if not isinstance(precision, int) or not 0 <= precision <= _MOST_DIGITS:
        raise Stopped(f"rounds to other than 0 to {_MOST_DIGITS} digits")
    return filters.do_round(value, precision, method)


def _batch(value: Any, linecount: int, fill_with: Any = None) -> Any:
    if not isinstance(linecount, int) or not 1 <= linecount <= _WIDEST_BATCH:
        raise Stopped(f"batches other than 1 to {_WIDEST_BATCH} elements")
    return filters.do_batch(value, linecount, fill_with)


@pass_context
def _steps(context: BudgetedContext, value: Any, weight: int) -> Any:
    """Pay for a whole loop before its first round; `weight` is the number of nodes in its body."""
    value = listed(value)
    context.budget.charge(len(value) * weight)
    return value


@pass_context
def _paid_comparison(context: BudgetedContext, value: Any) -> Any:
    """Pay for one side of a comparison: two lists are compared with all that is in them."""
    context.budget.charge_deep(value)
    return value


def _slice(value: Any, start: int | None, stop: int | None, step: int | None) -> Any:
    return value[start:stop:step]


# Templates cannot name these, for a blank cannot be part of a name; `syntax` puts them in.
STEPS, CONCATENATED, COMPARED, SLICED = " steps", " concatenated", " compared", " sliced"

_INTERNAL: dict[str, Filter] = {
    STEPS: _steps,
    CONCATENATED: _concatenated,
    COMPARED: _paid_comparison,
    SLICED: _sequential(_slice),
}

_SHALLOW = ("count", "d", "default", "first", "items", "last", "length")
_TEXTUAL = (
    "abs", "capitalize", "e", "escape", "filesizeformat", "float", "forceescape", "int", "lower", "safe",
    "string", "striptags", "title", "trim", "truncate", "upper", "urlencode", "wordcount",
)  # fmt: skip
_SEQUENTIAL = (
    "dictsort", "groupby", "list", "map", "max", "min", "reject", "rejectattr", "reverse", "select",
    "selectattr", "sort", "unique",
)  # fmt: skip

FILTERS: dict[str, Filter] = {
    **{name: _shallow(filters.FILTERS[name]) for name in _SHALLOW},
    **{name: _textual(filters.FILTERS[name]) for name in _TEXTUAL},
    **{name: _sequential(filters.FILTERS[name]) for name in _SEQUENTIAL},
    "batch": _sequential(_batch),
    "join": _join,
    "replace": _replace,
    "round": _textual(_round),
    "sum": _sum,
    "tojson": _to_json,
}

ALL_FILTERS = FILTERS | _INTERNAL


def _of_scalars(compare: Filter) -> Filter:
    def compared(left: Any, right: Any) -> Any:
        return compare(scalar(left), scalar(right))

    return compared


_ENGINE_TESTS: dict[str, Any] = dict(ENGINE_TESTS)

_PLAIN_TESTS = (
    "boolean", "defined", "divisibleby", "even", "false", "float", "integer", "iterable", "mapping", "none",
    "number", "odd", "sequence", "string", "true", "undefined",
)  # fmt: skip
_COMPARING_TESTS = (
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "eq",
    "equalto",
    "ge",
    "greaterthan",
    "gt",
    "le",
    "lessthan",
    "lt",
    "ne",
)

TESTS: dict[str, Filter] = {
    **{name: _ENGINE_TESTS[name] for name in _PLAIN_TESTS},
    **{name: _of_scalars(_ENGINE_TESTS[name]) for name in _COMPARING_TESTS},
}
