"""What each gateway can express beyond words; what it cannot, no message that needs it is routed to it."""

from app.domain.routing import EVERYTHING, Capability
from app.gateways.base import Gateway

_TABLE: dict[str, frozenset[str]] = {
    "postal": frozenset({Capability.ATTACHMENTS, Capability.INLINE_IMAGES}),
    "ses": frozenset({Capability.ATTACHMENTS, Capability.INLINE_IMAGES}),
    "sendgrid": frozenset({Capability.ATTACHMENTS, Capability.INLINE_IMAGES, Capability.PROVIDER_TEMPLATE}),
    "smtp": frozenset({Capability.ATTACHMENTS, Capability.INLINE_IMAGES}),
    "twilio": frozenset({Capability.MEDIA, Capability.PROVIDER_TEMPLATE}),
    "bandwidth": frozenset({Capability.MEDIA}),
    "messagebird": frozenset(),
    "bird": frozenset(),
    "twilio_whatsapp": frozenset({Capability.MEDIA, Capability.PROVIDER_TEMPLATE}),
    "twilio_voice": frozenset(),
    "apns": frozenset({Capability.APNS}),
    "fcm": frozenset({Capability.FCM}),
}


def capabilities_of(gateway: Gateway) -> frozenset[str]:
    """Give what a gateway declares by an attribute `capabilities`, else what the table says of it.

    One of which neither says anything is taken for able to do everything: it says itself what it cannot,
    for each message, by `cannot_express`.
    """
    declared: frozenset[str] | None = getattr(gateway, "capabilities", None)
    return declared if declared is not None else _TABLE.get(gateway.name, EVERYTHING)
