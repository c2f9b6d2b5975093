"""Sending: from due messages to settled ones, one claim at a time."""
