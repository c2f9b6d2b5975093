"""The events SES publishes about a message, each as the JSON inside a notification."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from app.simulator.accounts.ses import AWS_ACCOUNT, AWS_REGION
from app.simulator.exchange import STEP, Acceptance
from app.simulator.recipients import Fate
from app.simulator.sns import amazon_time

Event = Mapping[str, object]
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) Simulated/1.0"
_DELAY_EXPIRES = timedelta(hours=12)


def published(acceptance: Acceptance, now: datetime) -> list[Event]:
    """List the events that follow one message to one recipient, in order."""
    mail = _mail(acceptance, now)
    steps = _STORIES.get(acceptance.fate, _DELIVERED)
    return [tell(acceptance, mail, now + step * STEP) for step, tell in enumerate(steps, start=1)]


def _mail(acceptance: Acceptance, now: datetime) -> Event:
    mail = acceptance.mail
    domain = mail.sender.rpartition("@")[2].strip(">")
    headers = {"From": mail.sender, "To": ", ".join(mail.destination), "Subject": mail.subject}
    return {
        "timestamp": amazon_time(now),
        "source": mail.sender,
        "sourceArn": f"arn:aws:ses:{AWS_REGION}:{AWS_ACCOUNT}:identity/{domain}",
        "sendingAccountId": AWS_ACCOUNT,
        "messageId": mail.external_id,
        "destination": mail.destination,
        "headersTruncated": False,
        "headers": [{"name": name, "value": value} for name, value in headers.items()],
        "commonHeaders": {
            "from": [mail.sender],
            "to": mail.destination,
            "messageId": mail.external_id,
            "subject": mail.subject,
        },
        "tags": mail.tags,
    }


def _send(_acceptance: Acceptance, mail: Event, _now: datetime) -> Event:
    return {"eventType": "Send", "mail": mail, "send": {}}


def _delivery(acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    delivery = {
        "timestamp": amazon_time(now),
        "processingTimeMillis": 120,
        "recipients": [acceptance.address],
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": "a8-70.smtp-out.example.com",
    }
    return {"eventType": "Delivery", "mail": mail, "delivery": delivery}


def _bounce(kind: str, reason: str, status: str, words: str) -> "Teller":
    def tell(acceptance: Acceptance, mail: Event, now: datetime) -> Event:
        recipient = {
            "emailAddress": acceptance.address,
            "action": "failed",
            "status": status,
            "diagnosticCode": f"smtp; {words}",
        }
        bounce = {
            "bounceType": kind,
            "bounceSubType": reason,
            "bouncedRecipients": [recipient],
            "timestamp": amazon_time(now),
            "feedbackId": _feedback(acceptance),
            "reportingMTA": "dns; a8-70.smtp-out.example.com",
        }
        return {"eventType": "Bounce", "bounce": bounce, "mail": mail}

    return tell


def _complaint(acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    complaint = {
        "complainedRecipients": [{"emailAddress": acceptance.address}],
        "timestamp": amazon_time(now),
        "feedbackId": _feedback(acceptance),
        "userAgent": _AGENT,
        "complaintFeedbackType": "abuse",
        "arrivalDate": amazon_time(now),
    }
    return {"eventType": "Complaint", "complaint": complaint, "mail": mail}


def _delay(acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    recipient = {
        "emailAddress": acceptance.address,
        "status": "4.4.1",
        "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
    }
    delay = {
        "timestamp": amazon_time(now),
        "delayType": "TransientCommunicationFailure",
        "expirationTime": amazon_time(now + _DELAY_EXPIRES),
        "delayedRecipients": [recipient],
    }
    return {"eventType": "DeliveryDelay", "mail": mail, "deliveryDelay": delay}


def _open(_acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    seen = {"ipAddress": "192.0.2.1", "timestamp": amazon_time(now), "userAgent": _AGENT}
    return {"eventType": "Open", "mail": mail, "open": seen}


def _click(_acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    click = {
        "ipAddress": "192.0.2.1",
        "link": "https://example.com/",
        "linkTags": None,
        "timestamp": amazon_time(now),
        "userAgent": _AGENT,
    }
    return {"eventType": "Click", "click": click, "mail": mail}


def _unsubscription(_acceptance: Acceptance, mail: Event, now: datetime) -> Event:
    subscription = {
        "contactList": "simulated",
        "timestamp": amazon_time(now),
        "source": "UnsubscribeHeader",
        "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
    }
    return {"eventType": "Subscription", "mail": mail, "subscription": subscription}


def _feedback(acceptance: Acceptance) -> str:
    return f"{acceptance.serial:016x}-feedback-000000"


Teller = Callable[[Acceptance, Event, datetime], Event]

_HARD = _bounce("Permanent", "General", "5.1.1", "550 5.1.1 user unknown")
_FULL = _bounce("Transient", "MailboxFull", "4.2.2", "452 4.2.2 mailbox full")
_ON_THEIR_LIST = _bounce(
    "Permanent",
    "OnAccountSuppressionList",
    "5.1.1",
    "Amazon SES did not send the message to this address because it is on the account's suppression list",
)
_DELIVERED: Sequence[Teller] = (_send, _delivery)
_STORIES: Mapping[Fate, Sequence[Teller]] = {
    Fate.OPEN: (*_DELIVERED, _open),
    Fate.CLICK: (*_DELIVERED, _open, _click),
    Fate.UNSUBSCRIBE: (*_DELIVERED, _unsubscription),
    Fate.COMPLAINT: (*_DELIVERED, _complaint),
    Fate.DEFERRED: (_send, _delay, _delivery),
    Fate.SOFT_BOUNCE: (_send, _FULL),
    Fate.BOUNCE: (_send, _HARD),
    Fate.LATE_BOUNCE: (*_DELIVERED, _HARD),
    Fate.SUPPRESSED: (_send, _ON_THEIR_LIST),
}

# What each fate is told as, in SES's own words.
STORIES: Mapping[Fate, str] = {
    Fate.DELIVERED: "Send, Delivery",
    Fate.OPEN: "Send, Delivery, Open",
    Fate.CLICK: "Send, Delivery, Open, Click",
    Fate.UNSUBSCRIBE: "Send, Delivery, Subscription",
    Fate.COMPLAINT: "Send, Delivery, Complaint",
    Fate.DEFERRED: "Send, DeliveryDelay, Delivery",
    Fate.SOFT_BOUNCE: "Send, Bounce (Transient, MailboxFull)",
    Fate.BOUNCE: "Send, Bounce (Permanent, General)",
    Fate.LATE_BOUNCE: "Send, Delivery, Bounce",
    Fate.SUPPRESSED: "Send, Bounce (Permanent, OnAccountSuppressionList)",
    Fate.REJECTED: "400 MessageRejected",
    Fate.HELD: "Send, Delivery (SES holds nothing)",
    Fate.THROTTLED: "429 TooManyRequestsException",
    Fate.DOWN: "503 ServiceUnavailable",
}
