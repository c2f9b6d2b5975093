"""Which gateways are simulated, where they listen, and the settings that point Tocsin at them."""

from app.simulator.accounts import (
    apns,
    bandwidth,
    bird,
    fcm,
    messagebird,
    postal,
    sendgrid,
    ses,
    smtp,
    twilio,
)

HOST = "127.0.0.1"
# Each has the port after the one before it: what is added goes to the end.
ACCOUNTS = (
    postal.ACCOUNT,
    ses.ACCOUNT,
    sendgrid.ACCOUNT,
    fcm.ACCOUNT,
    apns.ACCOUNT,
    bandwidth.ACCOUNT,
    messagebird.ACCOUNT,
    bird.ACCOUNT,
    twilio.ACCOUNT,
    smtp.ACCOUNT,
)
GATEWAYS = tuple(account.name for account in ACCOUNTS)


def port_of(gateway: str, base: int) -> int:
    """Tell the port of one gateway; the base port itself is for control, status and SNS.

    Each gateway has a port of its own so that one of them can really be closed.
    """
    return base + 1 + GATEWAYS.index(gateway)


def origin(port: int) -> str:
    """Give the address of a port of the simulator."""
    return f"http://{HOST}:{port}"


def environment(port: int) -> dict[str, str]:
    """Give the variables that point Tocsin at a simulator whose base port is `port`."""
    variables = {"SIMULATED": "true"}
    for account in ACCOUNTS:
        variables |= account.variables(origin(port_of(account.name, port)), origin(port))
    return variables
