"""Why a text was not delivered, by the codes that MessageBird and Bird, which it became, both pass on."""

from app.gateways.sms.endings import (
    BAD_CONTENT,
    HARD_BOUNCE,
    MISCONFIGURED,
    OPTED_OUT,
    SOFT_BOUNCE,
    Ending,
)

_ENDINGS: dict[str, Ending] = {
    "1": HARD_BOUNCE,  # unknown subscriber
    "103": OPTED_OUT,
    "104": MISCONFIGURED,  # the sender is not registered
    "105": BAD_CONTENT,  # the content is not registered
}


def ending_of(code: str) -> Ending:
    """Tell what a code means; all others are taken for a phone that cannot be reached now."""
    return _ENDINGS.get(code, SOFT_BOUNCE)
