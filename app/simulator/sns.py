"""The SNS topic that carries SES's events: envelopes, signatures, confirmation of the subscription."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from urllib.parse import urlencode
from uuid import uuid4

import orjson

from app.simulator.accounts.ses import TOPIC_ARN
from app.simulator.exchange import Post, Webhook
from app.simulator.keys import SigningKey

PATH = "/webhooks/ses"
WELCOME = "Successfully validated SNS topic for Amazon SES event publishing."

_SIGNED = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": [
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ],
}
_TIMEOUT = timedelta(seconds=15)
_TRIES = 8


class Topic:
    """One topic with one subscription, which is pending until somebody visits its SubscribeURL.

    `origin` is where the certificate and the SubscribeURL are served. Signature version 1 is SHA-1,
    as SNS does unless told otherwise, 2 is SHA-256.
    """

    def __init__(self, key: SigningKey, origin: str, now: datetime, version: Literal["1", "2"] = "1") -> None:
        self.certificate = key.certificate("sns.amazonaws.com", now)
        self.certificate_path = f"/SimpleNotificationService-{key.fingerprint()[:32]}.pem"
        self.confirmed = False
        self._key = key
        self._origin = origin
        self._version = version
        self._token = secrets.token_hex(64)
        self._subscription = f"{TOPIC_ARN}:{uuid4()}"

    def confirm(self, topic: str | None, token: str | None) -> str | None:
        """Confirm the subscription and give its ARN; None where topic or token are wrong."""
        if topic != TOPIC_ARN or token is None or not secrets.compare_digest(token, self._token):
            return None
        self.confirmed = True
        return self._subscription

    def notification(self, message: str, step: int) -> Webhook:
        """Wrap a message so that it is told `step` delays from now."""
        return _webhook(partial(self._notify, message), step, tries=_TRIES, held_back=True)

    def confirmation(self) -> Webhook:
        """Ask the subscriber to confirm, once; this alone is told while the subscription is pending."""
        return _webhook(self._ask, 0, tries=1, held_back=False)

    def _notify(self, message: str, now: datetime) -> Post:
        return self._post(
            {
                "Type": "Notification",
                "MessageId": str(uuid4()),
                "TopicArn": TOPIC_ARN,
                "Message": message,
                "Timestamp": amazon_time(now),
                "UnsubscribeURL": self._url("Unsubscribe", SubscriptionArn=self._subscription),
            }
        )

    def _ask(self, now: datetime) -> Post:
        return self._post(
            {
                "Type": "SubscriptionConfirmation",
                "MessageId": str(uuid4()),
                "Token": self._token,
                "TopicArn": TOPIC_ARN,
                "Message": f"You have chosen to subscribe to the topic {TOPIC_ARN}.\n"
                "To confirm the subscription, visit the SubscribeURL included in this message.",
                "SubscribeURL": self._url("ConfirmSubscription", TopicArn=TOPIC_ARN, Token=self._token),
                "Timestamp": amazon_time(now),
            }
        )

    def _post(self, fields: Mapping[str, str]) -> Post:
        kind = fields["Type"]
        text = "".join(f"{name}\n{fields[name]}\n" for name in _SIGNED[kind] if name in fields).encode()
        envelope = {
            **fields,
            "SignatureVersion": self._version,
            "Signature": self._key.sha1(text) if self._version == "1" else self._key.sha256(text),
            "SigningCertURL": self._origin + self.certificate_path,
        }
        headers = {
            "content-type": "text/plain; charset=UTF-8",
            "user-agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": kind,
            "x-amz-sns-message-id": fields["MessageId"],
            "x-amz-sns-topic-arn": TOPIC_ARN,
        }
        if kind == "Notification":
            headers["x-amz-sns-subscription-arn"] = self._subscription
        return Post(headers=headers, body=orjson.dumps(envelope))

    def _url(self, action: str, **arguments: str) -> str:
        return f"{self._origin}/?{urlencode({'Action': action, **arguments})}"


def amazon_time(moment: datetime) -> str:
    """Write a time as Amazon does: UTC, milliseconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _webhook(compose: Callable[[datetime], Post], step: int, *, tries: int, held_back: bool) -> Webhook:
    return Webhook(
        path=PATH,
        step=step,
        compose=compose,
        tries=tries,
        timeout=_TIMEOUT.total_seconds(),
        given_up_at=_is_clients_fault,
        held_back=held_back,
    )


def _is_clients_fault(status: int) -> bool:
    """SNS takes any 4xx for an answer and does not tell it again."""
    return 400 <= status < 500  # noqa: PLR2004 - HTTP
