"""Which gateways there are, and which of them the settings describe."""

from dataclasses import fields

from app.domain.vocabulary import Channel
from app.gateways.base import Gateway, Webhook
from app.gateways.email.postal.sending import Postal
from app.gateways.email.postal.webhook import PostalWebhook
from app.gateways.email.sendgrid.sending import SendGrid
from app.gateways.email.sendgrid.webhook import SendGridWebhook
from app.gateways.email.ses.sending import Ses
from app.gateways.email.ses.webhook import SesWebhook
from app.gateways.email.smtp.sending import Smtp
from app.gateways.email.smtp.webhook import SmtpWebhook
from app.gateways.push.apns.sending import Apns
from app.gateways.push.fcm.sending import Fcm
from app.gateways.push.fcm.webhook import FirebaseWebhook
from app.gateways.sms.bandwidth.sending import Bandwidth
from app.gateways.sms.bandwidth.webhook import BandwidthWebhook
from app.gateways.sms.bird.sending import Bird
from app.gateways.sms.bird.webhook import BirdWebhook
from app.gateways.sms.messagebird.sending import MessageBird
from app.gateways.sms.messagebird.webhook import MessageBirdWebhook
from app.gateways.twilio.messages import Twilio, TwilioWhatsApp
from app.gateways.twilio.voice import TwilioVoice
from app.gateways.twilio.webhook import TwilioWebhook
from app.settings import Settings

_SENDING = (
    Postal,
    Ses,
    SendGrid,
    Smtp,
    Twilio,
    TwilioWhatsApp,
    TwilioVoice,
    Bandwidth,
    MessageBird,
    Bird,
    Fcm,
    Apns,
)
_TELLING = (
    PostalWebhook,
    SesWebhook,
    SendGridWebhook,
    SmtpWebhook,
    TwilioWebhook,
    BandwidthWebhook,
    MessageBirdWebhook,
    BirdWebhook,
    FirebaseWebhook,
)


def known() -> dict[str, Channel]:
    """List all gateways that there is code for, by name, whether settings describe them or not."""
    defaults = ({field.name: field.default for field in fields(sending)} for sending in _SENDING)
    return {str(each["name"]): Channel(str(each["channel"])) for each in defaults}


def gateways(settings: Settings) -> dict[str, Gateway]:
    """Make the gateways that the settings describe, by name; raises ConfigurationError for half of one."""
    made: list[Gateway | None] = [sending.configured(settings) for sending in _SENDING]
    return {gateway.name: gateway for gateway in made if gateway}


def webhooks(settings: Settings) -> dict[str, Webhook]:
    """Make the webhooks whose proof the settings make possible, by their gateway's name."""
    made: list[Webhook | None] = [telling.configured(settings) for telling in _TELLING]
    return {webhook.name: webhook for webhook in made if webhook}
