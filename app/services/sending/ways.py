"""A message's ways out: which gateways could take it, in which order, and where it stands with one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from app.domain.decisions import Standing
from app.domain.routing import Needs, lot, needed
from app.domain.vocabulary import Channel, MessageType, Priority
from app.queue.rows import Claimed
from app.services.catalog import needs_of
from app.services.sending.tools import Tools


def chain_of(tools: Tools, message: Claimed) -> tuple[str, ...]:
    """List the gateways that could take the message, in order.

    One that it is pinned to is the only one, but for what is urgent the first: nobody who names a gateway
    for an emergency wants it to expire there, unless that is said.
    """
    if not (message.gateway_pinned and message.gateway):
        return tools.catalog.ways(needs_for(tools, message)).order(lot(message.uuid))
    named = _named(tools, message.gateway)
    lane = tools.lanes[Priority(message.priority)]
    if not lane.always_tries or tools.contents.options(message).get("gateway_only"):
        return named
    others = tools.catalog.ways(needs_for(tools, message)).order(lot(message.uuid))
    return named + tuple(name for name in others if name not in named)


def _named(tools: Tools, gateway: str) -> tuple[str, ...]:
    """Give a gateway that a message names, unless it is out of use."""
    off = any(route.gateway == gateway and not route.enabled for route in tools.catalog.routes())
    return () if off or gateway not in tools.gateways else (gateway,)


def needs_for(tools: Tools, message: Claimed) -> Needs:
    """Say what a message asks of a gateway."""
    channel = Channel(message.channel)
    return needs_of(
        channel,
        MessageType(message.message_type),
        sender=tools.contents.sender(message),
        ip_pool=message.ip_pool,
        capabilities=needed(channel, tools.contents.options(message), message.recipient_address),
        country=tools.catalog.country(channel, message.recipient_address),
    )


def accepted_at(uuid: UUID) -> datetime:
    """Tell when a message was accepted, which its UUID of version 7 begins with."""
    return datetime.fromtimestamp((uuid.int >> 80) / 1000, UTC)


def standing_of(message: Claimed, gateway: str, chain: Sequence[str], *, ill: bool = False) -> Standing:
    """Say where a message stands with this gateway, which may be `ill`."""
    return Standing(
        gateway=gateway,
        chain=chain,
        tried=message.tried,
        attempts=message.attempts,
        max_attempts=message.max_attempts,
        expires_at=message.expires_at,
        possible_duplicate=message.possible_duplicate,
        ill=ill,
    )
