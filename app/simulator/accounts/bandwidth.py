"""An account at Bandwidth with one messaging application, and credentials for its callbacks."""

from collections.abc import Mapping

from app.simulator.account import Account

BANDWIDTH_ACCOUNT_ID = "9900000"
BANDWIDTH_APPLICATION_ID = "93de2206-9669-4e07-948d-329f4b722ee2"
BANDWIDTH_USERNAME = "simulator"
BANDWIDTH_PASSWORD = "simulated"  # noqa: S105 - opens nothing but the simulator
CALLBACK_CREDENTIALS = "bandwidth:simulated"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "BANDWIDTH_URL": url,
        "BANDWIDTH_ACCOUNT_ID": BANDWIDTH_ACCOUNT_ID,
        "BANDWIDTH_APPLICATION_ID": BANDWIDTH_APPLICATION_ID,
        "BANDWIDTH_USERNAME": BANDWIDTH_USERNAME,
        "BANDWIDTH_PASSWORD": BANDWIDTH_PASSWORD,
        "BANDWIDTH_WEBHOOK_CREDENTIALS": CALLBACK_CREDENTIALS,
    }


ACCOUNT = Account(name="bandwidth", double="app.simulator.vendors.bandwidth:Bandwidth", variables=_variables)
