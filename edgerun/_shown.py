"""How an error message shows a value that somebody else passed in."""

from __future__ import annotations

import reprlib


def shown(value: object) -> str:
    """Return a short repr of any value; it never raises, so the message that needs it is always told."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to write out an integer of more than 4300 digits
        return f"<a {type(value).__qualname__} too long to print>"
