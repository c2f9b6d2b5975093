"""Who may come in, programs by key and people by signing in, and the record of what they did."""

from datetime import timedelta
from functools import cached_property

from app.bootstrap.servers import Servers
from app.services.audit_reading import AuditService
from app.services.console_key import console_key
from app.services.keys import Authenticator
from app.services.openid import OpenId, openid_provider
from app.services.second_factor import SecondFactor
from app.services.sessions import Limits, Sessions
from app.services.signing_in import SignIn


class Access(Servers):
    @cached_property
    def authenticator(self) -> Authenticator:
        return Authenticator(self.engine)

    @cached_property
    def console_key(self) -> str:
        return console_key(self.engine, self.settings)

    @cached_property
    def sessions(self) -> Sessions:
        idle = timedelta(hours=self.settings.session_idle_hours)
        return Sessions(self.engine, Limits(idle=idle, whole=timedelta(hours=self.settings.session_hours)))

    @cached_property
    def second_factor(self) -> SecondFactor:
        return SecondFactor(self.engine, self.console_key)

    @cached_property
    def openid(self) -> OpenId | None:
        provider = openid_provider(self.settings)
        return None if provider is None else OpenId(provider)

    @cached_property
    def sign_in(self) -> SignIn:
        return SignIn(self.engine, self.second_factor)

    @cached_property
    def audit(self) -> AuditService:
        return AuditService(self.engine)
