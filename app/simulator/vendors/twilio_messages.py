"""What becomes of messages by SMS and WhatsApp."""

from collections.abc import Mapping, Sequence

from app.simulator.exchange import Acceptance
from app.simulator.recipients import Fate
from app.simulator.vendors.twilio_callbacks import Story, Telling
from app.simulator.vendors.twilio_request import Fault, Fields

_WHATSAPP = "whatsapp:"

Ending = tuple[str, int | None]

_DELIVERED: Sequence[Ending] = (("delivered", None),)
_SMS: Mapping[Fate, Sequence[Ending]] = {
    Fate.SOFT_BOUNCE: (("undelivered", 30003),),
    Fate.BOUNCE: (("undelivered", 30005),),
    Fate.REJECTED: (("undelivered", 30007),),
    Fate.HELD: (("undelivered", 30034),),
}
_CHAT: Mapping[Fate, Sequence[Ending]] = {
    Fate.OPEN: (("delivered", None), ("read", None)),
    Fate.CLICK: (("delivered", None), ("read", None)),
    Fate.SOFT_BOUNCE: (("undelivered", 30008),),
    Fate.BOUNCE: (("undelivered", 63024),),
    Fate.SUPPRESSED: (("failed", 63033),),
    Fate.REJECTED: (("failed", 63016),),
    Fate.HELD: (("failed", 63051),),
}
_UNSUBSCRIBED = Fault(21610, "Attempt to send to unsubscribed recipient")


def refusal(fate: Fate, fields: Fields) -> Fault | None:
    """Give what Twilio refuses at once because of whom the message is for."""
    by_whatsapp = fields["To"][0].startswith(_WHATSAPP)
    return _UNSUBSCRIBED if fate is Fate.SUPPRESSED and not by_whatsapp else None


def story(acceptance: Acceptance) -> Story:
    """Tell what the callbacks say, one after the other; none comes for the first status."""
    mail = acceptance.mail
    details, recipient = mail.details, mail.destination[0]
    by_whatsapp = recipient.startswith(_WHATSAPP)
    service = details.get("MessagingServiceSid")
    common = {
        "ApiVersion": "2010-04-01",
        "From": details.get("From", "+15550100199"),
        "To": recipient,
        "MessageSid": mail.external_id,
        "SmsSid": mail.external_id,
        **({"MessagingServiceSid": service} if service else {}),
        **({"ChannelPrefix": "whatsapp", "ChannelToAddress": recipient} if by_whatsapp else {}),
    }
    endings = (_CHAT if by_whatsapp else _SMS).get(acceptance.fate, _DELIVERED)
    address = details.get("StatusCallback", "")
    steps: Sequence[Ending] = (("sent", None), *endings)
    return Story(common=common, tellings=[Telling(address=address, said=_said(*ending)) for ending in steps])


def final_state(fate: Fate) -> dict[str, object]:
    """Say what a look-up says of an SMS."""
    status, code = _SMS.get(fate, _DELIVERED)[-1]
    return {"status": status, "error_code": code}


def words_of(fate: Fate) -> str:
    """Say what a fate is told as, in Twilio's words."""
    if fate is Fate.SUPPRESSED:
        return "400, code 21610"
    if fate is Fate.THROTTLED:
        return "429, code 20429"
    return ", ".join(f"{status} {code}" if code else status for status, code in _SMS.get(fate, _DELIVERED))


def _said(status: str, code: int | None) -> dict[str, str]:
    said = {"MessageStatus": status, "SmsStatus": status}
    return {**said, "ErrorCode": str(code)} if code else said
