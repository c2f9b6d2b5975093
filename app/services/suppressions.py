"""The suppression list: whom not to contact."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from app.domain.vocabulary import SuppressionReason
from app.services.audit import Who
from app.services.requests import Reject
from app.services.views import Page

SuppressionChannel = Literal["email", "sms", "whatsapp", "voice", "push", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionDraft:
    """What to suppress. None widens: every community, every category, every sender, for ever.

    `sender` is the address or number of a sender. For the channel "all" the address is taken as an
    email address where it has an @, else as a number.
    """

    channel: SuppressionChannel
    address: str
    reason: SuppressionReason = SuppressionReason.MANUAL
    community_id: int | None = None
    category: str | None = None
    sender: str | None = None
    note: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionView:
    """One row of the list; `address` is in the form that is compared."""

    id: int
    channel: str
    address: str
    reason: SuppressionReason
    source: str
    community_id: int | None
    category: str | None
    sender: str | None
    note: str | None
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import came to; `rejects` are the first hundred refused lines."""

    received: int
    added: int
    known: int
    invalid: int
    rejects: tuple[Reject, ...]


class SuppressionService:
    """Reading and changing the suppression list; each change lands in the audit log."""

    def __init__(self, engine: sa.Engine, *, phone_region: str | None = None) -> None:
        self._engine = engine
        self._phone_region = phone_region

    def add(
        self, who: Who, draft: SuppressionDraft, *, source: str = "api", why: str | None = None
    ) -> tuple[SuppressionView, bool]:
        """Suppress an address; tells too whether the row is new. Raises Invalid.

        A row of the same scope and reason is kept, with the later of both expiries.
        """
        raise NotImplementedError

    def get(self, suppression_id: int) -> SuppressionView:
        """Give one row; raises NotFound."""
        raise NotImplementedError

    def search(
        self,
        *,
        channel: str | None = None,
        address: str | None = None,
        reason: SuppressionReason | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[SuppressionView]:
        """List rows, newest first; an address is compared in the form that is kept."""
        raise NotImplementedError

    def release(self, who: Who, suppression_id: int, *, why: str) -> SuppressionView:
        """Remove a row, which the audit log keeps; raises NotFound, and Invalid without a reason."""
        raise NotImplementedError

    def import_ndjson(self, who: Who, chunks: Iterable[bytes], *, why: str | None = None) -> Imported:
        """Add one draft a line, with the field names of SuppressionDraft; bad lines stop nothing."""
        raise NotImplementedError

    def import_csv(self, who: Who, chunks: Iterable[bytes], *, why: str | None = None) -> Imported:
        """Add one draft a row; columns are named like the fields of SuppressionDraft."""
        raise NotImplementedError

    def export(self) -> Iterator[bytes]:
        """Give the whole list as NDJSON, streamed, in the form that `import_ndjson` reads."""
        raise NotImplementedError
