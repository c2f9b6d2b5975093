"""Actor: tell a gateway who follows which topic, where it does not know yet."""

from datetime import timedelta

from app.services.sending.tools import Tools

# What is left is told in the next run; meanwhile webhooks want the thread.
WITHIN = timedelta(seconds=60)


def sync_topics(tools: Tools) -> None:
    """Tell a gateway who follows which topic."""
    if tools.topic_sync is not None:
        tools.topic_sync.run(within=WITHIN)
