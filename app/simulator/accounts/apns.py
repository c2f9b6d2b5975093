"""A team at Apple with one key and one app, in one environment."""

from collections.abc import Mapping

from app.simulator.account import Account

TEAM = "TOCSINTEAM"
KEY_ID = "TOCSINKEY1"
TOPIC = "com.example.tocsin"

_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiLEbhlGblW7LMYwhhg3nxb7JJmZ0mIkMsRpWNxGolxehRANCAATq"
    "KgV2KjZjXucxLL5B8XBDMS4yFboGcROMKopWiJR9tfNYJZOMU5DB7cKGrmfWp1vIiIXg7ofxd1qQV09ide9a"
)
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{_KEY}\n-----END PRIVATE KEY-----\n"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    return {
        "APNS_TEAM_ID": TEAM,
        "APNS_KEY_ID": KEY_ID,
        # A line that any shell can hold.
        "APNS_KEY": PRIVATE_KEY.replace("\n", "\\n"),
        "APNS_TOPIC": TOPIC,
        "APNS_URL": url,
    }


ACCOUNT = Account(name="apns", double="app.simulator.vendors.apns:Apns", variables=_variables)
