"""What the demonstration's messages say."""

from typing import Any

SENDER = "demo"
SENDER_IDENTITY = {"address": "bell@example.org", "name": "Tocsin demo"}

_NAME = {"name": "name", "type": "string", "example": "Anna"}

TEMPLATES: tuple[dict[str, Any], ...] = (
    {
        "slug": "demo-newsletter",
        "channel": "email",
        "name": "Demo: newsletter",
        "description": "What `tocsin demo` sends as P2",
        "subject": "{{ name }}, this week in the valley",
        "body_text": "Hello {{ name }},\n\n{{ headline }}\n\nhttps://example.org/weekly\n",
        "body_html": '<p>Hello {{ name }},</p><h1>{{ headline }}</h1><p><a href="https://example.org/weekly">'
        "Read on</a></p>",
        "variables": [_NAME, {"name": "headline", "type": "string", "example": "The bridge is open again"}],
    },
    {
        "slug": "demo-campaign",
        "channel": "email",
        "name": "Demo: campaign",
        "description": "What `tocsin demo` sends as P3",
        "subject": "{{ name }}, {{ percent }} % on your next haircut",
        "body_text": "Dear {{ name }},\n\n{{ percent }} % off until Saturday.\n\nhttps://example.org/salon\n",
        "body_html": '<p>Dear {{ name }},</p><p><a href="https://example.org/salon">{{ percent }} % off</a> '
        "until Saturday.</p>",
        "variables": [_NAME, {"name": "percent", "type": "number", "example": 20}],
    },
)

NEWSLETTER = {
    "template": "demo-newsletter",
    "category": "weekly",
    "shared_data": {"headline": "The bridge is open again"},
}
CAMPAIGN = {"template": "demo-campaign", "category": "offers", "shared_data": {"percent": 20}}
ALERT = {
    "subject": "Road closed between the two villages",
    "body_text": "The road is closed until noon. Please take the way by the mill.",
}
EMERGENCY = {
    "subject": "FLOOD WARNING: leave the river bank now",
    "body_text": "The river rises quickly. Leave the river bank now and go to the school.",
}

# What each audience is sent, by its name.
WORDS: dict[str, dict[str, Any]] = {
    "P0 email": EMERGENCY,
    "P1 email": ALERT,
    "P2 email": NEWSLETTER,
    "P3 email": CAMPAIGN,
    "P1 sms": {"body_text": "The road between the two villages is closed until noon. Go by the mill."},
    "P4 whatsapp": {"body_text": "Your parcel comes today between two and four."},
    "P0 voice": {
        "body_text": "The river rises quickly. Leave the river bank now and go to the school. "
        "Press 1 if you heard this.",
        "voice": {"repeat": 2, "on_machine": "leave_message", "confirm_digit": "1"},
    },
    "P3 push fcm": {"subject": "New in your app", "body_text": "Twenty percent off until Saturday."},
    "P3 push apns": {"subject": "New in your app", "body_text": "Twenty percent off until Saturday."},
}
