"""Connections to mail relays: libcurl makes them, and what is said on them does not wait for anybody.

libcurl's own way to send a mail stands still, and all other exchanges of its thread with it, until the
relay has answered the end of the mail. So libcurl only connects, encrypts and logs in, and hands the
connection over; the conversation about each mail is held here, many at a time.
"""

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pycurl

from app.gateways.base import HttpFailure, MailReply, MailRequest, Tls
from app.gateways.conversation import CLOSING, Conversation, Garbled, offers_of
from app.gateways.relay_line import Key, Line, bounded, has_ended, key_of
from app.gateways.sockets import Sockets

# A connection that has been idle for longer is closed; relays drop theirs without much notice.
MAX_IDLE = 15.0  # seconds
READ = 64 * 1024
LOST = "The relay closed the connection before it answered"
GARBLED = "What the relay says is not SMTP"
TOO_LATE = "The relay did not answer in time"

Ended = tuple[Any, MailReply | HttpFailure]
# What libcurl fails with because of what the relay has said, and not because it said nothing.
_REFUSED = frozenset(
    {
        pycurl.E_FTP_WEIRD_SERVER_REPLY,
        pycurl.E_REMOTE_ACCESS_DENIED,
        pycurl.E_LOGIN_DENIED,
        pycurl.E_USE_SSL_FAILED,
    }
)
_USE_SSL = {
    Tls.REQUIRED: pycurl.USESSL_ALL,
    Tls.OFFERED: pycurl.USESSL_TRY,
    Tls.NEVER: pycurl.USESSL_NONE,
}


@dataclass(slots=True, eq=False)
class _Job:
    """One mail on its way; `began` is on the monotonic clock."""

    tag: Any
    request: MailRequest
    conversation: Conversation
    began: float
    greeting: list[bytes] = field(default_factory=list)

    @property
    def deadline(self) -> float:
        return self.began + self.request.timeout.total_seconds()

    @property
    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.began)


class Relays:
    """The mails of one transport. At most `places` connections are open at a time, idle ones included."""

    def __init__(
        self, multi: pycurl.CurlMulti, sockets: Sockets, *, places: int, make: Callable[[], pycurl.Curl]
    ) -> None:
        self._multi = multi
        self._sockets = sockets
        self._places = places
        self._make = make
        self._connecting: dict[pycurl.Curl, _Job] = {}
        self._talking: dict[int, tuple[_Job, Line]] = {}
        self._poll = select.poll()
        self._idle: list[Line] = []
        self._ended: list[Ended] = []

    @property
    def busy(self) -> int:
        """How many mails are on their way."""
        return len(self._connecting) + len(self._talking)

    def start(self, tag: object, request: MailRequest) -> None:
        """Begin with a mail; raises ValueError or pycurl.error where it cannot be sent."""
        job = _Job(tag=tag, request=request, conversation=Conversation(request), began=time.monotonic())
        line = self._idle_line(key_of(request))
        if line is None:
            self._connect(job)
        else:
            self._converse(job, line)

    def owns(self, curl: pycurl.Curl) -> bool:
        """Tell whether it is a mail's connection that libcurl has finished with."""
        return curl in self._connecting

    def connected(self, curl: pycurl.Curl) -> None:
        """Go on with a connection on which the relay has let us in."""
        job = self._connecting.pop(curl)
        line = Line(
            key=key_of(job.request),
            curl=curl,
            socket=curl.getinfo(pycurl.ACTIVESOCKET),
            offers=offers_of(job.greeting),
        )
        self._converse(job, line)

    def failed(self, curl: pycurl.Curl, code: int, text: str) -> None:
        """End a mail whose relay has not let us in: by its own reply where it has given one."""
        job = self._connecting.pop(curl)
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        self._discard(curl)
        if code in _REFUSED and status >= 400 and job.greeting:  # noqa: PLR2004 — SMTP's noes begin there.
            command = "AUTH" if code == pycurl.E_LOGIN_DENIED else "EHLO"
            said = job.greeting[-1].strip()[4:]
            self._end(job, MailReply(status=status, body=said, command=command))
        else:
            timed_out = code == pycurl.E_OPERATION_TIMEDOUT
            self._end(
                job, HttpFailure(written=False, detail=text or "Connecting failed", timed_out=timed_out)
            )

    def perform(self) -> list[Ended]:
        """Say and hear what can be said and heard now; give the mails that have ended."""
        for socket, _ in self._poll.poll(0) if self._talking else ():
            self._advance(*self._talking[socket])
        now = time.monotonic()
        for job, line in list(self._talking.values()):
            if now >= job.deadline:
                self._hang_up(job, line, TOO_LATE, timed_out=True)
        ended, self._ended = self._ended, []
        return ended

    def wait(self, longest: float) -> None:
        """Wait until one of these connections or of libcurl's own can go on, `longest` seconds at most."""
        due = min((job.deadline for job, _ in self._talking.values()), default=float("inf"))
        milliseconds = max(0.0, min(longest, due - time.monotonic())) * 1000
        reading, writing, _ = self._multi.fdset()
        poll = self._poll
        if reading or writing:
            poll = select.poll()
            for job, line in self._talking.values():
                poll.register(line.socket, _interest(job))
            for socket in {*reading, *writing}:
                poll.register(
                    socket,
                    (select.POLLIN if socket in reading else 0)
                    | (select.POLLOUT if socket in writing else 0),
                )
        # Rounded up, lest the last millisecond is spent on asking again and again.
        poll.poll(int(milliseconds) + 1)

    def abort(self) -> None:
        """Drop all mails that are on their way; connections that are idle stay."""
        for curl in list(self._connecting):
            del self._connecting[curl]
            self._discard(curl)
        for _, line in list(self._talking.values()):
            self._close(line)
        self._ended.clear()

    def close(self) -> None:
        self.abort()
        for line in self._idle:
            self._discard(line.curl)
        self._idle.clear()

    def _connect(self, job: _Job) -> None:
        request = job.request
        curl = self._make()
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_SMTP | pycurl.PROTO_SMTPS)
        curl.setopt(pycurl.CONNECT_ONLY, 1)
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.USE_SSL, _USE_SSL[request.tls])
        curl.setopt(pycurl.SASL_IR, 1)
        if request.username is not None:
            curl.setopt(pycurl.USERNAME, request.username)
            curl.setopt(pycurl.PASSWORD, request.password or "")
        left = max(1, int((job.deadline - time.monotonic()) * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, left)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, min(left, request.connect_timeout // timedelta(milliseconds=1)))
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._sockets.opened)
        curl.setopt(pycurl.HEADERFUNCTION, bounded(job.greeting))
        job.greeting.clear()
        self._connecting[curl] = job
        self._multi.add_handle(curl)

    def _converse(self, job: _Job, line: Line) -> None:
        job.conversation.begin(line.offers, reset=line.needs_reset)
        self._talking[line.socket] = (job, line)
        self._poll.register(line.socket, select.POLLIN)
        self._advance(job, line)

    def _advance(self, job: _Job, line: Line) -> None:
        try:
            self._exchange(job.conversation, line.curl)
        except BlockingIOError:
            self._poll.modify(line.socket, _interest(job))
            return
        except Garbled:
            self._hang_up(job, line, GARBLED)
            return
        except (ConnectionError, pycurl.error):
            if line.used and not job.conversation.answered:
                self._begin_anew(job, line)
            else:
                self._hang_up(job, line, LOST)
            return
        reply = job.conversation.reply
        if reply is not None:
            self._conclude(job, line, reply)

    def _exchange(self, conversation: Conversation, curl: pycurl.Curl) -> None:
        """Go on until there is a reply; BlockingIOError where the relay is to be waited for."""
        while conversation.reply is None:
            blocked = False
            while conversation.pending and not blocked:
                try:
                    conversation.sent(curl.send(conversation.to_send()))
                except BlockingIOError:
                    # It may want to say something before it listens again.
                    blocked = True
            data = curl.recv(READ)
            if not data:
                raise ConnectionError
            conversation.heard(data)

    def _conclude(self, job: _Job, line: Line, reply: MailReply) -> None:
        if reply.status == CLOSING and line.used and reply.command == "MAIL":
            # It only wanted the connection closed, for its age or for what it has carried.
            self._begin_anew(job, line)
            return
        if job.conversation.usable:
            self._rest(line, needs_reset=job.conversation.needs_reset)
        else:
            self._close(line)
        self._end(job, reply)

    def _begin_anew(self, job: _Job, line: Line) -> None:
        """Take a new connection for a mail of which the relay cannot have heard."""
        self._close(line)
        self._connect(job)

    def _hang_up(self, job: _Job, line: Line, detail: str, *, timed_out: bool = False) -> None:
        written = job.conversation.written
        self._close(line)
        self._end(job, HttpFailure(written=written, detail=detail, timed_out=timed_out))

    def _end(self, job: _Job, result: MailReply | HttpFailure) -> None:
        self._ended.append((job.tag, replace(result, elapsed=job.elapsed)))

    def _rest(self, line: Line, *, needs_reset: bool) -> None:
        self._leave(line)
        line.used, line.needs_reset, line.idle_since = True, needs_reset, time.monotonic()
        self._idle.append(line)

    def _idle_line(self, key: Key) -> Line | None:
        """Find a connection to the same relay that is still good; close what is not."""
        now = time.monotonic()
        fresh = [line for line in self._idle if now - line.idle_since < MAX_IDLE and not has_ended(line)]
        found = next((line for line in reversed(fresh) if line.key == key), None)
        kept = [line for line in fresh if line is not found]
        if found is None:
            kept = kept[max(0, self.busy + len(kept) + 1 - self._places) :]
        for line in self._idle:
            if line not in kept and line is not found:
                self._discard(line.curl)
        self._idle = kept
        return found

    def _leave(self, line: Line) -> None:
        del self._talking[line.socket]
        self._poll.unregister(line.socket)

    def _close(self, line: Line) -> None:
        self._leave(line)
        self._discard(line.curl)

    def _discard(self, curl: pycurl.Curl) -> None:
        self._multi.remove_handle(curl)
        curl.close()


def _interest(job: _Job) -> int:
    return select.POLLIN | (select.POLLOUT if job.conversation.pending else 0)
