"""How hypothesis runs here: without deadlines, since a shared machine's pauses are not failures."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("edgerun", deadline=None)
settings.load_profile("edgerun")
