"""Devices that take push messages: whose they are, whether they are still there."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from admin import people
from admin.actions import Action, Preview, Wish
from admin.answers import link, told
from admin.lists import Empty, Filter, Found, ListPage
from admin.said import number, numbers_selected, one_of
from app.errors import Conflict, NotFound
from app.services.device_desk import DeviceFilters, DeviceState

_STATES = (("in_use", "in use"), ("stale", "not seen for long"), ("out_of_use", "out of use"))
_SEEN = (
    ("s1", "in the last day"),
    ("s7", "in the last week"),
    ("s30", "in the last 30 days"),
    ("u30", "not for 30 days"),
    ("u90", "not for 90 days"),
    ("u365", "not for a year"),
)
# Tones and words of a state, as badges have them.
_BADGES = {
    DeviceState.IN_USE: ("active", "in use"),
    DeviceState.STALE: ("warning", "not seen for long"),
    DeviceState.OUT_OF_USE: ("disabled", "out of use"),
}
_WHY = {"asked": "asked for", "gateway": "it is gone, says the gateway", "replaced": "it has a new token"}


class DevicesPage(ListPage):
    """All devices, the newest registered first. No token is ever shown whole."""

    key = "devices"
    title = "Devices"
    template = "devices/list.html"
    filters = (
        Filter(name="recipient", label="Recipient", hint="4711 or member:4711"),
        Filter(name="token", label="Token", hint="the whole token", wide=True),
        Filter(name="platform", label="Platform", choices=(("apns", "APNs"), ("fcm", "FCM"))),
        Filter(name="state", label="State", choices=_STATES),
        Filter(name="seen", label="Seen", choices=_SEEN),
    )
    empty = Empty(
        says="No device is registered.",
        todo="Apps register theirs by POST /v1/devices, each with the recipient it belongs to.",
    )
    empty_filtered = Empty(says="No device fits.", todo="Take a filter away.")
    bulk = ("deactivate",)
    badges = _BADGES
    reasons = _WHY

    @property
    def actions(self) -> Mapping[str, Action]:
        """What can be done to devices, one or many."""
        deactivate = Action(
            name="deactivate",
            label="Take out of use",
            preview=self._preview,
            apply=self._deactivate,
            danger=True,
        )
        return {"deactivate": deactivate}

    def find(self, wanted: Mapping[str, str], after: str | None, limit: int) -> Found:
        filters = _filters(wanted, people.now())
        rows, behind = self.app.device_desk.look(filters, people.now(), cursor=after, limit=limit)
        return Found(rows=rows, after=behind)

    def _preview(self, wish: Wish) -> Preview:
        found = self.app.device_desk.some(numbers_selected(wish), people.now())
        states = Counter(_BADGES[DeviceState(row.state)][1] for row in found)
        ready = sum(row.state != DeviceState.OUT_OF_USE for row in found)
        facts = [(words, f"{count:,}") for words, count in states.items()]
        return Preview(
            question=f"Take {ready:,} of {len(wish.selected):,} devices out of use?",
            facts=[*facts, ("They follow", f"{sum(row.topics for row in found):,} topics, which they leave")],
            warning="They get nothing more, until their app registers them anew."
            if ready
            else "All of them are out of use already.",
            possible=ready > 0,
        )

    def _deactivate(self, wish: Wish) -> str:
        done, left = 0, 0
        for device in numbers_selected(wish):
            try:
                self.app.device_desk.deactivate(wish.who, device, why=wish.why)
            except (Conflict, NotFound):
                left += 1
            else:
                done += 1
        if not done:
            raise Conflict("All of them are out of use already.")
        found = link(f"{done:,}", "/admin/devices/?state=out_of_use")
        said = told("Taken out of use: {}.", found)
        return told("{} {} were already.", said, f"{left:,}") if left else said


def _filters(said: Mapping[str, str], now: datetime) -> DeviceFilters:
    kind, _, text = said.get("recipient", "").rpartition(":")
    return DeviceFilters(
        recipient_type=kind or None,
        recipient_id=number(text, "recipient", "must be a number, or a type and a number, as member:4711"),
        token=said.get("token"),
        platform=one_of(said, "platform", {"apns", "fcm"}),
        state=None if (state := one_of(said, "state", set(DeviceState))) is None else DeviceState(state),
        seen_since=_days(said, "s", now),
        unseen_since=_days(said, "u", now),
    )


def _days(said: Mapping[str, str], kind: str, now: datetime) -> datetime | None:
    """Read how far back something was seen ("s") or not ("u")."""
    text = one_of(said, "seen", {name for name, _ in _SEEN})
    return now - timedelta(days=int(text[1:])) if text and text.startswith(kind) else None
