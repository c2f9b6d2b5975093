"""A workspace at Bird with two SMS channels, and webhook subscriptions with one signing key."""

from collections.abc import Mapping

from app.simulator.account import Account

BIRD_ACCESS_KEY = "simulator"
BIRD_WORKSPACE_ID = "a1405560-c8d3-4b1a-877d-3f449ad95352"
BIRD_CHANNELS = {
    "+15550100100": "614208aa-b153-4d5d-9989-2fddfc0ce4c3",
    "TOCSIN": "72d2f5f7-9b87-4fc5-a55a-7f6e2f9a1c10",
}
# No secret: it proves nothing but that a webhook came from some simulator.
BIRD_SIGNING_KEY = "simulated-signing-key-of-bird"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "BIRD_URL": url,
        "BIRD_ACCESS_KEY": BIRD_ACCESS_KEY,
        "BIRD_WORKSPACE_ID": BIRD_WORKSPACE_ID,
        "BIRD_CHANNELS": ",".join(f"{sender}={channel}" for sender, channel in BIRD_CHANNELS.items()),
        "BIRD_SIGNING_KEYS": BIRD_SIGNING_KEY,
    }


ACCOUNT = Account(name="bird", double="app.simulator.vendors.bird:Bird", variables=_variables)
