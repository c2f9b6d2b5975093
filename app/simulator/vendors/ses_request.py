"""The body of SES's SendEmail, read strictly enough to notice what SES would not understand."""

import re
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from functools import cached_property

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

_BRACKETS = re.compile(r"<([^<>]*)>")
_MOST_HEADERS = 15


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal)


class Destination(_Shape):
    to_addresses: tuple[str, ...] = ()
    cc_addresses: tuple[str, ...] = ()
    bcc_addresses: tuple[str, ...] = ()


class Text(_Shape):
    data: str
    charset: str | None = None


class Body(_Shape):
    text: Text | None = None
    html: Text | None = None


class Pair(_Shape):
    """A header or a tag."""

    name: str
    value: str


class Attachment(_Shape):
    raw_content: Base64Bytes
    file_name: str
    content_type: str | None = None


class Simple(_Shape):
    subject: Text
    body: Body
    headers: tuple[Pair, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Raw(_Shape):
    data: Base64Bytes


class Content(_Shape):
    simple: Simple | None = None
    raw: Raw | None = None


class SendEmail(_Shape):
    """A request to send one email."""

    from_email_address: str
    destination: Destination = Field(default_factory=Destination)
    reply_to_addresses: tuple[str, ...] = ()
    content: Content
    email_tags: tuple[Pair, ...] = ()
    configuration_set_name: str | None = None

    @cached_property
    def addresses(self) -> Sequence[str]:
        """Everybody it goes to; a raw message without a destination names them in its own headers."""
        to = self.destination
        named = [*to.to_addresses, *to.cc_addresses, *to.bcc_addresses]
        return named or [part.strip() for part in self._raw_header("to").split(",") if part.strip()]

    @property
    def subject(self) -> str:
        simple = self.content.simple
        return simple.subject.data if simple else self._raw_header("subject")

    @property
    def fault(self) -> str | None:
        """Say what is wrong with the content, if anything."""
        simple = self.content.simple
        if (simple is None) == (self.content.raw is None):
            return "Exactly one kind of content must be given."
        if simple and simple.body.text is None and simple.body.html is None:
            return "The body has neither text nor HTML."
        if simple and len(simple.headers) > _MOST_HEADERS:
            return f"No more than {_MOST_HEADERS} headers may be given."
        return None

    def _raw_header(self, name: str) -> str:
        raw = self.content.raw
        return str(BytesHeaderParser().parsebytes(raw.data).get(name, "")) if raw else ""


class TemplateContent(_Shape):
    subject: str | None = None
    text: str | None = None
    html: str | None = None


class Template(_Shape):
    template_content: TemplateContent
    template_data: str = "{}"


class BulkContent(_Shape):
    template: Template


class BulkEntry(_Shape):
    """One recipient's part of a bulk request."""

    destination: Destination
    replacement_tags: tuple[Pair, ...] = ()
    replacement_headers: tuple[Pair, ...] = ()


class SendBulkEmail(_Shape):
    """A request to send one inline template to many."""

    from_email_address: str
    reply_to_addresses: tuple[str, ...] = ()
    default_content: BulkContent
    default_email_tags: tuple[Pair, ...] = ()
    bulk_email_entries: tuple[BulkEntry, ...]
    configuration_set_name: str | None = None

    def single(self, entry: BulkEntry) -> SendEmail:
        """Give what one entry alone would have asked for, of a template without placeholders."""
        template = self.default_content.template.template_content
        bodies = {"Text": template.text, "Html": template.html}
        tags = (*self.default_email_tags, *entry.replacement_tags)
        return SendEmail.model_validate(
            {
                "FromEmailAddress": self.from_email_address,
                "Destination": entry.destination.model_dump(by_alias=True),
                "ReplyToAddresses": self.reply_to_addresses,
                "Content": {
                    "Simple": {
                        "Subject": {"Data": template.subject or ""},
                        "Body": {name: {"Data": text} for name, text in bodies.items() if text},
                        "Headers": [each.model_dump(by_alias=True) for each in entry.replacement_headers],
                    }
                },
                "EmailTags": [each.model_dump(by_alias=True) for each in tags],
                "ConfigurationSetName": self.configuration_set_name,
            }
        )


def bare(address: str) -> str:
    """Strip the name from "Name <address>"."""
    match = _BRACKETS.search(address) if "<" in address else None
    return match[1] if match else address.strip()
