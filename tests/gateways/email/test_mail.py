from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.base import Attachment
from app.gateways.email.mail import encoded, mailbox, unsendable, well_formed


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("news@example.org", "", "news@example.org"),
        ("<news@example.org>", "", "news@example.org"),
        ("Town Hall <news@example.org>", "Town Hall", "news@example.org"),
        ('"Hall, Town" <news@example.org>', "Hall, Town", "news@example.org"),
        (r'"A \"B\" C" <news@example.org>', 'A "B" C', "news@example.org"),
        ("Büro <news@example.org>", "Büro", "news@example.org"),
    ],
)
def test_a_sender_is_split_into_name_and_address(text, name, address):
    found = mailbox(text)
    assert (found.name, found.address) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "Name <>",
        "a@example.org, b@example.org",
        "Name <a@example.org>, <b@example.org>",
        "Name <a@example.org,b@example.org>",
        "a@example.org\r\nBcc: b@example.org",
        "Name\r\nBcc: b@example.org <a@example.org>",
        "Name\0 <a@example.org>",
        "Name\u2028 <a@example.org>",
        "a@b@example.org",
        "jürgen@example.org",
        "a@exämple.org",
        "a b@example.org",
        "a@example.org\n",
    ],
)
def test_what_is_not_exactly_one_ascii_address_is_no_mailbox(text):
    assert mailbox(text) is None


@pytest.mark.parametrize(
    "name", ["Town Hall", "Hall, Town", 'A "B" \\ C', "Büro, Köln", "市役所からのお知らせ" * 6]
)
def test_a_mailbox_in_ascii_is_read_back_by_a_mail_parser(name):
    spelt = mailbox(
        '"{}" <news@example.org>'.format(name.replace("\\", r"\\").replace('"', r"\""))
    ).in_ascii()
    read, address = parseaddr(spelt)
    assert spelt.isascii()
    assert (str(make_header(decode_header(read))), address) == (name, "news@example.org")


def test_a_foreign_name_with_a_comma_is_quoted_in_unicode():
    assert mailbox('"Büro, Köln" <a@example.org>').in_unicode() == '"Büro, Köln" <a@example.org>'


@given(st.text(min_size=1))
def test_encoded_header_text_is_printable_ascii_on_one_line(text):
    spelt = encoded(text)
    assert spelt.isascii()
    assert spelt.isprintable()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip))
def test_encoded_header_text_reads_back_as_it_was(text):
    assert text.isascii() or str(make_header(decode_header(encoded(text)))) == text


def test_a_plain_message_may_be_sent(envelope):
    assert unsendable(envelope()) is None


CONTROLS = ["\r\n", "\n", "\r", "\0", "\x0b", "\x85", "\u2028"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_in_any_header_field_is_refused(envelope, control):
    evil = f"x{control}Bcc: evil@example.net"
    file = {"filename": "a.txt", "content_type": "text/plain", "content": b"x"}
    for changes in (
        {"subject": evil},
        {"sender": f"{evil} <a@example.org>"},
        {"sender": f"a@example.org{control}"},
        {"reply_to": f"{evil} <a@example.org>"},
        {"address": f"rcpt@example.com{control}"},
        {"headers": {"X-A": evil}},
        {"headers": {f"X-A{control}": "b"}},
        {"attachments": [Attachment(**file | {"filename": evil})]},
        {"attachments": [Attachment(**file | {"content_type": f"text/plain{control}"})]},
        {"attachments": [Attachment(**file | {"content_id": evil})]},
    ):
        assert unsendable(envelope(**changes)), changes


@pytest.mark.parametrize(
    "address", ["a@x.org,b@x.org", "a@x.org b@x.org", "A <a@x.org>", "<a@x.org>", "a@x.org;", ""]
)
def test_a_recipient_is_one_bare_address(envelope, address):
    assert unsendable(envelope(address=address)) == "a recipient that is not one plain address"


@pytest.mark.parametrize(
    "name",
    ["List-Unsubscribe", "list-unsubscribe-post", "X-Campaign", "Feedback-ID", "In-Reply-To", "References"],
)
def test_headers_of_lists_and_threads_go_through(envelope, name):
    assert unsendable(envelope(headers={name: "value"})) is None


@pytest.mark.parametrize(
    "name",
    [
        "Bcc",
        "To",
        "From",
        "Sender",
        "Subject",
        "Return-Path",
        "Content-Type",
        "Message-ID",
        "DKIM-Signature",
        "Received",
        "X-SES-MESSAGE-TAGS",
        "x-ses-configuration-set",
        "X-Postal-Tag",
        "X:A",
        "X A",
        "",
    ],
)
def test_headers_that_steer_the_mail_or_the_gateway_are_refused(envelope, name):
    assert unsendable(envelope(headers={name: "value"}))


def test_a_message_without_words_is_refused(envelope):
    assert unsendable(envelope(text=None, html="")) == "a message without text"


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("a.b+c@example.org", True),
        ("o'neil@mail.example.co.uk", True),
        (".a@example.org", False),
        ("a..b@example.org", False),
        ("a.@example.org", False),
        ("a@example..org", False),
        ("a@-example.org", False),
        ("a@localhost", False),
        ("a@example.org\n", False),
    ],
)
def test_a_plain_address_is_a_dot_atom_at_a_host(address, verdict):
    assert well_formed(address) is verdict
