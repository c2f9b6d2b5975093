"""Who runs the mail of a domain, by the servers that take it."""

from collections.abc import Iterable

# The end of a mail server's name, and whose it is. Only those are named who limit by sender over all the
# domains that they host, so that these share one limit.
_BY_SERVER = {
    "google.com": "google",
    "googlemail.com": "google",
    "smtp.goog": "google",
    "outlook.com": "microsoft",
    "hotmail.com": "microsoft",
    "mx.microsoft": "microsoft",
    "office365.us": "microsoft",
    "yahoodns.net": "yahoo",
    "yahoo.co.jp": "yahoo_japan",
    "icloud.com": "apple",
    "apple.com": "apple",
    "mimecast.com": "mimecast",
    "mimecast.co.za": "mimecast",
    "pphosted.com": "proofpoint",
    "ppe-hosted.com": "proofpoint",
    "iphmx.com": "cisco",
    "barracudanetworks.com": "barracuda",
    "messagelabs.com": "broadcom",
    "zoho.com": "zoho",
    "zoho.eu": "zoho",
    "zohomail.com": "zoho",
    "messagingengine.com": "fastmail",
    "protonmail.ch": "proton",
    "secureserver.net": "godaddy",
    "emailsrvr.com": "rackspace",
    "registrar-servers.com": "namecheap",
    "privateemail.com": "namecheap",
    "ovh.net": "ovh",
    "kundenserver.de": "ionos",
    "ionos.com": "ionos",
    "ionos.co.uk": "ionos",
    "gmx.net": "gmx",
    "web.de": "gmx",
    "t-online.de": "telekom",
    "yandex.net": "yandex",
    "yandex.ru": "yandex",
    "mail.ru": "mailru",
    "qq.com": "tencent",
    "comcast.net": "comcast",
    "charter.net": "charter",
    "orange.fr": "orange",
    "libero.it": "libero",
    "amazonaws.com": "amazon",
}

# What everybody knows needs no looking up.
_BY_DOMAIN = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), "google"),
    **dict.fromkeys(("outlook.com", "hotmail.com", "live.com", "msn.com", "passport.com"), "microsoft"),
    **dict.fromkeys(("yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "aim.com"), "yahoo"),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), "apple"),
}

ISPS = frozenset((*_BY_SERVER.values(), *_BY_DOMAIN.values()))


def known_isp(domain: str) -> str | None:
    """Tell whose a well-known mailbox domain is; None for all others."""
    return _BY_DOMAIN.get(domain)


def isp_of(servers: Iterable[str]) -> str | None:
    """Tell whose mail servers these are, the most preferred first; None where nobody named owns any."""
    for server in servers:
        labels = server.lower().rstrip(".").split(".")
        for first in range(len(labels)):
            found = _BY_SERVER.get(".".join(labels[first:]))
            if found:
                return found
    return None
