"""Every way in which a request can fail, as problem details (RFC 9457); statuses are chosen here alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response
from werkzeug.exceptions import HTTPException

from app import errors
from app.errors import Fault

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of problem. `type` never changes; `advice` says what a caller should do about it.

    `retry_after` is how many seconds later the same request may work.
    """

    slug: str
    status: int
    title: str
    advice: str
    retry_after: int | None = None

    @property
    def type(self) -> str:
        """The identifier in answers, which is also the path of its page."""
        return f"/problems/{self.slug}"


MALFORMED = Kind(
    slug="malformed-request",
    status=400,
    title="The request cannot be read",
    advice="The body is no valid JSON, ended early, or is not encoded as its headers say. Mend it and send "
    "it again; nothing of it was kept.",
)
UNAUTHENTICATED = Kind(
    slug="unauthenticated",
    status=401,
    title="A valid API key is needed",
    advice="Send `Authorization: Bearer tcs_…` with a key that exists, has not expired, was not revoked, and "
    "may be used from your address.",
)
FORGED = Kind(
    slug="forged-webhook",
    status=403,
    title="The webhook's proof does not hold",
    advice="The signature does not fit the bytes that came, the key or the address. Nothing was recorded.",
)
PROOF_MISSING = Kind(
    slug="webhook-proof-missing",
    status=401,
    title="The webhook carries no credentials",
    advice="Send it again with `Authorization: Basic …` as it was agreed with the gateway. Nothing was "
    "recorded.",
)
FORBIDDEN = Kind(
    slug="forbidden",
    status=403,
    title="The API key lacks a scope",
    advice="Ask an administrator for a key with the scope that `detail` names.",
)
NOT_FOUND = Kind(
    slug="not-found",
    status=404,
    title="There is no such thing",
    advice="The path is unknown, or what it names does not exist or belongs to another client.",
)
METHOD_NOT_ALLOWED = Kind(
    slug="method-not-allowed",
    status=405,
    title="The path does not take this method",
    advice="The header `Allow` lists the methods that it takes.",
)
TIMED_OUT = Kind(
    slug="request-timeout",
    status=408,
    title="The body did not come in time",
    advice="The rest of the body was waited for in vain. Nothing of it was kept; send it again.",
)
CONFLICT = Kind(
    slug="conflict",
    status=409,
    title="Its state does not allow this",
    advice="`detail` names the state. Read the resource again before deciding what to do.",
)
IN_FLIGHT = Kind(
    slug="request-in-flight",
    status=409,
    title="A request with this idempotency key is still running",
    advice="Wait a moment and send the same request with the same key: you get the first one's answer.",
    retry_after=1,
)
LENGTH_REQUIRED = Kind(
    slug="length-required",
    status=411,
    title="The length of the body must be told",
    advice="Plain NDJSON needs `Content-Length`, since an upload without it that was cut between two lines "
    "looks complete. With `Content-Encoding: gzip`, or as multipart, no length is needed.",
)
TOO_LARGE = Kind(
    slug="body-too-large",
    status=413,
    title="The body is too large",
    advice="Send large lists of recipients as NDJSON or CSV to /v1/messages/bulk, which takes any number.",
)
UNSUPPORTED = Kind(
    slug="unsupported-media-type",
    status=415,
    title="The body's media type is not taken here",
    advice="Send `Content-Type: application/json`, or what the operation's description lists.",
)
INVALID = Kind(
    slug="invalid-request",
    status=422,
    title="The request has faults",
    advice="`errors` lists all of them, each with its field. Sending it unchanged will fail again.",
)
KEY_REUSED = Kind(
    slug="idempotency-key-reused",
    status=422,
    title="The idempotency key belongs to another request",
    advice="The key came before with another body or path. Use a new key for a new request.",
)
NO_GATEWAY = Kind(
    slug="no-gateway",
    status=422,
    title="No gateway can send this",
    advice="The channel has no gateway configured that fits the sender, the pool and the message.",
)
TOO_MANY = Kind(
    slug="too-many-requests",
    status=429,
    title="The API key makes too many requests",
    advice="The key has a limit a minute. Send the request again after `Retry-After`.",
)
INTERNAL = Kind(
    slug="internal-error",
    status=500,
    title="Something went wrong on our side",
    advice="Tell the operators the `request_id`; it finds the cause in the logs. With an idempotency key "
    "the request can be repeated safely.",
)
BUSY = Kind(
    slug="busy",
    status=503,
    title="Too many requests of this kind are running",
    advice="Each kind of request has a share of the process, so that single messages always get through. "
    "Send it again after `Retry-After`.",
    retry_after=2,
)
PROOF_UNAVAILABLE = Kind(
    slug="proof-unavailable",
    status=503,
    title="The webhook's proof cannot be checked now",
    advice="The key or certificate could not be fetched. Send the webhook again.",
    retry_after=30,
)
UNAVAILABLE = Kind(
    slug="unavailable",
    status=503,
    title="A server that is needed cannot be reached now",
    advice="Nothing was accepted. Send it again after `Retry-After`.",
    retry_after=5,
)

_OF_ERROR: dict[type[BaseException], Kind] = {
    errors.Invalid: INVALID,
    errors.Unauthenticated: UNAUTHENTICATED,
    errors.Forbidden: FORBIDDEN,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    errors.InFlight: IN_FLIGHT,
    errors.KeyReused: KEY_REUSED,
    errors.TooLarge: TOO_LARGE,
    errors.Busy: BUSY,
    errors.NoGateway: NO_GATEWAY,
    errors.Refused: CONFLICT,
    errors.Forged: FORGED,
    errors.ProofMissing: PROOF_MISSING,
    errors.ProofUnavailable: PROOF_UNAVAILABLE,
    errors.Unavailable: UNAVAILABLE,
}
_OF_STATUS = {
    kind.status: kind
    for kind in (
        MALFORMED,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        TIMED_OUT,
        LENGTH_REQUIRED,
        TOO_LARGE,
        UNSUPPORTED,
        TOO_MANY,
        INTERNAL,
    )
}
_CHALLENGES = {UNAUTHENTICATED: 'Bearer realm="tocsin"', PROOF_MISSING: 'Basic realm="tocsin"'}
KINDS = {kind.slug: kind for kind in (*_OF_ERROR.values(), *_OF_STATUS.values())}


def kind_of(error: BaseException) -> Kind:
    """Find what kind of problem an error is; whatever was not raised on purpose is INTERNAL."""
    if isinstance(error, HTTPException):
        return _OF_STATUS.get(error.code or 500, MALFORMED)
    return next((_OF_ERROR[cls] for cls in type(error).__mro__ if cls in _OF_ERROR), INTERNAL)


def content(
    kind: Kind, detail: str | None, request_id: str | None, faults: Sequence[Fault] = ()
) -> dict[str, Any]:
    """Make the members of the problem's body."""
    body: dict[str, Any] = {"type": kind.type, "title": kind.title, "status": kind.status}
    if detail:
        body["detail"] = detail
    if faults:
        body["errors"] = [{"field": fault.field, "message": fault.message} for fault in faults]
    if request_id:
        body["request_id"] = request_id
    return body


def answer(error: BaseException, request_id: str | None) -> Response:
    """Answer with what an error means to the caller; nothing of an unexpected one gets out but the id."""
    kind = kind_of(error)
    faults = error.faults if isinstance(error, errors.Invalid) else ()
    body = orjson.dumps(content(kind, _detail(error, kind, len(faults)), request_id, faults))
    response = Response(body, kind.status, mimetype=MEDIA_TYPE)
    response.headers.update(_headers(error, kind))
    return response


def _headers(error: BaseException, kind: Kind) -> dict[str, str]:
    headers = {}
    retry_after = getattr(error, "retry_after", None) or kind.retry_after
    if retry_after:
        headers["Retry-After"] = str(retry_after)
    if kind in _CHALLENGES:
        headers["WWW-Authenticate"] = _CHALLENGES[kind]
    if allowed := getattr(error, "valid_methods", None):
        headers["Allow"] = ", ".join(sorted(allowed))
    return headers


def _detail(error: BaseException, kind: Kind, faults: int) -> str | None:
    if faults:
        return "1 fault; see errors." if faults == 1 else f"{faults} faults; see errors."
    if isinstance(error, HTTPException):
        # werkzeug's own words are for browsers; ours were given as a description.
        return error.description if error.__dict__.get("description") else kind.advice
    if kind is INTERNAL:
        return None
    return str(error) or None
