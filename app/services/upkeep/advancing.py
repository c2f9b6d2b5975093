"""Advancing sequences: each step whose time has come is sent, skipped or given up, once."""

from datetime import timedelta

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import sequences
from app.domain.callers import Caller
from app.errors import Refused
from app.queue import PACKAGE
from app.services import request_json
from app.services.device_sending import accept_within
from app.services.sending.tools import Tools
from app.services.sequences import note_step, wake_of
from app.services.views import Accepted
from app.settings import Settings

log = structlog.get_logger(__name__)

# So many steps are taken in one go; the next go is a second later.
AT_A_TIME = 100
FORGOTTEN_AT_A_TIME = 1000


def advance_sequences(tools: Tools, settings: Settings) -> int:
    """Take the steps that are due; gives how many were sent. Raises Unavailable.

    A step and its messages are committed together, so that it happens once whoever dies at it.
    """
    with unavailable_when_down(), tools.once.connect() as conn:
        due = run(conn, PACKAGE, "due_steps", {"limit": AT_A_TIME}).all()
    sent = 0
    for step in due:
        if tools.stopping.is_set():
            break
        sent += _advance(tools, settings, step.sequence_id, step.position)
    return sent


def forget_sequences(tools: Tools, retention: timedelta) -> int:
    """Remove what is known of sequences that ended longer ago; gives how many. Raises Unavailable."""
    old = sequences.c.finished_at < sa.func.now() - retention
    some = sa.select(sequences.c.id).where(old).limit(FORGOTTEN_AT_A_TIME)
    removed = 0
    while not tools.stopping.is_set():
        with unavailable_when_down(), tools.once.connect() as conn:
            gone = conn.execute(sa.delete(sequences).where(sequences.c.id.in_(some))).rowcount
        removed += gone
        if gone < FORGOTTEN_AT_A_TIME:
            break
    return removed


def _advance(tools: Tools, settings: Settings, sequence: int, position: int) -> bool:
    """Take one step, where it still is to be taken; tells whether it was sent."""
    try:
        with unavailable_when_down(), tools.engine.begin() as conn:
            accepted = _taken(conn, tools, settings, sequence, position)
    except Refused as exc:
        # Nothing of it was written; nor would it be if it were tried again.
        _fail(tools, sequence, position, str(exc))
        return False
    if accepted is None:
        return False
    wake_of(tools.wake, accepted)
    return True


def _taken(
    conn: sa.Connection, tools: Tools, settings: Settings, sequence: int, position: int
) -> Accepted | None:
    which = {"sequence": sequence, "position": position}
    step = run(conn, PACKAGE, "take_step", which).one_or_none()
    if step is None:
        return None
    if step.state == "skipped":
        note_step(conn, sequence, position, None, late=timedelta(0))
        return None
    caller = Caller(client_id=step.client_id, name=step.client, scopes=frozenset(step.scopes))
    accepted = accept_within(conn, tools.catalog, settings, caller, request_json.read(step.request))
    note_step(conn, sequence, position, accepted, late=step.late)
    return accepted


def _fail(tools: Tools, sequence: int, position: int, words: str) -> None:
    parameters = {"sequence": sequence, "position": position, "error": words}
    with unavailable_when_down(), tools.once.connect() as conn:
        run(conn, PACKAGE, "fail_step", parameters)
    log.warning("step of a sequence cannot be sent", sequence=sequence, position=position)
