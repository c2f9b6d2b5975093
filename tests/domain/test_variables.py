import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.rendering import Variable, compile_parts, faults
from app.errors import Fault, Invalid

unhurried = settings(deadline=None)  # The machine may be busy with other tests.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
TYPES = ("string", "number", "boolean", "list", "object", "url")


def test_all_that_is_missing_or_of_the_wrong_type_is_told_at_once():
    variables = [
        Variable(name="name"),
        Variable(name="total", type="number"),
        Variable(name="vip", type="boolean"),
        Variable(name="items", type="list"),
        Variable(name="shop", type="object"),
        Variable(name="link", type="url"),
    ]
    data = {"total": "7", "vip": 1, "items": {}, "shop": [], "link": "javascript:alert(1)"}
    assert faults(variables, data) == [
        Fault("data.name", "is missing"),
        Fault("data.total", "must be a number"),
        Fault("data.vip", "must be true or false"),
        Fault("data.items", "must be a list"),
        Fault("data.shop", "must be an object"),
        Fault("data.link", "must be an address that begins with https:// or http://"),
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", ""),
        ("number", 0),
        ("number", -1.5),
        ("boolean", False),
        ("list", []),
        ("object", {}),
        ("url", "https://example.com/?a=1&b=2#c"),
        ("url", "HTTP://example.com"),
    ],
)
def test_a_value_of_its_type_is_no_fault(kind, value):
    assert faults([Variable(name="x", type=kind)], {"x": value}) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 1),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("boolean", "true"),
        ("list", "abc"),
        ("url", "example.com"),
        ("url", "//example.com"),
        ("url", "https://"),
        ("url", "https:///path"),
        ("url", "https://example.com/\r\nX: y"),
        ("url", 'https://example.com/"onclick'),
        ("url", " https://example.com"),
        ("url", "data:text/html,x"),
    ],
)
def test_a_value_of_another_type_is_a_fault(kind, value):
    assert [fault.field for fault in faults([Variable(name="x", type=kind)], {"x": value})] == ["data.x"]


def test_null_counts_as_missing():
    assert faults([Variable(name="x")], {"x": None}) == [Fault("data.x", "is missing")]


def test_an_optional_variable_may_be_missing_but_not_of_another_type():
    optional = [Variable(name="x", type="number", required=False)]
    assert faults(optional, {}) == []
    assert faults(optional, {"x": None}) == []
    assert faults(optional, {"x": "1"}) == [Fault("data.x", "must be a number")]


def test_a_variable_with_a_default_may_be_missing():
    assert faults([Variable(name="x", default="y")], {}) == []


def test_data_beyond_the_declared_is_fine():
    assert faults([], {"x": 1}) == []


@unhurried
@given(st.lists(st.sampled_from(TYPES), max_size=4), st.dictionaries(st.sampled_from("abcd"), JSON))
def test_faults_name_declared_variables_only_and_never_a_value(kinds, data):
    variables = [Variable(name=name, type=kind) for name, kind in zip("abcd", kinds, strict=False)]
    found = faults(variables, data)
    assert {fault.field for fault in found} <= {f"data.{variable.name}" for variable in variables}
    assert {fault.message for fault in found} <= {
        "is missing",
        "must be a string",
        "must be a number",
        "must be true or false",
        "must be a list",
        "must be an object",
        "must be an address that begins with https:// or http://",
    }


@pytest.mark.parametrize("name", ["", "a b", "a-b", "1a", "ä", "loop", "range", "self", "None", "a\n"])
def test_a_name_that_templates_cannot_use_is_refused(name):
    with pytest.raises(Invalid) as caught:
        compile_parts(None, None, "x", variables=[Variable(name=name)])
    assert [fault.field for fault in caught.value.faults] == [f"variables.{name}"]


def test_a_name_declared_twice_is_refused():
    with pytest.raises(Invalid, match=r"variables\.x: is declared twice"):
        compile_parts(None, None, "x", variables=[Variable(name="x"), Variable(name="x")])


def test_defaults_and_examples_have_the_declared_type():
    with pytest.raises(Invalid) as caught:
        compile_parts(None, None, "x", variables=[Variable(name="x", type="number", default="1", example=[])])
    assert caught.value.faults == (
        Fault("variables.x.default", "must be a number"),
        Fault("variables.x.example", "must be a number"),
    )
