"""Proof that a request is Twilio's: HMAC over the address that Twilio called and what it sent there."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from hmac import compare_digest, digest
from urllib.parse import parse_qsl

from app.errors import Forged
from app.gateways.base import WebhookRequest
from app.gateways.twilio.callbacks import TOLD_AGAIN

_HEADER = "x-twilio-signature"
_FORM = "application/x-www-form-urlencoded"
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_ADDRESS = re.compile(r"(https?)://(\[[^\]/?#]*\]|[^:/?#]*)(:[0-9]+)?([/?#].*|)", re.DOTALL)


def check_signature(request: WebhookRequest, tokens: Sequence[str]) -> None:
    """Return where one of the tokens has signed address and content; raise Forged otherwise.

    Of a form all its parameters are signed. Of a JSON body only its hash is, and only where the
    address has it: without one anybody could put another body to an address that Twilio signed.
    """
    given = request.headers.get(_HEADER, "")
    if not given:
        raise Forged("signature missing")
    parameters = _signed_parameters(request)
    candidates = (
        _signature(address + parameters, token) for address in _spellings(request.url) for token in tokens
    )
    if not any(compare_digest(given.encode(), candidate) for candidate in candidates):
        raise Forged("signature")


def parameters_of(request: WebhookRequest) -> list[tuple[str, str]]:
    """List the parameters of a form, in the order they came; empty for all other bodies."""
    if _content_type(request) != _FORM:
        return []
    try:
        return parse_qsl(request.body.decode("utf-8"), keep_blank_values=True)
    except ValueError as exc:
        raise Forged("form") from exc


def query_of(request: WebhookRequest) -> list[tuple[str, str]]:
    """List the parameters of the address that was called."""
    return parse_qsl(request.url.partition("?")[2], keep_blank_values=True)


def _signed_parameters(request: WebhookRequest) -> str:
    """Spell what is signed behind the address: names and values in order, each value once."""
    if _content_type(request) == _FORM:
        return "".join(name + value for name, value in sorted(set(parameters_of(request))))
    if request.body:
        _check_hash(request)
    return ""


def _check_hash(request: WebhookRequest) -> None:
    """Hold the body against the hash in its address, where nothing else of it is signed."""
    named = dict(query_of(request)).get("bodySHA256", "")
    if not named:
        raise Forged("body hash missing")
    if not compare_digest(named.lower().encode(), sha256(request.body).hexdigest().encode()):
        raise Forged("body hash")


def _content_type(request: WebhookRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _spellings(url: str) -> Iterator[str]:
    """Give the ways in which Twilio may have spelt the address: with the usual port and without it.

    Then each once more with what we ourselves put behind an address for Twilio to know.
    """
    spellings = [url]
    found = _ADDRESS.fullmatch(url)
    if found:
        scheme, host, port, rest = found.groups()
        usual = _USUAL_PORTS[scheme]
        if port in (None, usual):
            spellings.append(f"{scheme}://{host}{'' if port else usual}{rest}")
    for spelling in spellings:
        yield spelling
        yield spelling + TOLD_AGAIN


def _signature(signed: str, token: str) -> bytes:
    # HMAC holds with SHA-1 too, and Twilio signs with nothing else.
    return b64encode(digest(token.encode(), signed.encode(errors="surrogatepass"), "sha1"))
