"""The keys that the simulator signs its webhooks with.

They are 1024 bits long: real installations of Postal often have such keys, and it keeps signing at
a third of the cost. They prove nothing but that a webhook came from this simulator.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from app.errors import ConfigurationError

_BITS = 1024
_SHA1 = hashes.SHA1()  # noqa: S303 - the vendors sign so
_SHA256 = hashes.SHA256()
_PADDING = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key that signs as vendors' webhooks are signed: PKCS #1 v1.5, written in base64."""

    private: rsa.RSAPrivateKey

    def sha1(self, data: bytes) -> str:
        return base64.b64encode(self.private.sign(data, _PADDING, _SHA1)).decode()

    def sha256(self, data: bytes) -> str:
        return base64.b64encode(self.private.sign(data, _PADDING, _SHA256)).decode()

    def fingerprint(self) -> str:
        """Give the SHA-256, in hex, of the public key's modulus and exponent in DER."""
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return hashlib.sha256(der).hexdigest()

    def jwk(self) -> dict[str, str]:
        """Give the public half as a JSON web key."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "n": _base64url(numbers.n),
            "e": _base64url(numbers.e),
            "kid": self.fingerprint(),
        }

    def certificate(self, host: str, now: datetime) -> bytes:
        """Make a self-signed certificate in PEM, valid from a day ago for ten years."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        )
        return builder.sign(self.private, _SHA256).public_bytes(Encoding.PEM)


def signing_key(name: str, folder: Path | None) -> SigningKey:
    """Read the key of this name from the folder, or make one; without a folder it is not kept."""
    if folder is None:
        return SigningKey(_new())
    path = folder / f"{name}.pem"
    if path.exists():
        return SigningKey(_read(path))
    private = _new()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return SigningKey(private)


def _new() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_BITS)


def _read(path: Path) -> rsa.RSAPrivateKey:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as exc:
        raise ConfigurationError(f"{path} holds no private key; remove it to have a new one made") from exc
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ConfigurationError(f"{path} holds no RSA key; remove it to have a new one made")
    return private


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
