"""What every benchmark needs: that the ratios it prints are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let a benchmark print past pytest's capture; trylast puts this inside the wrapper that captures."""
    with item.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        yield
