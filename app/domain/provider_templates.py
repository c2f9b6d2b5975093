"""Templates that providers keep: which of a channel's options names one, and which holds its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.vocabulary import Channel


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderTemplate:
    """The options of one channel: `name` says which template, `values` what to fill it with."""

    name: str
    values: str


_TWILIOS = ProviderTemplate(name="content_sid", values="content_variables")
PROVIDER_TEMPLATES = {
    Channel.EMAIL: ProviderTemplate(name="template_id", values="template_data"),
    Channel.SMS: _TWILIOS,
    Channel.WHATSAPP: _TWILIOS,
}


def filled(channel: Channel, options: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a message's options with its data among the values of a provider's template, if they name one.

    What belongs to one recipient wins over what was said for all.
    """
    kept = PROVIDER_TEMPLATES.get(channel)
    own = options.get(channel.value) or {}
    if not data or kept is None or not own.get(kept.name):
        return options
    values = {**(own.get(kept.values) or {}), **data}
    return {**options, channel.value: {**own, kept.values: values}}
