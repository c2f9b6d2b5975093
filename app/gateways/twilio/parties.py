"""Who writes and who is written to, as Twilio spells them."""

import re

from app.domain import phone_numbers
from app.errors import Invalid

_BRACKETS = re.compile(r"<([^<>]*)>\s*$")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
# "whatsapp:", and what other channels Twilio may put in front.
_PREFIX = re.compile(r"[a-z]+:")


def bare(sender: str) -> str:
    """Give the number, the name or the service of a sender that may have a name beside it."""
    found = _BRACKETS.search(sender)
    return (found[1] if found else sender).strip()


def is_service(sender: str) -> bool:
    """Tell whether a sender is a Messaging Service, which chooses among numbers of its own."""
    return bool(_SERVICE.fullmatch(sender))


def is_number(sender: str) -> bool:
    """Tell whether a sender is a whole telephone number."""
    return bool(_NUMBER.fullmatch(sender))


def canonical(address: str) -> str:
    """Give a number as we keep it, without its channel; what is no number stays as it is."""
    number = _PREFIX.sub("", address.strip(), count=1)
    try:
        return phone_numbers.canonical(number)
    except Invalid:
        return number
