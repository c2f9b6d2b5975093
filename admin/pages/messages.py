"""Messages: find any of them, see what became of it and why, and do something about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Response, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from admin import people
from admin.actions import Action
from admin.lists import Empty, Filter, Found, ListPage
from admin.message_actions import MessageActions
from admin.page import expose
from admin.spans import SPANS, day_of, end_of, since_of
from app.bootstrap import App
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, OutcomeClass, Priority, Status
from app.errors import Invalid
from app.services.keys import list_clients
from app.services.looking import Wanted, look, raw_events
from app.services.reading import get_status
from app.services.requests import Filters
from app.services.showing import note_opened, rendered
from app.services.suppression_looking import of_message

# Whoever runs the service sees everybody's messages.
OPERATOR = Caller(client_id=0, name="console", scopes=frozenset({"admin"}))

# A foreign mail runs nothing, loads nothing from elsewhere, and may not even link us to where it was.
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
_OPEN_FOR = timedelta(minutes=10)


def _of(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((value, value.replace("_", " ")) for value in values)


class MessagesPage(ListPage):
    """All messages, newest first."""

    key = "messages"
    title = "Messages"
    template = "messages/list.html"
    filters = (
        Filter(name="address", label="To", hint="whole address or number", wide=True),
        Filter(name="uuid", label="Message", hint="its uuid"),
        Filter(name="external_id", label="Gateway's id"),
        Filter(name="source", label="Source", hint="orders:4711"),
        Filter(name="batch", label="Batch", hint="its uuid"),
        Filter(name="client", label="Client"),
        Filter(name="status", label="State", choices=_of(list(Status))),
        Filter(name="priority", label="Priority", choices=_of(list(Priority))),
        Filter(name="channel", label="Channel", choices=_of(list(Channel))),
        Filter(name="gateway", label="Gateway"),
        Filter(name="error", label="Error", choices=_of(list(OutcomeClass))),
        Filter(name="days", label="Made in", choices=SPANS),
        Filter(name="since", label="Made from", kind="date"),
        Filter(name="until", label="Made to", kind="date"),
    )
    empty = Empty(
        says="No message was ever accepted here.",
        todo="Send the first one, as the README shows; it will be here at once.",
    )
    empty_filtered = Empty(
        says="No message fits.", todo="Take a filter away. Addresses and numbers have to be whole."
    )
    bulk = ("cancel", "replay", "suppress")

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._acts = MessageActions(app)
        self._seals = URLSafeTimedSerializer(app.console_key, salt="opened message")

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to messages, one or many."""
        return self._acts.by_name

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        if each.name == "client":
            return tuple((client.name, client.name) for client in list_clients(self.app.engine))
        if each.name == "gateway":
            return _of(sorted(self.app.gateways))
        return each.choices

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        found = look(
            self.app.engine, _wanted(wanted), self.app.settings.phone_region, cursor=after, limit=limit
        )
        return Found(rows=found.rows, after=found.behind)

    @expose("/<uuid:uuid>")
    def one(self, uuid: UUID) -> str:
        """Show one message, with its address and contents hidden."""
        return self._one(uuid, opened=False)

    @expose("/<uuid:uuid>", methods=("POST",))
    def open(self, uuid: UUID) -> str:
        """Show one message whole, which the audit log keeps."""
        note_opened(self.app.engine, people.who(), uuid)
        return self._one(uuid, opened=True)

    @expose("/<uuid:uuid>/mail")
    def mail(self, uuid: UUID) -> ResponseReturnValue:
        """Give the HTML as it is sent, to whoever has just opened the message."""
        try:
            sealed = self._seals.loads(request.args.get("opened", ""), max_age=int(_OPEN_FOR.total_seconds()))
        except BadSignature:
            return redirect(url_for("messages.one", uuid=uuid))
        if sealed != [str(uuid), people.person().signed.user_id]:
            abort(403)
        response = Response(rendered(self.app.engine, self.app.catalog, uuid).html or "")
        response.headers["Content-Security-Policy"] = _MAIL_POLICY
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        return response

    def _one(self, uuid: UUID, *, opened: bool) -> str:
        message = get_status(self.app.engine, OPERATOR, uuid)
        clients = {each.id: each.name for each in list_clients(self.app.engine)}
        suppressions = of_message(self.app.engine, uuid)
        possible = [
            name for name in self._acts.possible(message.status) if name != "suppress" or not suppressions
        ]
        values: dict[str, Any] = {"content": None, "fault": "", "seal": ""}
        if opened:
            values = self._content(uuid)
        return self.show(
            "messages/one.html",
            message=message,
            client=clients.get(message.client_id, ""),
            events=raw_events(self.app.engine, uuid),
            suppressions=suppressions,
            opened=opened,
            possible=possible,
            **values,
        )

    def _content(self, uuid: UUID) -> dict[str, Any]:
        seal = self._seals.dumps([str(uuid), people.person().signed.user_id])
        try:
            content = rendered(self.app.engine, self.app.catalog, uuid)
        except Invalid as exc:
            return {"content": None, "fault": exc.faults[0].message, "seal": ""}
        return {"content": content, "fault": "", "seal": seal}


def _wanted(said: Mapping[str, str]) -> Wanted:
    source_type, _, source_id = said.get("source", "").partition(":")
    return Wanted(
        filters=Filters(
            recipient_address=said.get("address"),
            channel=_one_of(Channel, said, "channel"),
            status=_one_of(Status, said, "status"),
            priority=_one_of(Priority, said, "priority"),
            external_id=said.get("external_id"),
            source_type=source_type or None,
            source_id=_number(source_id, "source"),
            batch=_uuid(said, "batch"),
            since=_since(said),
            until=end_of(said, "until"),
        ),
        uuid=_uuid(said, "uuid"),
        client=said.get("client"),
        gateway=said.get("gateway"),
        error_class=said.get("error"),
    )


def _one_of(kind: Any, said: Mapping[str, str], name: str) -> Any:
    if name not in said:
        return None
    try:
        return kind(said[name])
    except ValueError as exc:
        raise Invalid.of(name, f"must be one of {', '.join(kind)}") from exc


def _uuid(said: Mapping[str, str], name: str) -> UUID | None:
    if name not in said:
        return None
    try:
        return UUID(said[name])
    except ValueError as exc:
        raise Invalid.of(name, "must be a uuid, as 0199e6b0-2f3c-7a51-8d1e-5f2c8a3b4d6e") from exc


def _number(text: str, name: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise Invalid.of(name, "must be a word, or a word and a number, as orders:4711")
    return int(text)


def _since(said: Mapping[str, str]) -> datetime | None:
    bounds = (since_of(said, "days", people.now()), day_of(said, "since"))
    return max((bound for bound in bounds if bound), default=None)
