"""A mail relay with one user, whose bounces come back to a domain of its own."""

from collections.abc import Mapping

from app.simulator.account import Account

SMTP_USERNAME = "simulator"
SMTP_PASSWORD = "simulated"  # noqa: S105 - opens nothing but the simulator
BOUNCE_DOMAIN = "bounces.simulator.example"
WEBHOOK_SECRET = "simulated"  # noqa: S105 - likewise


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "SMTP_URL": url.replace("http:", "smtp:", 1),
        "SMTP_USERNAME": SMTP_USERNAME,
        "SMTP_PASSWORD": SMTP_PASSWORD,
        "SMTP_TLS": "never",
        "SMTP_BOUNCE_DOMAIN": BOUNCE_DOMAIN,
        "SMTP_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    }


ACCOUNT = Account(name="smtp", double="app.simulator.vendors.smtp:Smtp", variables=_variables)
