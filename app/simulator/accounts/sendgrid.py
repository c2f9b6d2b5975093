"""An account at SendGrid with one API key and a signed event webhook."""

from collections.abc import Mapping

from app.simulator.account import Account

SENDGRID_API_KEY = "SG.simulator"
IP_POOLS = ("emergency", "alerts", "newsletters", "campaigns", "transactional")
# The key pair is no secret: it proves nothing but that a webhook came from some simulator.
SIGNING_NUMBER = 0xFB962397D3AA3103DF660CD9A0BFC52F9707ABB7832366E3C73428A990B0E41E
VERIFICATION_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEyYcf0kEPcSBb0V/ZCEC5KhPHCSwgMGs8y0GE1J7ANPP8/e2fHJn6SOZMcuBjNi47Lqyiz"
    "M+3eyLkxPafX9dQg=="
)


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "SENDGRID_URL": url,
        "SENDGRID_API_KEY": SENDGRID_API_KEY,
        "SENDGRID_WEBHOOK_PUBLIC_KEYS": VERIFICATION_KEY,
        "SENDGRID_IP_POOLS": ",".join(IP_POOLS),
    }


ACCOUNT = Account(name="sendgrid", double="app.simulator.vendors.sendgrid:SendGrid", variables=_variables)
