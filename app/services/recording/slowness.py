"""What delays that gateways tell of mean for the pace at which they are sent to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.vocabulary import EventType
from app.services.pacing import is_too_fast, part_of, slow_down
from app.services.recording.effects import Effect
from app.services.sending.tools import Tools

_DELAYS = frozenset({EventType.DEFERRED, EventType.BOUNCED, EventType.FAILED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """What a gateway told about one message: who stands behind it, and why if that wants it slower."""

    gateway: str
    part: str
    why: str = ""


def words_of(tools: Tools, effects: Iterable[Effect]) -> tuple[Word, ...]:
    """Read facts for who wants to be sent to more slowly; nothing where nobody does."""
    if not any(_why(effect) for effect in effects):
        return ()
    return tuple(
        Word(
            gateway=effect.message.gateway or "",
            part=part_of(tools, effect.message.channel, effect.message.recipient_address),
            why=_why(effect),
        )
        for effect in effects
    )


def heed_words(tools: Tools, words: Sequence[Word]) -> None:
    """Send more slowly to who asked for it; the facts that came with it tell how much of all goes there."""
    told: dict[str, list[Word]] = defaultdict(list)
    for word in words:
        told[word.gateway].append(word)
    for gateway, some in told.items():
        slow = {word.part: word.why for word in some if word.why}
        said = Counter(word.part for word in some if word.why)
        whole = Counter(word.part for word in some)
        for part, why in slow.items():
            slow_down(tools, gateway, Counter({part: said[part]}), whole, why)


def _why(effect: Effect) -> str:
    for line in effect.lines:
        if line.event_type not in _DELAYS or not line.heard:
            continue
        code, detail = line.says.code, line.says.detail
        if is_too_fast(f"{code} {detail}"):
            return f"{code}: {detail}"
    return ""
