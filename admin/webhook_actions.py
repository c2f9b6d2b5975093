"""Replaying received webhooks: one, some that are selected, or those that failed."""

from collections import Counter
from collections.abc import Mapping, Sequence

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, some, told
from app.errors import Conflict, NotFound
from app.services.received_webhooks import MOST_REPLAYED, ReceivedWebhooks, WebhookView

_ONCE = "What one of them told already counts no second time."
_ALL = "all"


class WebhookActions:
    """The actions by name; webhooks go by their id."""

    def __init__(self, service: ReceivedWebhooks) -> None:
        self._service = service
        self.by_name: Mapping[str, Action] = {
            "replay": Action(name="replay", label="Replay", preview=self._preview, apply=self._replay),
            "replay_failed": Action(
                name="replay_failed",
                label="Replay failed",
                preview=self._preview_failed,
                apply=self._replay_failed,
                questions=self._ask_gateway,
            ),
        }

    def _preview(self, wish: Wish) -> Preview:
        views = [self._service.get(_id(each)) for each in wish.selected]
        reasons = Counter(self._service.hindrance(view) for view in views)
        possible = reasons.pop("", 0)
        results = Counter(_told(view) for view in views)
        return Preview(
            question=f"Process {possible:,} of {len(views):,} webhooks once more?",
            facts=(
                *((f"{count:,}", result) for result, count in results.items()),
                *((f"{count:,} left as they are", reason) for reason, count in reasons.items()),
            ),
            warning=_ONCE if possible else "Nothing that was selected can be replayed.",
            possible=possible > 0,
        )

    def _replay(self, wish: Wish) -> str:
        done, refused = list[str](), Counter[str]()
        for each in wish.selected:
            try:
                self._service.replay(wish.who, _id(each), why=wish.why)
            except (Conflict, NotFound) as exc:
                refused[str(exc)] += 1
            else:
                done.append(each)
        left = "; ".join(f"{count:,}: {reason}" for reason, count in refused.items())
        if not done:
            raise Conflict(left)
        named = some([link(f"number {each}", f"/admin/webhooks/{each}") for each in done])
        said = told("Webhooks that wait to be processed again: {}.", named)
        return told("{} Not {}.", said, left) if left else said

    def _preview_failed(self, _wish: Wish) -> Preview:
        failed = [each for each in self._service.sources() if each.failed and each.expected]
        total = sum(each.failed for each in failed)
        return Preview(
            question="Process webhooks that failed once more?" if failed else "No webhook failed.",
            facts=[(each.gateway, f"{each.failed:,} failed") for each in failed],
            warning=_ONCE + (f" {MOST_REPLAYED:,} are taken at a time." if total >= MOST_REPLAYED else ""),
            possible=bool(failed),
        )

    def _replay_failed(self, wish: Wish) -> str:
        gateway = wish.said.get("gateway", _ALL)
        count = self._service.replay_failed(wish.who, None if gateway == _ALL else gateway, why=wish.why)
        waiting = link(f"{count:,} webhooks", "/admin/webhooks/?state=waiting")
        return told("{} wait to be processed.", waiting)

    def _ask_gateway(self, _wish: Wish) -> Sequence[Question]:
        failed = [each for each in self._service.sources() if each.failed and each.expected]
        choices = ((_ALL, "all gateways"), *((each.gateway, each.gateway) for each in failed))
        return (Question(name="gateway", label="Of", choices=choices, value=_ALL),)


def _id(selected: str) -> int:
    # No id is longer, and what is longer fits no column.
    if not (selected.isascii() and selected.isdecimal()) or len(selected) > 18:  # noqa: PLR2004 - Digits of a bigint.
        raise NotFound("There is no such webhook.")
    return int(selected)


def _told(view: WebhookView) -> str:
    return f"{view.gateway}: {view.result or view.state}"
