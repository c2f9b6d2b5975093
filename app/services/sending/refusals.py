"""What refusals mean for limits: tokens that were not used up, and gateways that want it slower."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.errors import Unavailable
from app.limits.paces import EVERYWHERE
from app.limits.tokens import Ask
from app.queue.rows import Claimed
from app.services.pacing import is_quota, is_too_fast, part_of, slow_down
from app.services.sending.allowance import gathered
from app.services.sending.tools import Tools

# What was taken, or may have been.
_GONE = frozenset({OutcomeClass.ACCEPTED, OutcomeClass.UNKNOWN})
# A relay's answers to these commands are about the recipient's side, all others about itself.
_ABOUT_RECIPIENT = ("RCPT", "DATA", "DOT")

Refused = list[tuple[Claimed, Outcome]]


def heed(
    tools: Tools,
    gateway: str,
    claimed: Sequence[Claimed],
    messages: Sequence[Claimed],
    outcomes: Sequence[Outcome],
) -> None:
    """Do what follows for limits from what a request came to; mostly that is nothing.

    `claimed` are the messages of the whole claim, by which a part's share of the gateway is guessed.
    """
    if tools.tokens is None or all(outcome.kind in _GONE for outcome in outcomes):
        return
    refused = [
        (message, outcome)
        for message, outcome in zip(messages, outcomes, strict=True)
        if outcome.kind not in _GONE
    ]
    _return_unused(tools, [message for message, _ in refused])
    too_fast = [
        (message, outcome)
        for message, outcome in refused
        if outcome.kind is OutcomeClass.THROTTLE and not is_quota(outcome.retry_after)
    ]
    if too_fast:
        _slow_down(tools, gateway, claimed, too_fast)


def _return_unused(tools: Tools, messages: Sequence[Claimed]) -> None:
    """Give back all but the gateway's own tokens: nothing went to a domain, out of a pool, to a recipient."""
    tokens = tools.tokens
    if tokens is None:
        return
    unused = []
    for message in messages:
        held = tokens.holdings.release(message.id)
        if held:
            unused.append(held)
            ask, at = held
            own = tuple(limit for limit in ask.limits if limit.is_gateways)
            tokens.holdings.hold([message.id], Ask(limits=own, count=1), at)
    for at, asks in gathered(unused).items():
        with suppress(Unavailable):
            tokens.give_back([_without_gateways(ask) for ask in asks], at)


def _without_gateways(ask: Ask) -> Ask:
    others = (limit for limit in ask.limits if not limit.is_gateways and not limit.counted)
    return ask._replace(limits=tuple(others))


def _slow_down(tools: Tools, gateway: str, claimed: Sequence[Claimed], too_fast: Refused) -> None:
    said = Counter(_part(tools, message, outcome) for message, outcome in too_fast)
    whole: Counter[str] = Counter()
    if said.keys() != {EVERYWHERE}:
        whole.update(part_of(tools, message.channel, message.recipient_address) for message in claimed)
    _, first = too_fast[0]
    slow_down(tools, gateway, said, whole, f"{first.code}: {first.detail}")


def _part(tools: Tools, message: Claimed, outcome: Outcome) -> str:
    """Tell whether it was said by the gateway about itself, or by who runs the recipient's mail."""
    if is_too_fast(outcome.code) and outcome.detail.startswith(_ABOUT_RECIPIENT):
        return part_of(tools, message.channel, message.recipient_address)
    return EVERYWHERE
