"""The words by which people refuse messages and ask for them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.opt_words import Meaning, is_answer_too, meaning

WIDE = "\uff33\uff34\uff2f\uff30"


@pytest.mark.parametrize(
    "word",
    [
        *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
        *("OPT-OUT", "ARRET", "ARRÊT", "STOPP", "BAJA"),
    ],
)
def test_words_that_refuse(word):
    assert meaning(word) is Meaning.STOP


@pytest.mark.parametrize("word", ["START", "UNSTOP", "YES", "OUI", "JA", "SÍ"])
def test_words_that_ask_again(word):
    assert meaning(word) is Meaning.START


@pytest.mark.parametrize("word", ["HELP", "INFO", "AIDE", "HILFE"])
def test_words_that_ask_for_help(word):
    assert meaning(word) is Meaning.HELP


@pytest.mark.parametrize("text", ["stop", " Stop. ", "“STOP!”", "S.T.O.P.", "\tstop\n", "STOP 🛑", WIDE])
def test_case_blanks_and_punctuation_do_not_matter(text):
    assert meaning(text) is Meaning.STOP


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!!!",
        "Stop please",
        "please stop by tomorrow",
        "weekend",
        "yes please",
        "stop" + "!" * 200 + "not",
    ],
)
def test_only_the_whole_message_counts(text):
    assert meaning(text) is None


@pytest.mark.parametrize(
    ("word", "expected"), [("Yes!", True), ("sí", True), ("START", False), ("NO", False)]
)
def test_a_yes_may_be_an_answer_too(word, expected):
    assert is_answer_too(word) is expected


@given(st.text())
def test_any_text_can_be_judged(text):
    assert meaning(text) in {None, *Meaning}


@given(st.text(max_size=20), st.text(max_size=20))
def test_case_never_matters(before, after):
    text = f"{before}{after}"
    if text.upper().casefold() == text.casefold():
        assert meaning(text) is meaning(text.upper())
