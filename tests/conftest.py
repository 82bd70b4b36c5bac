"""How hypothesis runs here: without deadlines, since a shared machine pauses at will, and the same every time.

``pytest --hypothesis-profile=search`` looks for new counterexamples instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.seaweedfs import SeaweedFS

settings.register_profile("edgerun", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("edgerun")


@pytest.fixture(scope="session")
def object_server(tmp_path_factory) -> Iterator[SeaweedFS]:
    """SeaweedFS on ports of its own. All tests share it: it takes seconds to start, and to store its first object."""
    from support.seaweedfs import seaweedfs_running  # noqa: PLC0415 - few tests need it

    with seaweedfs_running(tmp_path_factory.mktemp("seaweedfs")) as found:
        yield found
