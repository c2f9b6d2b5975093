"""TwiML: what Twilio is to say and do during a call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

NOTHING = "<Response/>"
HANG_UP = "<Response><Hangup/></Response>"

_PATIENCE = 10  # seconds
# XML has no way at all to write these.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_THANKS = {
    "da": "Tak.",
    "de": "Danke.",
    "en": "Thank you.",
    "es": "Gracias.",
    "fr": "Merci.",
    "it": "Grazie.",
    "nb": "Takk.",
    "nl": "Dank u.",
    "pl": "Dziękuję.",
    "pt": "Obrigado.",
    "sv": "Tack.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """How a text is spoken; what is not said is left to Twilio."""

    voice: str = ""
    language: str = ""
    repeat: int = 1

    @property
    def attributes(self) -> dict[str, str]:
        """The voice and the language, as far as they are chosen."""
        chosen = {"voice": self.voice, "language": self.language}
        return {name: value for name, value in chosen.items() if value}


def spoken(text: str, speech: Speech, *, keys_to: str | None = None) -> str:
    """Say the text; where `keys_to` is given, listen for one key and send it to that address."""
    said = _say(text, speech)
    return _response(_gather(said, keys_to) if keys_to else said)


def listening(keys_to: str) -> str:
    """Wait for another key."""
    return _response(_gather("", keys_to))


def thanks(speech: Speech) -> str:
    """Say thank you in the language of the call, in English where we do not know it."""
    known = _THANKS.get(speech.language.partition("-")[0].lower())
    return _response(_say(known, speech) if known else _say(_THANKS["en"], Speech()))


def _response(inside: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>'


def _say(text: str, speech: Speech) -> str:
    loop = {"loop": str(speech.repeat)} if speech.repeat > 1 else {}
    return _element("Say", {**speech.attributes, **loop}, escape(_writable(text), quote=False))


def _gather(inside: str, action: str) -> str:
    # Without a key that ends the input, so that # and * may be the one that is asked for.
    attributes = {"numDigits": "1", "timeout": str(_PATIENCE), "finishOnKey": "", "action": action}
    return _element("Gather", attributes, inside)


def _element(name: str, attributes: Mapping[str, str], inside: str) -> str:
    written = "".join(f' {key}="{escape(_writable(value))}"' for key, value in attributes.items())
    return f"<{name}{written}>{inside}</{name}>"


def _writable(text: str) -> str:
    return _UNWRITABLE.sub(" ", text)
