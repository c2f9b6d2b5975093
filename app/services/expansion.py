"""Turning an accepted bulk request into messages, slice by slice."""

from collections.abc import Mapping

import sqlalchemy as sa

from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.services.catalog import Catalog
from app.wake import Wake


def expand(
    engine: sa.Engine, catalog: Catalog, wake: Wake, lanes: Mapping[Priority, Lane], batch_id: int
) -> int:
    """Make queue rows of what is still staged of a batch; gives how many slices this call did.

    Each slice is one transaction, so a call that died is simply repeated; two calls at once do no harm.
    A batch that is not there, not yet accepted, expanded or cancelled is left alone.
    """
    raise NotImplementedError
