import pytest

from app.gateways.base import Attachment
from app.gateways.sms.texts import international, media_of, sender_of, unsendable

PICTURE = {"media": ["https://example.org/a.png"]}


def test_a_plain_text_can_go_out(text):
    assert unsendable(text(), media=False) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"address": "15554443333"}, "recipient"),
        ({"address": "+1555444333a"}, "recipient"),
        ({"address": "anna@example.com"}, "recipient"),
        ({"sender": "+1555\r\nX: y"}, "sender"),
        ({"sender": "A name that is far too long"}, "sender"),
        ({"text": ""}, "without text"),
        ({"text": None}, "without text"),
        ({"attachments": [Attachment(filename="a", content_type="b/c", content=b"d")]}, "attachment"),
        ({"sms": {"content_sid": "HX1"}}, "content template"),
        ({"sms": {"messaging_service": "MG1"}}, "messaging service"),
        ({"sms": {"max_price": "0.05"}}, "highest price"),
        ({"sms": PICTURE}, "media"),
    ],
)
def test_what_cannot_go_out_is_named(text, changes, named):
    assert named in unsendable(text(**changes), media=False)


def test_a_picture_needs_no_words_where_pictures_can_go(text):
    assert unsendable(text(text=None, sms=PICTURE), media=True) is None


def test_smart_encoding_keeps_no_text_from_going(text):
    assert unsendable(text(sms={"smart_encoding": True}), media=False) is None


def test_media_are_given_in_order(text):
    assert media_of(text(sms={"media": ["https://a", "https://b"]})) == ("https://a", "https://b")
    assert media_of(text()) == ()


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("+15552221111", "+15552221111"),
        ("Town Hall <+15552221111>", "+15552221111"),
        ("TOWNHALL", "TOWNHALL"),
        ("12345", "12345"),
    ],
)
def test_a_sender_is_taken_without_its_name(text, written, bare):
    assert sender_of(text(sender=written)) == bare


@pytest.mark.parametrize(
    ("told", "canonical"),
    [("31612345678", "+31612345678"), ("+31612345678", "+31612345678"), ("1008", "1008"), ("ACME", "ACME")],
)
def test_a_number_gets_its_plus_back(told, canonical):
    assert international(told) == canonical
