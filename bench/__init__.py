"""Measuring: each bench compares ways to do the same thing in one run, in turn, on one machine."""
