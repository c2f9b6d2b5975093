"""Where push goes: device tokens, FCM's topics, conditions about those.

Only shapes can be checked here; the gateway knows the rest.
"""

import re

from app.errors import Invalid

# Apple promises no length; today's have 64 digits, and long ones of 160 have been seen.
_APNS = re.compile(r"(?:[0-9a-f]{2}){32,256}")
TOPIC = "topic:"
CONDITION = "condition:"
_TOPIC = re.compile(r"[A-Za-z0-9_.~%-]{1,900}")
_IN_TOPICS = re.compile(r"'[A-Za-z0-9_.~%-]{1,900}' in topics\b")
_FOLDABLE = re.compile(r"\( *\0 *\)|! *\0|\0 *(?:&&|\|\|) *\0")
_MOST_TOPICS = 5
_LONGEST_CONDITION = 4000
_FCM = re.compile(r"[A-Za-z0-9_:\-]{100,4096}")


def canonical(token: str, platform: str | None) -> str:
    """Check a token by the shape its platform gives it; APNs tokens come in lower case. Raises Invalid.

    `topic:<name>` and `condition:<expression>` are FCM's own, and need no platform.
    """
    token = token.strip(" \t")
    if token.startswith((TOPIC, CONDITION)):
        return _many(token, platform)
    if platform == "apns":
        return _apns(token)
    if platform == "fcm":
        return _fcm(token)
    raise Invalid.of("platform", 'must be "apns" or "fcm" for push, as the token was issued')


def _many(target: str, platform: str | None) -> str:
    if platform == "apns":
        raise Invalid.of("platform", 'must be "fcm" for a topic or a condition: Apple has none')
    if target.startswith(TOPIC) and not _TOPIC.fullmatch(target.removeprefix(TOPIC)):
        raise Invalid.of(
            "recipient_address", "must name a topic: 1 to 900 letters, digits or any of - _ . ~ %"
        )
    if target.startswith(CONDITION) and not _is_condition(target.removeprefix(CONDITION)):
        raise Invalid.of(
            "recipient_address",
            "must hold a condition about 1 to 5 topics, as in 'a' in topics && !('b' in topics)",
        )
    return target


def _is_condition(text: str) -> bool:
    """Tell whether a text is a condition, by folding its innermost parts until one is left."""
    if len(text) > _LONGEST_CONDITION or "\0" in text:
        return False
    folded, topics = _IN_TOPICS.subn("\0", text)
    before = ""
    while folded != before:
        before, folded = folded, _FOLDABLE.sub("\0", folded)
    return folded.strip() == "\0" and 1 <= topics <= _MOST_TOPICS


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
