"""Email through Amazon SES, version 2 of its API: one message a request, as its webhooks want it."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import botocore.session
import orjson
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import ConfigurationError, Invalid, Unavailable
from app.gateways.answers import identifier, json_object
from app.gateways.base import Attachment, Envelope, HttpRequest, HttpResponse
from app.gateways.email.mail import encoded, mailbox, unsendable
from app.gateways.email.ses.refusals import refusal
from app.gateways.email.ses.signing import Credentials, CredentialsSource, signed_headers
from app.settings import Settings

TAG_NAME = "tocsin"

_PATH = "/v2/email/outbound-emails"
_SERVICE = "ses"
_TAG_VALUE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST_HEADERS = 15
_LONGEST_HEADER = 996
_LONGEST_HEADER_VALUE = 995
_LONGEST_FILE_NAME = 255
_LONGEST_CONTENT_TYPE = 78
_LONGEST_CONTENT_ID = 78
_MOST_BYTES = 40 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Ses:
    """Amazon SES in one region. `credentials` is asked for each request, so that they may be renewed."""

    region: str
    credentials: CredentialsSource = field(repr=False)
    endpoint: str
    configuration_set: str | None = None
    timeout: timedelta = timedelta(seconds=15)
    name: str = "ses"
    channel: Channel = Channel.EMAIL
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None without a configuration set.

        Credentials of AWS alone make none: many machines have them for other work, and without a
        configuration set SES would tell nothing of what becomes of a message.
        """
        if not settings.ses_configuration_set:
            return None
        credentials = _credentials(settings)
        if not settings.aws_region or credentials is None:
            raise ConfigurationError(
                "SES_CONFIGURATION_SET is set, so SES also needs AWS_REGION and credentials: "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role that AWS's own chain finds."
            )
        amazons = f"https://email.{settings.aws_region}.amazonaws.com"
        return cls(
            region=settings.aws_region,
            credentials=credentials,
            endpoint=(settings.aws_endpoint_url_sesv2 or amazons).rstrip("/"),
            configuration_set=settings.ses_configuration_set,
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the signed request for one message.

        Raises Invalid where `cannot_express` names something, Unavailable where temporary
        credentials have run out and new ones cannot be had.
        """
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        url, body = f"{self.endpoint}{_PATH}", orjson.dumps(self._parameters(message))
        headers = signed_headers(
            url=url,
            body=body,
            credentials=self._current_credentials(),
            service=_SERVICE,
            region=self.region,
            now=now,
        )
        return HttpRequest(url=url, body=body, headers=headers, timeout=self.timeout)

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        if response.status != 200:  # noqa: PLR2004 — OK, the only status of success here.
            return [refusal(message, response)]
        external_id = identifier(json_object(response.body).get("MessageId"))
        if external_id is None:
            return [Outcome(kind=OutcomeClass.UNKNOWN, code="http_200", detail="names no message")]
        return [Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what would not get through SES: too many or too long headers, too much of all."""
        return unsendable(message) or next(_excesses(message), None)

    def _parameters(self, message: Envelope) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "FromEmailAddress": _in_ascii(message.sender),
            "Destination": {"ToAddresses": [message.address]},
            "Content": {"Simple": _content(message)},
            "EmailTags": _tags(message),
        }
        if message.reply_to:
            parameters["ReplyToAddresses"] = [_in_ascii(message.reply_to)]
        if self.configuration_set:
            parameters["ConfigurationSetName"] = self.configuration_set
        return parameters

    def _current_credentials(self) -> Credentials:
        try:
            return self.credentials()
        except BotoCoreError as exc:
            raise Unavailable("AWS credentials cannot be renewed now") from exc


def _credentials(settings: Settings) -> CredentialsSource | None:
    key, secret, token = (
        secret and secret.get_secret_value()
        for secret in (settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)
    )
    if bool(key) != bool(secret):
        raise ConfigurationError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are only of use together.")
    if key:
        constant = ReadOnlyCredentials(key, secret, token)
        return lambda: constant
    found = botocore.session.Session().get_credentials()
    return found.get_frozen_credentials if found else None


def _content(message: Envelope) -> dict[str, Any]:
    bodies = {"Text": message.text, "Html": message.html}
    content: dict[str, Any] = {
        "Subject": _utf8(message.subject or ""),
        "Body": {name: _utf8(body) for name, body in bodies.items() if body},
    }
    if message.headers:
        content["Headers"] = [{"Name": n, "Value": encoded(v)} for n, v in message.headers.items()]
    if message.attachments:
        content["Attachments"] = [_attachment(each) for each in message.attachments]
    return content


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def _attachment(attachment: Attachment) -> dict[str, str]:
    described = {
        "RawContent": b64encode(attachment.content).decode(),
        "FileName": attachment.filename,
        "ContentType": attachment.content_type,
        "ContentDisposition": "ATTACHMENT",
    }
    if attachment.content_id:
        described |= {"ContentDisposition": "INLINE", "ContentId": _bare(attachment.content_id)}
    return described


def _bare(content_id: str) -> str:
    return content_id.removeprefix("<").removesuffix(">")


def _tags(message: Envelope) -> list[dict[str, str]]:
    tags = {TAG_NAME: str(message.tag), "category": message.category or ""}
    return [{"Name": name, "Value": value} for name, value in tags.items() if _TAG_VALUE.fullmatch(value)]


def _in_ascii(text: str) -> str:
    found = mailbox(text)
    return found.in_ascii() if found else text


def _excesses(message: Envelope) -> Iterator[str]:
    if len(message.headers) > _MOST_HEADERS:
        yield f"more than {_MOST_HEADERS} headers"
    for name, value in message.headers.items():
        length = len(encoded(value))
        if length > _LONGEST_HEADER_VALUE or length + len(name) > _LONGEST_HEADER:
            yield f"the length of the header {name}"
    for attachment in message.attachments:
        yield from _excesses_of(attachment)
    if _size(message) > _MOST_BYTES:
        yield "more than 40 MB"


def _excesses_of(attachment: Attachment) -> Iterator[str]:
    if len(attachment.filename) > _LONGEST_FILE_NAME:
        yield "the length of an attachment's file name"
    if len(attachment.content_type) > _LONGEST_CONTENT_TYPE:
        yield "the length of an attachment's content type"
    if attachment.content_id and not 1 <= len(_bare(attachment.content_id)) <= _LONGEST_CONTENT_ID:
        yield "the length of an attachment's content id"


def _size(message: Envelope) -> int:
    in_base64 = sum((len(each.content) + 2) // 3 * 4 for each in message.attachments)
    return in_base64 + sum(len(body.encode()) for body in (message.text, message.html) if body)
