"""Templates put together, compiled, cleaned and read out as text, with their tags unharmed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.rendering import compile_parts
from app.domain.templates import mail
from app.domain.templates.assembly import Fragment, assemble
from app.domain.templates.building import Kind, Markup, Source, TakenIn, Written, build
from app.domain.templates.diffing import MOST_LINES, compare
from app.domain.templates.sheltering import shelter
from app.domain.templates.tags import tags
from app.errors import Invalid

COLUMN = "<mjml><mj-body><mj-section><mj-column>"
END_OF_COLUMN = "</mj-column></mj-section></mj-body></mjml>"


class Shelf:
    """Layouts and partials by slug, in HTML."""

    def __init__(self, layouts=(), partials=(), markup=Markup.HTML):
        self.markup = markup
        self.layouts, self.partials = dict(layouts), dict(partials)

    def layout(self, slug):
        return self._source(Kind.LAYOUT, slug, self.layouts.get(slug))

    def partial(self, slug):
        return self._source(Kind.PARTIAL, slug, self.partials.get(slug))

    def _source(self, kind, slug, html):
        origin = TakenIn(kind=kind, slug=slug, locale=None, version=1, id=1)
        return html and Source(origin=origin, markup=self.markup, html=html, text=None, variables=())


def none(_slug):
    return None


def rendered(html, **data):
    return compile_parts(None, html, None).render(data).html


lines = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12).map("\n".join)


@given(lines, lines)
def test_a_diff_holds_both_versions_whole(old, new):
    diff = compare("body_text", old, new)
    assert [line.text for line in diff.lines if line.op != "added"] == old.split("\n")
    assert [line.text for line in diff.lines if line.op != "removed"] == new.split("\n")
    assert diff.is_changed == (old != new)


def test_a_diff_of_what_is_too_long_is_coarse_and_whole():
    old = "\n".join(str(number) for number in range(MOST_LINES))
    diff = compare("body_html", old, f"{old}\nmore")
    assert diff.is_coarse
    assert len(diff.lines) == 2 * MOST_LINES + 1


markup = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "{{ a }}", "{% if b %}", "{% endif %}", "{# c #}", '<a href="', '">', "\n", "x",
         "<!--", "-->", "<title>", "</title>", "{% raw %}{{ x {% endraw %}", "'", "<"]
    ),
    max_size=20,
).map("".join)  # fmt: skip


@given(markup)
def test_what_is_sheltered_comes_back_as_it_was(source):
    sheltered = shelter(source)
    assert sheltered.restored(sheltered.text) == source
    assert sheltered.text.count("\n") == source.count("\n") or any("\n" in tag.text for tag in tags(source))


def test_a_tag_may_hold_its_own_closing_in_a_text():
    assert [tag.text for tag in tags("""{{ "}}" }} {% if a == '%}' %}""")] == [
        '{{ "}}" }}',
        "{% if a == '%}' %}",
    ]


def test_a_loop_over_rows_stays_round_its_rows_when_styles_are_inlined():
    html = (
        "<style>td{color:red}</style><table>{% for r in rows %}<tr><td>{{ r }}</td></tr>{% endfor %}</table>"
    )
    inlined = mail.with_styles_inlined(html, "body_html")
    assert rendered(inlined, rows=["1", "2"]).count('<tr><td style="color: red;">') == 2


def test_a_statement_inside_of_an_element_is_not_risked():
    with pytest.raises(Invalid, match="line 2"):
        mail.with_styles_inlined("<style>p{}</style>\n<p {% if a %}class='b'{% endif %}>", "body_html")


def test_what_cannot_be_inlined_is_sent_as_it_is_and_told():
    html = "<style>p{}</style><p {% if a %}class='b'{% endif %}>x</p>"
    built = build(Written(subject="s", html=html, text="t"), Shelf())
    assert built.html == html
    assert [finding.code for finding in built.findings] == ["not_inlined"]


def test_rules_for_small_screens_and_the_dark_win_over_what_is_inlined():
    html = (
        "<style>/* p { */ p{color:blue} @media (max-width:9px){"
        "p,b{color:red;background:url('a;b') !important}i{top:0}}</style><p>x</p>"
    )
    inlined = mail.with_styles_inlined(html, "body_html")
    assert "p,b{ color:red !important; background:url('a;b') !important }i{ top:0 !important }}" in inlined
    assert "p{color:blue}" in inlined
    assert '<p style="color: blue;">' in inlined


def test_a_text_out_of_html_repeats_what_the_html_repeats():
    text = mail.text_of("<table>{% for r in rows %}<tr><td>{{ r }}</td></tr>{% endfor %}</table>")
    out = compile_parts(None, None, text).render({"rows": ["one", "two"]}).text
    assert [line for line in out.splitlines() if line] == ["one", "two"]


def test_a_link_is_read_out_with_its_address():
    assert mail.text_of('<p>See <a href="{{ url }}">the shop</a>.</p>') == "See the shop ({{ url }}).\n"


def test_a_script_and_a_handler_are_taken_out_of_foreign_html():
    clean = mail.cleaned('<p onclick="x()">{{ a }}</p><script>y</script><a href="javascript:z">b</a>', "b")
    assert clean == "<p>{{ a }}</p><a>b</a>"


def test_the_lines_of_what_is_put_together_are_those_of_its_authors():
    layout = Fragment(label="layout house", source="<top>\n{{ content }}\n<bottom>")
    partial = Fragment(label="partial foot", source="one\ntwo")
    whole = assemble('first\n{% include "foot" %}\nthird', "b", layout=layout, partial=lambda _: partial)
    assert whole.text == "<top>\nfirst\none\ntwo\nthird\n<bottom>"
    assert [whole.place(line) for line in range(1, 7)] == [
        ("layout house", 1),
        (None, 1),
        ("partial foot", 1),
        ("partial foot", 2),
        (None, 3),
        ("layout house", 3),
    ]


@given(st.lists(st.sampled_from(["a\n", "b", "\n", '{% include "p" %}']), max_size=8).map("".join))
def test_every_line_has_a_place(source):
    partial = Fragment(label="partial p", source="x\ny\n")
    whole = assemble(source, "b", layout=None, partial=lambda _: partial)
    own = [whole.place(number)[1] for number in range(1, whole.text.count("\n") + 2)]
    assert all(1 <= line <= max(source.count("\n") + 1, 3) for line in own)


def test_partials_do_not_grow_without_end():
    partials = {f"p{depth}": f'{{% include "p{depth + 1}" %}}' * 20 for depth in range(4)} | {"p4": "x" * 100}
    with pytest.raises(Invalid, match="too much"):
        build(Written(subject="s", html='{% include "p0" %}'), Shelf(partials=partials))


def test_a_layout_and_a_template_must_be_written_in_the_same():
    shelf = Shelf(layouts={"house": "<mjml>{{ content }}</mjml>"}, markup=Markup.MJML)
    with pytest.raises(Invalid, match="use the same for both"):
        build(Written(subject="s", html="<p>x</p>", layout="house"), shelf)


def test_a_fault_in_a_layout_is_told_with_its_line_there():
    shelf = Shelf(layouts={"house": "<p>\n{% if %}\n{{ content }}"})
    with pytest.raises(Invalid, match="line 2 of layout house"):
        build(Written(subject="s", html="a\nb", layout="house"), shelf)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("<mjml>\n<mj-body>\n<mj-section></mj-body></mjml>", "line 3: </mj-body> comes where <mj-section>"),
        (
            "<mjml><mj-body>\n<mj-section a=b></mj-section></mj-body></mjml>",
            "line 2: <mj-section> has an attr",
        ),
        ("<mj-text>x</mj-text>", "begins with <mjml>"),
        (
            "<mjml><mj-head>{{ x }}</mj-head><mj-body></mj-body></mjml>",
            "{{ x }} stands where MJML shows nothing",
        ),
        ('<mjml>\n<mj-include path="/etc/passwd" /></mjml>', "line 2: take in a partial"),
        (f"{COLUMN}\n<mj-text>a <b</mj-text>{END_OF_COLUMN}", "line 2: what is in <mj-text>"),
    ],
)
def test_a_fault_in_mjml_has_its_line(source, told):
    with pytest.raises(Invalid) as caught:
        build(Written(subject="s", html=source, markup=Markup.MJML), Shelf())
    assert told in str(caught.value)


def test_what_an_author_commented_out_stays_so():
    html = "<body><style>p{color:red}</style><!--{{ name }}--><p>x</p>"
    assert "<!--{{ name }}--><p" in mail.with_styles_inlined(html, "body_html")


def test_what_a_piece_of_html_begins_with_stays_with_what_follows():
    html = "<style>p{color:red}</style>{% if a %}<p>x</p>{% endif %}"
    inlined = mail.with_styles_inlined(html, "body_html")
    assert '<body>{% if a %}<p style="color: red;">x</p>{% endif %}</body>' in inlined


@pytest.mark.parametrize("markup", [Markup.HTML, Markup.MJML])
def test_what_would_end_the_process_by_its_depth_is_let_be(markup):
    deep = "<div>" * 50_000 + "</div>" * 50_000
    if markup is Markup.HTML:
        built = build(Written(subject="s", html=f"<style>p{{}}</style>{deep}", text="t"), Shelf())
        assert [finding.code for finding in built.findings] == ["not_inlined"]
        return
    source = f"{COLUMN}<mj-text>{deep}</mj-text>{END_OF_COLUMN}"
    with pytest.raises(Invalid, match="more than 300 elements are open"):
        build(Written(subject="s", html=source, text="t", markup=markup), Shelf())


def test_a_mail_of_many_pictures_is_not_deep():
    pictures = '<mj-image src="https://example.com/a.png" alt="" />' * 400
    built = build(
        Written(subject="s", html=f"{COLUMN}{pictures}{END_OF_COLUMN}", markup=Markup.MJML), Shelf()
    )
    assert built.html.count("<img") == 400
