"""A Postal server with one credential."""

from collections.abc import Mapping

from app.simulator.account import Account

POSTAL_API_KEY = "simulator"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {"POSTAL_URL": url, "POSTAL_API_KEY": POSTAL_API_KEY}


ACCOUNT = Account(name="postal", double="app.simulator.vendors.postal:Postal", variables=_variables)
