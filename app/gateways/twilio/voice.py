"""Calls through Twilio that say a text, and what happens when no person answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from app.domain.vocabulary import Channel
from app.gateways.base import Envelope
from app.gateways.twilio.callbacks import Callbacks, Step
from app.gateways.twilio.parties import bare, is_number
from app.gateways.twilio.sending import Form, OfAccount, options_of
from app.gateways.twilio.twiml import Speech, spoken

MOST_TWIML = 4000
# No limit is written down; proxies and servers commonly take twice as much.
MOST_ADDRESS = 4000
# Twilio's own default, which is some ten rings.
LONGEST_RINGING = timedelta(seconds=60)
SHORTEST_RINGING = timedelta(seconds=5)

_STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")


class OnMachine(StrEnum):
    """What to do where a machine answers: leave the message after its tone, hang up, or just speak."""

    LEAVE_MESSAGE = "leave_message"
    HANG_UP = "hang_up"
    SPEAK = "speak"


@dataclass(frozen=True, kw_only=True, slots=True)
class TwilioVoice(OfAccount):
    """Calls of one account."""

    name: str = "twilio_voice"
    channel: Channel = Channel.VOICE
    resource = "Calls"

    def form(self, message: Envelope, now: datetime) -> Form:
        """Say whom to call, and what happens then, in Twilio's own fields."""
        return [
            ("To", message.address),
            ("From", bare(message.sender)),
            *_words(self.account.callbacks, message),
            *_ringing(message, now),
            *_detection(self.account.callbacks, message),
            *_recording(self.account.callbacks, message),
            *_status(self.account.callbacks, message),
        ]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Twilio would refuse, or what needs an address at which it can call us back."""
        options = options_of(message)
        if message.attachments:
            return "attachments in a call"
        if not message.text or not message.text.strip():
            return "a call without text"
        if not is_number(bare(message.sender)):
            return "a caller that is no telephone number"
        if self.account.callbacks is None and _on_machine(options) is OnMachine.HANG_UP:
            return "hanging up on machines without PUBLIC_BASE_URL and an auth token"
        if self.account.callbacks is None and options.get("confirm_digit"):
            return "a confirming digit without PUBLIC_BASE_URL and an auth token"
        return _too_long(self.account.callbacks, message)


def _on_machine(options: Mapping[str, Any]) -> OnMachine | None:
    chosen = options.get("on_machine")
    return OnMachine(chosen) if chosen in set(OnMachine) else None


def _words(callbacks: Callbacks | None, message: Envelope) -> Form:
    """Give what to say: along with the call, or at an address where who answered decides.

    Twilio speaks what comes along with the call to whoever answers, so that hanging up on a machine
    takes a question back to us. Nothing is kept for it: the address holds the words.
    """
    twiml = _twiml(callbacks, message)
    if callbacks and _on_machine(options_of(message)) is OnMachine.HANG_UP:
        return [("Url", callbacks.speaking(message.tag, twiml)), ("Method", "POST")]
    return [("Twiml", twiml)]


def _twiml(callbacks: Callbacks | None, message: Envelope) -> str:
    options = options_of(message)
    speech = Speech(
        voice=options.get("voice") or "",
        language=options.get("language") or "",
        repeat=options.get("repeat") or 1,
    )
    digit = options.get("confirm_digit")
    keys_to = None
    if callbacks and digit:
        keys_to = callbacks.step(message.tag, Step.DIGITS, digit=digit, **speech.attributes)
    return spoken(message.text or "", speech, keys_to=keys_to)


def _ringing(message: Envelope, now: datetime) -> Form:
    """Let it ring no longer than the message is of use."""
    if message.expires_at is None:
        return []
    left = min(max(message.expires_at - now, SHORTEST_RINGING), LONGEST_RINGING)
    return [("Timeout", str(left // timedelta(seconds=1)))]


def _detection(callbacks: Callbacks | None, message: Envelope) -> Form:
    on_machine = _on_machine(options_of(message))
    if on_machine is OnMachine.LEAVE_MESSAGE:
        return [("MachineDetection", "DetectMessageEnd")]
    if on_machine is OnMachine.HANG_UP:
        return [("MachineDetection", "Enable")]
    if on_machine is OnMachine.SPEAK and callbacks:
        # Nobody waits for the detection: its result comes by itself, while the text is spoken.
        address = callbacks.step(message.tag, Step.DETECTED)
        return [
            ("MachineDetection", "Enable"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", address),
        ]
    return []


def _recording(callbacks: Callbacks | None, message: Envelope) -> Form:
    if not options_of(message).get("record"):
        return []
    form = [("Record", "true")]
    if callbacks:
        form.append(("RecordingStatusCallback", callbacks.step(message.tag, Step.RECORDED)))
        form.append(("RecordingStatusCallbackEvent", "completed"))
    return form


def _status(callbacks: Callbacks | None, message: Envelope) -> Form:
    if callbacks is None:
        return []
    on_machine = _on_machine(options_of(message))
    ours = {"on_machine": on_machine.value} if on_machine else {}
    events = [("StatusCallbackEvent", event) for event in _STATUS_EVENTS]
    return [("StatusCallback", callbacks.status(message.tag, **ours)), *events]


def _too_long(callbacks: Callbacks | None, message: Envelope) -> str | None:
    (name, value), *_ = _words(callbacks, message)
    most = MOST_ADDRESS if name == "Url" else MOST_TWIML
    return "a text that is too long to be spoken" if len(value) > most else None
