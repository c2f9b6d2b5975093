"""A mail relay: what it answers to recipients and mails, and the bounces that it sends back later."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.parser import BytesHeaderParser

from app.simulator.exchange import GARBAGE, Acceptance, Ending, Mail, Reply, Request, Webhook, silence
from app.simulator.gateway import GatewayPort
from app.simulator.listener import Door
from app.simulator.parts import Parts
from app.simulator.recipients import Fate, fate_of
from app.simulator.serials import token_of
from app.simulator.vendors import smtp_bounces
from app.simulator.vendors.smtp_door import SmtpDoor

_TAG = re.compile(r"[0-9a-f-]{36}_P[0-4]_\d+")

_REFUSED_AT_ONCE = {
    Fate.BOUNCE: (550, "5.1.1 User unknown in local recipient table"),
    Fate.HELD: (554, "5.7.1 Relay access denied"),
    Fate.THROTTLED: (450, "4.7.1 Too many mails from you, come back later"),
}
_REFUSED_LATER = {
    Fate.REJECTED: (554, "5.7.1 Message looks like spam"),
    Fate.THROTTLED: (451, "4.7.1 Too many mails from you, come back later"),
}
_DOWN = (451, "4.3.2 System not accepting messages now")


class Smtp:
    """A relay that takes mail for everybody; every sender's domain but unverified.example is its own."""

    name = "smtp"
    stories = smtp_bounces.STORIES

    @classmethod
    def made(cls, parts: Parts) -> "Smtp":
        """Make the double of a simulator."""
        return cls(parts.serials)

    def __init__(self, serials: Iterator[int]) -> None:
        self._serials = serials

    def door(self, gateway: GatewayPort, host: str, port: int) -> Door:
        """Make the port, which speaks SMTP."""
        return SmtpDoor(self, gateway, host, port)

    def refuses(self, recipient: str) -> bool:
        """Tell whether a recipient is refused before any mail."""
        return fate_of(recipient) in _REFUSED_AT_ONCE

    def answer(self, request: Request, imposed: Fate | None, now: datetime) -> Reply:  # noqa: ARG002 - others need it
        """Answer a recipient, or a whole mail for one."""
        recipient = request.headers.get("rcpt-to") or ""
        fate = imposed or fate_of(recipient)
        if request.method == "RCPT" and fate in _REFUSED_AT_ONCE:
            return _reply(*_REFUSED_AT_ONCE[fate], outcome=fate)
        if fate in _REFUSED_LATER:
            return _reply(*_REFUSED_LATER[fate], outcome=fate)
        if fate.broken:
            return self.broken(fate)
        return self._take(request, recipient, fate)

    def broken(self, fate: Fate, status: int = 503) -> Reply:  # noqa: ARG002 - SMTP has codes of its own
        """Answer as a relay does that is ill."""
        if fate is Fate.SILENT:
            return silence()
        if fate is Fate.GARBAGE:
            return GARBAGE
        return _reply(*_DOWN, outcome=Fate.DOWN)

    def webhooks(self, accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
        """List the mails that come back, as the mail server of the bounces' domain hands them over."""
        return [webhook for acceptance in accepted for webhook in smtp_bounces.told(acceptance, now)]

    def _take(self, request: Request, recipient: str, fate: Fate) -> Reply:
        headers = BytesHeaderParser().parsebytes(request.body)
        serial = next(self._serials)
        message_id = str(headers.get("message-id", ""))
        tag = _TAG.search(message_id)
        mail = Mail(
            external_id=token_of(serial).upper(),
            sender=request.headers.get("mail-from") or "",
            subject=str(headers.get("subject", "")),
            size=len(request.body),
            destination=[recipient],
            details={"message-id": message_id},
        )
        acceptance = Acceptance(
            serial=serial, tag=tag[0] if tag else "", address=recipient, fate=fate, mail=mail
        )
        return Reply(
            status=250,
            body=f"2.0.0 Ok: queued as {mail.external_id}".encode(),
            headers=(),
            accepted=[acceptance],
            ending=Ending.CUT if fate is Fate.LOST else Ending.ANSWER,
            slow=fate is Fate.SLOW,
        )


def _reply(status: int, text: str, outcome: str) -> Reply:
    return Reply(status=status, body=text.encode(), headers=(), outcome=outcome)
