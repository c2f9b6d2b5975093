"""Email addresses: what we accept, and the one form we keep.

Which domains. A domain needs a dot and a top level that ends with a letter. The names reserved for
documentation and tests (`example`, `example.com`, `example.net`, `example.org`, `test`, and all below
them) are accepted in every installation, so that what works against the simulator is valid in
production too; mail to them reaches nobody. `arpa`, `invalid`, `local`, `localhost` and `onion` are
refused: no gateway can deliver there. DNS is never asked.

Which local parts. Plain dot-atoms in ASCII. Quoted ones are refused, since gateways disagree about
them. Local parts beyond ASCII (SMTPUTF8) are refused as well: a message has to be able to go through
any of its channel's gateways, and SES and others take none. The case stays as given, also that of
`Postmaster`. Long ones (over 64 characters) are accepted: mail systems make them for replies.
"""

import re

from email_validator import EmailSyntaxError, validate_email

from app.errors import Invalid

_ATOM = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+"

# Whatever matches is valid and canonical as it stands, so that a million rows do not need the full
# check. Labels take single hyphens only, since `xn--` and its like need a closer look; 64 characters
# in all keep every part within its own limit.
_PLAIN = re.compile(
    rf"(?=.{{6,64}}\Z){_ATOM}(?:\.{_ATOM})*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion)\Z)[a-z]+\Z"
)
_CANONICAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_LONGEST = 254
_MAX_CONTROL = 0x1F
_DELETE = 0x7F


def canonical(address: str) -> str:
    """Check an address and give it with its domain in A-labels and lower case; raises Invalid."""
    if _PLAIN.match(address):
        return address
    return _unusual(address.strip(" \t"))


def looks_canonical(address: str) -> bool:
    """Tell whether the text has the shape of a canonical address; a cheap look, no proof."""
    return len(address) <= _LONGEST and _CANONICAL.fullmatch(address) is not None


def _unusual(address: str) -> str:
    fault = _obvious_fault(address)
    if fault:
        raise Invalid.of("recipient_address", fault)
    local, _, domain = address.rpartition("@")
    candidate = f"{local}@{domain.lower()}"
    if _PLAIN.match(candidate):
        return candidate
    return _checked(address)


def _checked(address: str) -> str:
    try:
        found = validate_email(
            address, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailSyntaxError as exc:
        raise Invalid.of("recipient_address", f"is not an email address: {exc}") from exc
    if "." not in found.ascii_domain:
        raise Invalid.of("recipient_address", "needs a full domain after the @, as in name@example.com")
    # The given local part, since email-validator puts some mailbox names into lower case.
    return f"{address.rpartition('@')[0]}@{found.ascii_domain}"


def _obvious_fault(address: str) -> str | None:
    """Name the mistakes that people and programs make most, in words that mend them."""
    if not address:
        return "is empty; give an email address, as in name@example.com"
    if len(address) > _LONGEST:
        return f"is longer than an email address may be ({_LONGEST} characters)"
    if any(ord(char) <= _MAX_CONTROL or ord(char) == _DELETE for char in address):
        return "contains a line break or another control character; remove it"
    if "<" in address or ">" in address:
        return "must be the bare address: leave out the name and the angle brackets"
    if '"' in address:
        return "has quotation marks, which not every gateway can send to; give an address without"
    return _fault_around_at(address)


def _fault_around_at(address: str) -> str | None:
    if "," in address or ";" in address or address.count("@") > 1:
        return "must be one address; send to several with one request for many recipients"
    if "@" not in address:
        return "has no @; give an email address, as in name@example.com"
    if not address.rpartition("@")[0].isascii():
        return "has letters beyond ASCII before the @, which not every gateway can send to"
    return None
