"""What `tocsin up` has to run, decided from the settings before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.embedded import ports
from app.embedded.servers import Wanted
from app.gateways.registry import gateways
from app.settings import Settings
from app.simulator.environment import GATEWAYS, environment, port_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Servers, commands in the order of their start, ports, and what the commands are told."""

    wanted: Wanted
    commands: tuple[str, ...]
    host: str
    port: int
    webhook_port: int | None
    simulator_port: int | None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def web_url(self) -> str:
        """Where the web process is reached from this machine."""
        return f"http://{host_to_reach(self.host)}:{self.port}"

    @property
    def webhook_url(self) -> str:
        """Where gateways on this machine tell what became of messages."""
        return f"http://{host_to_reach(self.host)}:{self.webhook_port or self.port}"

    @property
    def simulator_url(self) -> str | None:
        return f"http://127.0.0.1:{self.simulator_port}" if self.simulator_port else None

    def check_ports(self) -> None:
        """Raise ConfigurationError where a port that is going to be used cannot be had."""
        ports.check_free(self.host, self.port, "PORT")
        if self.webhook_port:
            ports.check_free(self.host, self.webhook_port, "WEBHOOK_PORT")
        if self.simulator_port:
            own = (port_of(gateway, self.simulator_port) for gateway in GATEWAYS)
            for port in (self.simulator_port, *own):
                ports.check_free("127.0.0.1", port, "SIMULATOR_PORT")


def host_to_reach(host: str) -> str:
    """Tell where this machine reaches what listens on that host."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - Only compared.


def decide(settings: Settings) -> Plan:
    """Decide what runs. Without a gateway and with a database of our own, gateways are simulated."""
    simulated = settings.database_url is None and not has_gateway(settings)
    return Plan(
        wanted=Wanted(postgres=settings.database_url is None, valkey=settings.redis_url is None),
        # They stop in the opposite order, so the workers can finish while all else still runs.
        commands=(
            *(("simulate",) if simulated else ()),
            "scheduler",
            *(("webhooks",) if settings.webhook_port else ()),
            "web",
            "workers",
        ),
        host=settings.host,
        port=settings.port,
        webhook_port=settings.webhook_port,
        simulator_port=settings.simulator_port if simulated else None,
        environment=environment(settings.simulator_port) if simulated else {},
    )


def has_gateway(settings: Settings) -> bool:
    """Tell whether somebody configured a real gateway; raises ConfigurationError for half of one.

    Credentials of AWS alone are none: many machines have them for other work, and a first try of Tocsin
    must not send its examples to the world.
    """
    return settings.ses_configuration_set is not None or bool(gateways(settings).keys() - {"ses"})
