"""One libcurl handle: puts a request on it, reads the answer or the failure off it.

libcurl resends a request by itself when a kept-alive connection dies before the first byte of the
answer, POST or not, and a message would go out twice. It can do so only if it can rewind the body.
So bodies are handed over through a callback that cannot rewind: once a body has been taken, libcurl
has to fail instead. A connection that the server closed while it was idle is found out before that,
and the request, of which nothing has left, takes a new one.

Over HTTP/2 a server says by REFUSED_STREAM, or by GOAWAY with a lower number, that it has not processed
a request and never will; gateways that close connections now and then do so as a matter of course.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pycurl

from app.gateways.base import HttpFailure, HttpRequest, HttpResponse
from app.gateways.sockets import Sockets

MAX_BODY = 1024 * 1024
# Servers close idle connections after 20 s (Puma) to 75 s (nginx). A request that meets the closing
# half-way is one whose fate nobody knows, so a connection that has been idle for long is not used.
MAX_IDLE = timedelta(seconds=15)
LOOPBACK = "localhost,127.0.0.0/8,::1"
SAFE = frozenset({"GET", "HEAD"})
DIED = "The connection died before an answer came"
CUT_SHORT = "The connection ended inside the head of the answer"
REFUSED = "The server refused the stream before it processed the request"

# How libcurl fails when it wants to send a refused request again and cannot. Where a connection died it
# has other words, since it says what went wrong first: that holds from this version on.
_CANNOT_REWIND = "necessary data rewind was not possible"
_FIRST_THAT_TELLS = 0x081700  # 8.23.0
_TELLS_REFUSALS = pycurl.version_info()[2] >= _FIRST_THAT_TELLS
# A refused request is started again, but not longer than this after it was first.
_AGAIN_WITHIN = timedelta(milliseconds=500)


class Handle:
    """A handle that is used again and again, and the exchange that is on it.

    What is the same as in the last request is not set again.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "_form",
        "_head",
        "_headers",
        "_sockets",
        "_taken",
        "_timeouts",
        "_url",
        "again",
        "curl",
        "unsent",
    )

    def __init__(self, *, ca_file: str | None, sockets: Sockets) -> None:
        self.curl = curl = new_curl(ca_file)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        self.unsent = False
        self.again = False
        self._sockets = sockets
        self._url = ""
        self._form: tuple[str, bool, bool, bool] | None = None
        self._headers: Mapping[str, str] | None = None
        self._timeouts: tuple[timedelta, timedelta] | None = None
        self._body = b""
        self._taken = 0
        self._head: list[bytes] = []
        self._chunks: list[bytes] = []
        curl.setopt(pycurl.SOCKOPTFUNCTION, sockets.opened)
        curl.setopt(pycurl.PREREQFUNCTION, self._connected)
        curl.setopt(pycurl.READFUNCTION, self._take)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._chunks.append)

    def prepare(self, request: HttpRequest) -> None:
        """Put the request on the handle; raises ValueError or pycurl.error where it cannot be sent."""
        if request.url != self._url:
            self.curl.setopt(pycurl.URL, request.url)
            self._url = request.url
        form = (request.method, bool(request.body), request.http2, request.url.startswith("https:"))
        if form != self._form:
            self._form = None
            self._set_form(*form)
            self._form = form
        if request.headers != self._headers:
            self.curl.setopt(pycurl.HTTPHEADER, _header_lines(request.headers))
            self._headers = dict(request.headers)
        timeouts = (request.timeout, request.connect_timeout)
        if timeouts != self._timeouts:
            self.curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(request.timeout))
            self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, _milliseconds(request.connect_timeout))
            self._timeouts = timeouts
        self.curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        self._body = request.body

    def _set_form(self, method: str, body: bool, http2: bool, tls: bool) -> None:  # noqa: FBT001 — facts about one request, named where they are compared
        if not method.isalpha():
            raise ValueError("a method of other than letters")
        curl = self.curl
        curl.setopt(pycurl.HTTP_VERSION, _http_version(http2=http2, tls=tls))
        curl.setopt(pycurl.PIPEWAIT, http2)
        curl.unsetopt(pycurl.CUSTOMREQUEST)
        if method in SAFE and not body:
            curl.setopt(pycurl.HTTPGET, 1)
            curl.setopt(pycurl.NOBODY, method == "HEAD")
        else:
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        # Without a body nothing keeps libcurl from resending, but it never does so on a new connection.
        curl.setopt(pycurl.FRESH_CONNECT, not body and method not in SAFE)

    def _connected(self, _remote: str, _local: str, _remote_port: int, local_port: int) -> int:
        if self._form is not None:
            self.unsent = self._sockets.is_closed(local_port, multiplexed=self._form[2])
        return int(pycurl.PREREQFUNC_ABORT if self.unsent else pycurl.PREREQFUNC_OK)

    def take_new_connection(self) -> None:
        """Make a request that met a closed connection ready to take a new one, which is not looked at."""
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self._form = None
        self.unsent = False

    def was_refused(self, code: int, text: str) -> bool:
        """Tell whether an HTTP/2 server has said that it did not process the request.

        Over HTTP/1.1 a connection that died fails alike. Where nobody has seen what this one speaks,
        libcurl has made it for this request, and sends on those again only what was refused.
        """
        if not (_TELLS_REFUSALS and code == pycurl.E_SEND_FAIL_REWIND and text == _CANNOT_REWIND):
            return False
        _, _, http2, tls = self._form or ("", False, False, True)
        return http2 and (
            not tls
            or self.curl.getinfo(pycurl.NUM_CONNECTS) > 0
            or self._sockets.speaks_http2(self.curl.getinfo(pycurl.LOCAL_PORT))
        )

    def may_start_again(self) -> bool:
        """Tell whether a refused request may be started once more, so soon that nothing has changed."""
        return not self.again and self._elapsed() < _AGAIN_WITHIN

    def start_again(self) -> None:
        """Make a refused request ready for another connection, within what is left of its time."""
        if self._timeouts is not None:
            self.curl.setopt(pycurl.TIMEOUT_MS, _milliseconds(self._timeouts[0] - self._elapsed()))
            self._timeouts = None
        self.again = True
        self._taken = 0
        self._head.clear()
        self._chunks.clear()

    def _take(self, size: int) -> bytes:
        chunk = self._body[self._taken : self._taken + size]
        self._taken += len(chunk)
        return chunk

    def finish(self) -> HttpResponse | HttpFailure:
        """Read the answer off the handle, while it still knows its connection."""
        curl = self.curl
        self._sockets.kept(
            curl.getinfo(pycurl.LOCAL_PORT),
            curl.getinfo(pycurl.ACTIVESOCKET),
            http2=curl.getinfo(pycurl.INFO_HTTP_VERSION) == pycurl.CURL_HTTP_VERSION_2_0,
        )
        headers = _read_headers(self._head)
        if headers is None:
            return self.fail(pycurl.E_PARTIAL_FILE, CUT_SHORT)
        return HttpResponse(
            status=curl.getinfo(pycurl.RESPONSE_CODE),
            headers=headers,
            body=b"".join(self._chunks),
            elapsed=self._elapsed(),
        )

    def fail(self, code: int, text: str) -> HttpFailure:
        """Tell what libcurl says about the exchange that failed."""
        if self.was_refused(code, text):
            return HttpFailure(written=False, detail=REFUSED, elapsed=self._elapsed())
        return HttpFailure(
            written=self._written(),
            detail=DIED if code == pycurl.E_SEND_FAIL_REWIND else text,
            timed_out=code == pycurl.E_OPERATION_TIMEDOUT,
            elapsed=self._elapsed(),
        )

    def _written(self) -> bool:
        # libcurl takes the start of the body just before it writes the first byte of the head. The size
        # of the heads it wrote tells for requests without a body, and over all attempts.
        return self._taken > 0 or self.curl.getinfo(pycurl.REQUEST_SIZE) > 0

    def _elapsed(self) -> timedelta:
        return timedelta(microseconds=self.curl.getinfo(pycurl.TOTAL_TIME_T))

    def forget(self) -> None:
        """Drop what belongs to the exchange."""
        self.unsent = False
        self.again = False
        self._body = b""
        self._taken = 0
        self._head.clear()
        self._chunks.clear()


def new_curl(ca_file: str | None) -> pycurl.Curl:
    """Make a handle with all that is the same for every request."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.MAXAGE_CONN, int(MAX_IDLE.total_seconds()))
    curl.setopt(pycurl.MAXFILESIZE_LARGE, MAX_BODY)
    curl.setopt(pycurl.ACCEPT_ENCODING, "")
    curl.setopt(pycurl.USERAGENT, "tocsin")
    curl.setopt(pycurl.NOPROXY, _no_proxy(os.environ))
    if ca_file:
        curl.setopt(pycurl.CAINFO, ca_file)
    return curl


def _no_proxy(environment: Mapping[str, str]) -> str:
    asked = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return ",".join(filter(None, (asked, LOOPBACK))) if asked != "*" else "*"


def _http_version(*, http2: bool, tls: bool) -> int:
    if not http2:
        return int(pycurl.CURL_HTTP_VERSION_1_1)
    # Without TLS there is nothing to negotiate with: the server must be known to speak it.
    return int(pycurl.CURL_HTTP_VERSION_2TLS if tls else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)


def _header_lines(headers: Mapping[str, str]) -> list[bytes]:
    given = {name.lower() for name in headers}
    # libcurl adds these two of its own accord, unless they are named without a value.
    lines = [f"{name}:" for name in ("Expect", "Content-Type") if name.lower() not in given]
    lines += [f"{name}: {value}" if value else f"{name};" for name, value in headers.items()]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ValueError("a header with a line break")
    return [line.encode("latin-1") for line in lines]


def _read_headers(lines: Sequence[bytes]) -> dict[str, str] | None:
    """Read the last header block; None where its end is missing, which libcurl lets pass."""
    headers: dict[str, str] = {}
    complete = False
    for line in lines:
        if line.startswith(b"HTTP/"):
            # What came before was a 1xx answer, or a proxy's.
            headers.clear()
            complete = False
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        elif not name.strip():
            complete = True
    return headers if complete else None


def _milliseconds(duration: timedelta) -> int:
    # 0 would mean no limit at all.
    return max(1, duration // timedelta(milliseconds=1))
