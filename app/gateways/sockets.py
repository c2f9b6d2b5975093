"""What is known of the sockets under libcurl's connections."""

import select

import pycurl

# multi.select() cannot see descriptors from 1024 on; the margin is for those of libcurl's own.
LAST_VISIBLE = 1000
SPOKEN_OR_CLOSED = select.POLLIN | select.POLLRDHUP


class Sockets:
    """Tells which kept connection its server has closed meanwhile, by the connection's local port.

    libcurl looks at most once a second, and what is sent into a closed connection has an unknown fate.
    """

    def __init__(self) -> None:
        self.beyond_select = False
        self._ports: dict[int, int] = {}
        self._probes: dict[int, select.poll] = {}
        self._http2: set[int] = set()

    def opened(self, descriptor: int, _purpose: int) -> int:
        """Take note of a new socket, as libcurl's SOCKOPTFUNCTION."""
        self.beyond_select = self.beyond_select or descriptor > LAST_VISIBLE
        return int(pycurl.SOCKOPT_OK)

    def kept(self, port: int, descriptor: int, *, http2: bool = False) -> None:
        """Take note that a connection stays open after its answer, and whether that was by HTTP/2."""
        if http2:
            self._http2.add(port)
        else:
            self._http2.discard(port)
        if descriptor < 0 or self._ports.get(descriptor) == port:
            return
        self._probes.pop(self._ports.get(descriptor, 0), None)
        self._ports[descriptor] = port
        self._probes[port] = probe = select.poll()
        probe.register(descriptor, SPOKEN_OR_CLOSED)

    def speaks_http2(self, port: int) -> bool:
        """Tell whether the last answer on a connection was by HTTP/2."""
        return port in self._http2

    def is_closed(self, port: int, *, multiplexed: bool) -> bool:
        """Tell whether a server has closed its side, or said on an idle connection what nobody asked for.

        On a multiplexed connection servers speak unasked, and libcurl listens to them itself.
        """
        probe = self._probes.get(port)
        seen = [events for _, events in probe.poll(0)] if probe else []
        return bool(seen) and not (multiplexed and seen[0] == select.POLLIN)
