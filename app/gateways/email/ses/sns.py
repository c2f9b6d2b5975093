"""Amazon SNS over HTTP: the envelope in which SES's events come, and the proof that Amazon sealed it."""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from app.errors import Forged, ProofUnavailable
from app.gateways.answers import json_object
from app.gateways.base import WebhookRequest

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_SIGNED_OF_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_OF_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    NOTIFICATION: _SIGNED_OF_NOTIFICATION,
    SUBSCRIPTION: _SIGNED_OF_CONFIRMATION,
    UNSUBSCRIPTION: _SIGNED_OF_CONFIRMATION,
}
_MAY_BE_MISSING = "Subject"
_HASH: dict[str, HashAlgorithm] = {
    "1": SHA1(),  # noqa: S303 — what version 1 is; SNS still uses it unless a topic asks for 2.
    "2": SHA256(),
}

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):[0-9]+:[A-Za-z0-9_.-]+")
_AMAZON = re.compile(
    r"https://sns\.(?P<region>[a-zA-Z0-9-]{3,})\.amazonaws\.com(?:\.cn)?(?::443)?(?P<rest>/.*)"
)
_CERTIFICATE_PATH = re.compile(r"/[A-Za-z0-9_/.-]+\.pem")
_SUBSCRIBE_PATH = re.compile(r"/[!-~]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origins:
    """From where certificates and confirmations may be fetched: Amazon's hosts, and perhaps one more."""

    other: str | None = None

    def certificate(self, url: str, topic: str) -> str:
        """Give a certificate's address back where it may be fetched; raise Forged otherwise."""
        return self._checked(url, topic, _CERTIFICATE_PATH, "certificate address")

    def confirmation(self, url: str, topic: str) -> str:
        """Give a confirmation's address back where it may be fetched; raise Forged otherwise."""
        return self._checked(url, topic, _SUBSCRIBE_PATH, "confirmation address")

    def _checked(self, url: str, topic: str, path: re.Pattern[str], check: str) -> str:
        if self.other and url.startswith(f"{self.other}/"):
            rest = url.removeprefix(self.other)
        else:
            rest = _path_at_amazon(url, topic, check)
        if not path.fullmatch(rest):
            raise Forged(check)
        return url


def _path_at_amazon(url: str, topic: str, check: str) -> str:
    amazon, arn = _AMAZON.fullmatch(url), _TOPIC.fullmatch(topic)
    if amazon is None:
        raise Forged(check)
    if arn is None or amazon["region"] != arn["region"]:
        raise Forged("region")
    return amazon["rest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """An SNS message as it came: whatever it says is worth nothing before `check_seal`."""

    kind: str
    topic: str
    values: dict[str, str]
    version: str
    signature: str
    certificate_url: str

    @classmethod
    def read(cls, request: WebhookRequest) -> "Sealed":
        """Take a request's envelope apart; raises Forged where it is none, as in raw delivery."""
        if request.headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            raise Forged("raw delivery")
        told = json_object(request.body)
        if told.get(_MAY_BE_MISSING, "") is None:
            del told[_MAY_BE_MISSING]
        values = {name: value for name, value in told.items() if isinstance(value, str)}
        kind = values.get("Type", "")
        needed = {*_SIGNED.get(kind, ("Type",)), "SignatureVersion", "Signature", "SigningCertURL"}
        if kind not in _SIGNED or any(
            name not in values for name in needed - ({_MAY_BE_MISSING} - told.keys())
        ):
            raise Forged("envelope")
        return cls(
            kind=kind,
            topic=values["TopicArn"],
            values=values,
            version=values["SignatureVersion"],
            signature=values["Signature"],
            certificate_url=values["SigningCertURL"],
        )

    def check_seal(self, certificate: bytes | None, now: datetime) -> None:
        """Return where the certificate's key has signed this and `now` is in its time.

        Raises ProofUnavailable without a certificate that can be read, else Forged.
        """
        key = _key_valid_at(certificate, now)
        algorithm = _HASH.get(self.version)
        if algorithm is None:
            raise Forged("signature version")
        try:
            key.verify(self._signature(), self._string_to_sign(), PKCS1v15(), algorithm)
        except InvalidSignature as exc:
            raise Forged("signature") from exc

    def _signature(self) -> bytes:
        try:
            return b64decode(self.signature, validate=True)
        except ValueError as exc:
            raise Forged("signature encoding") from exc

    def _string_to_sign(self) -> bytes:
        return "".join(self._signed_lines()).encode()

    def _signed_lines(self) -> Iterator[str]:
        for name in _SIGNED[self.kind]:
            if name in self.values:
                yield f"{name}\n{self.values[name]}\n"


def _key_valid_at(certificate: bytes | None, now: datetime) -> RSAPublicKey:
    if certificate is None:
        raise ProofUnavailable("certificate")
    read, key = _read_certificate(certificate)
    if not read.not_valid_before_utc <= now <= read.not_valid_after_utc:
        raise Forged("certificate validity")
    return key


@lru_cache(maxsize=16)
def _read_certificate(pem: bytes) -> tuple[x509.Certificate, RSAPublicKey]:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ProofUnavailable("certificate") from exc
    if not isinstance(key, RSAPublicKey):
        raise ProofUnavailable("certificate key")
    return certificate, key
