"""Where the simulator listens, and the made-up credentials that it takes."""

HOST = "127.0.0.1"
GATEWAYS = ("postal", "ses")

POSTAL_API_KEY = "simulator"
AWS_REGION = "us-east-1"
AWS_ACCESS_KEY_ID = "TOCSINSIMULATOR"
AWS_SECRET_ACCESS_KEY = "simulated"  # noqa: S105 - opens nothing but the simulator
AWS_ACCOUNT = "000000000000"
CONFIGURATION_SET = "tocsin-simulator"
TOPIC_ARN = f"arn:aws:sns:{AWS_REGION}:{AWS_ACCOUNT}:tocsin-simulator"


def port_of(gateway: str, base: int) -> int:
    """Tell the port of one gateway; the base port itself is for control, status and SNS.

    Each gateway has a port of its own so that one of them can really be closed.
    """
    return base + 1 + GATEWAYS.index(gateway)


def environment(port: int) -> dict[str, str]:
    """Give the variables that point Tocsin at a simulator whose base port is `port`."""
    return {
        "SIMULATED": "true",
        "POSTAL_URL": f"http://{HOST}:{port_of('postal', port)}",
        "POSTAL_API_KEY": POSTAL_API_KEY,
        "AWS_REGION": AWS_REGION,
        "AWS_ACCESS_KEY_ID": AWS_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET_ACCESS_KEY,
        "AWS_ENDPOINT_URL_SESV2": f"http://{HOST}:{port_of('ses', port)}",
        "SES_CONFIGURATION_SET": CONFIGURATION_SET,
        "SES_SNS_TOPIC_ARNS": TOPIC_ARN,
        "SES_SNS_CERT_ORIGIN": f"http://{HOST}:{port}",
    }
