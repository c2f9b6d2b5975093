"""Upkeep: what jobs look after, so that a lost wake or a lost process is only a delay."""
