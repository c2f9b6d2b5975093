"""Whether the doors are shut: secrets, keys, people, rights, encryption."""

import stat
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import SecretStr

from app.db.tables import api_clients, api_keys, users
from app.domain.callers import SCOPES
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.network import is_loopback, is_simulated
from app.settings import PROJECT, Settings

SUBJECT = "security"

SHORTEST_SECRET = 16
UNUSED_FOR = timedelta(days=90)
# Whoever holds one of these can stop everything, or let others in.
POWERFUL = frozenset({"admin", "emergency:use", "messages:p0"})
# The key of this machine's own commands is in a file that only its owner reads.
MACHINES_OWN = ("local", "machine")
MOST_KEYS = 500
ADMIN = "admin"

_COMMON = frozenset(
    {"secret", "password", "changeme", "change-me", "test", "admin", "default", "example", "tocsin"}
)
# Secrets that we choose; those of vendors are as long as the vendor makes them.
_OURS = ("smtp_webhook_secrets", "firebase_webhook_secrets", "bandwidth_webhook_credentials")

_finding = partial(Finding, subject=SUBJECT)


def secrets(scene: Scene) -> Iterator[Finding]:
    """Look for secrets that can be guessed."""
    if is_simulated(scene):
        return
    for name, value in _secrets(scene.settings):
        plain = value.get_secret_value()
        secret = plain.partition(":")[2] or plain
        if secret.lower() in _COMMON or (name in _OURS and len(secret) < SHORTEST_SECRET):
            yield _finding(
                code="weak_secret",
                target=name.upper(),
                priority=Severity.CRITICAL if secret.lower() in _COMMON else Severity.HIGH,
                meaning=f"{name.upper()} can be guessed: it is a common word or has fewer than "
                f"{SHORTEST_SECRET} letters.",
                advice="Make a long random one: python3 -c 'import secrets; "
                "print(secrets.token_urlsafe(32))'.",
            )


def settings(scene: Scene) -> Iterator[Finding]:
    """Look for settings that open what should be shut."""
    told = scene.settings
    public = urlsplit(told.public_base_url or "")
    if public.hostname and public.scheme != "https" and not is_loopback(public.hostname):
        yield _finding(
            code="public_url_without_tls",
            priority=Severity.HIGH,
            meaning="PUBLIC_BASE_URL is http: keys, messages and webhooks travel in the open.",
            advice="Put a proxy with TLS in front of the web process and name its https address.",
        )
    if told.smtp_url and told.smtp_tls == "never" and not is_loopback(urlsplit(told.smtp_url).hostname):
        yield _finding(
            code="relay_without_tls",
            priority=Severity.MEDIUM,
            meaning="Mail goes to the relay in the open (SMTP_TLS=never).",
            advice="Set SMTP_TLS=required.",
        )
    if told.log_level == "debug":
        yield _finding(
            code="debug_logging",
            priority=Severity.LOW,
            meaning="LOG_LEVEL is debug: more is written down than anybody needs every day.",
            advice="Set LOG_LEVEL=info.",
        )
    for name in ("postal_accept_sha1", "messagebird_accept_deprecated_signature"):
        if getattr(told, name):
            yield _finding(
                code="weak_webhook_proof",
                target=name.upper(),
                priority=Severity.LOW,
                meaning=f"{name.upper()} is on: webhooks with a weaker proof are believed.",
                advice="Switch it off once the vendor's side can do better.",
            )


def keys(scene: Scene) -> Iterator[Finding]:
    """Look for API keys that live for ever, are used by nobody, or may do too much."""
    with scene.database() as conn:
        rows = conn.execute(_keys_in_force()).all()
    for row in rows:
        if (row.client, row.name) != MACHINES_OWN:
            for look in (_without_expiry, _unused, _too_wide):
                yield from look(row, f"{row.client}/{row.name}")


def _keys_in_force() -> sa.Select[Any]:
    table, clients = api_keys.c, api_clients.c
    unused = sa.func.now() - sa.func.coalesce(table.last_used_at, table.created_at)
    unexpired = sa.or_(table.expires_at.is_(None), table.expires_at > sa.func.now())
    return (
        sa.select(
            clients.name.label("client"),
            table.name,
            table.scopes,
            table.expires_at,
            table.allowed_addresses,
            unused.label("unused"),
        )
        .join(api_clients, clients.id == table.client_id)
        .where(table.revoked_at.is_(None), unexpired, clients.is_active)
        .order_by(table.id)
        .limit(MOST_KEYS)
    )


def _without_expiry(key: sa.Row[Any], target: str) -> Iterator[Finding]:
    powers = sorted(POWERFUL & set(key.scopes))
    if key.expires_at is None and powers:
        yield _finding(
            code="key_without_expiry",
            target=target,
            priority=Severity.MEDIUM,
            meaning=f"The key {target} may do a lot ({', '.join(powers)}) and never ends.",
            advice="Rotate it into one with an expiry (`tocsin keys`).",
        )


def _unused(key: sa.Row[Any], target: str) -> Iterator[Finding]:
    if key.unused > UNUSED_FOR:
        yield _finding(
            code="key_unused",
            target=target,
            priority=Severity.LOW,
            meaning=f"Nobody has used the key {target} for {key.unused.days} days.",
            advice="Revoke it.",
            evidence={"days": key.unused.days},
        )


def _too_wide(key: sa.Row[Any], target: str) -> Iterator[Finding]:
    if set(key.scopes) >= set(SCOPES) and not key.allowed_addresses:
        yield _finding(
            code="key_too_wide",
            target=target,
            priority=Severity.MEDIUM,
            meaning=f"The key {target} may do everything, from everywhere.",
            advice="Give its program a key with the scopes that it needs, or name the addresses it "
            "calls from.",
        )


def people(scene: Scene) -> Iterator[Finding]:
    """Look for administrators whose password is all that is asked for."""
    table = users.c
    query = sa.select(table.id).where(
        table.is_active, table.role == ADMIN, table.password_hash.is_not(None), table.totp_secret.is_(None)
    )
    with scene.database() as conn:
        ids = conn.scalars(query.order_by(table.id)).all()
    if ids:
        yield _finding(
            code="admins_without_totp",
            priority=Severity.HIGH,
            meaning=f"Administrators who sign in to the console with a password alone: {len(ids)}.",
            advice="Have each of them set up a second factor under their name in the console.",
            evidence={"users": list(ids)},
        )


def rights(scene: Scene) -> Iterator[Finding]:
    """Look whether the database lets us do more than we need."""
    query = sa.text(
        "SELECT rolsuper AS super, (SELECT pg_get_userbyid(relowner) = current_user FROM pg_class"
        " WHERE oid = to_regclass('public.audit_log')) AS owns FROM pg_roles WHERE rolname = current_user"
    )
    with scene.database() as conn:
        row = conn.execute(query).one()
    if row.super or row.owns:
        yield _finding(
            code="database_role_too_strong",
            priority=Severity.HIGH if row.super else Severity.MEDIUM,
            meaning="The application's role in PostgreSQL is a superuser."
            if row.super
            else "The application's role owns the tables, so that it could change the audit log.",
            advice="Give DATABASE_URL a role of its own, and the owner's to MIGRATION_DATABASE_URL only.",
        )


def files(scene: Scene) -> Iterator[Finding]:
    """Look whether files that hold secrets are read by others than their owner."""
    yield from judged_files([PROJECT / ".env", scene.directory / "machine.key"])


def judged_files(paths: Iterable[Path]) -> Iterator[Finding]:
    """Judge the rights of files that hold secrets; those that are not there are left out."""
    for path in paths:
        if path.is_file() and path.stat().st_mode & (
            stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH
        ):
            yield _finding(
                code="file_readable_by_others",
                target=path.name,
                priority=Severity.HIGH,
                meaning=f"{path.name} holds secrets, and others than its owner may read or write it.",
                advice=f"chmod 600 {path}",
            )


def _secrets(told: Settings) -> Iterator[tuple[str, SecretStr]]:
    for name in type(told).model_fields:
        value = getattr(told, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, SecretStr):
                yield name, each


CHECKS = tuple(
    Check(name=f"security_{check.__name__}", subject=SUBJECT, run=check)
    for check in (secrets, settings, keys, people, rights, files)
)
