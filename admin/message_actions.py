"""What operators can do to messages, one or many: each asks the service, and each says what came of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

import sqlalchemy as sa

from admin.actions import Action, Preview, Question, Wish
from admin.answers import message_links, told
from app.bootstrap import App
from app.db.engine import unavailable_when_down
from app.db.tables import message_queue
from app.domain.vocabulary import Status, SuppressionReason
from app.errors import Conflict, Invalid, NoGateway, NotFound
from app.services.cancelling import cancel_by_hand
from app.services.dead_letter_views import HeldDecision
from app.services.dead_letters import REPLAYABLE
from app.services.suppressions import SuppressionDraft

_M = message_queue.c
_UNKNOWN = frozenset({Status.HELD})
_ANY = frozenset(Status)


class MessageActions:
    """The actions by name; those that fit a message's state by `possible`."""

    def __init__(self, app: App) -> None:
        self._app = app
        held = {
            "mark_sent": ("Mark as sent", HeldDecision.SENT, "What is known of them is that they arrived."),
            "resend": ("Send again", HeldDecision.RESEND, "Whoever got them already gets them twice."),
            "give_up": ("Give up", HeldDecision.GIVE_UP, "They count as failed."),
        }
        self._fits: dict[str, frozenset[Status]] = {
            "cancel": frozenset({Status.PENDING}),
            "replay": REPLAYABLE,
            **dict.fromkeys(held, _UNKNOWN),
            "suppress": _ANY,
        }
        self.by_name: Mapping[str, Action] = {
            "cancel": self._action("cancel", "Cancel", self._cancel, danger=True),
            "replay": self._action("replay", "Replay", self._replay, questions=self._ask_gateway),
            **{
                name: self._action(name, label, partial(self._decide, decision), warning=warning)
                for name, (label, decision, warning) in held.items()
            },
            "suppress": self._action(
                "suppress",
                "Suppress",
                self._suppress,
                danger=True,
                warning="Their recipients get nothing more by this channel, until somebody releases them.",
            ),
        }

    def possible(self, status: Status) -> tuple[str, ...]:
        """Name the actions that a message in this state can be put to."""
        return tuple(name for name, states in self._fits.items() if status in states)

    def _action(
        self,
        name: str,
        label: str,
        do: Callable[[Wish, UUID], None],
        *,
        danger: bool = False,
        warning: str = "",
        questions: Callable[[Wish], Sequence[Question]] = lambda _wish: (),
    ) -> Action:
        return Action(
            name=name,
            label=label,
            danger=danger,
            preview=partial(self._preview, name, label, warning),
            apply=partial(self._each, label, do),
            questions=questions,
        )

    def _preview(self, name: str, label: str, warning: str, wish: Wish) -> Preview:
        """Count what is selected by state: only some may fit by now."""
        states = self._states(wish)
        whole = wish.said.get("total") or f"{len(wish.selected):,}"
        fitting = sum(count for state, count in states.items() if state in self._fits[name])
        facts = [(f"{count:,} {state}", self._fate(name, state)) for state, count in states.items()]
        if "total" in wish.said:
            facts.append((f"{whole} fit the filters", "only those that are ticked are taken"))
        return Preview(
            question=f"{label}: {fitting:,} of {whole} messages",
            facts=facts,
            warning=warning if fitting else "Nothing that was selected is in a state for this.",
            possible=fitting > 0,
        )

    def _fate(self, name: str, state: Status) -> str:
        return "taken" if state in self._fits[name] else "left as they are"

    def _states(self, wish: Wish) -> Counter[Status]:
        query = sa.select(_M.status, sa.func.count()).where(_M.uuid.in_(_uuids(wish))).group_by(_M.status)
        with unavailable_when_down(), self._app.engine.connect() as conn:
            return Counter({Status(state): count for state, count in conn.execute(query)})

    def _each(self, label: str, do: Callable[[Wish, UUID], None], wish: Wish) -> str:
        done, refused = list[UUID](), Counter[str]()
        for uuid in _uuids(wish):
            try:
                do(wish, uuid)
            except (Conflict, NotFound, NoGateway) as exc:
                refused[str(exc)] += 1
            else:
                done.append(uuid)
        left = "; ".join(f"{count:,}: {reason}" for reason, count in refused.items())
        if not done and refused:
            raise Conflict(left)
        said = told("{}: {}, {}.", label, _number(len(done)), message_links(done))
        return told("{} Not to {}.", said, left) if left else said

    def _cancel(self, wish: Wish, uuid: UUID) -> None:
        cancel_by_hand(self._app.engine, wish.who, uuid, why=wish.why)

    def _replay(self, wish: Wish, uuid: UUID) -> None:
        gateway = wish.said.get("gateway") or None
        self._app.dead_letters.replay_one(
            wish.who, uuid, owner=None, why=wish.why, gateway=gateway, source="console"
        )

    def _ask_gateway(self, wish: Wish) -> tuple[Question, ...]:
        choices = tuple((name, name) for name in self._gateways_of(wish))
        if not choices:
            return ()
        hint = "Without one, routing decides."
        return (Question(name="gateway", label="Through", choices=choices, hint=hint, required=False),)

    def _gateways_of(self, wish: Wish) -> Iterable[str]:
        """Name the gateways of the channel that all selected messages have; none where they differ."""
        query = sa.select(_M.channel).distinct().where(_M.uuid.in_(_uuids(wish)))
        with unavailable_when_down(), self._app.engine.connect() as conn:
            channels = conn.execute(query).scalars().all()
        if len(channels) != 1:
            return ()
        return sorted(name for name, each in self._app.gateways.items() if each.channel == channels[0])

    def _decide(self, decision: HeldDecision, wish: Wish, uuid: UUID) -> None:
        self._app.held_decisions.decide_one(
            wish.who, uuid, decision, owner=None, why=wish.why, source="console"
        )

    def _suppress(self, wish: Wish, uuid: UUID) -> None:
        query = sa.select(_M.channel, _M.recipient_address).where(_M.uuid == uuid)
        with unavailable_when_down(), self._app.engine.connect() as conn:
            row = conn.execute(query).one_or_none()
        if row is None:
            raise NotFound("there is no such message")
        draft = SuppressionDraft(
            channel=row.channel,
            address=row.recipient_address,
            reason=SuppressionReason.MANUAL,
            note=wish.why,
        )
        self._app.suppressions.add(wish.who, draft, source="console", why=wish.why)


def _number(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages:,} messages"


def _uuids(wish: Wish) -> list[UUID]:
    try:
        return [UUID(each) for each in wish.selected]
    except ValueError as exc:
        raise Invalid.of("selected", "must name messages by their uuids") from exc
