"""What is expected of each gateway, from its vendor's papers and never from the gateway's own tables.

A fate is written as the class of the answer and, after a colon, what webhooks tell later: events with
the class of those that have one. Progress on the way (queued, sent) is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from app.domain.vocabulary import Channel
from app.gateways.base import Envelope
from app.simulator.recipients import Fate, Platform, address_for
from tests.conformance import messages

Fates = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One gateway's row.

    `fates` says what becomes of each magic recipient. `faults` are the answers to faults of the whole
    gateway, where they are not `FAULTS`. `waits` tells whether a wait asked for in Retry-After is kept.
    `lacks` names the features of `messages.FEATURES` that it says it cannot express, `longest` the
    characters of the longest text that it takes. `bad_member` is an address that spoils a batch, and
    its class. `told` is whether there are webhooks, and `teller` a fate that they always tell of. `proof`
    are the headers without which they are forged, `whole` is whether the proof is about what the
    webhook says, not only about who asks.
    """

    sender: str
    fates: Fates
    faults: Fates = field(default_factory=dict)
    waits: bool = True
    platform: Platform = "fcm"
    lacks: frozenset[str] = frozenset()
    longest: int
    bad_member: tuple[str, str] | None = None
    told: bool = True
    teller: str = "delivered"
    proof: frozenset[str] = frozenset()
    whole: bool = True

    def answer_to(self, fate: str) -> str:
        """Give the class of the answer."""
        return self.fates[fate].partition(":")[0]

    def told_about(self, fate: str) -> list[str]:
        """List what webhooks tell, each as often as it is told."""
        events = self.fates[fate].partition(":")[2]
        return sorted(event.strip() for event in events.split(",") if event.strip())

    def answer_in(self, fault: str) -> str:
        """Give the class of all answers while the whole gateway has a fault."""
        return {**FAULTS, **self.faults}[fault]

    def message(self, channel: Channel, fate: str, number: int = 0, **changes: object) -> Envelope:
        """Make a message to an address with this fate."""
        address = address_for(Fate(fate), channel, number, platform=self.platform)
        return messages.message(channel, address, **{"sender": self.sender, **changes})


# The transport's rule: what surely did not leave us is transient, what may have been taken is unknown.
FAULTS: Fates = {
    "refuse": "transient",
    "error": "transient",
    "proxy 503": "transient",
    "proxy 502": "unknown",
    "proxy 504": "unknown",
    "proxy 429": "throttle",
    "timeout": "unknown",
    "lost": "unknown",
    "garbage": "unknown",
    "slow": "accepted",
}

_BROKEN: Fates = {
    "slow": "accepted: delivered",
    "lost": "unknown: delivered",
    "silent": "unknown",
    "down": "transient",
    "garbage": "unknown",
}

_EMAIL: Fates = {
    **_BROKEN,
    "delivered": "accepted: delivered",
    "open": "accepted: delivered, opened",
    "click": "accepted: delivered, opened, clicked",
    "unsubscribe": "accepted: delivered, unsubscribed",
    "complaint": "accepted: delivered, complained",
    "deferred": "accepted: deferred unreachable, delivered",
    "soft-bounce": "accepted: bounced unreachable",
    "bounce": "accepted: bounced recipient",
    "late-bounce": "accepted: delivered, bounced recipient",
    "suppressed": "accepted: bounced recipient",
    "rejected": "content",
    "held": "accepted: delivered",
    "throttled": "throttle",
}

# No text is opened, none is reported as spam, and what was delivered does not come back.
_TEXT: Fates = {
    **_BROKEN,
    "delivered": "accepted: delivered",
    "open": "accepted: delivered",
    "click": "accepted: delivered",
    "unsubscribe": "accepted: delivered",
    "complaint": "accepted: delivered",
    "deferred": "accepted: delivered",
    "soft-bounce": "accepted: bounced unreachable",
    "bounce": "accepted: bounced recipient",
    "late-bounce": "accepted: delivered",
    "suppressed": "accepted: failed, unsubscribed",
    "rejected": "accepted: failed content",
    "held": "accepted: failed config",
    "throttled": "throttle",
}

# Who answers a call hears it, and a machine hears it too where nothing else is asked for. Nobody presses
# a key that is not asked for.
_CALL: Fates = {
    **_BROKEN,
    "delivered": "accepted: delivered",
    "open": "accepted: delivered",
    "click": "accepted: delivered",
    "unsubscribe": "accepted: delivered",
    "complaint": "accepted: delivered",
    "deferred": "accepted: delivered",
    "soft-bounce": "accepted: bounced unreachable",
    "bounce": "accepted: failed unreachable",
    "late-bounce": "accepted: delivered",
    "suppressed": "accepted: delivered",
    "rejected": "accepted: delivered",
    "held": "config",
    "throttled": "throttle",
    "confirmed": "accepted: delivered",
    "machine": "accepted: delivered",
    "busy": "accepted: bounced unreachable",
    "no-answer": "accepted: bounced unreachable",
}

# Neither Apple nor Google tells anything: it is the app that reports what came and what was opened.
_PUSH: Fates = {
    **_BROKEN,
    "delivered": "accepted: delivered",
    "open": "accepted: delivered, opened",
    "click": "accepted: delivered, opened",
    "unsubscribe": "accepted: delivered",
    "complaint": "accepted: delivered",
    "deferred": "accepted: delivered",
    "soft-bounce": "accepted: delivered",
    "bounce": "recipient",
    "late-bounce": "accepted: delivered",
    "suppressed": "recipient",
    "rejected": "content",
    "held": "config",
    "throttled": "throttle",
}
_REPORT = frozenset({"x-tocsin-signature", "x-tocsin-timestamp"})

EXPECTED: Mapping[str, Expected] = {
    "postal": Expected(
        sender="News <news@example.org>",
        fates={
            **_EMAIL,
            # Postal has no such events.
            "unsubscribe": "accepted: delivered",
            "complaint": "accepted: delivered",
            "soft-bounce": "accepted: deferred unreachable, bounced unreachable",
            # What came back is not in the webhook, so it counts as the mildest that it can be.
            "late-bounce": "accepted: delivered, bounced unreachable",
            # It answers yes to everything, and tells afterwards that it holds or refuses it.
            "suppressed": "accepted: failed recipient",
            "rejected": "accepted: failed content",
            "held": "accepted: failed config",
            "throttled": "accepted: failed throttle",
        },
        longest=1_000_000,
        proof=frozenset({"x-postal-signature-256"}),
    ),
    "ses": Expected(
        sender="News <news@example.org>",
        fates=_EMAIL,
        longest=1_000_000,
        bad_member=("nobody@localhost", "recipient"),
    ),
    "smtp": Expected(
        sender="News <news@example.org>",
        fates={
            **_EMAIL,
            # A relay takes a mail or refuses it; of a mail that arrives nothing comes back.
            "delivered": "accepted",
            "open": "accepted",
            "click": "accepted",
            "unsubscribe": "accepted",
            "slow": "accepted",
            "lost": "unknown",
            "complaint": "accepted: complained",
            "deferred": "accepted: deferred unreachable",
            "soft-bounce": "accepted: deferred unreachable, bounced unreachable",
            "bounce": "recipient",
            "late-bounce": "accepted: bounced recipient",
            "suppressed": "accepted: bounced recipient",
            "held": "config",
        },
        # A page is no SMTP: after the end of a mail it leaves open what became of it.
        faults={f"proxy {status}": "unknown" for status in (429, 502, 503, 504)},
        waits=False,
        longest=1_000_000,
        teller="late-bounce",
        proof=frozenset({"x-tocsin-signature"}),
    ),
    "sendgrid": Expected(
        sender="News <news@example.org>",
        fates={
            **_EMAIL,
            "soft-bounce": "accepted: deferred unreachable, bounced unreachable",
            # It takes everything, and tells afterwards what it dropped.
            "suppressed": "accepted: failed recipient",
            "rejected": "accepted: failed content",
            "held": "accepted: failed config",
        },
        waits=False,  # Its own X-RateLimit-Reset says when.
        longest=1_000_000,
        bad_member=("no..body@example.com", "recipient"),
        proof=frozenset({"x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"}),
    ),
    "bandwidth": Expected(
        sender="Town Hall <+15550100100>",
        fates=_TEXT,
        longest=2_048,
        proof=frozenset({"authorization"}),
        whole=False,  # Its proof is a password, and says nothing about the body.
    ),
    "messagebird": Expected(
        sender="+15550100100",
        fates=_TEXT,
        lacks=frozenset({"media"}),
        longest=10_000,
        proof=frozenset({"messagebird-signature-jwt"}),
    ),
    "bird": Expected(
        sender="+15550100100",
        fates=_TEXT,
        lacks=frozenset({"media"}),
        longest=10_000,
        proof=frozenset({"messagebird-signature", "messagebird-request-timestamp"}),
    ),
    "fcm": Expected(
        sender="Tocsin",
        fates=_PUSH,
        waits=False,  # It asks for 30 seconds itself.
        longest=3_000,  # Of 4,096 bytes with all that is around it.
        proof=_REPORT,
    ),
    "apns": Expected(
        sender="Tocsin",
        fates=_PUSH,
        platform="apns",
        longest=3_000,
        proof=_REPORT,
    ),
    "twilio": Expected(
        sender="Town Hall <+15550100100>",
        # Who is opted out there is refused at once.
        fates={**_TEXT, "suppressed": "recipient"},
        longest=1_600,
        proof=frozenset({"x-twilio-signature"}),
    ),
    "twilio_whatsapp": Expected(
        sender="+15550100100",
        fates={
            **_TEXT,
            "open": "accepted: delivered, opened",
            "click": "accepted: delivered, opened",
        },
        longest=1_600,
        proof=frozenset({"x-twilio-signature"}),
    ),
    "twilio_voice": Expected(
        sender="+15550100100",
        fates=_CALL,
        longest=3_900,  # Of 4,000 with the TwiML around it.
        proof=frozenset({"x-twilio-signature"}),
    ),
}


def expected_of(gateway: str) -> Expected:
    """Give a gateway's row; without one, fail and say what to write."""
    if gateway not in EXPECTED:
        pytest.fail(
            f"tests/conformance/expectations.py says nothing about {gateway!r}. Write a row for it from the "
            "vendor's papers: what becomes of each magic recipient (the class of the answer, and after a "
            "colon what its webhooks tell), which features it lacks, the longest text it takes, and by "
            "which headers its webhooks are proven; see docs/adding_a_gateway.md.",
            pytrace=False,
        )
    return EXPECTED[gateway]
