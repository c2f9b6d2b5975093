"""What we say to a mail relay once it has let us in: one mail for one recipient, without any I/O.

Until the dot that ends the mail has left us, the relay has taken nothing; `written` says whether it
may have left.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping

from app.gateways.base import MailReply, MailRequest

# One record of TLS: what is larger may have left in part when it cannot go on.
PIECE = 16 * 1024
LONGEST_LINE = 8 * 1024
MOST_LINES = 100
CLOSING = 421
GO_AHEAD = 354
GOOD = range(200, 300)

_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([- ])(.*))?", re.DOTALL)
_OFFER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)[ =]?(.*)")
_ADDRESS = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
_END = b".\r\n"


class Garbled(Exception):
    """The relay says what is no reply, or too much, or what nobody asked for."""


class Conversation:
    """One mail's way through MAIL, RCPT and DATA.

    Raises ValueError where the mail cannot be put on the wire as it is. Used by: `begin` on each
    connection that is tried, then `to_send`, `sent` and `heard` until there is a `reply`.
    """

    def __init__(self, request: MailRequest) -> None:
        self._sender = _address(request.mail_from) if request.mail_from else ""
        self._recipient = _address(request.recipient)
        self._size = len(request.body)
        self._content = _transparent(request.body) + _END
        self._rest()

    def _rest(self) -> None:
        self._to_say: deque[tuple[str, bytes]] = deque()
        self._awaited: deque[str] = deque()
        self._out = memoryview(b"")
        self._unread = b""
        self._lines: list[bytes] = []
        self._pipelining = False
        self.answered = False
        self.written = False
        self.reply: MailReply | None = None

    def begin(self, offers: Mapping[str, str], *, reset: bool) -> None:
        """Start from the beginning on a connection whose relay `offers` this; `reset` an earlier mail."""
        self._rest()
        self._pipelining = "PIPELINING" in offers
        size = f" SIZE={self._size}" if "SIZE" in offers else ""
        # What comes back need not bring the whole mail along.
        returned = " RET=HDRS" if "DSN" in offers else ""
        if reset:
            self._to_say.append(("RSET", b"RSET\r\n"))
        self._to_say.append(("MAIL", f"MAIL FROM:<{self._sender}>{size}{returned}\r\n".encode()))
        self._to_say.append(("RCPT", f"RCPT TO:<{self._recipient}>\r\n".encode()))
        self._say()

    @property
    def pending(self) -> bool:
        """Tell whether there is something to send."""
        return len(self._out) > 0

    @property
    def usable(self) -> bool:
        """Tell whether the connection can carry another mail afterwards."""
        over = self.reply is not None and self.reply.status != CLOSING
        return over and not (self._awaited or self._out or self._unread)

    @property
    def needs_reset(self) -> bool:
        """Tell whether the relay still waits for the rest of this mail."""
        return self.reply is not None and self.reply.command != "DOT"

    def to_send(self) -> memoryview:
        """Give the next bytes, at most one record's worth; from here on they may have left."""
        piece = self._out[:PIECE]
        self.written = self.written or (self._awaited[-1] == "DOT" and len(piece) == len(self._out))
        return piece

    def sent(self, count: int) -> None:
        """Take note that so many of the bytes are gone."""
        self._out = self._out[count:]

    def heard(self, data: bytes) -> None:
        """Listen; raises Garbled for what is no SMTP."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        if len(self._unread) > LONGEST_LINE:
            raise Garbled
        for number, line in enumerate(lines):
            self._hear(line.removesuffix(b"\r"))
            if self.reply is not None:
                # Whatever follows belongs to no mail any more; left unread it keeps others off.
                self._unread = b"\n".join([*lines[number + 1 :], self._unread])
                return

    def _hear(self, line: bytes) -> None:
        code, more, text = _split(line)
        self._lines.append(text)
        if len(self._lines) > MOST_LINES:
            raise Garbled
        if not more:
            self._understand(code, b"\n".join(self._lines))
            self._lines = []

    def _understand(self, code: int, text: bytes) -> None:
        self.answered = True
        command = self._awaited.popleft() if self._awaited else "MAIL"
        if command == "DOT" and not self.written:
            # It has heard enough before the end: that cannot be taken for a yes.
            command = "DATA"
        if command == "DATA" and code == GO_AHEAD and not self._out:
            self._out = memoryview(self._content)
            self._awaited.append("DOT")
        elif command in {"RSET", "MAIL", "RCPT"} and code in GOOD:
            self._say()
        elif command != "DOT" and code < 400:  # noqa: PLR2004 — neither a refusal nor what was asked for.
            raise Garbled
        else:
            self.reply = MailReply(status=code, body=text, command="MAIL" if command == "RSET" else command)

    def _say(self) -> None:
        """Say the next command, or all up to DATA at once to a relay that can take them so."""
        if self._awaited:
            return
        if not self._to_say:
            self._to_say.append(("DATA", b"DATA\r\n"))
        said = list(self._to_say) if self._pipelining else [self._to_say[0]]
        for _ in said:
            self._to_say.popleft()
        self._awaited.extend(command for command, _ in said)
        self._out = memoryview(b"".join(line for _, line in said))


def offers_of(lines: Iterable[bytes]) -> dict[str, str]:
    """Read what the last EHLO's reply offers, by keyword in capitals; `lines` are all that came so far."""
    offers: dict[str, str] = {}
    before = b" "
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        first, before = before == b" ", line[3:4] or b" "
        if first:
            # A reply of several lines begins; its first line is the relay's name.
            offers = {} if before == b"-" else offers
        elif line.startswith(b"250") and (found := _OFFER.fullmatch(line[4:].decode("latin-1"))):
            offers[found[1].upper()] = found[2]
    return offers


def _split(line: bytes) -> tuple[int, bool, bytes]:
    found = _REPLY.fullmatch(line)
    if found is None or len(line) > LONGEST_LINE:
        raise Garbled
    return int(found[1]), found[2] == b"-", found[3] or b""


def _address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an address that cannot be spelled in SMTP")
    return address


def _transparent(body: bytes) -> bytes:
    """Double the dots that begin lines; refuse line ends by which relays could be told two mails."""
    ends = body.count(b"\r\n")
    if not body.endswith(b"\r\n") or body.count(b"\n") != ends or body.count(b"\r") != ends or b"\0" in body:
        raise ValueError("a mail whose lines do not end with CRLF")
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
