"""The words by which people refuse our messages, ask for them again, or ask for help.

Only a message that is such a word and nothing else counts: "Please stop by tomorrow" is no refusal.
"""

import unicodedata
from enum import StrEnum


class Meaning(StrEnum):
    """What somebody wants by a word."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_STOP = (
    "stop", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "opt out",  # English
    "arret", "arreter", "désabonner", "désinscrire",  # French
    "stopp", "abmelden", "abbestellen",  # German
    "baja", "alto", "cancelar",  # Spanish
    "annulla", "cancella", "disiscrivi",  # Italian
    "parar", "sair",  # Portuguese
    "afmelden", "uitschrijven",  # Dutch
    "avsluta", "avslutt", "afmeld", "lopeta",  # Nordic
)  # fmt: skip
_START = (
    "start", "unstop", "subscribe", "resume", "opt in",  # English
    "reprendre", "abonner",  # French
    "anmelden",  # German
    "alta", "empezar",  # Spanish
    "iniziare", "iscrivi",  # Italian
    "começar", "iniciar",  # Portuguese
    "aanmelden",  # Dutch
)  # fmt: skip
# These ask for messages again only where they were refused before; else they answer a question of ours.
_YES = ("yes", "oui", "ja", "sí", "sì", "sim")
_HELP = ("help", "info", "aide", "hilfe", "ayuda", "aiuto", "ajuda", "hjälp", "hjelp")


def meaning(text: str) -> Meaning | None:
    """Tell what a whole message asks for; case, accents, blanks and punctuation do not matter."""
    return _MEANINGS.get(_bare(text))


def is_answer_too(text: str) -> bool:
    """Tell whether a word that asks for messages again may as well be the answer to a question."""
    return _bare(text) in _ANSWERS


def _bare(text: str) -> str:
    """Leave the letters and digits, without case and accents; nothing of what is too long for a word."""
    if len(text) > _LONGEST:
        return ""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in apart if char.isalnum())


# No word is nearly as long, however it is decorated.
_LONGEST = 100
_MEANINGS = {
    _bare(word): meant
    for meant, words in (
        (Meaning.STOP, _STOP),
        (Meaning.START, (*_START, *_YES)),
        (Meaning.HELP, _HELP),
    )
    for word in words
}
_ANSWERS = frozenset(_bare(word) for word in _YES)
