"""A second factor: codes that a telephone makes out of the time (RFC 6238), and recovery codes on paper."""

import base64
import hashlib
import secrets
from datetime import datetime
from urllib.parse import quote

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from app.db.engine import unavailable_when_down
from app.db.tables import recovery_codes, users
from app.errors import Conflict, Invalid
from app.services.audit import Who, record

STEP = 30  # seconds
DIGITS = 6
RECOVERY_CODES = 10

_SECRET = 20  # bytes, as RFC 4226 wants them
_NONCE = 12
_ISSUER = "Tocsin"
# A clock may be half a minute off, either way.
_AROUND = (0, -1, 1)
_U = users.c


class SecondFactor:
    """Keeps secrets of second factors, sealed. Every method raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, key: str) -> None:
        self._engine = engine
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tocsin second factor")
        self._seal = AESGCM(derived.derive(key.encode()))

    def enrol(self, who: Who, user_id: int, secret: str, code: str, *, now: datetime) -> tuple[str, ...]:
        """Turn it on, once a code shows that the secret arrived; gives recovery codes, shown this once."""
        step = _step_of(_key(secret), code, now)
        if step is None:
            raise Invalid.of("code", "does not fit; is the clock of your telephone right?")
        fresh = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
        with unavailable_when_down(), self._engine.begin() as conn:
            changed = conn.execute(
                sa.update(users)
                .where(_U.id == user_id, _U.totp_secret.is_(None))
                .values(totp_secret=self._sealed(user_id, secret), last_totp_step=step)
            )
            if not changed.rowcount:
                raise Conflict("A second factor is on already.")
            conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
            rows = [{"user_id": user_id, "hash": _digest(each)} for each in fresh]
            conn.execute(sa.insert(recovery_codes), rows)
            record(conn, who, "user.second_factor_on", f"user {user_id}")
        return fresh

    def remove(self, who: Who, user_id: int, *, why: str | None = None) -> None:
        """Turn it off."""
        with unavailable_when_down(), self._engine.begin() as conn:
            conn.execute(
                sa.update(users).where(_U.id == user_id).values(totp_secret=None, last_totp_step=None)
            )
            conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
            record(conn, who, "user.second_factor_off", f"user {user_id}", why=why)

    def is_on(self, user_id: int) -> bool:
        """Tell whether somebody has one."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return conn.execute(sa.select(_U.totp_secret).where(_U.id == user_id)).scalar() is not None

    def accepts(self, user_id: int, code: str, *, now: datetime) -> bool:
        """Tell whether a code holds; each holds once."""
        written = "".join(code.split()).replace("-", "").lower()
        with unavailable_when_down(), self._engine.begin() as conn:
            sealed = conn.execute(sa.select(_U.totp_secret).where(_U.id == user_id)).scalar()
            if sealed is None:
                return False
            if len(written) == DIGITS and written.isascii() and written.isdigit():
                return self._takes_step(conn, user_id, _step_of(self._opened(user_id, sealed), written, now))
            return _takes_recovery(conn, user_id, written, now)

    def _takes_step(self, conn: sa.Connection, user_id: int, step: int | None) -> bool:
        if step is None:
            return False
        newer = sa.func.coalesce(_U.last_totp_step, 0) < step
        taken = conn.execute(sa.update(users).where(_U.id == user_id, newer).values(last_totp_step=step))
        return taken.rowcount > 0

    def _sealed(self, user_id: int, secret: str) -> str:
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._seal.encrypt(nonce, _key(secret), b"user %d" % user_id)
        return base64.b64encode(sealed).decode()

    def _opened(self, user_id: int, text: str) -> bytes:
        sealed = base64.b64decode(text)
        return self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], b"user %d" % user_id)


def new_secret() -> str:
    """Make a secret, in the letters that telephones take."""
    return base64.b32encode(secrets.token_bytes(_SECRET)).decode()


def address_of(secret: str, email: str) -> str:
    """Spell a secret as the address that a telephone's camera reads."""
    label = quote(f"{_ISSUER}:{email}")
    return f"otpauth://totp/{label}?secret={secret}&issuer={_ISSUER}&digits={DIGITS}&period={STEP}"


def code_at(secret: str, now: datetime) -> str:
    """Make the code that a telephone shows at that time."""
    return _totp(_key(secret)).generate(int(now.timestamp())).decode()


def _step_of(key: bytes, code: str, now: datetime) -> int | None:
    """Tell which step of the time a code is of; all are compared, so that none shows by its time."""
    totp = _totp(key)
    step = int(now.timestamp()) // STEP
    found = [
        near
        for near in (step + around for around in _AROUND)
        if secrets.compare_digest(totp.generate(near * STEP), code.encode())
    ]
    return found[0] if found else None


def _totp(key: bytes) -> TOTP:
    return TOTP(key, DIGITS, SHA1(), STEP)  # noqa: S303 - HMAC with SHA-1 is what every telephone speaks.


def _key(secret: str) -> bytes:
    return base64.b32decode(secret)


def _takes_recovery(conn: sa.Connection, user_id: int, written: str, now: datetime) -> bool:
    c = recovery_codes.c
    unused = sa.and_(c.user_id == user_id, c.hash == _digest(written), c.used_at.is_(None))
    return conn.execute(sa.update(recovery_codes).where(unused).values(used_at=now)).rowcount > 0


def _recovery_code() -> str:
    return secrets.token_hex(8)


def _digest(code: str) -> bytes:
    """Digest a recovery code. It has 64 random bits, so that nothing slow is needed."""
    return hashlib.sha256(code.encode()).digest()
