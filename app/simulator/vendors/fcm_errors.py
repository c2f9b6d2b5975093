"""The errors of Google's APIs, as FCM gives them."""

from enum import Enum

import orjson

from app.simulator.exchange import Reply

_JSON = (("content-type", "application/json; charset=UTF-8"),)
_TYPE = "type.googleapis.com"
_RETRY_AFTER = "30"


class FcmError(Enum):
    """An error: HTTP status, Google's status, FCM's own code where there is one, and the text."""

    UNREGISTERED = (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.")
    SENDER_ID_MISMATCH = (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch")
    WRONG_TOKEN = (
        400,
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "The registration token is not a valid FCM registration token",
    )
    WRONG_FIELD = (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument.")
    INVALID_JSON = (400, "INVALID_ARGUMENT", None, "Invalid JSON payload received.")
    THIRD_PARTY_AUTH_ERROR = (
        401,
        "UNAUTHENTICATED",
        "THIRD_PARTY_AUTH_ERROR",
        "Auth error from APNS or Web Push Service",
    )
    QUOTA_EXCEEDED = (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded for this device.")
    UNAUTHENTICATED = (
        401,
        "UNAUTHENTICATED",
        None,
        "Request had invalid authentication credentials. Expected OAuth 2 access token.",
    )
    NOT_FOUND = (404, "NOT_FOUND", None, "Requested entity was not found.")
    UNAVAILABLE = (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable.")


def error(
    kind: FcmError, *, field: str | None = None, status: int | None = None, outcome: str | None = None
) -> Reply:
    """Answer with an error; a wrong field is named beside it."""
    http, google, own, text = kind.value
    details: list[dict[str, object]] = []
    if own:
        details.append({"@type": f"{_TYPE}/google.firebase.fcm.v1.FcmError", "errorCode": own})
    if kind is FcmError.WRONG_FIELD:
        violation = {"field": field or "message.notification", "description": "Invalid value"}
        details.append({"@type": f"{_TYPE}/google.rpc.BadRequest", "fieldViolations": [violation]})
    told = {"code": status or http, "message": text, "status": google, "details": details}
    waits = (("retry-after", _RETRY_AFTER),) if kind is FcmError.QUOTA_EXCEEDED else ()
    return Reply(
        status=status or http,
        body=orjson.dumps({"error": told}),
        headers=(*_JSON, *waits),
        outcome=outcome or own or google,
    )


def plain_error(status: int, code: str) -> Reply:
    """Answer with an error as those do that manage topics and tokens."""
    return Reply(status=status, body=orjson.dumps({"error": code}), headers=_JSON, outcome=code)
