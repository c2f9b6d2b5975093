"""Device tokens for push. Only their shape can be checked here; the gateway knows the rest."""

import re

from app.errors import Invalid

# Apple promises no length; today's have 64 digits, and long ones of 160 have been seen.
_APNS = re.compile(r"(?:[0-9a-f]{2}){32,256}")
_FCM = re.compile(r"[A-Za-z0-9_:\-]{100,4096}")


def canonical(token: str, platform: str | None) -> str:
    """Check a token by the shape its platform gives it; APNs tokens come in lower case. Raises Invalid."""
    token = token.strip(" \t")
    if platform == "apns":
        return _apns(token)
    if platform == "fcm":
        return _fcm(token)
    raise Invalid.of("platform", 'must be "apns" or "fcm" for push, as the token was issued')


def _apns(token: str) -> str:
    if not token.isascii() or not _APNS.fullmatch(token.lower()):
        raise Invalid.of(
            "recipient_address", "must be an APNs device token: 64 hexadecimal digits or more, in pairs"
        )
    return token.lower()


def _fcm(token: str) -> str:
    if not _FCM.fullmatch(token):
        raise Invalid.of(
            "recipient_address",
            "must be an FCM registration token: 100 to 4096 letters, digits, colons, hyphens or underscores",
        )
    return token
