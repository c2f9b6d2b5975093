"""Sender identities: whom messages come from."""

from dataclasses import dataclass

import sqlalchemy as sa

from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.catalog import Catalog


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderDraft:
    """What an identity is. `gateways` are those where it is verified; None means all."""

    address: str
    name: str = ""
    gateways: tuple[str, ...] | None = None
    ip_pool: str | None = None
    default_for: tuple[MessageType, ...] = ()
    is_active: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderView:
    """One identity; `domain` is its address's, for email."""

    slug: str
    channel: Channel
    address: str
    name: str
    domain: str | None
    gateways: tuple[str, ...] | None
    ip_pool: str | None
    default_for: tuple[MessageType, ...]
    is_active: bool


class SenderService:
    """Reading and writing senders; each change lands in the audit log."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, *, phone_region: str | None = None) -> None:
        self._engine = engine
        self._catalog = catalog
        self._phone_region = phone_region

    def save(self, who: Who, channel: Channel, slug: str, draft: SenderDraft) -> SenderView:
        """Make or replace an identity; a type that it becomes default for is taken from the others.

        Raises Invalid.
        """
        raise NotImplementedError

    def get(self, channel: Channel, slug: str) -> SenderView:
        """Give one identity; raises NotFound."""
        raise NotImplementedError

    def list(self, *, channel: Channel | None = None) -> tuple[SenderView, ...]:
        """List all identities by channel and slug; there are few."""
        raise NotImplementedError

    def remove(self, who: Who, channel: Channel, slug: str) -> None:
        """Take an identity out of use; raises NotFound."""
        raise NotImplementedError
