"""What is found about mails and texts, and how bad it is."""

import pytest

from app.domain.templates.assembly import assemble
from app.domain.templates.checking_mail import html_findings, size_findings, subject_findings
from app.domain.templates.checking_texts import text_findings
from app.domain.templates.parts import fixed, part_faults
from app.domain.vocabulary import Channel, MessageType


def of_html(html, message_type=None):
    source = assemble(html, "body_html", layout=None, partial=lambda _: None)
    return {finding.code: finding.level.value for finding in html_findings(source, message_type)}


def of_text(channel, text, *, subject=None, message_type=None, **own):
    found = text_findings(channel, subject, text, own, message_type=message_type, most_segments=10)
    return {finding.code: finding.level.value for finding in found}


@pytest.mark.parametrize(
    ("html", "code", "level"),
    [
        ('<a href="/shop">x</a>', "link_relative", "error"),
        ('<a href="www.example.com">x</a>', "link_relative", "error"),
        ('<a href="">x</a>', "link_empty", "warning"),
        ('<a href="#">x</a>', "link_empty", "warning"),
        ('<a href="JavaScript:alert(1)">x</a>', "link_harmful", "error"),
        ('<a href="http://example.com">x</a>', "link_http", "warning"),
        ('<a href="app://x">x</a>', "link_scheme", "warning"),
        ('<img src="https://example.com/a.png">', "image_alt", "warning"),
        ('<img alt="" src="a.png">', "image_address", "error"),
        ('<img alt="" src="data:image/png;base64,xx">', "image_data", "warning"),
        ("<script>x</script>", "forbidden_element", "error"),
        ("<form></form>", "forbidden_element", "error"),
        ('<p onclick="x()">x</p>', "handler", "error"),
        ('<mj-button href="/x">x</mj-button>', "link_relative", "error"),
    ],
)
def test_what_does_not_work_in_a_mail_is_found(html, code, level):
    assert of_html(html) == {code: level}


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com">x</a>',
        '<a href="{{ url }}">x</a>',
        '<a href="{% if a %}https://example.com{% endif %}">x</a>',
        '<a href="mailto:a@example.com">x</a>',
        '<a name="here">x</a>',
        '<img alt="" src="cid:logo">',
        '<img alt="Logo" src="{{ logo }}">',
    ],
)
def test_what_works_in_a_mail_is_let_be(html):
    assert of_html(html) == {}


@pytest.mark.parametrize("message_type", [MessageType.NEWSLETTER, MessageType.CAMPAIGN])
def test_marketing_without_a_way_out_is_an_error(message_type):
    assert of_html("<p>Buy</p>", message_type) == {"no_unsubscribe": "error"}
    assert of_html('<a href="{{ unsubscribe_url }}">x</a>', message_type) == {}
    assert of_html('<a href="https://example.com/u/{{ token }}">x</a>', message_type) == {}


def test_a_receipt_needs_no_way_out():
    assert of_html("<p>Paid</p>", MessageType.TRANSACTIONAL) == {}


def test_the_line_of_a_finding_is_counted_past_tags_of_many_lines():
    source = assemble("{% if\n a %}\n<a href='/x'>x</a>", "body_html", layout=None, partial=lambda _: None)
    (finding,) = html_findings(source, None)
    assert finding.line == 3


def test_html_beyond_what_gmail_shows_is_told():
    assert [finding.code for finding in size_findings("x" * 102 * 1024)] == []
    assert [finding.code for finding in size_findings("x" * (102 * 1024 + 1))] == ["size"]


def test_a_long_subject_is_told_and_an_empty_one_refused():
    assert [finding.level.value for finding in subject_findings("x" * 71)] == ["warning"]
    assert [finding.level.value for finding in subject_findings(" ")] == ["error"]
    assert list(subject_findings("Hello")) == []


def test_an_sms_that_needs_unicode_is_told_with_what_forces_it():
    assert of_text(Channel.SMS, "Hello “Ada”") == {"segments": "info", "not_gsm": "warning"}
    assert of_text(Channel.SMS, "x" * 1531)["too_long"] == "error"
    assert "no_stop" in of_text(Channel.SMS, "Buy", message_type=MessageType.CAMPAIGN)
    assert "no_stop" not in of_text(Channel.SMS, "Reply STOP", message_type=MessageType.CAMPAIGN)


def test_a_push_is_measured_as_phones_show_it():
    assert of_text(Channel.PUSH, "x" * 178, subject="x" * 65) == {}
    assert of_text(Channel.PUSH, "x" * 179, subject="x" * 66) == {
        "push_title": "warning",
        "push_body": "warning",
    }
    assert of_text(Channel.PUSH, "x" * 4096)["too_long"] == "error"


def test_a_call_that_is_long_or_names_an_address_is_told():
    assert of_text(Channel.VOICE, "word " * 151)["long_call"] == "warning"
    assert of_text(Channel.VOICE, "See https://example.com")["spoken_link"] == "warning"


def test_whatsapp_without_an_approved_template_is_told():
    assert "no_approved_template" in of_text(Channel.WHATSAPP, "Hello")
    assert of_text(Channel.WHATSAPP, "Hello", content_sid="HX" + "0" * 32) == {}


@pytest.mark.parametrize(
    ("channel", "parts"),
    [
        (Channel.PUSH, {"badge": -1}),
        (Channel.PUSH, {"image": "http://example.com"}),
        (Channel.PUSH, {"nothing": 1}),
        (Channel.PUSH, {"badge": True}),
        (Channel.VOICE, {"on_machine": "shout"}),
        (Channel.VOICE, {"confirm_digit": "10"}),
        (Channel.WHATSAPP, {"content_sid": "{{ sid }}"}),
        (Channel.EMAIL, {"title": "x"}),
    ],
)
def test_a_part_that_its_channel_cannot_take_is_refused(channel, parts):
    assert [fault.field for fault in part_faults(channel, parts)] == [f"parts.{next(iter(parts))}"]


def test_routing_goes_by_what_no_data_changes():
    assert fixed({"media": ["https://example.com/{{ a }}"], "badge": 1}) == {"badge": 1}
