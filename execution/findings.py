"""What the checks of every service have in common."""

POOL = 5
"""Connections that a service must bear at once."""


class Wrong(Exception):
    """A service answered, and not as it should."""
