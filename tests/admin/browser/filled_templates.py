"""Templates for the browser tests: a campaign in a layout with a partial, an SMS, a push, a call."""

from app.bootstrap import App
from app.domain.rendering import Variable
from app.domain.templates.building import Kind
from app.domain.vocabulary import Channel, MessageType
from app.services.audit import Who
from app.services.template_views import TemplateDraft

ANNA = Who(actor="console/anna@example.com", origin="192.0.2.7")
NAME = Variable(name="name", type="string", example="Ada")
LEAVE = Variable(name="unsubscribe_url", type="url", example="https://example.com/u/1")

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
OFFER = """<h1>Spring is here, {{ name }}</h1>
<p>Ten per cent off all bulbs, until Sunday.</p>
<ul>
{% for bulb in bulbs %}
  <li>{{ bulb }}</li>
{% endfor %}
</ul>
<p><a href="https://example.com/shop">To the shop</a></p>
"""


def fill_templates(app: App) -> tuple[str, ...]:
    """Save them; gives the places where they are seen."""
    save = app.templates.save
    foot = '<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
    save(
        ANNA,
        "foot",
        Channel.EMAIL,
        TemplateDraft(name="Foot of every newsletter", body_html=foot, variables=(LEAVE,)),
        kind=Kind.PARTIAL,
    )
    layout = TemplateDraft(name="House style", body_html=LAYOUT)
    save(ANNA, "house", Channel.EMAIL, layout, kind=Kind.LAYOUT)
    bulbs = Variable(name="bulbs", type="list", example=["Tulips", "Crocus"])
    draft = {
        "name": "Spring offer",
        "description": "Goes out in March",
        "subject": "Spring is here, {{ name }}",
        "layout": "house",
        "message_type": MessageType.CAMPAIGN,
        "variables": (NAME, bulbs),
    }
    save(ANNA, "spring", Channel.EMAIL, TemplateDraft(**draft, body_html=OFFER))
    changed = OFFER.replace("Ten", "Twenty")
    second = TemplateDraft(**draft, body_html=changed, note="More off")
    save(ANNA, "spring", Channel.EMAIL, second, activate=False)
    text = (
        "Dear {{ name }}, your parcel “{{ name }}” comes today between nine and eleven. "
        "Reply STOP to opt out."
    )
    save(ANNA, "parcel", Channel.SMS, TemplateDraft(name="Parcel", body_text=text, variables=(NAME,)))
    push = TemplateDraft(
        name="Shipped", subject="On its way", body_text="Hello {{ name }}", variables=(NAME,)
    )
    save(ANNA, "shipped", Channel.PUSH, push)
    call = TemplateDraft(
        name="Storm", body_text="A storm is coming. Stay inside.", parts={"language": "en-GB"}
    )
    save(ANNA, "storm", Channel.VOICE, call)
    return (
        "/admin/templates/?kind=layout",
        "/admin/templates/one/template/email/spring",
        "/admin/templates/one/layout/email/house",
        "/admin/templates/diff/template/email/spring?old=1&new=2",
        "/admin/template-editor/one/template/email/spring",
        "/admin/template-editor/one/template/push/shipped",
    )
