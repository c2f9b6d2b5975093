"""Mails that are built, read back by the standard library as their recipients' programs would."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateways.base import Attachment
from app.gateways.email.mail import unsendable
from app.gateways.email.mime import mail_of, message_id, unwritable

NOW = datetime(2026, 11, 22, 13, 14, 15, tzinfo=timezone(timedelta(hours=1)))
PNG = b"\x89PNG\r\n\x1a\n\0\0"


def built(message, **more):
    return mail_of(message, now=NOW, domain="bounces.example.org", **more)


def read(message, **more):
    return message_from_bytes(built(message, **more), policy=policy.default)


def picture(**changes):
    return Attachment(
        **{"filename": "a.png", "content_type": "image/png", "content": PNG, "content_id": "a"} | changes
    )


def shape(part):
    inner = [shape(each) for each in part.iter_parts()] if part.is_multipart() else []
    return [part.get_content_type(), *([inner] if inner else [])]


def test_the_head_says_who_when_and_which(envelope):
    mail = read(envelope(reply_to="Desk <desk@example.org>"))
    assert (mail["from"], mail["to"]) == ("Town Hall <news@example.org>", "rcpt@example.com")
    assert (mail["reply-to"], mail["subject"]) == ("Desk <desk@example.org>", "Hello")
    assert parsedate_to_datetime(mail["date"]) == datetime(2026, 11, 22, 12, 14, 15, tzinfo=UTC)
    assert mail["message-id"] == "<019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2@bounces.example.org>"
    assert mail["mime-version"] == "1.0"
    assert message_id(envelope(), "x.example") == "<019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2@x.example>"


def test_each_field_is_there_once(envelope):
    names = [name.lower() for name in read(envelope(headers={"X-A": "b"})).keys()]  # noqa: SIM118 — repeats
    assert sorted(names) == sorted(set(names))
    assert "reply-to" not in names


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"html": None}, ["text/plain"]),
        ({"text": None}, ["text/html"]),
        ({}, ["multipart/alternative", [["text/plain"], ["text/html"]]]),
        (
            {"attachments": [picture()]},
            [
                "multipart/alternative",
                [["text/plain"], ["multipart/related", [["text/html"], ["image/png"]]]],
            ],
        ),
        (
            {"text": None, "attachments": [picture()]},
            ["multipart/related", [["text/html"], ["image/png"]]],
        ),
        (
            {"html": None, "attachments": [picture()]},
            ["multipart/mixed", [["text/plain"], ["image/png"]]],
        ),
        (
            {"attachments": [picture(content_id=None), picture()]},
            [
                "multipart/mixed",
                [
                    [
                        "multipart/alternative",
                        [["text/plain"], ["multipart/related", [["text/html"], ["image/png"]]]],
                    ],
                    ["image/png"],
                ],
            ],
        ),
    ],
)
def test_parts_are_where_mail_programs_look_for_them(envelope, changes, expected):
    assert shape(read(envelope(**changes))) == expected


@pytest.mark.parametrize("written", ["logo@example.org", "<logo@example.org>"])
def test_a_picture_is_named_as_the_html_names_it(envelope, written):
    mail = read(envelope(text=None, attachments=[picture(content_id=written)]))
    (_, image) = mail.iter_parts()
    assert image["content-id"] == "<logo@example.org>"
    assert (image.get_content_disposition(), image.get_content()) == ("inline", PNG)


def test_a_file_keeps_its_name_its_type_and_its_bytes(envelope):
    invitation = Attachment(
        filename="Straßenfest 橋.ics",
        content_type="text/calendar; method=REQUEST; charset=utf-8",
        content="Köln\r\n".encode(),
    )
    (file,) = read(envelope(html=None, attachments=[invitation])).iter_attachments()
    assert file.get_filename() == "Straßenfest 橋.ics"
    assert file.get_content_type() == "text/calendar"
    assert file["content-type"].params["method"] == "REQUEST"
    assert file.get_payload(decode=True) == "Köln\r\n".encode()


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed", "text/", "no type", "a/b/c", "x/y z"])
def test_what_may_not_be_encoded_or_is_no_type_goes_as_bytes(envelope, kind):
    file = Attachment(filename="x", content_type=kind, content=b"From: a\r\n\r\nb")
    (part,) = read(envelope(html=None, attachments=[file])).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_content() == b"From: a\r\n\r\nb"


def test_a_long_address_of_the_web_stays_whole(envelope):
    url = f"<https://example.org/unsubscribe/{'a' * 300}?b={'c' * 100}>"
    source = built(
        envelope(headers={"List-Unsubscribe": url, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"})
    )
    assert f"List-Unsubscribe: {url}\r\n".encode() in source
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in source


def test_the_gateways_own_fields_go_along(envelope):
    assert read(envelope(), extra={"X-Postal-Tag": "t"})["x-postal-tag"] == "t"


def test_a_header_that_fits_no_line_cannot_be_written(envelope):
    assert unwritable(envelope(headers={"X-A": "a" * 900})) is None
    assert unwritable(envelope(headers={"X-A": "a" * 1000})) == "the length of the header X-A"
    assert unwritable(envelope(headers={"X-A": "ab " * 1000})) is None


@pytest.mark.parametrize("content_id", ["a b", "ä", "a>b", "<a", "x" * 201])
def test_a_content_id_that_no_address_can_name_cannot_be_written(envelope, content_id):
    named = unwritable(envelope(attachments=[picture(content_id=content_id)]))
    assert named == (None if content_id == "<a" else "an attachment's content id")


def test_files_are_counted_as_they_travel(envelope):
    def of(size):
        return unwritable(
            envelope(text="x", html=None, attachments=[picture(content=b"x" * size)]), at_most=1024**2
        )

    assert of(700_000) is None
    assert of(780_000) == "more than 1 MB"


def test_what_is_counted_is_not_less_than_what_is_written(envelope):
    message = envelope(attachments=[picture(content=bytes(1_000_000))])
    assert unwritable(message, at_most=len(built(message)) - 2000) is not None


# Whatever it says

WORDS = st.text(max_size=200).filter(lambda text: not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text))
TRICKY = st.sampled_from(
    ["=?utf-8?q?a?=", "a  b", "ä" * 100, "x" * 300, '"', "\\", "a,b;c:d", "=?", "橋 " * 60, "a@b", "<a>"]
)
TITLES = (WORDS | TRICKY).map(str.strip)


def lines_of(text):
    """Read a text as mail does: whatever ends a line there ends one."""
    return re.split("\r\n|\r|\n", text.removesuffix("\n").removesuffix("\r"))


def same_text(given, got):
    return lines_of(given) == lines_of(got.removesuffix("\n")) or [*lines_of(given), ""] == lines_of(got)


@given(subject=TITLES)
def test_any_subject_comes_back(envelope, subject):
    assert read(envelope(subject=subject))["subject"] == subject


@given(name=TITLES)
def test_any_name_comes_back(envelope, name):
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    message = envelope(sender=f'"{quoted}" <news@example.org>')
    (sender,) = read(message)["from"].addresses
    # The standard library's reader has ideas of its own about spaces in names.
    assert "".join(sender.display_name.split()) == "".join(name.split())
    assert sender.addr_spec == "news@example.org"


@given(value=TITLES.filter(bool))
def test_any_header_comes_back_and_is_the_only_one(envelope, value):
    mail = read(envelope(headers={"X-Words": value}))
    assert mail.get_all("x-words") == [value]
    assert {name.lower() for name in mail.keys()} == {  # noqa: SIM118 — a mail is no dictionary
        "date",
        "message-id",
        "from",
        "to",
        "subject",
        "x-words",
        "mime-version",
        "content-type",
    }


@given(text=st.text(min_size=1, max_size=300) | st.just("a" * 5000) | st.just("From x\r\n.\r\n..\r\n"))
def test_any_text_comes_back_in_lines_that_every_relay_takes(envelope, text):
    source = built(envelope(text=text, html=None))
    mail = message_from_bytes(source, policy=policy.default)
    decoded = mail.get_payload(decode=True).decode()
    assert same_text(text, decoded), decoded
    assert source.isascii()
    assert max(map(len, source.split(b"\r\n"))) <= 998
    assert source.endswith(b"\r\n")
    assert source.count(b"\r\n") == source.count(b"\n") == source.count(b"\r")
    assert b"\0" not in source


@settings(deadline=None, max_examples=40)  # The standard library takes its time over names in many parts.
@given(
    content=st.binary(min_size=1, max_size=500),
    # Most programs, the standard library too, read what looks encoded even where it may not be.
    name=TITLES.filter(lambda name: name and "=?" not in name and name[0] not in '<"' and name[-1] != "\\"),
)
def test_any_file_comes_back(envelope, content, name):
    file = Attachment(filename=name, content_type="application/pdf", content=content)
    source = built(envelope(attachments=[file]))
    (part,) = message_from_bytes(source, policy=policy.default).iter_attachments()
    assert (part.get_filename(), part.get_content()) == (name, content)
    assert source.isascii()
    assert source.count(b"\r\n") == source.count(b"\n") == source.count(b"\r")


@given(
    injected=st.text(max_size=30),
    end=st.sampled_from(["\r\n", "\n", "\r", "\0", "\x0b", "\x85", "\u2028"]),
    field=st.sampled_from(["subject", "header", "name", "reply_to", "filename", "content_id"]),
)
def test_nobody_can_begin_another_header(envelope, injected, end, field):
    evil = f"a{end}Bcc: victim@example.net{injected}"
    changes = {
        "subject": {"subject": evil},
        "header": {"headers": {"X-A": evil}},
        "name": {"sender": f'"{evil}" <news@example.org>'},
        "reply_to": {"reply_to": f"{evil} <a@example.org>"},
        "filename": {"attachments": [picture(filename=evil)]},
        "content_id": {"attachments": [picture(content_id=evil)]},
    }
    message = envelope(**changes[field])
    assert unsendable(message) or unwritable(message)
