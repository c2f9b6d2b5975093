"""What becomes of calls: who answers them, and what they do then."""

import re
from collections.abc import Iterator, Mapping
from html import unescape

from app.simulator.exchange import Acceptance
from app.simulator.recipients import Fate
from app.simulator.vendors.twilio_callbacks import Parameters, Story, Telling, sid_of
from app.simulator.vendors.twilio_request import Fault, Fields

_ENDINGS: Mapping[Fate, Parameters] = {
    Fate.BUSY: {"CallStatus": "busy", "SipResponseCode": "486"},
    Fate.NO_ANSWER: {"CallStatus": "no-answer", "SipResponseCode": "487"},
    Fate.SOFT_BOUNCE: {"CallStatus": "no-answer", "SipResponseCode": "480"},
    Fate.BOUNCE: {"CallStatus": "failed", "SipResponseCode": "404"},
}
_COMPLETED: Parameters = {"CallStatus": "completed", "SipResponseCode": "200", "CallDuration": "12"}
_FORBIDDEN = Fault(21215, "Account not authorized to call this country")

_GATHER = re.compile(r'<Gather [^>]*\baction="([^"]*)"')
_WORDS = re.compile(r"<Say[^>]*>(.*?)</Say>", re.DOTALL)
_KEY = re.compile(r"(?<!\d)\d(?!\d)")
_WHAT_A_MACHINE_IS = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}


def refusal(fate: Fate, _fields: Fields) -> Fault | None:
    """Give what Twilio refuses at once because of whom the call is for."""
    return _FORBIDDEN if fate is Fate.HELD else None


def story(acceptance: Acceptance) -> Story:
    """Tell what the callbacks say, one after the other."""
    mail = acceptance.mail
    common = {
        "ApiVersion": "2010-04-01",
        "CallSid": mail.external_id,
        "From": mail.sender,
        "Caller": mail.sender,
        "To": mail.destination[0],
        "Called": mail.destination[0],
        "Direction": "outbound-api",
    }
    return Story(common=common, tellings=list(_tellings(acceptance)))


def final_state(fate: Fate) -> dict[str, object]:
    """Say what a look-up says of a call."""
    ending = _ENDINGS.get(fate, _COMPLETED)
    return {"status": ending["CallStatus"], "answered_by": "machine_start" if fate is Fate.MACHINE else None}


def words_of(fate: Fate) -> str:
    """Say what a fate is told as, in Twilio's words."""
    if fate is Fate.HELD:
        return "400, code 21215"
    status = _ENDINGS.get(fate, _COMPLETED)["CallStatus"]
    return f"{status}, after Digits" if fate is Fate.CONFIRMED else status


def _tellings(acceptance: Acceptance) -> Iterator[Telling]:
    details = acceptance.mail.details
    ending = _ENDINGS.get(acceptance.fate)
    yield from _status(details, "initiated", {"CallStatus": "initiated"}, 0)
    yield from _status(details, "ringing", {"CallStatus": "ringing"}, 1)
    if ending is not None:
        yield from _status(details, "completed", ending, 2)
        return
    answered_by = _answered_by(acceptance)
    yield from _status(details, "answered", {"CallStatus": "in-progress"}, 2)
    yield from _during(acceptance, answered_by)
    yield from _status(details, "completed", {**_COMPLETED, **answered_by}, 3)
    if details.get("Record") == "true":
        yield _recording(acceptance)


def _status(details: Mapping[str, str], event: str, said: Parameters, number: int) -> Iterator[Telling]:
    """Tell a status where its event was asked for, which is the last one where nothing is said."""
    if event in details.get("StatusCallbackEvent", "completed").split("\n"):
        beside = {"SequenceNumber": str(number), "CallbackSource": "call-progress-events"}
        yield Telling(address=details.get("StatusCallback", ""), said={**beside, **said})


def _during(acceptance: Acceptance, answered_by: Parameters) -> Iterator[Telling]:
    """Tell what happens while somebody listens; what Tocsin answers to it is not read."""
    details = acceptance.mail.details
    if details.get("AsyncAmd") == "true" and answered_by:
        said = {**answered_by, "MachineDetectionDuration": "2400"}
        yield Telling(address=details.get("AsyncAmdStatusCallback", ""), said=said)
    if "Url" in details:
        yield Telling(address=details["Url"], said={"CallStatus": "in-progress", **answered_by})
    listening = _GATHER.search(details.get("Twiml", ""))
    if listening and acceptance.fate is Fate.CONFIRMED:
        said = {"CallStatus": "in-progress", "Digits": _key(details["Twiml"]), "msg": "Gather End"}
        yield Telling(address=unescape(listening[1]), said=said)


def _key(twiml: str) -> str:
    """Choose the key that the words name, as in "press 1": the first digit that stands alone."""
    words = unescape(" ".join(_WORDS.findall(twiml)))
    found = _KEY.search(words)
    return found[0] if found else "1"


def _answered_by(acceptance: Acceptance) -> Parameters:
    detection = acceptance.mail.details.get("MachineDetection", "")
    if detection not in _WHAT_A_MACHINE_IS:
        return {}
    is_machine = acceptance.fate is Fate.MACHINE
    return {"AnsweredBy": _WHAT_A_MACHINE_IS[detection] if is_machine else "human"}


def _recording(acceptance: Acceptance) -> Telling:
    sid = sid_of("RE", acceptance.serial)
    said = {
        "RecordingSid": sid,
        "RecordingUrl": f"https://api.twilio.com/2010-04-01/Recordings/{sid}",
        "RecordingStatus": "completed",
        "RecordingDuration": "11",
    }
    return Telling(address=acceptance.mail.details.get("RecordingStatusCallback", ""), said=said)
