"""The tables as SQLAlchemy sees them; the migrations make them, and a test holds the two together."""

from app.db.tables.base import metadata
from app.db.tables.costs import prices, spending, spending_deltas
from app.db.tables.devices import device_tokens, topic_members, topics
from app.db.tables.events import (
    delivery_events,
    event_keys,
    inbound_messages,
    lookups,
    parked_events,
    replays,
    webhook_inbox,
)
from app.db.tables.health import (
    gateway_minutes,
    health_changes,
    reputation_deltas,
    reputation_hours,
    reputations,
    sender_health,
)
from app.db.tables.limits import isp_domains, limit_events, rate_windows
from app.db.tables.people import (
    api_clients,
    api_keys,
    audit_log,
    roles,
    users,
)
from app.db.tables.queue import (
    batch_deltas,
    batch_rejects,
    batch_staging,
    claims,
    lane_flows,
    lane_holds,
    message_batches,
    message_queue,
)
from app.db.tables.rules import (
    channel_health,
    gateways,
    message_template_versions,
    message_templates,
    rate_limits,
    senders,
    suppression_list,
)
from app.db.tables.sequences import sequence_messages, sequence_steps, sequences
from app.db.tables.signing_in import console_keys, recovery_codes, sign_in_origins, user_sessions
from app.db.tables.throughput import throughput
from app.db.tables.watching import delivery_counted, delivery_counts, diagnostic_runs, process_beats
from app.db.tables.workings import (
    control_messages,
    controls,
    idempotency_keys,
    job_leader,
    job_runs,
)

__all__ = [
    "api_clients",
    "api_keys",
    "audit_log",
    "batch_deltas",
    "batch_rejects",
    "batch_staging",
    "channel_health",
    "claims",
    "console_keys",
    "control_messages",
    "controls",
    "delivery_counted",
    "delivery_counts",
    "delivery_events",
    "device_tokens",
    "diagnostic_runs",
    "event_keys",
    "gateway_minutes",
    "gateways",
    "health_changes",
    "idempotency_keys",
    "inbound_messages",
    "isp_domains",
    "job_leader",
    "job_runs",
    "lane_flows",
    "lane_holds",
    "limit_events",
    "lookups",
    "message_batches",
    "message_queue",
    "message_template_versions",
    "message_templates",
    "metadata",
    "parked_events",
    "prices",
    "process_beats",
    "rate_limits",
    "rate_windows",
    "recovery_codes",
    "replays",
    "reputation_deltas",
    "reputation_hours",
    "reputations",
    "roles",
    "sender_health",
    "senders",
    "sequence_messages",
    "sequence_steps",
    "sequences",
    "sign_in_origins",
    "spending",
    "spending_deltas",
    "suppression_list",
    "throughput",
    "topic_members",
    "topics",
    "user_sessions",
    "users",
    "webhook_inbox",
]
