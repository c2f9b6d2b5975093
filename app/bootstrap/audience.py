"""Whom messages go to, and who may not be written to: people, their devices, topics and suppressions."""

from datetime import timedelta
from functools import cached_property

from app.bootstrap.gateways import Gateways
from app.gateways.push.fcm.topics import Topics
from app.services.clock import local_time
from app.services.device_check import DeviceCheck
from app.services.device_desk import DeviceDesk
from app.services.devices import DeviceService
from app.services.recipients import RecipientService
from app.services.suppressions import SuppressionService
from app.services.topic_sync import TopicSync
from app.services.topics import TopicService


class Audience(Gateways):
    @cached_property
    def recipients(self) -> RecipientService:
        return RecipientService(self.engine, phone_region=self.settings.phone_region)

    @cached_property
    def suppressions(self) -> SuppressionService:
        return SuppressionService(self.engine, phone_region=self.settings.phone_region)

    @cached_property
    def devices(self) -> DeviceService:
        return DeviceService(self.engine, stale_after=self._devices_stale_after)

    @cached_property
    def device_desk(self) -> DeviceDesk:
        return DeviceDesk(self.engine, stale_after=self._devices_stale_after)

    @cached_property
    def device_check(self) -> DeviceCheck:
        return DeviceCheck(self.engine, self.gateways, self.transports, local_time)

    @cached_property
    def topics(self) -> TopicService:
        return TopicService(self.engine, self.topic_sync, stale_after=self._devices_stale_after)

    @cached_property
    def topic_sync(self) -> TopicSync:
        return TopicSync(self.engine, Topics.configured(self.settings), self.transports, local_time)

    @property
    def _devices_stale_after(self) -> timedelta:
        return timedelta(days=self.settings.device_stale_days)
