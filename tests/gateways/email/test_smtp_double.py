"""A relay as aiosmtpd plays it: a double that nobody of us wrote."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller

from app.gateways.base import Attachment, Tls
from app.gateways.email.smtp.sending import Smtp
from app.gateways.transport import Transport

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd")


class Handler:
    def __init__(self):
        self.taken = []

    async def handle_RCPT(self, _server, _session, envelope, address, *_options):  # noqa: N802 — aiosmtpd's name
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 — aiosmtpd's name
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return f"250 2.0.0 Ok: queued as Q{len(self.taken):04}"


@pytest.fixture
def relay():
    handler = Handler()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port, data_size_limit=1_000_000)
    controller.start()
    yield (
        handler,
        Smtp(
            url=f"smtp://127.0.0.1:{port}/t.example.org",
            tls=Tls.NEVER,
            bounce_domain="b.example.org",
            timeout=timedelta(seconds=10),
        ),
    )
    controller.stop()


def test_mails_arrive_and_one_refusal_stops_none_of_them(relay, envelope):
    handler, smtp = relay
    picture = Attachment(filename="ä.png", content_type="image/png", content=b"\0\r\n.\r\n", content_id="a")
    messages = [
        envelope(address="anna@example.com", subject="Grüße", text=".\r\n.dots", attachments=[picture]),
        envelope(address="unknown@example.com"),
        envelope(address="bert@example.com"),
    ]
    transport = Transport(concurrency=1)
    outcomes = []
    for message in messages:
        reply = transport.fetch(smtp.build([message], datetime.now(UTC)))
        outcomes += smtp.read([message], reply)
    transport.close()
    assert [(each.kind, each.external_id) for each in outcomes] == [
        ("accepted", "Q0001"),
        ("recipient", None),
        ("accepted", "Q0002"),
    ]
    (back, to, content), (_, other, _) = handler.taken
    assert (back, to, other) == (
        f"bounce+{messages[0].tag}@b.example.org",
        ["anna@example.com"],
        ["bert@example.com"],
    )
    mail = message_from_bytes(content, policy=policy.default)
    assert mail["subject"] == "Grüße"
    assert mail.get_body(("plain",)).get_content().splitlines() == [".", ".dots"]
    images = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert [image.get_content() for image in images] == [b"\0\r\n.\r\n"]


def test_a_mail_larger_than_the_relay_takes_is_refused_before_it_is_sent(relay, envelope):
    handler, smtp = relay
    large = Attachment(filename="a", content_type="a/b", content=bytes(1_000_000))
    message = replace(envelope(), attachments=[large], html=None)
    transport = Transport(concurrency=1)
    reply = transport.fetch(smtp.build([message], datetime.now(UTC)))
    transport.close()
    assert (reply.status, reply.command) == (552, "MAIL")
    assert smtp.read([message], reply)[0].kind == "content"
    assert handler.taken == []
