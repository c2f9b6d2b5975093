"""Dramatiq's brokers as we use them: nothing is delayed or retried by them, and an idle worker listens."""
