"""What the tests of the workstation share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def vectors():
    """The golden vectors, which were made by others than the code under test."""
    return Path(__file__).parents[1] / "vectors"
