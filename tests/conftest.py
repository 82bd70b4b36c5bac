"""How hypothesis runs here: without deadlines, since a shared machine pauses at will, and the same every time.

``pytest --hypothesis-profile=search`` looks for new counterexamples instead.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("edgerun", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("edgerun")
