"""What can be said for one channel only, each under the channel's own name."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.models.base import Body, Plain, Word
from app.domain.vocabulary import Channel

_HTTPS = r"^https://[^\s\x00-\x1f\x7f]+$"
_DECIMAL = r"^[0-9]{1,4}(\.[0-9]{1,5})?$"
_CONTENT = r"^HX[0-9A-Fa-f]{32}$"
_LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"

Url = Annotated[str, Field(max_length=2048, pattern=_HTTPS)]
Media = Annotated[list[Url], Field(min_length=1, max_length=10)]
ContentSid = Annotated[str, Field(pattern=_CONTENT)]
Texts = Annotated[dict[Annotated[str, Field(min_length=1, max_length=100)], str], Field(max_length=100)]

FOUR_WEEKS = 28 * 24 * 3600  # seconds


class EmailOptions(Body):
    """For email only."""

    track_opens: bool | None = None
    track_clicks: bool | None = None
    template_id: Word | None = None
    """A template kept by the gateway, in place of words of ours."""
    template_data: Annotated[Plain, Field(max_length=100)] | None = None
    """Values of that template's variables. A recipient's `data` goes with them, and wins."""
    categories: Annotated[list[Word], Field(max_length=10)] | None = None
    """The gateway's own statistics are kept by these."""
    sandbox: bool | None = None
    """Let the gateway check the message and send nothing."""


class SmsOptions(Body):
    """For SMS only."""

    media: Media | None = None
    """Pictures and the like, by address; the message then goes as MMS."""
    smart_encoding: bool | None = None
    """Let the gateway replace characters that would cost segments."""
    max_price: Annotated[str, Field(pattern=_DECIMAL)] | None = None
    """The gateway shall not send for more than this, as in "0.05"."""
    content_sid: ContentSid | None = None
    """A template kept by Twilio, in place of words of ours."""
    content_variables: Texts | None = None
    """Values of that template's variables. A recipient's `data` goes with them, and wins."""
    messaging_service: Word | None = None
    """The gateway's pool of numbers to send from."""


class WhatsAppOptions(Body):
    """For WhatsApp only."""

    content_sid: ContentSid | None = None
    """An approved template, in place of words of ours; needed outside of a conversation."""
    content_variables: Texts | None = None
    """Values of that template's variables. A recipient's `data` goes with them, and wins."""
    media: Media | None = None


class VoiceOptions(Body):
    """For voice only."""

    voice: Word | None = None
    """Who speaks, as the gateway names voices."""
    language: Annotated[str, Field(max_length=35, pattern=_LANGUAGE)] | None = None
    repeat: Annotated[int, Field(ge=1, le=5)] | None = None
    """How often the text is said."""
    on_machine: Literal["leave_message", "hang_up", "speak"] | None = None
    """What to do where a machine answers."""
    record: bool | None = None
    confirm_digit: Annotated[str, Field(pattern=r"^[0-9]$")] | None = None
    """The key by which the person confirms."""


class PushOptions(Body):
    """For push only; `subject` is the title where there is none here."""

    title: Annotated[str, Field(min_length=1, max_length=998)] | None = None
    image: Url | None = None
    data: Texts | None = None
    """What the app gets beside the words."""
    silent: bool | None = None
    """Wake the app and show nothing."""
    collapse_key: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A later message with the same key takes this one's place."""
    ttl_seconds: Annotated[int, Field(ge=0, le=FOUR_WEEKS)] | None = None
    badge: Annotated[int, Field(ge=0, le=99_999)] | None = None
    sound: Word | None = None
    push_type: (
        Literal[
            "alert",
            "background",
            "complication",
            "controls",
            "fileprovider",
            "liveactivity",
            "location",
            "mdm",
            "pushtotalk",
            "voip",
            "widgets",
        ]
        | None
    ) = None
    """What Apple calls it."""
    android: Plain | None = None
    """Passed on as they are, to FCM for its kinds of device."""
    apns: Plain | None = None
    webpush: Plain | None = None
    dry_run: bool | None = None
    """Let the gateway check the message and send nothing."""


class Sections(Body):
    """Options for one channel, each under the channel's name; only the message's own may be given."""

    email: EmailOptions | None = None
    sms: SmsOptions | None = None
    whatsapp: WhatsAppOptions | None = None
    voice: VoiceOptions | None = None
    push: PushOptions | None = None

    def sections(self) -> dict[Channel, dict[str, Any]]:
        """Give those that are there, by channel."""
        given = {channel: getattr(self, channel.value) for channel in Channel}
        return {
            channel: section.model_dump(mode="json", exclude_none=True)
            for channel, section in given.items()
            if section is not None
        }
