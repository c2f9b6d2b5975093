"""The template engine, closed off: templates see data, and nothing of Python.

Names and indexes are looked up in data only, never as attributes, so there is no method to call. Output
is counted while it is made. Errors name lines and names of the template, never what the data held.
"""

from functools import cache
from itertools import islice
from types import MethodType, TracebackType
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.runtime import ChainableUndefined, Context, LoopContext, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.domain.sandbox import filters, syntax
from app.domain.sandbox.budget import Budget, Stopped, scalar
from app.errors import Fault, Invalid

_MOST_BITS = 1024
_MOST_TOKENS = 50_000
# The names that things of the engine's own have for templates; a group is what the filter groupby makes.
_OF_LOOPS = frozenset(
    ("index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "cycle")
)
_OF_GROUPS = frozenset(("grouper", "list"))

# What the engine, and Python below it, raise for templates that do not compile.
_REFUSALS = (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError)
# What expressions raise when data does not fit them.
_FAILURES = (
    jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, NameError,
    RuntimeError, AssertionError,
)  # fmt: skip


class _Missing(StrictUndefined):
    """A name without a value: any use of it is an error that tells the name."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if isinstance(self._undefined_name, str):
            return f"{self._undefined_name!r} is missing"
        return "what is looked up here is missing"


def blank(name: str) -> Undefined:
    """Make what stands for an optional variable without a value: prints nothing, loops over nothing."""
    return ChainableUndefined(name=name)


def _printed(value: Any) -> Any:
    return "" if value is None else scalar(value)


class _Environment(ImmutableSandboxedEnvironment):
    context_class = filters.BudgetedContext
    intercepted_binops = frozenset({"+", "*", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up a name that the template spells; only loops and groups have names of their own."""
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(name=attribute)
        if isinstance(obj, Undefined):
            return _of_undefined(obj)
        missing = self.undefined(name=attribute)
        is_own = (isinstance(obj, LoopContext) and attribute in _OF_LOOPS) or (
            isinstance(obj, tuple) and attribute in _OF_GROUPS
        )
        return getattr(obj, attribute, missing) if is_own else missing

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a key or index that may come from data, so that no error may tell it."""
        if isinstance(obj, Undefined):
            return _of_undefined(obj)
        try:
            return obj[argument] if isinstance(obj, dict | list | tuple | str) else self.undefined()
        except (LookupError, TypeError):
            return self.undefined()

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what may be called."""
        if obj is range or (isinstance(obj, MethodType) and isinstance(obj.__self__, LoopContext)):
            return super().call(context, obj, *args, **kwargs)
        raise Stopped("calls something other than range() or loop.cycle()")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do `+`, `*` and `%` on numbers of bounded size; `+` joins texts as well."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return filters.ALL_FILTERS[filters.CONCATENATED](context, [left, right])
        if not all(isinstance(side, int | float) for side in (left, right)):
            for side in (left, right):
                _refuse_undefined(side)
            raise Stopped(f"uses {operator} on something other than numbers")
        if sum(side.bit_length() for side in (left, right) if isinstance(side, int)) > _MOST_BITS:
            raise Stopped("calculates with numbers that are too large")
        return self.binop_table[operator](left, right)


def _of_undefined(value: Undefined) -> Any:
    _refuse_undefined(value)
    return value


def _refuse_undefined(value: Any) -> None:
    """Raise the error of a missing name; a blank optional one passes."""
    if isinstance(value, StrictUndefined):
        str(value)


@cache
def _environment(*, escaped: bool) -> _Environment:
    environment = _Environment(
        autoescape=escaped,
        undefined=_Missing,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
        # Nothing is calculated while compiling, since nothing is counted there.
        optimized=False,
    )
    environment.filters = dict(filters.ALL_FILTERS)
    environment.tests = dict(filters.TESTS)
    environment.globals = {"range": range}
    return environment


class Template:
    """A compiled template. `names` are the variables it uses; it may be shared between threads."""

    __slots__ = ("_field", "_template", "names")

    def __init__(self, template: jinja2.Template, names: frozenset[str], field: str) -> None:
        self._template = template
        self._field = field
        self.names = names

    def render(self, values: dict[str, Any], longest: int) -> str:
        """Fill the template in; raises Invalid with the line where data is missing or does not fit.

        `longest` bounds the result in characters. The error carries no other as its cause or context:
        those of the engine and of Python quote data.
        """
        try:
            return self._rendered(values, longest)
        except _FAILURES as exc:
            fault = Fault(self._field, _explained(exc, self._template))
        raise Invalid([fault])

    def _rendered(self, values: dict[str, Any], longest: int) -> str:
        context = self._template.new_context({"range": range, **values}, shared=True)
        context.budget = Budget()  # type: ignore[attr-defined]
        pieces, length = [], 0
        for piece in self._template.root_render_func(context):
            length += len(piece)
            if length > longest:
                raise Stopped(f"comes to more than {longest} characters")
            pieces.append(piece)
        return "".join(pieces)


def compile_template(source: str, *, escaped: bool, field: str) -> Template:
    """Compile a source; `escaped` makes all data safe in HTML. Raises Invalid with all faults and lines."""
    try:
        return _compiled(source, _environment(escaped=escaped), field)
    except jinja2.TemplateSyntaxError as exc:
        raise Invalid.of(field, f"line {exc.lineno}: {exc.message}") from exc
    except jinja2.TemplateError as exc:
        raise Invalid.of(field, "has an expression that can never have a value") from exc
    except _REFUSALS as exc:
        raise Invalid.of(field, "is nested too deeply, or has a number that is too large") from exc


def _compiled(source: str, environment: _Environment, field: str) -> Template:
    if _is_too_much_code(source, environment):
        raise Invalid.of(field, "has too many expressions for one template")
    tree = environment.parse(source)
    faults = syntax.faults(tree)
    if faults:
        raise Invalid([Fault(field, text) for text in faults])
    rewritten: nodes.Template = syntax.Rewriter().visit(tree)
    rewritten.set_environment(environment)
    # Only now, since looking for names works out constant expressions as compiling does.
    names = frozenset(meta.find_undeclared_variables(rewritten)) - {"range"}
    code = environment.compile(rewritten)
    return Template(jinja2.Template.from_code(environment, code, {}), names, field)


def _is_too_much_code(source: str, environment: _Environment) -> bool:
    """Count tokens up to what is allowed, since parsing costs a hundred times as much as counting."""
    if len(source) <= _MOST_TOKENS:
        return False
    return any(True for _ in islice(environment.lex(source), _MOST_TOKENS, None))


def _explained(exc: BaseException, template: jinja2.Template) -> str:
    line = _line(exc.__traceback__, template)
    where = f"line {line}: " if line else ""
    return where + _reason(exc)


def _reason(exc: BaseException) -> str:
    match exc:
        case Stopped() | jinja2.UndefinedError():
            return str(exc)
        case ZeroDivisionError():
            return "divides by zero"
        case RecursionError():
            return "is nested too deeply"
    return f"an expression does not fit its data ({type(exc).__name__})"


def _line(traceback: TracebackType | None, template: jinja2.Template) -> int | None:
    line = None
    while traceback:
        if traceback.tb_frame.f_globals is template.root_render_func.__globals__:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
