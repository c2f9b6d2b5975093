"""Messages for every channel, and what can be asked of a message beyond its text."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app.domain.facts import Tag
from app.domain.vocabulary import Channel, Priority
from app.gateways.base import Attachment, Envelope

TEXT = "Die Brücke ist gesperrt, 橋は通行止め, мост закрыт \N{BELL} and all is well."
PLAIN = "The bridge is closed."

Change = Callable[[Envelope], Envelope]


def message(channel: Channel, address: str, *, sender: str, **changes: object) -> Envelope:
    """Make a short message that every gateway of the channel can send."""
    base = Envelope(
        tag=Tag(uuid=uuid4(), priority=Priority.P3, attempt=2),
        channel=channel,
        address=address,
        sender=sender,
        text=PLAIN,
        subject="Bridge" if channel in (Channel.EMAIL, Channel.PUSH) else None,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        options=_platform(address) if channel is Channel.PUSH else {},
    )
    return replace(base, **changes)


def _platform(address: str) -> dict[str, str]:
    return {"platform": "apns" if address.startswith("70c51") else "fcm"}


def _with(**changes: object) -> Change:
    return lambda message: replace(message, **changes)


def _option(**options: object) -> Change:
    def change(message: Envelope) -> Envelope:
        return replace(message, options={**message.options, message.channel.value: options})

    return change


_PICTURE = Attachment(filename="a.png", content_type="image/png", content=b"\x89PNG")

# What may be asked of a message, by channel. Each gateway either sends it or says that it cannot.
FEATURES: Mapping[Channel, Mapping[str, Change]] = {
    Channel.EMAIL: {
        "html": _with(html="<p>The bridge is closed.</p>"),
        "attachment": _with(attachments=(_PICTURE,)),
        "picture inside": _with(attachments=(replace(_PICTURE, content_id="a@example.org"),)),
        "reply-to": _with(reply_to="Desk <desk@example.org>"),
        "headers": _with(headers={"In-Reply-To": "<a@example.org>", "X-Desk": "7"}),
        "sixteen headers": _with(headers={f"X-Desk-{number}": "7" for number in range(16)}),
        "category": _with(category="roads"),
    },
    Channel.SMS: {
        "emoji": _with(text="\N{BELL} closed"),
        "media": _option(media=["https://example.org/a.png"]),
    },
    Channel.WHATSAPP: {
        "emoji": _with(text="\N{BELL} closed"),
        "media": _option(media=["https://example.org/a.png"]),
        "template": _option(content_sid="HX" + "0" * 32, content_variables={"1": "bridge"}),
    },
    Channel.VOICE: {
        "language": _option(language="de-DE"),
        "repeat": _option(repeat=3),
        "digit": _option(confirm_digit="1"),
        "machine": _option(on_machine="leave_message"),
    },
    Channel.PUSH: {
        "no title": _with(subject=None),
        "data": _option(data={"bridge": "1"}),
        "image": _option(image="https://example.org/a.png"),
        "silent": _option(silent=True, data={"bridge": "1"}),
        "collapse key": _option(collapse_key="bridge"),
        "time to live": _option(ttl_seconds=600),
        "badge and sound": _option(badge=3, sound="default"),
    },
}

# From what everybody takes to what most do not, in characters.
LENGTHS: Mapping[Channel, tuple[int, ...]] = {
    Channel.EMAIL: (100, 100_000, 1_000_000),
    Channel.SMS: (100, 1_600, 1_601, 2_048, 2_049, 10_000),
    Channel.WHATSAPP: (100, 1_600, 1_601, 4_096, 10_000),
    Channel.VOICE: (100, 3_000, 4_000, 10_000),
    Channel.PUSH: (100, 2_000, 4_000, 4_096, 10_000),
}
