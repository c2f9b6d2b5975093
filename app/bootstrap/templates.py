"""Templates: their versions, their console, and trying them out."""

from functools import cached_property

from app.bootstrap.accepting import Accepting
from app.services.template_desk import TemplateDesk
from app.services.template_rebuilding import TemplateRebuilding
from app.services.template_trials import TemplateTrials
from app.services.templates import TemplateService


class Templates(Accepting):
    @cached_property
    def templates(self) -> TemplateService:
        return TemplateService(
            self.engine,
            self.catalog,
            second_person=self.settings.template_second_person,
            most_segments=self.settings.max_sms_segments,
        )

    @cached_property
    def template_desk(self) -> TemplateDesk:
        return TemplateDesk(self.engine, most_segments=self.settings.max_sms_segments)

    @cached_property
    def template_rebuilding(self) -> TemplateRebuilding:
        return TemplateRebuilding(self.engine, self.templates)

    @cached_property
    def template_trials(self) -> TemplateTrials:
        region = self.settings.phone_region
        return TemplateTrials(self.engine, self.template_desk, self.messages, region=region)
