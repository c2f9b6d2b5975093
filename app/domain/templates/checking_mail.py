"""What is wrong with a mail's HTML: links, pictures, what mail programs throw away, its size."""

import re
from collections.abc import Iterator
from textwrap import shorten

from app.domain.templates.assembly import Assembled
from app.domain.templates.findings import Finding, error, warning
from app.domain.templates.markup import Element, elements
from app.domain.vocabulary import MessageType

CLIPPED_AT = 102 * 1024  # bytes, at Gmail
LONGEST_SHOWN_SUBJECT = 70  # characters, on most screens

_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_GOOD = frozenset({"https", "mailto", "tel", "sms", "cid"})
_HARMFUL = frozenset({"javascript", "vbscript", "data", "file", "blob"})
_UNSUBSCRIBE = re.compile(r"unsubscri|opt-?_?out|abmeld|abbestell|désabonn|desinscri|/u/", re.IGNORECASE)
_MARKETING = frozenset({MessageType.NEWSLETTER, MessageType.CAMPAIGN})
_PLACE = "body_html"
_TOLD = 60  # characters of an address


def html_findings(source: Assembled, message_type: MessageType | None) -> Iterator[Finding]:
    """Look through a mail's whole source, its layout and partials with it."""
    found = list(elements(source.text))
    for element in found:
        for finding in _of_element(element):
            fragment, line = source.place(element.line)
            yield Finding(
                level=finding.level,
                code=finding.code,
                place=_PLACE,
                message=finding.message,
                advice=finding.advice,
                line=line,
                fragment=fragment,
            )
    if message_type in _MARKETING and not any(_unsubscribes(element) for element in found):
        yield error(
            "no_unsubscribe",
            _PLACE,
            f"there is no link to unsubscribe, and a {message_type} must have one",
            'add a link such as <a href="{{ unsubscribe_url }}">Unsubscribe</a>, best in the layout',
        )


def subject_findings(subject: str | None) -> Iterator[Finding]:
    """Look at a subject that is filled in."""
    if subject is not None and not subject.strip():
        yield error("subject_empty", "subject", "the subject comes to nothing", "write a subject")
    elif subject and len(subject) > LONGEST_SHOWN_SUBJECT:
        yield warning(
            "subject_long",
            "subject",
            f"the subject has {len(subject)} characters; phones show about half of {LONGEST_SHOWN_SUBJECT}",
            "put what matters into the first 35 characters",
        )


def size_findings(html: str | None) -> Iterator[Finding]:
    """Look at the size of HTML that is filled in."""
    size = len((html or "").encode())
    if size > CLIPPED_AT:
        yield warning(
            "size",
            _PLACE,
            f"the HTML comes to {size / 1024:.0f} KB; Gmail cuts off what is beyond 102 KB",
            "shorten it, take pictures out of the HTML, or send fewer sections",
        )


def _of_element(element: Element) -> Iterator[Finding]:
    if element.is_forbidden:
        yield error(
            "forbidden_element",
            _PLACE,
            f"<{element.name}> has no place in a mail",
            "take it out: mail programs remove it, and filters distrust a mail that has it",
        )
    for handler in element.handlers:
        yield error(
            "handler", _PLACE, f"{handler} would run a script", "take it out: no mail program runs scripts"
        )
    if element.is_link:
        yield from _of_link(element)
    if element.is_picture:
        yield from _of_picture(element)


def _of_link(element: Element) -> Iterator[Finding]:
    if "href" not in element.attributes:
        return
    address = element.attributes["href"].strip()
    scheme = _SCHEME.match(address)
    if not address or address == "#":
        yield warning(
            "link_empty", _PLACE, "a link leads nowhere", "give it an address, or make it plain text"
        )
    elif address.startswith(("{{", "{%")):
        return
    elif scheme is None:
        yield error(
            "link_relative",
            _PLACE,
            f"the link {_short(address)} is relative, and a mail has no place to start from",
            "write the whole address with https://",
        )
    elif scheme[1].lower() in _HARMFUL:
        yield error(
            "link_harmful",
            _PLACE,
            f"a link with {scheme[1].lower()}: is refused by mail programs",
            "link to a page over https://",
        )
    elif scheme[1].lower() == "http":
        yield warning(
            "link_http",
            _PLACE,
            f"the link {_short(address)} is not encrypted",
            "use https:// if the page has it",
        )
    elif scheme[1].lower() not in _GOOD:
        yield warning(
            "link_scheme",
            _PLACE,
            f"many mail programs do not open links with {scheme[1].lower()}:",
            "link to a page over https:// that leads on",
        )


def _of_picture(element: Element) -> Iterator[Finding]:
    if "alt" not in element.attributes:
        yield warning(
            "image_alt",
            _PLACE,
            "a picture has no alt text",
            'say in alt what it shows, or alt="" where it only decorates',
        )
    address = element.attributes.get("src", "").strip()
    if address.startswith(("{{", "{%")):
        return
    scheme = _SCHEME.match(address)
    if not address or scheme is None:
        yield error(
            "image_address",
            _PLACE,
            f"the picture {_short(address) or 'without an address'} cannot be found from a mail",
            "write its whole address with https://, or attach it and use cid:",
        )
    elif scheme[1].lower() == "data":
        yield warning(
            "image_data",
            _PLACE,
            "a picture is part of the HTML",
            "Gmail and Outlook do not show it: link to it",
        )


def _unsubscribes(element: Element) -> bool:
    return element.is_link and _UNSUBSCRIBE.search(element.attributes.get("href", "")) is not None


def _short(address: str) -> str:
    return repr(shorten(address, _TOLD, placeholder="…")) if address else ""
