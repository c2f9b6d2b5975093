"""Senders: whom messages come from, which is asked for by default, and where each is verified."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action, Preview, Wish
from admin.answers import link, told
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import reason_given
from app.domain.vocabulary import Channel, MessageType
from app.errors import Faults, Invalid, NotFound
from app.services.senders import SenderDraft, SenderView

_CHANNELS = tuple((channel.value, channel.value) for channel in Channel)


class SendersPage(ListPage):
    """Identities by channel. There are few: all are shown."""

    key = "senders"
    title = "Senders"
    template = "senders/list.html"
    filters = (Filter(name="channel", label="Channel", choices=_CHANNELS),)
    empty = Empty(
        says="Messages come from nobody yet, so none can be sent.",
        todo="Make a first sender",
        link="/admin/senders/edit",
    )

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to a sender."""
        retire = Action(name="retire", label="Retire", preview=self._preview, apply=self._retire, danger=True)
        return {"retire": retire}

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:  # noqa: ARG002 - All are shown.
        channel = _channel_of(wanted.get("channel"))
        return Found(rows=self.app.senders.list(channel=channel))

    def without_default(self) -> Sequence[tuple[Channel, Sequence[MessageType]]]:
        """Say for which types a message must name its sender, in channels that have senders."""
        known = [view for view in self.app.senders.list() if view.is_active]
        missing = []
        for channel in dict.fromkeys(view.channel for view in known):
            given = {kind for view in known if view.channel is channel for kind in view.default_for}
            missing.append((channel, [kind for kind in MessageType if kind not in given]))
        return [(channel, kinds) for channel, kinds in missing if kinds]

    @expose("/edit")
    def edit(self) -> str:
        """Show the form of a sender, or of a new one."""
        if "sender" not in request.args:
            return self._form({"channel": Channel.EMAIL.value, "is_active": "yes"}, None)
        view = self._one(request.args["sender"])
        said = {
            "address": view.address,
            "name": view.name,
            "ip_pool": view.ip_pool or "",
            "is_active": "yes" if view.is_active else "no",
        }
        return self._form(said, view)

    @expose("/save", methods=("POST",))
    def save(self) -> ResponseReturnValue:
        """Make or change a sender as the form says."""
        said = {name: value.strip() for name, value in request.form.items()}
        view = self._one(said["sender"]) if "sender" in said else None
        try:
            channel, slug, draft = self._read(said, view)
            self.app.senders.save(people.who(), channel, slug, draft, why=said["why"])
        except Invalid as exc:
            return self._form(said, view, {fault.field: fault.message for fault in exc.faults}), 422
        flash(told("The sender {} is {}.", _link(channel, slug), "changed" if view else "made"), "success")
        return redirect(url_for("senders.index"))

    def _read(self, said: Mapping[str, str], view: SenderView | None) -> tuple[Channel, str, SenderDraft]:
        """Read the form; raises Invalid with all that is wrong with it."""
        faults = Faults()
        faults.of(reason_given)
        channel = view.channel if view else _channel_of(said.get("channel"))
        slug = view.slug if view else said.get("slug", "")
        if channel is None:
            faults.add("channel", "must be one of those in the list")
        elif view is None and any(each.slug == slug for each in self.app.senders.list(channel=channel)):
            faults.add("slug", "is taken; change that one")
        draft = _draft(said, faults)
        faults.of(self.app.senders.checked, channel or Channel.EMAIL, slug, draft)
        faults.end()
        return channel or Channel.EMAIL, slug, draft

    def _form(
        self, said: Mapping[str, str], view: SenderView | None, faults: Mapping[str, str] | None = None
    ) -> str:
        typed = request.method == "POST"
        chosen: Any = request.form.getlist("default_for") if typed else view.default_for if view else ()
        through: Any = request.form.getlist("gateways") if typed else (view and view.gateways) or ()
        return self.show(
            "senders/form.html",
            said=said,
            view=view,
            faults=faults or {},
            channels=_CHANNELS,
            types=[(kind.value, "") for kind in MessageType],
            chosen=set(chosen),
            gateways=self._gateways(view),
            through=set(through),
        )

    def _gateways(self, view: SenderView | None) -> Sequence[tuple[str, str]]:
        """Name the gateways that a sender may be verified at, with their channels."""
        known = {
            (each.gateway, each.channel.value)
            for each in self.app.gateway_control.list()
            if view is None or each.channel is view.channel
        }
        named = {(name, view.channel.value) for name in view.gateways or ()} if view else set()
        return sorted(known | named, key=lambda each: (each[1], each[0]))

    def _preview(self, wish: Wish) -> Preview:
        view = self._one(*wish.selected)
        kinds = ", ".join(view.default_for) or "none"
        return Preview(
            question=f"Take {view.slug} ({view.address}) out of use?",
            facts=(("Channel", view.channel), ("Default for", kinds)),
            warning="Messages that name it, or wait for it, find no sender any more.",
            possible=view.is_active,
        )

    def _retire(self, wish: Wish) -> str:
        view = self._one(*wish.selected)
        self.app.senders.remove(wish.who, view.channel, view.slug, why=wish.why)
        return told("The sender {} is out of use.", _link(view.channel, view.slug))

    def _one(self, name: str, *others: str) -> SenderView:
        channel, _, slug = name.partition("/")
        found = _channel_of(channel)
        if found is None or others:
            raise NotFound("There is no such sender.")
        return self.app.senders.get(found, slug)


def _link(channel: Channel, slug: str) -> str:
    return link(slug, url_for("senders.edit", sender=f"{channel.value}/{slug}"))


def _channel_of(name: str | None) -> Channel | None:
    return Channel(name) if name in set(Channel) else None


def _draft(said: Mapping[str, str], faults: Faults) -> SenderDraft:
    kinds = request.form.getlist("default_for")
    known = [kind for kind in kinds if kind in set(MessageType)]
    if unknown := [kind for kind in kinds if kind not in known]:
        faults.add("default_for", f"has no type {unknown[0]!r}")
    return SenderDraft(
        address=said.get("address", ""),
        name=said.get("name", ""),
        # Nothing ticked is no wish to send through nothing.
        gateways=tuple(request.form.getlist("gateways")) or None,
        ip_pool=said.get("ip_pool") or None,
        default_for=tuple(MessageType(kind) for kind in known),
        is_active=said.get("is_active") == "yes",
    )
