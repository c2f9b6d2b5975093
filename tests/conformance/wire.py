"""Reading back what a request says, whatever it is written in, without a gateway's own code."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from html import unescape
from urllib.parse import parse_qsl

import orjson

from app.gateways.base import MailRequest, Request


def words_of(request: Request) -> Iterator[str]:
    """Give every text in a request's body: of JSON, of a form (with XML inside, for calls), of a mail."""
    if isinstance(request, MailRequest):
        yield from _words_of_mail(request.body)
    elif request.body.lstrip()[:1] in (b"{", b"["):
        yield from _words_of_json(orjson.loads(request.body))
    else:
        yield from (unescape(value) for _, value in parse_qsl(request.body.decode(), strict_parsing=True))


def _words_of_json(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _words_of_json(part)
    elif isinstance(value, list):
        for part in value:
            yield from _words_of_json(part)


def _words_of_mail(source: bytes) -> Iterator[str]:
    mail = message_from_bytes(source, policy=policy.default)
    yield str(mail["subject"])
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            yield part.get_content()
