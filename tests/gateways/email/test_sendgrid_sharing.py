"""One content for many: whatever is shared, putting the substitutions in gives each message back."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vocabulary import Channel
from app.gateways.base import Envelope
from app.gateways.email.sendgrid.sharing import MOST_SUBSTITUTED, common, joinable


@pytest.fixture(scope="session")
def rendered(tag):
    def make(text, html=None):
        return Envelope(
            tag=tag, channel=Channel.EMAIL, address="a@example.com", sender="b", text=text, html=html
        )

    return make


def filled_in(part, substitutions):
    """Do what SendGrid does, in whatever order."""
    for name, value in substitutions.items():
        part = part.replace(name, value)
    return part


def test_what_all_say_is_said_once(rendered):
    shared = common([rendered("same\nwords"), rendered("same\nwords")])
    assert (shared.text, shared.html, list(shared.substitutions)) == ("same\nwords", None, [])


def test_lines_that_differ_are_substituted(rendered):
    shared = common([rendered("Hello Ada,\n\nnews\nK1"), rendered("Hello Bob,\n\nnews\nK2")])
    assert shared.text == "%tocsin_t0%\n\nnews\n%tocsin_t1%"
    assert shared.substitutions == [
        {"%tocsin_t0%": "Hello Ada,", "%tocsin_t1%": "K1"},
        {"%tocsin_t0%": "Hello Bob,", "%tocsin_t1%": "K2"},
    ]


def test_contents_of_different_shape_are_substituted_whole(rendered):
    shared = common([rendered("a\nb"), rendered("a")])
    assert shared.text == "%tocsin_t0%"
    assert shared.substitutions == [{"%tocsin_t0%": "a\nb"}, {"%tocsin_t0%": "a"}]


def test_no_tag_is_inside_of_another(rendered):
    count = 120
    shared = common([rendered("\n".join(f"{who}{n}" for n in range(count))) for who in "ab"])
    names = list(shared.substitutions[0])
    assert len(names) == count
    assert not any(one in two for one in names for two in names if one != two)


def test_ten_thousand_bytes_are_the_most_for_one_message(rendered):
    def own(size):
        return rendered("x" * size)

    exact = MOST_SUBSTITUTED - len(orjson.dumps({"%tocsin_t0%": ""}))
    assert joinable([own(5), own(exact)]) == 2
    assert joinable([own(5), own(6), own(exact + 1)]) == 2
    assert joinable([own(exact + 1), own(5)]) == 1


def test_bytes_count_not_letters(rendered):
    assert joinable([rendered("é" * 4_900), rendered("a")]) == 2
    assert joinable([rendered("é" * 5_100), rendered("a")]) == 1


def test_a_long_newsletter_is_shared_but_for_its_lines(rendered):
    long = "\n".join(f"<p>{'word ' * 40}</p>" for _ in range(500))
    messages = [rendered("t", f"<h1>Hello {name}</h1>\n{long}") for name in ("Ada", "Bob", "Cy")]
    assert joinable(messages) == 3


def test_long_ones_of_another_shape_go_apart(rendered):
    long = "\n".join("word " * 40 for _ in range(100))
    messages = [rendered(f"Hello Ada\n{long}"), rendered(f"Hello Bob\n{long}"), rendered(f"Hi\nCy\n{long}")]
    assert joinable(messages) == 2


def test_who_says_our_mark_goes_alone(rendered):
    marked, plain = rendered("a %tocsin_t0% b"), rendered("a")
    assert joinable([marked, plain]) == 1
    assert joinable([plain, marked]) == 1
    assert common([marked]).text == "a %tocsin_t0% b"


lines = st.lists(st.text(alphabet="ab%_\r t0", max_size=6), min_size=1, max_size=5).map("\n".join)
bodies = st.lists(st.tuples(lines, lines), min_size=1, max_size=6)


@given(bodies)
def test_filling_in_gives_every_message_back(rendered, told):
    messages = [rendered(text, html) for text, html in told]
    together = messages[: joinable(messages)]
    shared = common(together)
    for message, own in zip(together, shared.substitutions or [{}] * len(together), strict=True):
        assert filled_in(shared.text, own) == message.text
        assert filled_in(shared.html, own) == message.html


@given(
    st.lists(st.sampled_from(["\x01", "é", '"', "a", "\U0001f600", "\n"]), min_size=1, max_size=4),
    st.integers(1, 1700),
)
def test_what_is_joined_for_being_short_never_substitutes_too_much(rendered, characters, times):
    text = "".join(characters) * (times // len(characters))
    messages = [rendered(text + "1", text + "2"), rendered(text + "3", text + "4")]
    if joinable(messages) == 2:
        assert all(len(orjson.dumps(own)) <= MOST_SUBSTITUTED for own in common(messages).substitutions)
