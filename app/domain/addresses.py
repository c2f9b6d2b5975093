"""One canonical form for each channel's addresses, so that equal recipients compare equal."""

from app.domain import device_tokens, emails, phone_numbers
from app.domain.vocabulary import Channel

_SEEN_DIGITS = 3
_FEWEST_DIGITS_TO_SHOW = 7

# What stands where an erased address stood begins with this, as no address does.
ERASED = "erased-"


def canonical(
    channel: Channel, address: str, *, region: str | None = None, platform: str | None = None
) -> str:
    """Bring an address into the form in which it is stored and sent; blanks and tabs around it go.

    Email: the local part as given, the domain as IDNA A-labels in lower case. SMS, WhatsApp and
    voice: E.164; `region` (two capitals) is the country of numbers written without `+`. Push: the
    token as `platform` ("apns" or "fcm") issues it. The result is its own canonical form.
    Raises Invalid that says what is wrong and how to mend it, without repeating the address.
    """
    if channel is Channel.EMAIL:
        return emails.canonical(address)
    if channel is Channel.PUSH:
        return device_tokens.canonical(address, platform)
    return phone_numbers.canonical(address, region)


def suppression_key(channel: Channel, canonical_address: str) -> str:
    """Give what suppressions and duplicates compare: email in lower case, all else as it is."""
    return canonical_address.lower() if channel is Channel.EMAIL else canonical_address


def is_erased(address: str) -> bool:
    """Tell whether this only stands where an address stood that was erased."""
    return address.startswith(ERASED)


def domain_of(email: str) -> str:
    """Give the domain of a canonical email address, as limits by domain use it."""
    return email.rpartition("@")[2].lower()


def masked(channel: Channel, address: str) -> str:
    """Shorten an address for logs and messages; takes any text, also one that is no address.

    Email: first character and domain. Numbers: the last three digits. Tokens: only the length.
    What does not look like an address is hidden whole.
    """
    if channel is Channel.EMAIL:
        return _masked_email(address)
    if channel is Channel.PUSH:
        return f"token of {len(address)} characters"
    return _masked_number(address)


def _masked_email(address: str) -> str:
    return f"{address[0]}…@{domain_of(address)}" if emails.looks_canonical(address) else "…"


def _masked_number(address: str) -> str:
    digits = [char for char in address if char.isascii() and char.isdigit()]
    if len(digits) < _FEWEST_DIGITS_TO_SHOW:
        return "…"
    return "…" + "".join(digits[-_SEEN_DIGITS:])
