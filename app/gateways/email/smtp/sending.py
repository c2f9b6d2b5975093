"""Email through a relay of the organisation's own: one mail for one recipient, by SMTP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.base import Envelope, HttpResponse, MailReply, MailRequest, Tls
from app.gateways.email.mail import mailbox, unsendable
from app.gateways.email.mime import mail_of, unwritable
from app.gateways.email.smtp.replies import outcome_of
from app.gateways.email.smtp.return_path import return_path
from app.settings import Settings

_LONGEST_LOCAL_PART = 64
_LONGEST_ADDRESS = 254


@dataclass(frozen=True, kw_only=True, slots=True)
class Smtp:
    """One relay. What cannot be delivered comes back to `bounce_domain`, else to each sender."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls.REQUIRED
    bounce_domain: str | None = None
    timeout: timedelta = timedelta(seconds=15)
    name: str = "smtp"
    channel: Channel = Channel.EMAIL
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None without SMTP_URL."""
        if not settings.smtp_url:
            if settings.smtp_username or settings.smtp_password:
                raise ConfigurationError("SMTP_USERNAME and SMTP_PASSWORD are set without SMTP_URL.")
            return None
        if bool(settings.smtp_username) != bool(settings.smtp_password):
            raise ConfigurationError("SMTP_USERNAME and SMTP_PASSWORD are only of use together.")
        tls, password = Tls(settings.smtp_tls), settings.smtp_password
        host = _host(settings.smtp_url)
        if password and tls is not Tls.REQUIRED and not _is_loopback(host):
            raise ConfigurationError(
                f"SMTP_TLS={tls} would let SMTP_PASSWORD travel to {host} unencrypted; leave it at required."
            )
        return cls(
            url=_url(settings.smtp_url, settings.smtp_bounce_domain),
            username=settings.smtp_username,
            password=password.get_secret_value() if password else None,
            tls=tls,
            bounce_domain=settings.smtp_bounce_domain,
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> MailRequest:
        """Make the request for one message; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        sender = mailbox(message.sender)
        address = sender.address if sender else ""
        domain = self.bounce_domain
        return MailRequest(
            url=self.url,
            mail_from=return_path(message.tag, domain) if domain else address,
            recipient=message.address,
            body=mail_of(message, now=now, domain=domain or address.rpartition("@")[2]),
            username=self.username,
            password=self.password,
            tls=self.tls,
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the relay's last reply means for the one message."""
        (message,) = messages
        if not isinstance(response, MailReply):
            return [Outcome(kind=OutcomeClass.UNKNOWN, code=f"http_{response.status}")]
        return [outcome_of(message, response)]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what no mail can hold: lines without a break, content ids that are none, too much of all."""
        return unsendable(message) or unwritable(message) or next(_excesses(message), None)


def _excesses(message: Envelope) -> Iterator[str]:
    local, _, _ = message.address.rpartition("@")
    if len(local) > _LONGEST_LOCAL_PART or len(message.address) > _LONGEST_ADDRESS:
        yield "the length of the recipient's address"


def _host(url: str) -> str:
    """Find the relay's name; raises ConfigurationError for an address that is no relay's."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigurationError("SMTP_URL cannot be read.") from exc
    if parts.scheme not in {"smtp", "smtps"} or not host or parts.username or parts.query:
        raise ConfigurationError(
            "SMTP_URL is smtp://host:587 or smtps://host:465; "
            "who logs in stands in SMTP_USERNAME and SMTP_PASSWORD."
        )
    return host


def _url(url: str, bounce_domain: str | None) -> str:
    """Name ourselves to the relay by the path of its address, else by the domain that bounces come to."""
    parts = urlsplit(url)
    name = parts.path.strip("/") or bounce_domain or ""
    return f"{parts.scheme}://{parts.netloc}/{name}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
