"""A Firebase project with one service account, and an app that reports what it received."""

import json
from collections.abc import Mapping

from app.simulator.account import Account

PROJECT = "tocsin-simulator"
EMAIL = f"tocsin@{PROJECT}.iam.gserviceaccount.com"
KEY_ID = "51a7e0"
REPORT_SECRET = "simulated-reports"  # noqa: S105 - opens nothing but the simulator

# RSA of 1024 bits, since signing with it proves nothing: everybody has this key.
_KEY = (
    "MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAOvU++aJELzXToBY+6MvOLUnV07BHNBShxBbieYl83aeCDcrdTOR"
    "XiyObaWJetOo87oGvgIcjdJe/zyu1A6ovNKN5vNIhvTtKdQPjbnTCGwP7kpQ5kndcyqlRLBhSGQMzpXj0eXH8j6uJu3sUlOTKZ+P"
    "2ZLxyyAQ5rVzvbi17Nr7AgMBAAECgYEApYLN46bwm0gUbRmGSam7h8/7g2cevMoexokoB+E8tFQG+glC8RUl3el75IDPNjtOCpHu"
    "ynaVxj4rrcAZTcx474fdPh+8CqXatOGkaeMwueJzxI4zWZtJnvAA6ITzoJju4ebAB7ev/OT6DBZgqX+Lo3FJI5pH/6DXyn1nTJJG"
    "WakCQQD9n5lhru2tlFV+hXe8sxdXXqAusS6G/JOw9Cpt8NFLJPI/yH7a8y+uJl7ftc5I9YH8n2r44pi4mzRf2LW1FS1/AkEA7gq0"
    "v0lhNZdh96c7Vo3Oko9HztfUiuGCAyMesyO2pEzed842ZiCAGQPrkUvjqD+ewh2xch4RHGvKKVRpbB/IhQJATmCtCNgDUXoetZvP"
    "dfwugWyXufY9d6/EgJHkLteWBk/joTx3n3g5yurGtQG9PyTHx+cIKuPz6FDmbZxOAykJRwJBAObsOeXrsMMFhYNzlyvjS4eAOeAe"
    "HtFP7QlQE6MjPTZsX9EHmlw+oSYjWG5OmZ6JgWC833xeUKkqpCat/ctnleUCQQDL9sqA0fLHVqbq/Abj0UmnCQ+Lc13C7rNzplUa"
    "+rckH5HUGmzkNU9KnK/IeDcZAYSQuWrzlfdC45/nfJ7k4hEX"
)
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{_KEY}\n-----END PRIVATE KEY-----\n"


def _variables(url: str, _control: str) -> Mapping[str, str]:
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": PRIVATE_KEY,
        "client_email": EMAIL,
        "token_uri": f"{url}/token",
    }
    return {
        "FCM_SERVICE_ACCOUNT": json.dumps(account),
        "FCM_URL": url,
        "FCM_TOKEN_URL": f"{url}/token",
        "FCM_TOPICS_URL": url,
        "FIREBASE_WEBHOOK_SECRETS": REPORT_SECRET,
    }


ACCOUNT = Account(name="fcm", double="app.simulator.vendors.fcm:Fcm", variables=_variables)
