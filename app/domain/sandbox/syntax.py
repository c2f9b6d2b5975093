"""What a template may say: a list of what is allowed, and the rewriting that makes it payable.

A template is checked as a syntax tree before any of it is compiled or run, so that what is not allowed
is told with its line when the template is saved, and never reaches the engine. Then loops, comparisons,
`~` and slices are replaced by filters of our own which charge the budget.
"""

from collections.abc import Iterator

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from app.domain.sandbox.filters import COMPARED, CONCATENATED, FILTERS, SLICED, STEPS, TESTS

_MOST_NODES = 20_000

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Slice, nodes.If, nodes.Assign,
    nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub,
    nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat, nodes.Neg, nodes.Pos, nodes.List,
    nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Getitem, nodes.Getattr, nodes.For, nodes.Name,
)  # fmt: skip

_WORDS: dict[type[nodes.Node], str] = {
    nodes.AssignBlock: "{% set %} with a block",
    nodes.Block: "{% block %}",
    nodes.CallBlock: "{% call %}",
    nodes.Extends: "{% extends %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.FromImport: "{% from %}",
    nodes.Import: "{% import %}",
    nodes.Include: "{% include %}",
    nodes.Macro: "{% macro %}",
    nodes.NSRef: "an assignment to an attribute",
    nodes.Pow: "the operator **",
    nodes.ScopedEvalContextModifier: "{% autoescape %}",
    nodes.With: "{% with %}",
}

_RESERVED = frozenset({"self", "super", "caller", "varargs", "kwargs"})


def faults(tree: nodes.Template) -> list[str]:
    """Tell all that this template says and may not say, each with its line."""
    everything = list(_walk(tree))
    if len(everything) > _MOST_NODES:
        return ["has too many expressions for one template"]
    found = ((node.lineno, _fault(node)) for node in everything)
    return list(dict.fromkeys(f"line {line}: {text}" for line, text in found if text))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _fault(node: nodes.Node) -> str | None:
    match node:
        case nodes.For(recursive=True):
            return "loops cannot be recursive"
        case nodes.Name(name=name) if name in _RESERVED:
            return f"the name {name} is reserved"
        case nodes.Getattr(attr=attr) if attr.startswith("__"):
            return "names that begin with __ cannot be looked up"
        case nodes.Filter() | nodes.Test():
            return _filter_fault(node)
        case nodes.Call():
            return _call_fault(node)
    return (
        None
        if isinstance(node, _ALLOWED)
        else f"{_WORDS.get(type(node), type(node).__name__)} is not available here"
    )


def _described(node: nodes.Node) -> str:
    return _WORDS.get(type(node), type(node).__name__)


def _filter_fault(node: nodes.Filter | nodes.Test) -> str | None:
    known, kind = (FILTERS, "filter") if isinstance(node, nodes.Filter) else (TESTS, "test")
    if node.name not in known:
        return f"there is no {kind} {node.name} here"
    return _unpacking_fault(node)


def _call_fault(node: nodes.Call) -> str | None:
    match node.node:
        case nodes.Name(name="range") | nodes.Getattr(node=nodes.Name(name="loop"), attr="cycle"):
            return _unpacking_fault(node)
        case nodes.Getattr(attr=attr):
            return f".{attr}() cannot be called: use a filter, as in |upper or |items"
    return "only range() and loop.cycle() can be called"


def _unpacking_fault(node: nodes.Filter | nodes.Test | nodes.Call) -> str | None:
    return "* and ** are not available in arguments" if node.dyn_args or node.dyn_kwargs else None


class Rewriter(NodeTransformer):
    """Put our own filters where a template could otherwise work, or grow a text, without paying."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 (the visitor's name for it)
        weight = sum(1 for _ in _walk(node))
        self.generic_visit(node)
        node.iter = _filter(node.iter, STEPS, nodes.Const(weight))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802 (likewise)
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes), CONCATENATED)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802 (likewise)
        self.generic_visit(node)
        if not _with_constant(node):
            node.expr = _filter(node.expr, COMPARED)
            for operand in node.ops:
                operand.expr = _filter(operand.expr, COMPARED)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802 (likewise)
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return _filter(node.node, SLICED, *(bound or nodes.Const(None) for bound in bounds))
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            # A name that the template itself spells may appear in an error; one from data may not.
            return nodes.Getattr(node.node, node.arg.value, "load", lineno=node.lineno)
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.CondExpr:  # noqa: N802 (likewise)
        self.generic_visit(node)
        node.expr2 = node.expr2 or nodes.Const("")
        return node


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None)


def _with_constant(node: nodes.Compare) -> bool:
    """Tell whether this compares with one literal, which costs nothing worth counting."""
    operand = node.ops[0]
    sides = (node.expr, operand.expr)
    return (
        len(node.ops) == 1
        and operand.op not in ("in", "notin")
        and any(isinstance(side, nodes.Const) for side in sides)
    )
