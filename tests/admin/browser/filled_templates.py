"""Templates for the browser tests: a campaign in a layout with a partial, an SMS, a push, a call."""

from dataclasses import replace

from app.bootstrap import App
from app.domain.rendering import Variable
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.template_views import TemplateDraft

ANNA = Who(actor="console/anna@example.com", origin="192.0.2.7")
NAME = Variable(name="name", type="string", example="Ada")
LEAVE = Variable(name="unsubscribe_url", type="url", example="https://example.com/u/1")
BULBS = Variable(name="bulbs", type="list", example=["Tulips", "Crocus"])

LAYOUT = """<!doctype html>
<html>
<head>
<style>
body { font-family: sans-serif; margin: 0; background: #f2efe9; color: #222; }
.sheet { max-width: 560px; margin: 0 auto; padding: 24px; background: #fff; }
@media (prefers-color-scheme: dark) { body, .sheet { background: #111; color: #eee; } }
</style>
</head>
<body><div class="sheet">
{{ content }}
{% include "foot" %}
</div></body>
</html>
"""
FOOT = '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
OFFER = """<h1>Spring is here, {{ name }}</h1>
<p>Ten per cent off all bulbs, until Sunday.</p>
<ul>
{% for bulb in bulbs %}
  <li>{{ bulb }}</li>
{% endfor %}
</ul>
<p><a href="https://example.com/shop">To the shop</a></p>
"""
PARCEL = (
    "Dear {{ name }}, your parcel “{{ name }}” comes today between nine and eleven. Reply STOP to opt out."
)


def fill_templates(app: App) -> tuple[str, ...]:
    """Save them; gives the places where they are seen."""
    _save_campaign(app)
    _save_short_ones(app)
    return (
        "/admin/templates/?kind=layout",
        "/admin/templates/one/template/email/spring",
        "/admin/templates/one/layout/email/house",
        "/admin/templates/diff/template/email/spring?old=1&new=2",
        "/admin/template-editor/one/template/email/spring",
        "/admin/template-editor/one/template/push/shipped",
    )


def _save_campaign(app: App) -> None:
    save = app.templates.save
    foot = TemplateDraft(name="Foot of every newsletter", body_html=FOOT, variables=(LEAVE,))
    save(ANNA, "foot", Channel.EMAIL, foot, kind=Kind.PARTIAL)
    save(ANNA, "house", Channel.EMAIL, TemplateDraft(name="House style", body_html=LAYOUT), kind=Kind.LAYOUT)
    offer = TemplateDraft(
        name="Spring offer",
        description="Goes out in March",
        subject="Spring is here, {{ name }}",
        body_html=OFFER,
        layout="house",
        message_type=MessageType.CAMPAIGN,
        variables=(NAME, BULBS),
    )
    save(ANNA, "spring", Channel.EMAIL, offer)
    better = replace(offer, body_html=OFFER.replace("Ten", "Twenty"), note="More off")
    save(ANNA, "spring", Channel.EMAIL, better, activate=False)


def _save_short_ones(app: App) -> None:
    parcel = TemplateDraft(name="Parcel", body_text=PARCEL, variables=(NAME,))
    push = TemplateDraft(
        name="Shipped", subject="On its way", body_text="Hello {{ name }}", variables=(NAME,)
    )
    call = TemplateDraft(
        name="Storm", body_text="A storm is coming. Stay inside.", parts={"language": "en-GB"}
    )
    app.templates.save(ANNA, "parcel", Channel.SMS, parcel)
    app.templates.save(ANNA, "shipped", Channel.PUSH, push)
    app.templates.save(ANNA, "storm", Channel.VOICE, call)
