from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from app.errors import ConfigurationError, Invalid
from app.gateways.base import Attachment, Tls
from app.gateways.email.mime import tag_of_message_id
from app.gateways.email.smtp.return_path import return_path, tag_of_return_path
from app.gateways.email.smtp.sending import Smtp
from app.settings import Settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TAG = "019a4f6e-7c1d-7a3b-8f00-1234567890ab_P3_2"
URL = "smtp://relay.example.net:587"
LOGIN = {"smtp_username": "u", "smtp_password": "p-secret"}


def configured(**chosen):
    return Smtp.configured(Settings(_env_file=None, **chosen))


def test_a_mail_comes_back_to_an_address_that_names_it(envelope):
    smtp = configured(smtp_url=URL, smtp_bounce_domain="bounces.example.org", **LOGIN)
    request = smtp.build([envelope()], NOW)
    assert request.mail_from == f"bounce+{TAG}@bounces.example.org"
    assert request.recipient == "rcpt@example.com"
    assert request.url == f"{URL}/bounces.example.org"
    assert (request.username, request.password, request.tls) == ("u", "p-secret", Tls.REQUIRED)
    mail = message_from_bytes(request.body, policy=policy.default)
    assert mail["message-id"] == f"<{TAG}@bounces.example.org>"
    assert mail["from"] == "Town Hall <news@example.org>"


def test_without_a_domain_for_bounces_they_go_to_the_sender(envelope):
    request = configured(smtp_url=URL).build([envelope()], NOW)
    assert (request.mail_from, request.url) == ("news@example.org", f"{URL}/")
    assert f"Message-ID: <{TAG}@example.org>\r\n".encode() in request.body


def test_we_may_name_ourselves_to_the_relay(envelope):
    smtp = configured(smtp_url=f"{URL}/tocsin.example.org", smtp_bounce_domain="b.example.org")
    assert smtp.build([envelope()], NOW).url == f"{URL}/tocsin.example.org"


def test_the_time_limit_is_of_settings(envelope):
    smtp = configured(smtp_url=URL, gateway_timeout_seconds=7)
    assert smtp.build([envelope()], NOW).timeout == timedelta(seconds=7)


def test_nothing_configured_is_no_gateway():
    assert configured() is None


@pytest.mark.parametrize(
    "chosen",
    [
        LOGIN,
        {"smtp_url": URL, "smtp_username": "u"},
        {"smtp_url": URL, "smtp_password": "p"},
        {"smtp_url": "http://relay.example.net"},
        {"smtp_url": "relay.example.net:587"},
        {"smtp_url": "smtp://u:p@relay.example.net"},
        {"smtp_url": "smtp://relay.example.net:port"},
        {"smtp_url": "smtp://"},
    ],
)
def test_half_a_relay_is_a_mistake(chosen):
    with pytest.raises(ConfigurationError, match="SMTP_"):
        configured(**chosen)


@pytest.mark.parametrize("tls", ["never", "offered"])
def test_a_password_goes_to_other_machines_only_encrypted(tls):
    with pytest.raises(ConfigurationError, match="SMTP_PASSWORD"):
        configured(smtp_url=URL, smtp_tls=tls, **LOGIN)
    assert configured(smtp_url=URL, smtp_tls=tls).tls == tls


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_on_this_machine_a_password_may_go_plain(host):
    assert configured(smtp_url=f"smtp://{host}:25", smtp_tls="never", **LOGIN).password == "p-secret"


def test_the_password_is_not_shown(envelope):
    smtp = configured(smtp_url=URL, **LOGIN)
    assert "p-secret" not in repr(smtp)
    assert "p-secret" not in repr(smtp.build([envelope()], NOW))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"subject": "a\r\nBcc: b@example.net"}, "a control character in the subject"),
        ({"address": "a@example.com, b@example.com"}, "a recipient that is not one plain address"),
        ({"address": f"{'a' * 65}@example.com"}, "the length of the recipient's address"),
        ({"headers": {"X-A": "a" * 999}}, "the length of the header X-A"),
        (
            {"attachments": [Attachment(filename="a", content_type="a/b", content=bytes(20 * 1024**2))]},
            "more than 25 MB",
        ),
    ],
)
def test_what_cannot_be_expressed_is_not_built(envelope, changes, fault):
    message = envelope(**changes)
    smtp = configured(smtp_url=URL)
    assert smtp.cannot_express(message) == fault
    with pytest.raises(Invalid):
        smtp.build([message], NOW)


def test_pictures_and_many_headers_can_be_expressed(envelope):
    picture = Attachment(filename="a.png", content_type="image/png", content=b"x", content_id="a")
    message = envelope(attachments=[picture], headers={f"X-{n}": "v" for n in range(50)})
    assert configured(smtp_url=URL).cannot_express(message) is None


@pytest.mark.parametrize("change", [str, str.lower, str.upper])
def test_a_tag_survives_who_does_not_mind_case(tag, change):
    assert tag_of_return_path(change(return_path(tag, "b.example.org"))) == tag
    assert tag_of_message_id(change(f"<{tag}@b.example.org>")) == tag


@pytest.mark.parametrize(
    "text", ["", "bounce@b.example.org", f"{TAG}", f"bounce+{TAG}x@b", "bounce+a_P3_1@b"]
)
def test_what_is_no_tag_of_ours_is_none(text):
    assert tag_of_return_path(text) is None
