"""Which country a telephone number belongs to."""

from functools import lru_cache

from phonenumbers import NumberParseException, parse, region_code_for_number

from app.domain.vocabulary import Channel

_BY_NUMBER = frozenset({Channel.SMS, Channel.WHATSAPP, Channel.VOICE})


def country_of(channel: Channel, address: str) -> str | None:
    """Give the country of a canonical address in two capitals; None where its channel or form tells none."""
    return _country_of_number(address) if channel in _BY_NUMBER else None


@lru_cache(maxsize=4096)
def _country_of_number(number: str) -> str | None:
    try:
        return region_code_for_number(parse(number))
    except NumberParseException:
        return None
