"""Actors: what a Dramatiq message does. Each is an adapter over one function of the application."""
