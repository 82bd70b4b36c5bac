"""What every benchmark needs: that it runs alone, and that the ratios it prints are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take back how tests are spread over workers, for which pytest-benchmark looks: here there are none."""
    config.option.dist = "no"


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let a benchmark print past pytest's capture; trylast puts this inside the wrapper that captures."""
    with item.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        yield
