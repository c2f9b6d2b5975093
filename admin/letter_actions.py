"""What is done to all messages that fit a filter, however many: sent again at a rate, or decided about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from admin.actions import Action, Preview, Question, Wish
from admin.answers import link, told
from admin.spans import since_of
from app.bootstrap import App
from app.domain.vocabulary import Channel, Priority, Status
from app.errors import Invalid
from app.services.dead_letter_rows import DEAD, Criteria
from app.services.dead_letter_views import HeldDecision
from app.services.dead_letters import REPLAYABLE

_RATES = (("1", "1 a second"), ("10", "10 a second"), ("100", "100 a second"), ("1000", "1,000 a second"))


class LetterActions:
    """The actions by name; what is selected is a filter, as a query of their page has it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.by_name: Mapping[str, Action] = {
            "replay_all": Action(
                name="replay_all",
                label="Replay all of these",
                preview=partial(self._preview, "Send {0} messages again?", REPLAYABLE),
                apply=self._replay,
                questions=self._ask_replay,
                danger=True,
            ),
            **{
                name: Action(
                    name=name,
                    label=label,
                    preview=partial(self._preview, label + ": {0} messages?", frozenset({Status.HELD})),
                    apply=partial(self._decide, decision),
                    danger=True,
                )
                for name, label, decision in (
                    ("all_sent", "All of these were sent", HeldDecision.SENT),
                    ("all_again", "Send all of these again", HeldDecision.RESEND),
                    ("all_up", "Give all of these up", HeldDecision.GIVE_UP),
                )
            },
        }

    def _preview(self, question: str, fitting: frozenset[Status], wish: Wish) -> Preview:
        criteria = _narrowed(wish, fitting)
        counted = self._app.dead_letters.count(criteria, owner=None)
        spelled = {name: value for name, value in criteria.spelled().items() if name != "statuses"}
        number = f"{counted.count:,}{'' if counted.complete else '+'}"
        return Preview(
            question=question.format(number),
            facts=(
                ("In the states", ", ".join(criteria.statuses)),
                *((name.replace("_", " "), str(value)) for name, value in spelled.items()),
            ),
            warning="Who is suppressed by now gets nothing. What comes to rest after this is not taken.",
            possible=counted.count > 0,
        )

    def _ask_replay(self, wish: Wish) -> Sequence[Question]:
        rate = Question(name="per_second", label="How fast", choices=_RATES, value="10")
        channel = self._channel_of(criteria_of(_said(wish)))
        if channel is None:
            hint = "To send them through one gateway, go back and filter by channel or gateway first."
            return (replace(rate, hint=hint),)
        gateways = sorted(name for name, each in self._app.gateways.items() if each.channel is channel)
        choices = tuple((name, name) for name in gateways)
        hint = "Without one, routing decides."
        through = Question(name="gateway", label="Through", choices=choices, hint=hint, required=False)
        return (rate, through)

    def _channel_of(self, criteria: Criteria) -> Channel | None:
        """Tell the channel of what fits, which its gateway tells, too."""
        failed = self._app.gateways.get(criteria.gateway or "")
        return criteria.channel or (failed.channel if failed else None)

    def _replay(self, wish: Wish) -> str:
        criteria = _narrowed(wish, REPLAYABLE)
        view = self._app.dead_letters.replay(
            wish.who,
            replace(criteria, channel=self._channel_of(criteria)),
            owner=None,
            why=wish.why,
            per_second=float(wish.said.get("per_second", "10")),
            gateway=wish.said.get("gateway") or None,
            source="console",
        )
        replay = link("this replay", f"/admin/dead-letters/?replay={view.uuid}#replays")
        return told(
            "{} messages are on their way; what is left of {} follows by itself.",
            f"{view.replayed:,}",
            replay,
        )

    def _decide(self, decision: HeldDecision, wish: Wish) -> str:
        decided = self._app.held_decisions.decide(
            wish.who, criteria_of(_said(wish)), decision, owner=None, why=wish.why, source="console"
        )
        state = {HeldDecision.SENT: Status.SENT, HeldDecision.RESEND: Status.PENDING}.get(
            decision, Status.FAILED
        )
        found = link(f"messages that are {state.value}", f"/admin/messages/?status={state.value}&days=1")
        return told("Done to {} messages, which are among the {} now.", f"{decided.count:,}", found)


def criteria_of(said: Mapping[str, str]) -> Criteria:
    """Read a page's filters; raises Invalid by a filter's name."""
    status = _word(Status, said, "status")
    if status and status not in DEAD:
        raise Invalid.of("status", f"must be one of {', '.join(DEAD)}")
    return Criteria(
        statuses=(status,) if status else DEAD,
        error_class=said.get("error"),
        code=said.get("code"),
        gateway=said.get("gateway"),
        channel=_word(Channel, said, "channel"),
        priority=_word(Priority, said, "priority"),
        batch=_uuid(said),
        since=None if said.get("days") == "any" else since_of(said, "days", datetime.now(UTC)),
    )


def _narrowed(wish: Wish, fitting: frozenset[Status]) -> Criteria:
    criteria = criteria_of(_said(wish))
    statuses = tuple(status for status in criteria.statuses if status in fitting)
    if not statuses:
        raise Invalid.of("status", f"must be one of {', '.join(sorted(fitting))} for this")
    return Criteria(**{**_fields(criteria), "statuses": statuses})


def _fields(criteria: Criteria) -> dict[str, Any]:
    return {name: getattr(criteria, name) for name in criteria.__slots__}


def _said(wish: Wish) -> Mapping[str, str]:
    return dict(parse_qsl(wish.selected[0]))


def _word(kind: Callable[[str], Any], said: Mapping[str, str], name: str) -> Any:
    if not said.get(name):
        return None
    try:
        return kind(said[name])
    except ValueError as exc:
        raise Invalid.of(name, "is none that there is") from exc


def _uuid(said: Mapping[str, str]) -> UUID | None:
    if not said.get("batch"):
        return None
    try:
        return UUID(said["batch"])
    except ValueError as exc:
        raise Invalid.of("batch", "must be a uuid") from exc
