"""Prices: what gateways ask for a message or a segment, from when on; costs are counted by it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from admin import people
from admin.actions import Action, Preview, Wish
from admin.answers import link, told
from admin.lists import Empty, Filter, Found, ListPage
from admin.page import expose
from admin.said import reason_given
from app.domain.prices import ANYWHERE
from app.domain.vocabulary import Channel
from app.errors import Faults, Invalid, NotFound
from app.services import paging
from app.services.prices import PriceDraft, PriceView, faults_of

_CHANNELS = tuple((channel.value, channel.value) for channel in Channel)


class PricesPage(ListPage):
    """Prices by channel, gateway and destination, the latest first; past and coming ones too."""

    key = "prices"
    title = "Prices"
    template = "prices/list.html"
    filters = (
        Filter(name="channel", label="Channel", choices=_CHANNELS),
        Filter(name="gateway", label="Gateway"),
        Filter(name="prefix", label="To", hint="+44"),
    )
    empty = Empty(
        says="No price is known, so nothing is said of what sending costs.",
        todo="Set a first price",
        link="/admin/prices/new",
    )

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to a price."""
        remove = Action(name="remove", label="Remove", preview=self._preview, apply=self._remove, danger=True)
        return {"remove": remove}

    def choices(self, each: Filter) -> Sequence[tuple[str, str]]:
        if each.name == "gateway":
            return [(name, name) for name in self._gateways()]
        return each.choices

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        channel = Channel(wanted["channel"]) if wanted.get("channel") in set(Channel) else None
        known = self.app.prices.list(channel=channel, gateway=wanted.get("gateway"))
        fitting = [view for view in known if view.prefix.startswith(wanted.get("prefix", ""))]
        (last,) = paging.position(after, int) or (None,)
        at = next((place for place, view in enumerate(fitting, 1) if view.id == last), 0)
        shown = fitting[at : at + limit]
        is_end = at + limit >= len(fitting)
        return Found(rows=_with_state(shown, fitting), after=None if is_end else paging.cursor(shown[-1].id))

    @expose("/new")
    def new(self) -> str:
        """Ask for a price."""
        return self._form({"prefix": ANYWHERE, "channel": request.args.get("channel", "")})

    @expose("/save", methods=("POST",))
    def save(self) -> ResponseReturnValue:
        """Set a price as the form says."""
        said = {name: value.strip() for name, value in request.form.items()}
        try:
            (saved,) = self.app.prices.save(people.who(), [_draft(said)], why=said["why"])
        except Invalid as exc:
            faults = {fault.field.removeprefix("prices.0."): fault.message for fault in exc.faults}
            return self._form(said, faults), 422
        flash(told("{} is set. What was sent before is not counted anew.", _link(saved)), "success")
        return redirect(url_for("prices.index"))

    def _form(self, said: Mapping[str, str], faults: Mapping[str, str] | None = None) -> str:
        gateways = [(name, name) for name in self._gateways()]
        return self.show(
            "prices/form.html", said=said, faults=faults or {}, channels=_CHANNELS, gateways=gateways
        )

    def _gateways(self) -> Sequence[str]:
        return sorted({view.gateway for view in self.app.gateway_control.list()})

    def _preview(self, wish: Wish) -> Preview:
        view = self._one(wish)
        return Preview(
            question=f"Remove the price of {view.gateway} to {view.prefix}?",
            facts=(
                ("It is", f"{view.amount} {view.currency} a {view.unit}"),
                ("From", f"{view.valid_from:%Y-%m-%d %H:%M} UTC"),
            ),
            warning="As if it had never been set: the one before it holds again. What was spent stays.",
        )

    def _remove(self, wish: Wish) -> str:
        view = self._one(wish)
        self.app.prices.remove(wish.who, view.id, why=wish.why)
        return told("{} is removed; what is left is what holds.", _link(view))

    def _one(self, wish: Wish) -> PriceView:
        for view in self.app.prices.list():
            if (str(view.id),) == wish.selected:
                return view
        raise NotFound("There is no such price.")


def _link(view: PriceView) -> str:
    """Lead to the prices of the same place, the one before it too."""
    where = url_for("prices.index", channel=view.channel, gateway=view.gateway, prefix=view.prefix)
    return link(f"The price of {view.gateway} to {view.prefix}", where)


def _with_state(shown: Sequence[PriceView], known: Sequence[PriceView]) -> Sequence[tuple[PriceView, str]]:
    """Say of each price whether it holds, held before, or will: of a place's, the latest begun holds."""
    now = people.now()
    holding: dict[tuple[str, str, str], int] = {}
    for view in known:
        if view.valid_from <= now:
            holding.setdefault((view.channel, view.gateway, view.prefix), view.id)
    in_force = set(holding.values())
    return [
        (view, "coming" if view.valid_from > now else "holds" if view.id in in_force else "past")
        for view in shown
    ]


def _draft(said: Mapping[str, str]) -> PriceDraft:
    """Read the form; raises Invalid with all that is wrong with it."""
    faults = Faults()
    faults.of(reason_given)
    known = said.get("channel") in set(Channel)
    if not known:
        faults.add("channel", "must be one of those in the list")
    draft = PriceDraft(
        channel=Channel(said["channel"]) if known else Channel.EMAIL,
        gateway=said.get("gateway", ""),
        amount=faults.of(_amount, said.get("amount", "")) or Decimal(0),
        currency=said.get("currency", "").upper(),
        valid_from=faults.of(_time, said.get("valid_from", "")) or people.now(),
        prefix=said.get("prefix") or ANYWHERE,
    )
    for fault in faults_of(draft):
        faults.add(fault.field, fault.message)
    faults.end()
    return draft


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise Invalid.of("amount", "must be a decimal number, as 0.0075") from exc


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as exc:
        raise Invalid.of("valid_from", "must be a day and time") from exc
