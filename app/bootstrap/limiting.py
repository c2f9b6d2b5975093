"""How fast may be sent: the rates, paces and breakers that all processes share in Redis."""

from functools import cached_property

from app.bootstrap.gateways import Gateways
from app.limits.breaker import Breakers
from app.limits.paces import Paces
from app.limits.tokens import Tokens
from app.services.limit_watch import LimitWatch
from app.services.limits import LimitsService


class Limiting(Gateways):
    @cached_property
    def breakers(self) -> Breakers:
        return Breakers(self.redis)

    @cached_property
    def tokens(self) -> Tokens:
        reserve = self.settings.rate_reserve_percent / 100
        watch = LimitWatch(self.engine)
        return Tokens(
            self.redis, prefix=self.settings.rate_prefix, reserve=reserve, restored=True, told=watch.note
        )

    @cached_property
    def paces(self) -> Paces:
        return Paces(self.redis, prefix=self.settings.rate_prefix)

    @property
    def enforced_tokens(self) -> Tokens | None:
        """The rates that hold sending back; None where the settings switch limiting off."""
        return self.tokens if self.settings.rate_limiting_enabled else None

    @property
    def enforced_paces(self) -> Paces | None:
        """The paces that hold sending back; None where the settings switch limiting off."""
        return self.paces if self.settings.rate_limiting_enabled else None

    @cached_property
    def limits(self) -> LimitsService:
        return LimitsService(self.engine, self.catalog, self.enforced_tokens, self.enforced_paces)
