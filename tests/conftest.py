"""What all tests share: hypothesis keeps no clock and draws the same examples every time.

``pytest --hypothesis-profile=search`` looks for new counterexamples instead.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("edgerun", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("edgerun")
