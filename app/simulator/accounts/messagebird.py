"""An account at MessageBird with one access key and one signing key."""

from collections.abc import Mapping

from app.simulator.account import Account

MESSAGEBIRD_ACCESS_KEY = "simulator"
# No secret: it proves nothing but that a webhook came from some simulator.
MESSAGEBIRD_SIGNING_KEY = "simulated-signing-key-of-messagebird"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "MESSAGEBIRD_URL": url,
        "MESSAGEBIRD_ACCESS_KEY": MESSAGEBIRD_ACCESS_KEY,
        "MESSAGEBIRD_SIGNING_KEYS": MESSAGEBIRD_SIGNING_KEY,
    }


ACCOUNT = Account(
    name="messagebird", double="app.simulator.vendors.messagebird:MessageBird", variables=_variables
)
