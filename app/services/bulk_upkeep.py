"""What jobs do for bulk requests: count, finish, clean up."""

import sqlalchemy as sa


def fold_batch_deltas(engine: sa.Engine) -> int:
    """Add what changed since the last time to the batches' counts and finish those at rest.

    To be called every two seconds or more often; gives the number of deltas folded. Two at once do no harm.
    """
    raise NotImplementedError


def discard_abandoned_uploads(engine: sa.Engine) -> int:
    """Remove uploads whose process died and free their keys; gives how many. Once a minute will do."""
    raise NotImplementedError


def unexpanded_batches(engine: sa.Engine) -> list[tuple[str, int]]:
    """List (priority, id) of accepted batches that wait to be expanded, for a dispatcher to wake."""
    raise NotImplementedError


def remove_expired_keys(engine: sa.Engine) -> int:
    """Remove idempotency keys whose 24 hours are over; gives how many."""
    raise NotImplementedError
