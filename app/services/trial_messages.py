"""Messages of our own that go through one gateway, to see that it works."""

from functools import cached_property

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, MessageType
from app.services.clients import client_named, insert_client
from app.services.messages import MessageService
from app.services.requests import SendRequest
from app.services.views import Accepted

CLIENT = "gateway tests"
SOURCE = "gateway_test"
CANARY = "canary"

_SUBJECT = "Test of {gateway}"
_TEXT = "This message tells that {gateway} delivers. Nothing needs to be done about it."


class TrialMessages:
    """Sends test messages as ordinary ones, by a client of our own; threads may share it."""

    def __init__(self, engine: sa.Engine, messages: MessageService) -> None:
        self._engine = engine
        self._messages = messages

    def send(
        self,
        channel: Channel,
        gateway: str,
        address: str,
        *,
        message_type: MessageType = MessageType.TRANSACTIONAL,
        source: str = SOURCE,
        source_id: int | None = None,
        key: str | None = None,
    ) -> Accepted:
        """Send a short text through that gateway alone, once for each `key`.

        Raises what MessageService.send does.
        """
        request = SendRequest(
            channel=channel,
            message_type=message_type,
            recipient_address=address,
            subject=None if channel is Channel.SMS else _SUBJECT.format(gateway=gateway),
            body_text=_TEXT.format(gateway=gateway),
            gateway=gateway,
            gateway_only=True,
            source_type=source,
            source_id=source_id,
            platform=gateway if channel is Channel.PUSH else None,
        )
        return self._messages.send(
            self._caller, request, idempotency_key=key, request_hash=source.encode() if key else b""
        )

    @cached_property
    def _caller(self) -> Caller:
        with unavailable_when_down(), self._engine.begin() as conn:
            insert_client(conn, CLIENT, "Test messages and canaries through single gateways")
            client = client_named(conn, CLIENT)
        scopes = frozenset({"messages:send", "messages:gateway"})
        return Caller(client_id=client.id, name=CLIENT, scopes=scopes)
