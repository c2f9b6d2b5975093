"""Two hosts with workers, each in a network of its own; one is cut off in the middle of a batch."""

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import sqlalchemy as sa

from app.db.tables import claims
from app.domain.vocabulary import Priority
from app.simulator.environment import environment, port_of
from app.wake import BrokerWake
from tests.faults.counting import agree
from tests.faults.processes import family, workers
from tests.world import wait_for

OPEN = claims.c.state != "closed"


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Host:
    """A network namespace joined to ours by one cable."""

    def __init__(self, number):
        self.name = f"tocsin{os.getpid()}-{number}"
        self.cable = f"tc{os.getpid() % 100_000}-{number}"
        self.ours, self.theirs = f"10.213.{number}.1", f"10.213.{number}.2"

    def plug_in(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("address", "add", f"{self.ours}/30", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        ip("-n", self.name, "address", "add", f"{self.theirs}/30", "dev", "eth0")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def cut_off(self):
        ip("link", "set", self.cable, "down")

    def join_again(self):
        ip("link", "set", self.cable, "up")

    def remove(self):
        for arguments in (("link", "delete", self.cable), ("netns", "delete", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*arguments)


def _may_have_networks():
    probe = Host(9)
    try:
        probe.plug_in()
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.remove()
    return True


@pytest.fixture
def hosts():
    if not _may_have_networks():
        pytest.skip("network namespaces are not permitted here (needs root and CAP_NET_ADMIN)")
    hosts = [Host(1), Host(2)]
    try:
        for host in hosts:
            host.plug_in()
        yield hosts
    finally:
        for host in hosts:
            host.remove()


class Forwarder:
    """Lets a host reach one server of ours, which listens where that host cannot look."""

    def __init__(self, address, target):
        self._target = target
        self._listening = socket.create_server((address, 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                far.connect(self._target)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    # The other direction has nothing more to say either.
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@pytest.fixture
def variables_of(settings, gateways, valkey, postgres):
    """Tells how a host finds the servers."""
    forwarders = []

    def reach(host, target):
        forwarders.append(Forwarder(host.ours, target))
        return forwarders[-1].port

    def variables_of(host):
        database = urlsplit(settings.database_url)
        postgres_at = reach(host, str(Path(postgres.sockets) / ".s.PGSQL.5432"))
        redis_at = reach(host, str(valkey.socket))
        simulated = environment(gateways.base)
        for gateway in ("postal", "ses"):
            port = reach(host, ("127.0.0.1", port_of(gateway, gateways.base)))
            simulated = {
                name: value.replace(f"127.0.0.1:{port_of(gateway, gateways.base)}", f"{host.ours}:{port}")
                for name, value in simulated.items()
            }
        return {
            **simulated,
            "DATABASE_URL": f"postgresql+psycopg://{quote(database.username)}@{host.ours}:{postgres_at}{database.path}",
            "REDIS_URL": f"redis://{host.ours}:{redis_at}",
            "GATEWAY_CONCURRENCY": "8",
            "GATEWAY_TIMEOUT_SECONDS": "2",
            "P1__MIN_THREADS": "1",
            "P1__MAX_THREADS": "1",
            "P1__CLAIM_SIZE": "40",
        }

    yield variables_of
    for forwarder in forwarders:
        forwarder.close()


@contextlib.contextmanager
def workers_on(hosts, variables_of, folder):
    """Runs workers on each host; gives their processes."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                workers(
                    "alerts",
                    variables_of(host),
                    folder / host.name,
                    before=("ip", "netns", "exec", host.name),
                )
            )
            for host in hosts
        ]


def claiming(world, parent):
    """Tell which of a host's processes hold a claim."""
    query = sa.select(claims.c.worker).where(OPEN)
    return {int(row.worker.split(":")[1]) for row in world.all(query)} & set(family(parent.pid))


def let_lapse(world, processes):
    """End these processes' leases, as time would."""
    theirs = sa.cast(sa.func.split_part(claims.c.worker, ":", 2), sa.Integer).in_(processes)
    past = sa.func.now() - sa.text("interval '1 second'")
    long_past = sa.func.now() - sa.text("interval '1 hour'")
    world.execute(sa.update(claims).where(OPEN, theirs).values(lease_until=past, created_at=long_past))


def stop(parent):
    parent.terminate()
    assert parent.wait(timeout=60) == 0


def test_a_host_cut_off_in_the_middle_of_a_batch_loses_and_doubles_nothing_unmarked(
    world, settings, hosts, variables_of, tmp_path
):
    gateways = world.gateways
    gateways.slow_down(300)
    wake = BrokerWake(world.app.broker, settings.lanes, world.app.doorbell(settings.lanes[Priority.P0].lease))
    with workers_on(hosts, variables_of, tmp_path) as (first, second):
        messages = world.add("P1", 160)
        for _ in range(2):
            wake.lane(Priority.P1)

        def both_amid_a_claim():
            return claiming(world, first) and claiming(world, second) and gateways.accepted() > 24

        def all_sent():
            wake.release(Priority.P1)
            wake.lane(Priority.P1, sweep=True)
            return world.statuses(messages) == {"sent": 160}

        wait_for(both_amid_a_claim, within=60)
        hosts[0].cut_off()
        let_lapse(world, claiming(world, first))
        wait_for(all_sent, within=60)
        before = agree(world, messages)
        assert sum(before.values()) <= 160 + 8
        hosts[0].join_again()
        stop(first)
        after = agree(world, messages)
        assert world.statuses(messages) == {"sent": 160}
        # What was still in its cables may arrive now, and was marked long ago.
        assert sum(after.values()) <= 160 + 8
        stop(second)
