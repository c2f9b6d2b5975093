"""An account at Twilio with its auth token and one API key."""

from collections.abc import Mapping

from app.simulator.account import Account

TWILIO_ACCOUNT_SID = "AC00000000000000000000000051a1a7ed"
TWILIO_AUTH_TOKEN = "simulated"  # noqa: S105 - opens nothing but the simulator
TWILIO_API_KEY = "SK00000000000000000000000051a1a7ed"
TWILIO_API_SECRET = "simulated-secret"  # noqa: S105 - likewise


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "TWILIO_URL": url,
        "TWILIO_ACCOUNT_SID": TWILIO_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": TWILIO_AUTH_TOKEN,
        "TWILIO_API_KEY": TWILIO_API_KEY,
        "TWILIO_API_SECRET": TWILIO_API_SECRET,
    }


ACCOUNT = Account(
    name="twilio",
    double="app.simulator.vendors.twilio:Twilio",
    variables=_variables,
    gateways=("twilio", "twilio_whatsapp", "twilio_voice"),
)
