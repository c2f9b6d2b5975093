"""An account at Amazon with one region, one configuration set and one SNS topic."""

from collections.abc import Mapping

from app.simulator.account import Account

AWS_REGION = "us-east-1"
AWS_ACCESS_KEY_ID = "TOCSINSIMULATOR"
AWS_SECRET_ACCESS_KEY = "simulated"  # noqa: S105 - opens nothing but the simulator
AWS_ACCOUNT = "000000000000"
CONFIGURATION_SET = "tocsin-simulator"
TOPIC_ARN = f"arn:aws:sns:{AWS_REGION}:{AWS_ACCOUNT}:tocsin-simulator"


def _variables(url: str, control: str) -> Mapping[str, str]:
    return {
        "AWS_REGION": AWS_REGION,
        "AWS_ACCESS_KEY_ID": AWS_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET_ACCESS_KEY,
        "AWS_ENDPOINT_URL_SESV2": url,
        "SES_CONFIGURATION_SET": CONFIGURATION_SET,
        "SES_SNS_TOPIC_ARNS": TOPIC_ARN,
        "SES_SNS_CERT_ORIGIN": control,
    }


ACCOUNT = Account(name="ses", double="app.simulator.vendors.ses:Ses", variables=_variables)
