"""What a request may ask of its channel: the channel's own options, and how much is said."""

from collections.abc import Iterator
from typing import Any

from app.domain.lengths import excess
from app.domain.provider_templates import PROVIDER_TEMPLATES
from app.errors import Fault
from app.services.field_rules import json_faults
from app.services.requests import Head
from app.settings import Settings

LONGEST_SECTION = 16 * 1024


def channel_faults(head: Head, settings: Settings) -> Iterator[Fault]:
    """Tell what is wrong with a channel's own options, and what is too much for the channel."""
    yield from _section_faults(head)
    yield from _template_faults(head)
    yield from _length_faults(head, settings)
    yield from _attachment_faults(head, settings)


def own_options(head: Head) -> dict[str, Any]:
    """Give the options for the message's own channel."""
    return dict(head.sections.get(head.channel) or {})


def speaks_for_itself(head: Head) -> bool:
    """Tell whether the channel's options stand for words: a provider's template, media, silent data."""
    own = own_options(head)
    kept = PROVIDER_TEMPLATES.get(head.channel)
    return bool((kept and own.get(kept.name)) or own.get("media") or (own.get("silent") and own.get("data")))


def _section_faults(head: Head) -> Iterator[Fault]:
    for channel, section in head.sections.items():
        if channel is not head.channel:
            yield Fault(channel.value, f"is for {channel} only; this message goes by {head.channel}")
        else:
            yield from json_faults(channel.value, section, LONGEST_SECTION)


def _template_faults(head: Head) -> Iterator[Fault]:
    kept = PROVIDER_TEMPLATES.get(head.channel)
    if kept and head.template is not None and own_options(head).get(kept.name):
        yield Fault(f"{head.channel}.{kept.name}", "cannot come together with template; give one of them")


def _length_faults(head: Head, settings: Settings) -> Iterator[Fault]:
    """Look at what is sent as it is; what a template comes to is only known when it is sent."""
    if head.template is not None:
        return
    most = settings.max_sms_segments
    words = excess(head.channel, head.subject, head.body_text, own_options(head), most_segments=most)
    if words:
        yield Fault("body_text", words)


def _attachment_faults(head: Head, settings: Settings) -> Iterator[Fault]:
    most = settings.max_attachments_bytes
    if sum(len(file.content) for file in head.attachments) > most:
        yield Fault("attachments", f"come to more than {most} bytes")
