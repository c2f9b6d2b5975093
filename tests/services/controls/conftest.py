"""Emergency procedures beside one sending process."""

import pytest

from app.domain.stops import StopScope
from app.services.audit import Who
from app.services.controls.service import EmergencyService, StopDraft

WHO = Who(actor="cli/ann", origin="10.0.0.1")
WHY = "the wrong price went out"


class Desk:
    """An operator at work."""

    def __init__(self, service: EmergencyService) -> None:
        self.service = service

    def stop(self, scope="all", key=None, *, why=WHY, **options):
        return self.service.stop(WHO, StopDraft(scope=StopScope(scope), key=key, **options), why=why)

    def resume(self, *ids, why="mended", **options):
        return self.service.resume(WHO, ids=list(ids) or None, why=why, **options)

    def stops(self):
        return self.service.state().stops


@pytest.fixture
def desk(world) -> Desk:
    app = world.app
    service = EmergencyService(
        app.engine,
        app.catalog,
        app.stops,
        world.wake,
        gateways=app.gateway_control,
        forget_counts=app.emergency._forget_counts,
    )
    return Desk(service)
