"""Checking AWS Signature Version 4, from the request as it arrived."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from app.simulator.accounts.ses import AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY
from app.simulator.exchange import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_MOMENT = re.compile(r"\d{8}T\d{6}Z")
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why AWS would not let a request in: the error's type and its text."""

    kind: str
    text: str


def denial(request: Request, now: datetime) -> Denial | None:
    """Check the request's signature; None where it holds."""
    header = request.headers.get("authorization")
    if header is None:
        return Denial("MissingAuthenticationTokenException", "Missing Authentication Token")
    claims = _AUTHORIZATION.fullmatch(header)
    if claims is None:
        return Denial("IncompleteSignatureException", "The Authorization header cannot be understood.")
    return _wrong_claim(claims, request, now) or _wrong_signature(claims, request)


def _wrong_claim(claims: re.Match[str], request: Request, now: datetime) -> Denial | None:
    if claims["key"] != AWS_ACCESS_KEY_ID:
        return Denial("InvalidClientTokenId", "The security token included in the request is invalid.")
    if (claims["region"], claims["service"]) != (AWS_REGION, "ses"):
        return _mismatch(f"Credential should be scoped to {AWS_REGION} and to the service ses.")
    signed_at = _moment(request.headers.get("x-amz-date"))
    if signed_at is None or f"{signed_at:%Y%m%d}" != claims["day"]:
        return _mismatch("Date in Credential scope does not match X-Amz-Date.")
    if abs(now - signed_at) > _SKEW:
        return _mismatch(f"Signature expired or not yet current: it says {signed_at}, now is {now}.")
    if not {"host", "x-amz-date"} <= set(claims["headers"].split(";")):
        return _mismatch("host and x-amz-date must be among the signed headers.")
    return None


def _wrong_signature(claims: re.Match[str], request: Request) -> Denial | None:
    scope = f"{claims['day']}/{claims['region']}/{claims['service']}/aws4_request"
    digest = hashlib.sha256(_canonical(request, claims["headers"]).encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{request.headers.get('x-amz-date')}\n{scope}\n{digest}"
    key = _signing_key(claims["day"], claims["region"], claims["service"])
    if hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), claims["signature"]):
        return None
    return _mismatch("The request signature we calculated does not match the signature you provided.")


def _canonical(request: Request, signed: str) -> str:
    query = sorted(parse_qsl(request.query, keep_blank_values=True))
    lines = [
        request.method,
        quote(request.path, safe="/~"),
        "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query),
        *(f"{name}:{_value(request, name)}" for name in signed.split(";")),
        "",
        signed,
        hashlib.sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines)


def _value(request: Request, name: str) -> str:
    value = request.host if name == "host" else request.headers.get(name) or ""
    return " ".join(value.split())


@lru_cache(maxsize=4)
def _signing_key(day: str, region: str, service: str) -> bytes:
    key = f"AWS4{AWS_SECRET_ACCESS_KEY}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _moment(text: str | None) -> datetime | None:
    if text is None or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _mismatch(text: str) -> Denial:
    return Denial("SignatureDoesNotMatch", text)
