"""JSON Web Tokens that we sign: three parts in base64url (RFC 7515)."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping

import orjson


def signed_token(
    header: Mapping[str, str], claims: Mapping[str, str | int], sign: Callable[[bytes], bytes]
) -> str:
    """Make a token of these claims; `sign` gives the raw signature over its first two parts."""
    text = b".".join(_encoded(orjson.dumps(each)) for each in (header, claims))
    return (text + b"." + _encoded(sign(text))).decode()


def _encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")
