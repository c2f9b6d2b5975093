"""Mails that come back: reports of RFC 3464 and RFC 5965, handed over by the domain's mail server."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from uuid import uuid4

from app.simulator.accounts.smtp import WEBHOOK_SECRET
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate

PATH = "/webhooks/smtp"
STORIES: Mapping[Fate, str] = {
    Fate.COMPLAINT: "250, then a feedback report",
    Fate.DEFERRED: "250, then a report of delay",
    Fate.SOFT_BOUNCE: "250, then reports of delay and failure (4.2.2)",
    Fate.BOUNCE: "550 5.1.1 to RCPT",
    Fate.LATE_BOUNCE: "250, then a report of failure (5.1.1)",
    Fate.SUPPRESSED: "250, then a report of failure (5.1.1)",
    Fate.REJECTED: "554 5.7.1 to the mail",
    Fate.HELD: "554 5.7.1 Relay access denied",
    Fate.THROTTLED: "450 4.7.1 to RCPT",
    Fate.DOWN: "451 4.3.2 to the mail",
}

_TRIES = 6
_TIMEOUT = 10.0
_BOUNDARY = "simulated"

Report = tuple[str, str]  # its type, and its fields

_STATUS_REPORT = """Reporting-MTA: dns; relay.simulator

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}"""
_FEEDBACK_REPORT = """Feedback-Type: abuse
User-Agent: Simulator/1.0
Version: 1
Original-Mail-From: <{sender}>
Original-Rcpt-To: <{recipient}>"""


def told(acceptance: Acceptance, now: datetime) -> list[Webhook]:
    """List the mails that come back for one that was taken, one step after the other."""
    return [
        Webhook(
            path=PATH,
            step=step,
            # The mail is the same however often it is handed over.
            compose=partial(_handed_over, write(acceptance, f"{uuid4()}", now + step * STEP)),
            tries=_TRIES,
            timeout=_TIMEOUT,
            given_up_at=lambda _status: False,
        )
        for step, write in enumerate(_WRITTEN.get(acceptance.fate, ()), start=1)
    ]


def _handed_over(mail: bytes, _now: datetime) -> Post:
    signature = hmac.new(WEBHOOK_SECRET.encode(), mail, "sha256").hexdigest()
    return Post(
        headers={"content-type": "message/rfc822", "x-tocsin-signature": f"sha256={signature}"}, body=mail
    )


def _status_report(action: str, status: str, said: str) -> Callable[[Acceptance, str, datetime], bytes]:
    def write(acceptance: Acceptance, name: str, now: datetime) -> bytes:
        fields = _STATUS_REPORT.format(recipient=acceptance.address, action=action, status=status, said=said)
        return _mail(acceptance, name, now, ("delivery-status", fields))

    return write


def _feedback(acceptance: Acceptance, name: str, now: datetime) -> bytes:
    fields = _FEEDBACK_REPORT.format(sender=acceptance.mail.sender, recipient=acceptance.address)
    return _mail(acceptance, name, now, ("feedback-report", fields))


def _mail(acceptance: Acceptance, name: str, now: datetime, report: Report) -> bytes:
    kind, fields = report
    source = f"""From: Mail Delivery System <MAILER-DAEMON@relay.simulator>
To: <{acceptance.mail.sender}>
Date: {format_datetime(now)}
Message-ID: <{name}@relay.simulator>
Subject: About your mail
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="{_BOUNDARY}"

--{_BOUNDARY}
Content-Type: text/plain; charset=us-ascii

This is the mail system at relay.simulator, about a mail of yours.

--{_BOUNDARY}
Content-Type: message/{kind}

{fields}

--{_BOUNDARY}
Content-Type: text/rfc822-headers

Message-ID: {acceptance.mail.details["message-id"]}
To: {acceptance.address}

--{_BOUNDARY}--
"""
    return source.replace("\n", "\r\n").encode()


_DELAYED = _status_report("delayed", "4.2.2", "452 4.2.2 The mailbox is full")
_FULL = _status_report("failed", "4.2.2", "452 4.2.2 The mailbox is full")
_UNKNOWN = _status_report("failed", "5.1.1", "550 5.1.1 No such user here")
_WRITTEN: Mapping[Fate, Sequence[Callable[[Acceptance, str, datetime], bytes]]] = {
    Fate.COMPLAINT: (_feedback,),
    Fate.DEFERRED: (_DELAYED,),
    Fate.SOFT_BOUNCE: (_DELAYED, _FULL),
    Fate.LATE_BOUNCE: (_UNKNOWN,),
    Fate.SUPPRESSED: (_UNKNOWN,),
}
