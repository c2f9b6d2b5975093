"""Clients and keys: which modules call, with what rights, and since when they did not."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from admin import people
from admin.actions import Action, Once, Preview, Question, Wish
from admin.answers import link, told
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import end_of_day, number
from app.domain.callers import SCOPES
from app.errors import Conflict, Faults, Invalid, NotFound
from app.services import keys
from app.services.keys import KeyView

# What a module that sends ordinary messages needs.
_USUAL = frozenset({"messages:send", "messages:read"})
_ONCE = "It is shown this once, and only its digest is kept. Put it where the module finds its secrets."
_OVERLAPS = (("0", "at once"), ("1", "in a day"), ("7", "in a week"), ("30", "in 30 days"))


class ClientsPage(ListPage):
    """Keys by client, newest first. There are few: all are shown."""

    key = "clients"
    title = "Clients and keys"
    template = "clients/list.html"
    filters = (Filter(name="client", label="Client"),)
    empty = Empty(
        says="No module may call yet.", todo="Make a client, then its first key", link="/admin/clients/key"
    )

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to a key."""
        return {
            "rotate": Action(
                name="rotate",
                label="Rotate",
                preview=self._preview_rotation,
                apply=self._rotate,
                questions=lambda _wish: (
                    Question(name="days", label="The old key ends", choices=_OVERLAPS, value="7"),
                ),
                needs_reason=False,
            ),
            "revoke": Action(
                name="revoke", label="Revoke", preview=self._preview, apply=self._revoke, danger=True
            ),
        }

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:  # noqa: ARG002 - All are shown.
        found = keys.list_keys(self.app.engine, client=wanted.get("client"))
        return Found(rows=[(key, _state(key)) for key in found], total=f"{len(found):,}")

    def choices(self, each: Filter) -> tuple[tuple[str, str], ...]:  # noqa: ARG002 - There is one select.
        return tuple((client.name, client.name) for client in keys.list_clients(self.app.engine))

    @expose("/client", methods=("POST",))
    def create(self) -> ResponseReturnValue:
        """Make a client."""
        name = request.form.get("name", "").strip()
        try:
            keys.create_client(
                self.app.engine, people.who(), name, description=request.form.get("description", "").strip()
            )
        except Invalid as exc:
            return self._form({fault.field: fault.message for fault in exc.faults}), 422
        except Conflict as exc:
            return self._form({"name": str(exc)}), 409
        flash(told("The client {} is made. It can call once it has a key.", _link(name)), "success")
        return redirect(url_for("clients.new_key", client=name))

    @expose("/key")
    def new_key(self) -> str:
        """Ask what a key is to be for."""
        return self._form()

    @expose("/key", methods=("POST",))
    def make_key(self) -> ResponseReturnValue:
        """Make a key, which is shown this once."""
        said = request.form
        try:
            name, scopes, bounds = _key_of(said)
            view, key = keys.create_key(
                self.app.engine, people.who(), said.get("client", ""), name, scopes, **bounds
            )
        except Invalid as exc:
            faults = {fault.field: fault.message for fault in exc.faults}
            return self._form({"key_name": faults.pop("name", ""), **faults}), 422
        except NotFound as exc:
            return self._form({"client": str(exc)}), 422
        made = Once(says=f"The key {view.name} of {view.client}", secret=key, todo=_ONCE)
        return self.once(made, url_for("clients.index"))

    def _form(self, faults: Mapping[str, str] | None = None) -> str:
        clients = [(client.name, client.name) for client in keys.list_clients(self.app.engine)]
        chosen = request.form.get("client") or request.args.get("client", "")
        return self.show(
            "clients/key.html",
            clients=clients,
            chosen=chosen,
            faults=faults or {},
            said=request.form,
            scopes=SCOPES,
            ticked=set(request.form.getlist("scopes")) if request.form.get("key_name") else _USUAL,
        )

    def _preview(self, wish: Wish) -> Preview:
        key = self._selected(wish)
        used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
        return Preview(
            question=f"End the key {key.name} of {key.client}?",
            facts=(("It begins with", key.prefix), ("Last used", used), ("May", ", ".join(key.scopes))),
            warning="Whoever still calls with it is refused within five seconds.",
            possible=key.revoked_at is None,
        )

    def _preview_rotation(self, wish: Wish) -> Preview:
        key = self._selected(wish)
        return Preview(
            question=f"Make another key like {key.name} of {key.client}?",
            facts=(("It begins with", key.prefix), ("May", ", ".join(key.scopes))),
            warning="Both hold until the old one ends, so that nothing has to stop.",
            possible=key.revoked_at is None,
        )

    def _rotate(self, wish: Wish) -> Once:
        overlap = timedelta(days=number(wish.said.get("days", ""), "days") or 0)
        view, key = keys.rotate_key(self.app.engine, wish.who, self._selected(wish).id, overlap=overlap)
        return Once(says=f"The new key {view.name} of {view.client}", secret=key, todo=_ONCE)

    def _revoke(self, wish: Wish) -> str:
        key = keys.revoke_key(self.app.engine, wish.who, self._selected(wish).id, why=wish.why)
        return told("The key {} of {} is revoked.", key.name, _link(key.client))

    def _selected(self, wish: Wish) -> KeyView:
        for key in keys.list_keys(self.app.engine):
            if (str(key.id),) == wish.selected:
                return key
        raise NotFound("There is no such key.")


def _link(client: str) -> str:
    return link(client, url_for("clients.index", client=client))


def _state(key: KeyView) -> tuple[str, str]:
    """Say how a key stands, as a badge: its colour and its word."""
    if key.revoked_at is not None:
        return "disabled", "revoked"
    if key.expires_at is not None and key.expires_at <= people.now():
        return "disabled", "expired"
    return ("warning" if key.expires_at is None else "active"), "holds"


def _key_of(said: MultiDict[str, str]) -> tuple[str, list[str], dict[str, Any]]:
    """Read what a key is to be; raises Invalid with all that is wrong with it."""
    faults = Faults()
    if not said.get("client"):
        faults.add("client", "is missing: whose key is it to be?")
    name, scopes = said.get("key_name", "").strip(), said.getlist("scopes")
    bounds = {
        "expires_at": faults.of(end_of_day, said.get("expires_at", ""), "expires_at"),
        "allowed_addresses": said.get("allowed_addresses", "").replace(",", " ").split() or None,
        "max_per_minute": faults.of(number, said.get("max_per_minute", ""), "max_per_minute"),
    }
    faults.of(keys.check_key, name, scopes, **bounds)
    faults.end()
    return name, scopes, bounds
