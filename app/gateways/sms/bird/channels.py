"""Which sender has which SMS channel at Bird: a request names the channel, never the sender."""

from collections.abc import Iterable

from app.errors import ConfigurationError


def channels_of(written: Iterable[str]) -> dict[str, str]:
    """Read entries like "+31612345678=<channel id>" by sender; raises ConfigurationError for any other."""
    channels: dict[str, str] = {}
    for entry in written:
        sender, _, channel = (part.strip() for part in entry.partition("="))
        if not (sender and channel):
            raise ConfigurationError(
                f"BIRD_CHANNELS takes sender=channel id, and more after commas: {entry!r}"
            )
        channels[sender] = channel
    return channels
