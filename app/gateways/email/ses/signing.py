"""AWS Signature Version 4 of one request of JSON."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Protocol
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth

_IMPLIED_PORT = {"https": ":443", "http": ":80"}


class Credentials(Protocol):
    """What botocore calls frozen credentials: the key, the secret, and a token where they are temporary."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


CredentialsSource = Callable[[], Credentials]


def signed_headers(
    *,
    url: str,
    body: bytes,
    credentials: Credentials,
    service: str,
    region: str,
    now: datetime,
    method: str = "POST",
) -> dict[str, str]:
    """Give the headers with which a request with this JSON to `url` is believed.

    botocore's signer makes the string to sign and the signature. The canonical request before that
    is written here: botocore builds it by way of e-mail headers, which takes four fifths of its time.
    """
    headers = {
        "Content-Type": "application/json",
        "X-Amz-Date": now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
    }
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    signer = SigV4Auth(credentials, service, region)
    dated = SimpleNamespace(context={"timestamp": headers["X-Amz-Date"]})
    canonical, names = _canonical(method, url, headers, body)
    signature = signer.signature(signer.string_to_sign(dated, canonical), dated)
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(dated)}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _canonical(method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[str, str]:
    where = urlsplit(url)
    # As libcurl names the host: without a port that the scheme implies.
    host = where.netloc.removesuffix(_IMPLIED_PORT.get(where.scheme, ""))
    signed = sorted([("host", host), *((name.lower(), value) for name, value in headers.items())])
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    names = ";".join(name for name, _ in signed)
    path = quote(where.path, safe="/~")
    return f"{method}\n{path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}", names
