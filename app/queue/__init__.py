"""Statements that decide who gets work, in `sql/`, and the thin functions that run them."""

PACKAGE = __name__
