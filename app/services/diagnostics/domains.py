"""Whether the domains that we send as say so in the DNS: SPF, DKIM, DMARC, MX."""

from collections.abc import Iterator, Sequence
from functools import partial

import sqlalchemy as sa

from app.db.tables import senders
from app.domain.vocabulary import Channel
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.names import Resolver

SUBJECT = "sending domains"

# Where vendors put their keys when nobody says otherwise. Postal and SES use names of their own making.
SELECTORS = ("default", "dkim", "k1", "mail", "postal", "s1", "s2", "selector1", "selector2")
MOST_DOMAINS = 50
_MOST_LOOKUPS = 10
# The terms of an SPF record for which whoever checks it has to ask the DNS again.
_LOOKED_UP = ("include:", "a", "mx", "ptr", "exists:", "redirect=")
# Nobody can be reached there, as RFC 2606 says.
_RESERVED = (".example", ".invalid", ".test", ".localhost", "example.com", "example.net", "example.org")

_finding = partial(Finding, subject=SUBJECT)


def senders_domains(scene: Scene) -> Iterator[Finding]:
    """Look at the domain of each active sender of emails."""
    for domain in _domains(scene):
        for look in (spf, dmarc, dkim, mx):
            yield from look(scene.resolver, domain)


def spf(resolver: Resolver, domain: str) -> Iterator[Finding]:
    """Look for one SPF record that does not let everybody in."""
    policies = [text for text in resolver.records(domain, "TXT") or () if text.lower().startswith("v=spf1")]
    if not policies:
        yield _finding(
            code="spf_missing",
            target=domain,
            priority=Severity.HIGH,
            meaning=f"{domain} has no SPF record: ISPs take our mail for forged.",
            advice=f'Publish a TXT record at {domain}: "v=spf1 include:<each gateway\'s> ~all".',
        )
        return
    if len(policies) > 1:
        yield _finding(
            code="spf_twice",
            target=domain,
            priority=Severity.HIGH,
            meaning=f"{domain} has {len(policies)} SPF records, so that none counts.",
            advice="Merge them into one.",
            evidence={"records": len(policies)},
        )
    yield from _spf_terms(policies[0].lower().split(), domain)


def _spf_terms(terms: Sequence[str], domain: str) -> Iterator[Finding]:
    if "+all" in terms or "all" in terms:
        yield _finding(
            code="spf_lets_everybody_in",
            target=domain,
            priority=Severity.HIGH,
            meaning=f"The SPF record of {domain} lets everybody send as it.",
            advice="End it with ~all or -all.",
        )
    lookups = sum(term.lstrip("+-~?").startswith(_LOOKED_UP) for term in terms)
    if lookups > _MOST_LOOKUPS:
        yield _finding(
            code="spf_too_deep",
            target=domain,
            priority=Severity.MEDIUM,
            meaning=f"The SPF record of {domain} asks for {lookups} look-ups; beyond ten it counts as "
            "broken.",
            advice="Drop what is not used any more, or name networks (ip4:) instead.",
            evidence={"lookups": lookups},
        )


def dmarc(resolver: Resolver, domain: str) -> Iterator[Finding]:
    """Look for a DMARC policy, the parent's where the domain has none of its own."""
    for place in (domain, *_parents(domain)):
        found = [
            t for t in resolver.records(f"_dmarc.{place}", "TXT") or () if t.lower().startswith("v=dmarc1")
        ]
        if found:
            tags = {
                name.strip().lower(): value.strip() for name, _, value in map(_split, found[0].split(";"))
            }
            if tags.get("p", "").lower() == "none":
                yield _finding(
                    code="dmarc_watches_only",
                    target=domain,
                    priority=Severity.LOW,
                    meaning=f"The DMARC policy of {place} is `none`: who forges {domain} is let through.",
                    advice="Once the reports look well, go on to quarantine, then reject.",
                )
            return
    yield _finding(
        code="dmarc_missing",
        target=domain,
        priority=Severity.HIGH,
        meaning=f"{domain} has no DMARC policy: Google and Yahoo refuse bulk mail from it.",
        advice=f'Publish a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:…", then tighten it.',
    )


def dkim(resolver: Resolver, domain: str) -> Iterator[Finding]:
    """Look for a DKIM key. Its name is the vendor's choice, so that only its absence is sure at times."""
    for selector in SELECTORS:
        name = f"{selector}._domainkey.{domain}"
        if any("p=" in text for text in resolver.records(name, "TXT") or ()):
            return
    # A name with anything below it exists, even where it has no record itself (RFC 8020).
    none_at_all = resolver.records(f"_domainkey.{domain}", "TXT") is None
    if none_at_all:
        yield _finding(
            code="dkim_missing",
            target=domain,
            priority=Severity.HIGH,
            meaning=f"{domain} has no DKIM key: nothing proves that mail is from it, and DMARC hangs on "
            "SPF alone.",
            advice="Publish the keys that each gateway names for the domain.",
        )


def mx(resolver: Resolver, domain: str) -> Iterator[Finding]:
    """Look whether answers and bounces find a way back."""
    records = resolver.records(domain, "MX") or ()
    if records and all(record.split()[-1] == "." for record in records):
        yield _finding(
            code="mx_refuses",
            target=domain,
            priority=Severity.MEDIUM,
            meaning=f"{domain} says that it takes no mail (a null MX): some ISPs refuse senders like that.",
            advice="Publish an MX, or send as another domain.",
        )
    elif not records:
        yield _finding(
            code="mx_missing",
            target=domain,
            priority=Severity.MEDIUM,
            meaning=f"{domain} has no MX record: answers get lost, and some ISPs trust such senders less.",
            advice="Publish an MX record, even if it leads to a mailbox that nobody reads.",
        )


def _domains(scene: Scene) -> list[str]:
    table = senders.c
    query = sa.select(table.address).where(table.is_active, table.channel == Channel.EMAIL.value)
    with scene.database() as conn:
        addresses = conn.scalars(query).all()
    domains = {address.rpartition("@")[2].lower() for address in addresses}
    return sorted(domain for domain in domains if domain and not domain.endswith(_RESERVED))[:MOST_DOMAINS]


def _parents(domain: str) -> list[str]:
    parts = domain.split(".")
    return [".".join(parts[start:]) for start in range(1, len(parts) - 1)]


def _split(tag: str) -> tuple[str, str, str]:
    return tag.partition("=")


CHECKS = (Check(name="domains", subject=SUBJECT, run=senders_domains, deep=True),)
