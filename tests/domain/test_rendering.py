import html as html_module
import re
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.rendering import Content, Variable, compile_parts
from app.domain.sandbox.environment import compile_template
from app.errors import Fault, Invalid

unhurried = settings(deadline=None)  # The machine may be busy with other tests.
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def text_of(source, /, **data):
    return compile_parts(None, None, source).render(data).text


def html_of(source, /, **data):
    return compile_parts(None, source, None).render(data).html


def subject_of(source, /, **data):
    return compile_parts(source, None, None).render(data).subject


def refusal(call, *args, **data):
    with pytest.raises(Invalid) as caught:
        call(*args, **data)
    return caught.value


def message(call, *args, **data):
    (fault,) = refusal(call, *args, **data).faults
    return fault.message


# Parts


def test_each_part_is_rendered_and_absent_ones_stay_absent():
    compiled = compile_parts("Hi {{ name }}", None, "Dear {{ name }},\n{{ n }} left.\n")
    assert compiled.render({"name": "Anna", "n": 2}) == Content(
        subject="Hi Anna", html=None, text="Dear Anna,\n2 left.\n"
    )


def test_html_is_escaped_and_subject_and_text_are_not():
    content = compile_parts("{{ x }}", "<p title='{{ x }}'>{{ x }}</p>", "{{ x }}").render({"x": "<a & 'b'>"})
    assert content.subject == "<a & 'b'>"
    assert content.html == "<p title='&lt;a &amp; &#39;b&#39;&gt;'>&lt;a &amp; &#39;b&#39;&gt;</p>"
    assert content.text == "<a & 'b'>"


@unhurried
@given(st.text())
@example("</p><script>alert(1)</script>")
def test_no_data_gets_out_of_its_place_in_html(value):
    rendered = html_of("<p>{{ x }}{{ x ~ x }}{{ [x]|join(x) }}{{ x|replace('a', x) }}</p>", x=value)
    inner = rendered.removeprefix("<p>").removesuffix("</p>")
    assert not set(inner) & set("<>\"'")
    assert html_module.unescape(html_of("{{ x }}", x=value)) == html_module.unescape(
        html_module.escape(value)
    )


def test_a_template_may_mark_data_as_html():
    assert html_of("{{ x|safe }}", x="<b>") == "<b>"


@pytest.mark.parametrize("breaker", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\r\n\r\n"])
def test_data_cannot_begin_a_new_header_in_the_subject(breaker):
    assert subject_of("Hi {{ x }}!", x=f"A{breaker}Bcc: b@example.com") == "Hi A Bcc: b@example.com!"


@unhurried
@given(st.text())
def test_a_subject_is_always_one_line(value):
    subject = subject_of("{{ x }}", x=value)
    assert len(subject.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", subject)


def test_a_subject_without_variables_is_one_line_too():
    assert subject_of("Hello\nyou ") == "Hello you"


@unhurried
@given(st.text().filter(lambda text: not re.search(r"\{[{%#]|\r", text)))
def test_a_source_without_tags_comes_out_as_it_is(source):
    assert text_of(source) == source
    assert html_of(source) == source


def test_lines_with_only_a_tag_leave_no_empty_line():
    assert text_of("a\n  {% if x %}\nb\n  {% endif %}\nc\n", x=True) == "a\nb\nc\n"


def test_the_names_used_are_told():
    compiled = compile_parts(
        "{{ a }}",
        "{% for i in items %}{{ i.b }}{{ loop.index }}{% endfor %}{{ range(c)|length }}",
        "{% set d = 1 %}{{ d }}",
    )
    assert compiled.names == {"a", "items", "c"}


# The language


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ order.items[0].title }} {{ order['items'][1]['title'] }}", "Tea Cup"),
        (
            "{% for i in order.items %}{{ loop.index }}/{{ loop.length }} {{ i.title }};{% endfor %}",
            "1/2 Tea;2/2 Cup;",
        ),
        ("{% for i in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in order.prices|items %}{{ k }}={{ v }} {% endfor %}", "a=1 b=2.5 "),
        ("{% for i in order.items if i.title != 'Tea' %}{{ i.title }}{% endfor %}", "Cup"),
        ("{{ order.items|map(attribute='title')|join(', ') }}", "Tea, Cup"),
        ("{{ order.items|selectattr('n', 'gt', 1)|map(attribute='title')|first }}", "Cup"),
        ("{{ order.items|sum(attribute='n') }} {{ (order.items|sum(attribute='n') / 2)|round(1) }}", "3 1.5"),
        ("{% for g in order.items|groupby('n') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", "1121"),
        ("{% for n, all in order.items|groupby('n') %}{{ n }}{{ all|length }}{% endfor %}", "1121"),
        ("{% for row in [1, 2, 3]|batch(2) %}{{ row|join('+') }};{% endfor %}", "1+2;3;"),
        ("{% for i in range(3) %}{{ loop.cycle('o', 'e') }}{{ i }}{% endfor %}", "o0e1o2"),
        ("{% set full = name ~ ' ' ~ 7 %}{{ full|upper }} {{ name + '!' }}", "ANNA 7 Anna!"),
        ("{{ 'yes' if vip }}{{ 'yes' if not vip else 'no' }}{{ 'never' if not vip }}", "yesno"),
        ("{{ 2 * 3 + 7 % 4 - 1 }} {{ 7 // 2 }} {{ -2 }}", "8 3 -2"),
        (
            "{{ name in ['Anna', 'Bob'] }} {{ name == other }} {{ 1 < 2 < 3 }} {{ 'n' in name }}",
            "True True True True",
        ),
        ("{{ name[1:] }} {{ name[::-1] }} {{ [1, 2, 3][:2]|last }}", "nna annA 2"),
        ("{{ nothing }}|{{ gone|default('-') }}|{{ gone is defined }}", "|-|False"),
        ("{{ name|replace('n', 'nn')|truncate(20)|title }}", "Annnna"),
        ("{{ '2.50'|float + 1 }} {{ 'x'|int(3) }}", "3.5 3"),
        ("{{ {'a': [1, None]}|tojson }}", '{"a": [1, null]}'),
        ("{% raw %}{{ x }}{% endraw %}{# gone #}", "{{ x }}"),
        ("{{ 'a b&c'|urlencode }}", "a%20b%26c"),
    ],
)
def test_a_template_can_say_what_messages_need(source, expected):
    data = {
        "name": "Anna",
        "other": "Anna",
        "vip": True,
        "order": {
            "items": [{"title": "Tea", "n": 1}, {"title": "Cup", "n": 2}],
            "prices": {"a": 1, "b": 2.5},
        },
    }
    compiled = compile_parts(None, None, source, variables=[Variable(name="nothing", required=False)])
    assert compiled.render(data).text == expected


@pytest.mark.parametrize("key", ["items", "keys", "get", "format", "index", "grouper", "__class__", "cycle"])
def test_a_key_of_the_data_wins_over_any_name_of_python(key):
    assert text_of("{{ x['" + key + "'] }}", x={key: "mine"}) == "mine"


@unhurried
@given(st.dictionaries(st.text(), PLAIN))
def test_any_plain_data_is_taken(data):
    assert compile_parts(None, None, "{{ 1 }}").render(data).text == "1"


@pytest.mark.parametrize("value", [object(), (1,), {1}, b"x", print])
def test_data_that_is_not_plain_is_refused_by_name(value):
    assert refusal(text_of, "{{ x }}", x=value).faults[0].field == "data.x"


# Missing and optional variables


def test_a_missing_variable_is_named_with_part_and_line():
    compiled = compile_parts("{{ a }}", "<p>\n{{ b.c }}</p>", "\n\n{{ d.e }}")
    with pytest.raises(Invalid) as caught:
        compiled.render({"d": {}})
    assert caught.value.faults == (
        Fault("subject", "line 1: 'a' is missing"),
        Fault("body_html", "line 2: 'b' is missing"),
        Fault("body_text", "line 3: 'e' is missing"),
    )


@pytest.mark.parametrize(
    "use",
    [
        "{{ x }}",
        "{% if x %}{% endif %}",
        "{% for i in x %}{% endfor %}",
        "{{ x|upper }}",
        "{{ x == 1 }}",
        "{{ x + 1 }}",
    ],
)
def test_a_missing_variable_is_an_error_in_every_use(use):
    assert message(text_of, use) == "line 1: 'x' is missing"


def test_null_counts_as_missing():
    assert message(text_of, "{{ x }}", x=None) == "line 1: 'x' is missing"


def test_null_inside_data_prints_nothing():
    assert text_of("[{{ x.y }}]", x={"y": None}) == "[]"


@pytest.mark.parametrize("data", [{}, {"x": None}])
@pytest.mark.parametrize("kind", ["string", "number", "boolean", "list", "object", "url"])
def test_an_optional_variable_without_a_value_renders_as_empty(kind, data):
    source = (
        "[{{ x }}{{ x.y.z }}{{ x|upper }}{{ x ~ '' }}{% for i in x %}i{% endfor %}{% if x %}if{% endif %}]"
    )
    compiled = compile_parts(
        source, source, source, variables=[Variable(name="x", type=kind, required=False)]
    )
    assert compiled.render(data) == Content(subject="[]", html="[]", text="[]")


@pytest.mark.parametrize("data", [{}, {"x": None}])
@pytest.mark.parametrize("required", [True, False])
def test_a_default_stands_in(required, data):
    variables = [Variable(name="x", required=required, default="<you>")]
    assert compile_parts(None, "{{ x }}", None, variables=variables).render(data).html == "&lt;you&gt;"


# What a template may not say


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ x.upper() }}", ".upper() cannot be called: use a filter, as in |upper or |items"),
        ("{{ '{0.a}'.format(x) }}", ".format() cannot be called: use a filter, as in |upper or |items"),
        ("{{ x() }}", "only range() and loop.cycle() can be called"),
        ("{{ lipsum() }}", "only range() and loop.cycle() can be called"),
        ("{{ x.__class__ }}", "names that begin with __ cannot be looked up"),
        ("{{ 9 ** 9 }}", "the operator ** is not available here"),
        ("{{ self }}", "the name self is reserved"),
        ("{{ x|attr('y') }}", "there is no filter attr here"),
        ("{{ x|format(1) }}", "there is no filter format here"),
        ("{{ x|center(9) }}", "there is no filter center here"),
        ("{{ x is callable }}", "there is no test callable here"),
        ("{{ range(*x) }}", "* and ** are not available in arguments"),
        ("{% set n.x = 1 %}", "an assignment to an attribute is not available here"),
        ("{% set x %}a{% endset %}", "{% set %} with a block is not available here"),
        ("{% macro m() %}{% endmacro %}", "{% macro %} is not available here"),
        ("{% include 'x' %}", "{% include %} is not available here"),
        ("{% import 'x' as y %}", "{% import %} is not available here"),
        ("{% extends 'x' %}", "{% extends %} is not available here"),
        ("{% block b %}{% endblock %}", "{% block %} is not available here"),
        ("{% filter upper %}a{% endfilter %}", "{% filter %} is not available here"),
        ("{% autoescape false %}{% endautoescape %}", "{% autoescape %} is not available here"),
        ("{% for i in x recursive %}{% endfor %}", "loops cannot be recursive"),
    ],
)
def test_what_a_template_may_not_say_is_told_when_it_is_compiled(source, reason):
    assert Fault("body_text", f"line 2: {reason}") in refusal(compile_parts, None, None, "\n" + source).faults


@pytest.mark.parametrize(
    "source",
    ["{{ x", "{% if %}", "{% endif %}", "{{ x | }}", "{% for i in x %}", "{# x", "{{ 'a }}", "{% nope %}"],
)
def test_a_syntax_error_is_told_with_its_line(source):
    assert message(compile_parts, None, "\n\n" + source, None).startswith("line 3: ")


@pytest.mark.parametrize(
    "source", ["{{ 'a' ~ [][0] }}", "{{ [][0] and 1 }}", "{{ [1, 2] ~ 'a' }}", "{{ 1 / 0 ~ 'a' }}"]
)
def test_a_constant_expression_without_a_value_is_refused(source):
    assert refusal(text_of, source).faults[0].field == "body_text"


def test_the_faults_of_all_parts_are_told_at_once():
    found = refusal(compile_parts, "{{", "{{ a() }}{{ b|nope }}", "{% if %}").faults
    assert [fault.field for fault in found] == ["subject", "body_html", "body_html", "body_text"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ 1" + "+1" * 20_000 + " }}",
        "{% if 1 %}" * 300 + "{% endif %}" * 300,
        "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "9" * 5000 + " }}",
        "{{ [" + "1," * 30_000 + "] }}",
        "{{ 1 }}" * 100_000,
        "x" * (1024 * 1024 + 1),
    ],
    ids=["parentheses", "nots", "sum", "ifs", "loops", "digits", "literal", "expressions", "length"],
)
def test_a_monstrous_source_is_refused_and_does_not_crash(source):
    assert refusal(compile_parts, None, None, source).faults[0].field == "body_text"


# What a rendering may not do


BIG = {"s": "x" * 1_000_000, "amp": "&" * 1_000_000, "xs": list(range(100_000)), "k": ["v"] * 1000}
DOUBLED_LIST = "{% set a = [1] %}" + "{% set a = [a, a] %}" * 60
LABOURS = {
    "large range": "{% for i in range(1000000000) %}{% endfor %}",
    "listed range": "{{ range(1000000000)|list|length }}",
    "searched range": "{{ 'a' in range(1000000000) }}",
    "nested loops": "{% for a in xs %}{% for b in xs %}{% endfor %}{% endfor %}",
    "quadratic search": "{% for a in xs %}{% if a in xs %}{% endif %}{% endfor %}",
    "quadratic comparison": "{% for a in k %}{% if xs == xs %}{% endif %}{% endfor %}",
    "quadratic sort": "{% for a in k %}{{ xs|sort|length }}{% endfor %}",
    "quadratic slices": "{% for a in k %}{{ xs[1:]|length }}{% endfor %}",
    "repeated work on text": "{% for a in k %}{{ s|upper|length }}{% endfor %}",
    "doubled list, as json": DOUBLED_LIST + "{{ a|tojson }}",
    "doubled list, joined": DOUBLED_LIST + "{{ a|join }}",
    "doubled list, sorted": DOUBLED_LIST + "{{ [a, a]|sort|length }}",
    "doubled list, compared": DOUBLED_LIST
    + DOUBLED_LIST.replace(" a ", " b ").replace("[a, a]", "[b, b]")
    + "{{ a == b }}",
    "a text as a loop": "{% for c in s %}{{ c }}{% endfor %}",
}
BOMBS = {
    "repeated text": "{{ 'a' * 100000000 }}",
    "repeated list": "{{ [1] * 100000000 }}",
    "squared numbers": "{% set a = 99 %}" + "{% set a = a * a %}" * 40 + "{{ a }}",
    "printf width": "{{ '%0100000000d' % 1 }}",
    "printf width, later": "{{ '%0100000000d' % k|length }}",
    "larger range": "{% for i in range(1000000000000000000000) %}{% endfor %}",
    "doubled text": "{% set a = 'aaaa' %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "doubled text by +": "{% set a = 'aaaa' %}" + "{% set a = a + a %}" * 60 + "{{ a }}",
    "doubled list, printed": DOUBLED_LIST + "{{ a }}",
    "doubled list, as text": DOUBLED_LIST + "{{ a|string }}",
    "doubled list, as html": DOUBLED_LIST + "{{ a|safe }}",
    "doubled list, in a test": DOUBLED_LIST + "{{ a is eq(a) }}",
    "product by replace": "{{ s|replace('x', s)|length }}",
    "product by replace, escaped": "{{ amp|replace('&amp;'|safe, s)|length }}",
    "product by join": "{{ xs|join(s)|length }}",
    "product by map": "{{ k|map('replace', 'v', s)|join|length }}",
    "rounding": "{{ 1.5|round(100000000, 'ceil') }}",
    "batch": "{{ [1]|batch(100000000, 'x')|first|length }}",
    "json indent": "{{ [1]|tojson(indent=100000000) }}",
    "sum of lists": "{{ [xs]|sum(start=[])|length }}",
    "output": "{% for a in k %}{{ s }}{% endfor %}",
}


@pytest.mark.parametrize("source", LABOURS.values(), ids=LABOURS.keys())
def test_a_rendering_that_works_too_much_is_stopped(source):
    assert (
        message(html_of, source, **BIG) == "line 1: takes more work than one message may: shorten its loops"
    )


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("part", ["html", "text"])
def test_a_bomb_is_stopped_before_it_takes_memory(part, source):
    parts = (None, source, None) if part == "html" else (None, None, source)
    tracemalloc.start()
    try:
        # Compiling counts too: it works constant expressions out.
        refusal(lambda: compile_parts(*parts).render(BIG))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ x }}", "prints a list or an object: name the part of it, or join it"),
        ("{{ loop }}", "'loop' is missing"),
        (
            "{% for i in x %}{{ loop }}{% endfor %}",
            "prints a list or an object: name the part of it, or join it",
        ),
        (
            "{% for i in x %}{% for j in loop %}{% endfor %}{% endfor %}",
            "loops over something that is no list",
        ),
        ("{% for i in 3 %}{% endfor %}", "loops over something that is no list"),
        ("{{ range }}", "prints a list or an object: name the part of it, or join it"),
        ("{{ 1 / 0 }}", "divides by zero"),
        ("{{ 'a' + 1 }}", "uses + on something other than numbers"),
        ("{{ 'a' - 1 }}", "an expression does not fit its data (TypeError)"),
        ("{{ 'a'|truncate(1, end='bc') }}", "an expression does not fit its data (AssertionError)"),
        ("{{ x|map('nope')|list }}", "an expression does not fit its data (TemplateRuntimeError)"),
        ("{{ x|map(attribute='__class__')|first }}", "what is looked up here is missing"),
        ("{{ x['format'] }}", "'format' is missing"),
    ],
)
def test_what_does_not_fit_the_data_is_told_with_its_line(source, reason):
    assert message(text_of, "\n" + source, x=[1]) == f"line 2: {reason}"


def test_no_text_on_the_way_is_longer_than_a_message_may_be():
    reason = "line 1: makes a text longer than 1048576 characters"
    assert message(text_of, "{{ s|replace('x', 'xx')|length }}", **BIG) == reason
    assert message(text_of, "{{ (s ~ s)|length }}", **BIG) == reason


def test_data_may_shadow_range_but_is_never_called():
    assert (
        message(text_of, "{{ range(1) }}", range="x")
        == "line 1: calls something other than range() or loop.cycle()"
    )


def test_a_deeply_nested_value_is_an_error_and_not_a_crash():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in message(text_of, "{{ x|tojson }}", x=deep)


@pytest.mark.parametrize(
    ("call", "longest"), [(subject_of, 998), (html_of, 1024 * 1024), (text_of, 512 * 1024)]
)
def test_each_part_has_its_longest_length(call, longest):
    half = "x" * (longest // 2)
    rest = longest - 2 * len(half)
    assert len(call("{{ x }}{{ x }}" + "y" * rest, x=half)) == longest
    assert message(call, "{{ x }}{{ x }}z" + "y" * rest, x=half).endswith(
        f"comes to more than {longest} characters"
    )


def test_a_subject_is_measured_as_it_is_sent():
    assert subject_of("{{ x }}", x="\r\n" * 1000 + "Hi") == "Hi"


# Secrets


SECRET = "s3cret-value"
LEAKS = [
    "{{ x + 1 }}",
    "{{ x - 1 }}",
    "{{ x * 2 }}",
    "{{ x % 1 }}",
    "{{ -x }}",
    "{{ x|round }}",
    "{{ x|abs }}",
    "{{ x < 1 }}",
    "{{ y[x] }}",
    "{{ [1][x] }}",
    "{{ y[x].z }}",
    "{{ [y]|map(attribute=x)|join }}",
    "{{ [x]|map(x)|join }}",
    "{{ [x]|select(x)|join }}",
    "{{ [x]|sum }}",
    "{{ [x, 1]|sort|join }}",
    "{% for i in 1 if x.y.z %}{% endfor %}",
    "{{ range(x) }}",
    "{{ x.y }}",
    "{% for a, b in [x] %}{% endfor %}",
    "{{ {'a': 1}[x] }}",
    "{{ y|dictsort(by=x) }}",
    "{{ x|filesizeformat }}",
    "{{ 1|round(2, x) }}",
    "{{ [1]|batch(x) }}",
    "{{ x is divisibleby(2) }}",
    "{{ {y: 1} }}",
    "{{ x() if false }}{{ x.y() if false }}",
    "{{ ([y]|groupby(x + '-')|first)[0] }}",
    "{{ y|first[x] }}",
]


@pytest.mark.parametrize("source", LEAKS)
@pytest.mark.parametrize("part", [html_of, text_of, subject_of])
def test_no_error_tells_a_value_of_the_data_not_even_by_its_cause(part, source):
    error = refusal(part, source, x=SECRET, y={SECRET: {}})
    assert SECRET not in str(error)
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
        assert SECRET not in str(error)


def test_the_sandbox_itself_keeps_the_engines_errors_back():
    template = compile_template("{{ x - 1 }}{{ y[x] }}", escaped=False, field="body_text")
    error = refusal(template.render, {"x": SECRET, "y": {}}, 100)
    assert (error.__cause__, error.__context__) == (None, None)


# Any template at all


NAMES = [
    "x",
    "xs",
    "d.a",
    "d['a']",
    "loop",
    "loop.index",
    "1",
    "2.5",
    "'a'",
    "none",
    "true",
    "[1,2]",
    "{'a':1}",
]
OPERATORS = [
    "(",
    ")",
    "[0]",
    "[1:]",
    ".a",
    ",",
    "range(3)",
    "if",
    "else",
    "and",
    "or",
    "not",
    "in",
    "is defined",
]
SIGNS = ["+", "-", "*", "/", "//", "%", "~", "=="]
FILTERS = (
    "upper join list length sort first default('z') map('upper') replace('a',x) tojson safe items int round"
)
TOKENS = st.sampled_from(NAMES + OPERATORS + SIGNS + [f"|{name}" for name in FILTERS.split()])
EXPRESSIONS = st.lists(TOKENS, min_size=1, max_size=6).map(" ".join)
STATEMENTS = (
    EXPRESSIONS.map("{{{{ {} }}}}".format)
    | st.builds("{{% for i in {} %}}{{{{ {} }}}}{{% endfor %}}".format, EXPRESSIONS, EXPRESSIONS)
    | st.builds("{{% if {} %}}a{{% endif %}}".format, EXPRESSIONS)
    | st.builds("{{% set y = {} %}}{{{{ y }}}}".format, EXPRESSIONS)
    | st.text("{}%#x '\n", max_size=8)
)


@unhurried
@given(
    st.lists(STATEMENTS, max_size=3).map("".join), st.dictionaries(st.sampled_from(["x", "xs", "d"]), PLAIN)
)
def test_any_template_on_any_data_renders_or_is_refused_as_invalid(source, data):
    try:
        content = compile_parts(source, source, source).render(data)
    except Invalid as error:
        fields = {fault.field for fault in error.faults}
    else:
        fields = set()
        assert all(type(part) is str for part in (content.subject, content.html, content.text))
    assert fields <= {"subject", "body_html", "body_text"}
