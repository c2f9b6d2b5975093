"""Telephone numbers for SMS, WhatsApp and voice, as E.164.

A number must be valid by its country's plan, not merely of a possible length: a mistyped number costs
money at the gateway and reputation afterwards. Numbers that regulators keep for films and tests are
accepted too, although no plan lists them, so that examples and the simulator work with numbers nobody
owns: the North American area code 555, Ofcom's 07700 900xxx and ARCEP's 06 39 98 xx xx. Twilio's magic
numbers (+1 500 555 0006 and its neighbours) are valid by the plan as it is.

Letters are refused rather than read as keypad digits, which would turn a stray word into a longer,
other number. Extensions are refused: nothing here can dial them.
"""

import re

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_possible_number,
    is_valid_number,
    parse,
)

from app.errors import Invalid

_LONGEST_WRITTEN = 40
# Digits of any script, grouped as people write them; \uff0b is the full-width plus.
_WRITTEN = re.compile(r"[+\uff0b]?[\d ().\-/\u00a0\u2009\u202f\u2010-\u2015\u2212\uff0d]+")
_CANONICAL = re.compile(r"\+[1-9][0-9]{6,14}")
_FICTIONAL = re.compile(r"\+(?:1555[0-9]{7}|447700900[0-9]{3}|3363998[0-9]{4})")


def canonical(number: str, region: str | None = None) -> str:
    """Give a number as E.164; without `+` it is read as one of `region`. Raises Invalid."""
    written = number.strip(" \t")
    fault = _fault(written, region)
    if fault:
        raise Invalid.of("recipient_address", fault)
    found = _parsed(written, region)
    canonical = format_number(found, PhoneNumberFormat.E164)
    if not _CANONICAL.fullmatch(canonical) or not (_FICTIONAL.fullmatch(canonical) or is_valid_number(found)):
        raise Invalid.of("recipient_address", _why_invalid(found))
    return canonical


def _fault(written: str, region: str | None) -> str | None:
    if not written:
        return "is empty; give a telephone number, as in +447700900123"
    if len(written) > _LONGEST_WRITTEN or not _WRITTEN.fullmatch(written):
        return "must be one telephone number: digits after + and the country code, as in +447700900123"
    if written[0] not in "+\uff0b" and region is None:
        return "needs + and the country code in front, as in +447700900123"
    return None


def _parsed(written: str, region: str | None) -> PhoneNumber:
    try:
        return parse(written, region)
    except NumberParseException as exc:
        wrong = {
            NumberParseException.INVALID_COUNTRY_CODE: "begins with no country code that exists",
            NumberParseException.TOO_LONG: "has too many digits for a telephone number",
        }.get(exc.error_type, "has too few digits for a telephone number")
        raise Invalid.of("recipient_address", f"{wrong}; write it as in +447700900123") from exc


def _why_invalid(number: PhoneNumber) -> str:
    country = f"+{number.country_code}"
    if not is_possible_number(number):
        return f"has the wrong number of digits for country code {country}; check it"
    return f"is no number that country code {country} gives out; check its digits"
