"""Encodings and segments, by the figures of 3GPP TS 23.038 and TS 23.040."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.sms import measure, split

# The basic table row by row, as the standard prints it, without the escape.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
texts = st.text(st.one_of(st.sampled_from(BASIC + EXTENSION), st.characters(exclude_categories=["Cs"])))
gsm_texts = st.text(st.sampled_from(BASIC + EXTENSION), max_size=700)


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "gsm7", 0, 1),
        ("a" * 160, "gsm7", 160, 1),
        ("a" * 161, "gsm7", 161, 2),
        ("a" * 306, "gsm7", 306, 2),
        ("a" * 307, "gsm7", 307, 3),
        ("€" * 80, "gsm7", 160, 1),
        ("€" * 81, "gsm7", 162, 2),
        ("я" * 70, "ucs2", 70, 1),
        ("я" * 71, "ucs2", 71, 2),
        ("я" * 134, "ucs2", 134, 2),
        ("я" * 135, "ucs2", 135, 3),
        ("😀" * 35, "ucs2", 70, 1),
        ("😀" * 36, "ucs2", 72, 2),
        # 33 pairs fit into 67 units, not 33 and a half.
        ("😀" * 66, "ucs2", 132, 2),
        ("😀" * 67, "ucs2", 134, 3),
        # 76 escaped characters fit into 153 septets, not 76 and a half.
        ("€" * 152, "gsm7", 304, 2),
        ("€" * 153, "gsm7", 306, 3),
    ],
)
def test_segments_are_counted_as_networks_count_them(text, encoding, units, segments):
    found = measure(text)
    assert (found.encoding, found.units, found.segments) == (encoding, units, segments)


def test_the_whole_basic_table_is_gsm_7():
    assert len(BASIC) == 127
    assert measure(BASIC).encoding == "gsm7"


def test_the_characters_that_force_ucs_2_are_named_once_each_in_order():
    assert measure("Grüße \u2013 naïve \u2013 😀").forced_by == ("\u2013", "ï", "😀")


def test_a_small_c_with_cedilla_is_not_in_the_alphabet_though_the_capital_is():
    assert measure("Ç").forced_by == ()
    assert measure("ç").forced_by == ("ç",)


def test_one_foreign_character_more_than_doubles_the_price():
    assert measure("a" * 160).segments == 1
    assert measure("a" * 159 + "\u2019").segments == 3


@given(texts)
def test_the_segments_hold_the_text_and_there_are_as_many_as_counted(text):
    parts = split(text)
    assert "".join(parts) == text
    assert len(parts) == measure(text).segments


@given(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=0x400), max_size=300))
def test_no_segment_of_ucs_2_is_longer_than_its_room_or_ends_within_a_pair(text):
    parts = split(text)
    room = 70 if len(parts) == 1 else 67
    encoded = [part.encode("utf-16-be") for part in parts]
    assert all(len(part) <= 2 * room for part in encoded)
    assert b"".join(encoded).decode("utf-16-be") == text


@given(gsm_texts)
def test_no_segment_of_gsm_7_is_longer_than_its_room(text):
    parts = split(text)
    room = 160 if len(parts) == 1 else 153
    assert all(len(part) + sum(char in EXTENSION for char in part) <= room for part in parts)


@given(gsm_texts, gsm_texts)
def test_more_text_never_takes_fewer_segments(text, more):
    assert measure(text + more).segments >= measure(text).segments
