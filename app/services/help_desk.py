"""Answering people who ask for help, through the service that all callers use."""

from functools import cached_property

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, MessageType
from app.errors import Refused
from app.services.clients import client_named, insert_client
from app.services.messages import MessageService
from app.services.requests import SendRequest

log = structlog.get_logger(__name__)

CLIENT = "help desk"


class HelpDesk:
    """Sends the one text that HELP is answered with; threads may share it."""

    def __init__(self, engine: sa.Engine, messages: MessageService, text: str) -> None:
        self._engine = engine
        self._messages = messages
        self._text = text

    def answer(self, channel: Channel, address: str, *, sender: str, key: str) -> bool:
        """Send the text as that sender, once for each `key`; tells whether it could. Raises Unavailable."""
        request = SendRequest(
            channel=channel,
            message_type=MessageType.TRANSACTIONAL,
            recipient_address=address,
            sender=sender,
            body_text=self._text,
        )
        try:
            self._messages.send(self._caller, request, idempotency_key=f"help:{key}", request_hash=b"help")
        except Refused as exc:
            log.warning("help cannot be answered", channel=channel, reason=str(exc))
            return False
        return True

    @cached_property
    def _caller(self) -> Caller:
        with unavailable_when_down(), self._engine.begin() as conn:
            insert_client(conn, CLIENT, "Answers to those who ask for help")
            client = client_named(conn, CLIENT)
        return Caller(client_id=client.id, name=CLIENT, scopes=frozenset({"messages:send"}))
