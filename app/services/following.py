"""What the later steps of a sequence ask for: the first request, with what each step says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from app.domain.vocabulary import Channel
from app.services.requests import SendRequest

Until = Literal["delivered", "confirmed"]

_NUMBERS = frozenset({Channel.SMS, Channel.WHATSAPP, Channel.VOICE})
# What says something in one channel says nothing, or something else, in another.
_OF_ONE_CHANNEL: Mapping[str, Any] = {
    "sender": None,
    "ip_pool": None,
    "gateway": None,
    "gateway_only": False,
    "platform": None,
    "reply_to": None,
    "headers": {},
    "attachments": (),
    "body_html": None,
    "sections": {},
}
_WORDS = ("template", "body_text", "body_html")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDraft:
    """A later step: sent `after` the one before it, unless an earlier message is `until` then.

    `changes` are fields of the request that this step has of its own.
    """

    channel: Channel
    after: timedelta
    until: Until = "delivered"
    changes: Mapping[str, Any] = field(default_factory=dict)


def request_of(first: SendRequest, step: StepDraft) -> SendRequest:
    """Put the step's request together.

    Fields that only make sense in one channel are inherited by steps in the same one. A step that has
    words of its own inherits none, and one without an address has the first's where both are numbers.
    """
    same = step.channel is first.channel
    inherited = replace(first, channel=step.channel, scheduled_for=None, **({} if same else _OF_ONE_CHANNEL))
    if not same and not {first.channel, step.channel} <= _NUMBERS:
        inherited = replace(inherited, recipient_address=None)
    if any(step.changes.get(name) is not None for name in _WORDS):
        inherited = replace(inherited, template=None, body_text=None, body_html=None)
    return replace(inherited, **step.changes)
