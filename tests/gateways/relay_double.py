"""A mail relay of raw sockets, scripted command by command, each connection in a thread of its own."""

import ipaddress
import socket
import ssl
import struct
import threading
from collections import deque
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GOOD = {
    "CONNECT": "220 relay.example.net ready",
    "EHLO": "250-relay.example.net\r\n250-SIZE 1000000\r\n250 HELP",
    "HELO": "250 relay.example.net",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 Ok: queued as 4F2A",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 bye",
}
PATIENCE = 20


class Cut(Exception):
    """Raised by a script to cut the connection there."""


class Relay:
    """Answers each command by `replies`: text, or a function of the conversation that gives text.

    `said` are all commands of all connections, mails included as "DOT"; `mails` the mails' bytes.
    """

    def __init__(self, replies, *, tls=None, implicit=False):
        self.replies = GOOD | replies
        self.tls, self.implicit = tls, implicit
        self.said, self.mails = [], []
        self.connections = 0
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'smtps' if implicit else 'smtp'}://127.0.0.1:{self.port}/tocsin.example.org"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        talk = Talk(self, sock)
        try:
            talk.run()
        except (OSError, Cut):
            pass
        finally:
            talk.sock.close()

    def stop(self):
        self.over.set()
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()


class Talk:
    def __init__(self, relay, sock):
        self.relay, self.sock = relay, sock
        self.unread = b""
        self.lines = deque()

    def line(self):
        while not self.lines:
            data = self.sock.recv(65536)
            if not data:
                raise Cut
            *lines, self.unread = (self.unread + data).split(b"\n")
            self.lines.extend(line + b"\n" for line in lines)
        return self.lines.popleft()

    def mute(self):
        """Say nothing until the test is over."""
        self.relay.over.wait(PATIENCE)
        raise Cut

    def cut(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Cut

    def close(self):
        raise Cut

    def answer(self, command):
        reply = self.relay.replies[command]
        text = reply(self) if callable(reply) else reply
        self.sock.sendall(text.encode() + b"\r\n")
        return text

    def run(self):
        if self.relay.implicit:
            self.sock = self.relay.tls.wrap_socket(self.sock, server_side=True)
        self.answer("CONNECT")
        while True:
            line = self.line()
            self.relay.said.append(line.decode().strip())
            command = line[:4].decode().upper()
            if command == "STAR":
                self.sock.sendall(b"220 go\r\n")
                self.sock = self.relay.tls.wrap_socket(self.sock, server_side=True)
                continue
            text = self.answer(command)
            if command == "DATA" and text.startswith("354"):
                self.take_mail()
            if command == "QUIT":
                return

    def take_mail(self):
        mail = []
        while (line := self.line()) != b".\r\n":
            mail.append(line.removeprefix(b"."))
        self.relay.mails.append(b"".join(mail))
        self.relay.said.append("DOT")
        self.answer("DOT")


def certificate(folder, host="127.0.0.1"):
    """Make a server's TLS context and the file with which a client trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)

    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(pem)
    (folder / "both.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context, str(folder / "ca.pem")
