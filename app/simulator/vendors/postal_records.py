"""What Postal knows about a message when it is asked by id."""

import base64
from collections.abc import Callable, Mapping

from app.simulator.recipients import Fate
from app.simulator.register import Entry, Register
from app.simulator.serials import token_of

Part = Callable[[Entry], object]
LookUp = Callable[[Register, int, object], object | None]

_STATUS = {
    Fate.SOFT_BOUNCE: "HardFail",
    Fate.BOUNCE: "HardFail",
    Fate.LATE_BOUNCE: "Bounced",
    Fate.REJECTED: "HardFail",
    Fate.SUPPRESSED: "Held",
    Fate.HELD: "Held",
    Fate.THROTTLED: "Held",
}


def bounce_of(serial: int) -> int:
    """Give the id of the bounce that comes back for this message; it is kept free for it."""
    return serial + 1


def message(register: Register, serial: int, expansions: object) -> object | None:
    """Describe a message or a bounce, with the expansions asked for: a list of names, or true for all."""
    entry = register.by_serial(serial)
    original = register.by_serial(serial - 1)
    if entry is not None:
        return _describe(serial, entry, _MESSAGE, expansions)
    if original is not None and original.fate is Fate.LATE_BOUNCE:
        return _describe(serial, original, _BOUNCE, expansions)
    return None


def deliveries(register: Register, serial: int, _expansions: object) -> object | None:
    """List the tries to deliver a message: here there is one."""
    entry = register.by_serial(serial)
    if entry is None:
        return None
    status = _STATUS.get(entry.fate, "Sent")
    return [
        {
            "id": entry.serial,
            "status": "Sent" if status == "Bounced" else status,
            "details": f"Message for {entry.address}: {entry.fate}",
            "output": "",
            "sent_with_ssl": False,
            "log_id": token_of(entry.serial)[:8].upper(),
            "time": 0.02,
            "timestamp": entry.received_at.timestamp(),
        }
    ]


def _describe(serial: int, entry: Entry, parts: Mapping[str, Part], expansions: object) -> object:
    record: dict[str, object] = {"id": serial, "token": token_of(serial)}
    for name, part in parts.items():
        if expansions is True or (isinstance(expansions, list) and name in expansions):
            record[name] = part(entry)
    return record


def _status(entry: Entry) -> object:
    status = _STATUS.get(entry.fate, "Sent")
    return {
        "status": status,
        "last_delivery_attempt": entry.received_at.timestamp(),
        "held": status == "Held",
        "hold_expiry": None,
    }


def _details(entry: Entry) -> object:
    return {
        "rcpt_to": entry.address,
        "timestamp": entry.received_at.timestamp(),
        "direction": "outgoing",
        "bounce": False,
        "bounce_for_id": None,
        "tag": entry.tag or None,
        "received_with_ssl": True,
    }


def _bounce_details(entry: Entry) -> object:
    return {
        "mail_from": "",
        "subject": "Undelivered Mail Returned to Sender",
        "timestamp": entry.received_at.timestamp(),
        "direction": "incoming",
        "bounce": True,
        "bounce_for_id": entry.serial,
        "tag": None,
        "received_with_ssl": True,
    }


def _report(entry: Entry) -> object:
    """Write the bounce as a mail server does: a delivery status notification, in base64."""
    report = _REPORT.format(address=entry.address).replace("\n", "\r\n")
    return base64.encodebytes(report.encode()).decode()


_MESSAGE: Mapping[str, Part] = {"status": _status, "details": _details}
_BOUNCE: Mapping[str, Part] = {"details": _bounce_details, "raw_message": _report}

_REPORT = """\
From: MAILER-DAEMON@mx.example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="simulated"

--simulated
Content-Type: text/plain; charset=utf-8

The message to {address} could not be delivered: there is no such mailbox.

--simulated
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such mailbox

--simulated--
"""
