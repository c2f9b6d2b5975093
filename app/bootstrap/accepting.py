"""What takes messages in, our own trials and canaries too, and decides about those that wait."""

from datetime import timedelta
from functools import cached_property

from app.bootstrap.gateways import Gateways
from app.domain.vocabulary import MessageType
from app.services.batch_desk import BatchDesk
from app.services.canaries import Canaries, addresses_of
from app.services.dead_letters import DeadLetterService
from app.services.held_decisions import HeldDecisions
from app.services.help_desk import HelpDesk
from app.services.kept_uploads import UploadShelf
from app.services.messages import MessageService
from app.services.sequences import SequenceService
from app.services.trial_messages import TrialMessages


class Accepting(Gateways):
    @cached_property
    def messages(self) -> MessageService:
        return MessageService(self.engine, self.catalog, self.wake, self.settings, self.way)

    @cached_property
    def trials(self) -> TrialMessages:
        return TrialMessages(self.engine, self.messages)

    @cached_property
    def canaries(self) -> Canaries | None:
        settings = self.settings
        if not settings.canary_addresses:
            return None
        return Canaries(
            self.engine,
            self.trials,
            addresses_of(settings.canary_addresses),
            every=timedelta(minutes=settings.canary_minutes),
            message_type=MessageType(settings.canary_type),
        )

    @cached_property
    def help_desk(self) -> HelpDesk | None:
        text = self.settings.help_text
        return HelpDesk(self.engine, self.messages, text) if text else None

    @cached_property
    def batch_desk(self) -> BatchDesk:
        return BatchDesk(self.engine, self.catalog, self.settings, self.messages)

    @cached_property
    def upload_shelf(self) -> UploadShelf:
        return UploadShelf(self.redis)

    @cached_property
    def sequences(self) -> SequenceService:
        return SequenceService(self.engine, self.catalog, self.wake, self.settings)

    @cached_property
    def held_decisions(self) -> HeldDecisions:
        return HeldDecisions(self.engine, self.settings.lanes, self.wake)

    @cached_property
    def dead_letters(self) -> DeadLetterService:
        return DeadLetterService(self.engine, self.settings.lanes, self.wake, self.channels_of_gateways)
