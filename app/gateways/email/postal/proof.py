"""Proof that a webhook is Postal's: RSA over the raw body, with the key in settings or out of its JWKS."""

import binascii
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.errors import Forged, ProofUnavailable
from app.gateways.answers import json_object, listed, words

_SHA256_HEADER = "x-postal-signature-256"
_SHA1_HEADER = "x-postal-signature"
_KEY_ID_HEADER = "x-postal-signature-kid"


def check_signature(headers: Mapping[str, str], body: bytes, key: RSAPublicKey, *, accept_sha1: bool) -> None:
    """Return where the body's signature holds; raise Forged otherwise.

    A SHA-256 signature is the only one looked at where there is one: who could take a weaker one
    for it could also leave it out, so the weaker counts only where the settings say so.
    """
    algorithm: HashAlgorithm
    if _SHA256_HEADER in headers:
        signature, algorithm = headers[_SHA256_HEADER], SHA256()
    elif accept_sha1 and _SHA1_HEADER in headers:
        signature, algorithm = headers[_SHA1_HEADER], SHA1()  # noqa: S303 — all that Postal before 3.2 has.
    else:
        raise Forged("signature missing")
    try:
        key.verify(_strictly_decoded(signature), body, PKCS1v15(), algorithm)
    except InvalidSignature as exc:
        raise Forged("signature") from exc


def _strictly_decoded(signature: str) -> bytes:
    try:
        return b64decode(signature, validate=True)
    except ValueError as exc:
        raise Forged("signature encoding") from exc


@lru_cache(maxsize=4)
def key_of_settings(spki: str) -> RSAPublicKey:
    """Read the key that the settings hold, base64 of its SubjectPublicKeyInfo; raises ProofUnavailable."""
    try:
        key = load_der_public_key(b64decode("".join(spki.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ProofUnavailable("key in settings") from exc
    if not isinstance(key, RSAPublicKey):
        raise ProofUnavailable("key in settings")
    return key


def key_of_set(jwks: bytes, headers: Mapping[str, str]) -> RSAPublicKey:
    """Choose the key that the request names out of a JWKS.

    Raises Forged where it is not in there, ProofUnavailable where the set itself cannot be read.
    """
    return _key_of_set(jwks, headers.get(_KEY_ID_HEADER))


@lru_cache(maxsize=16)
def _key_of_set(jwks: bytes, key_id: str | None) -> RSAPublicKey:
    keys = [each for each in listed(json_object(jwks), "keys") if isinstance(each, dict)]
    if not keys:
        raise ProofUnavailable("key set")
    named = [each for each in keys if key_id is None or words(each, "kid") == key_id]
    if len(named) != 1:
        raise Forged("key id")
    return _rsa_key(named[0])


def _rsa_key(jwk: Mapping[str, Any]) -> RSAPublicKey:
    if words(jwk, "kty") != "RSA":
        raise ProofUnavailable("key type")
    try:
        return RSAPublicNumbers(_number(words(jwk, "e")), _number(words(jwk, "n"))).public_key()
    except ValueError as exc:
        raise ProofUnavailable("key") from exc


def _number(text: str) -> int:
    try:
        return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
    except binascii.Error as exc:
        raise ProofUnavailable("key encoding") from exc
