"""Opens bundles for the tests of serving, and closes them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from support.serve import open_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgerun import EdgeRunner


@contextmanager
def opener(folder: Path) -> Iterator[Callable[..., EdgeRunner]]:
    numbers = count()
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(open_bundle(folder / f"{next(numbers)}", *args, **kwargs))


@pytest.fixture
def serve(tmp_path):
    """``support.serve.open_bundle`` without the folder; what it opens is closed after the test."""
    with opener(tmp_path / "bundles") as serve:
        yield serve


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """``serve`` for runners that a whole module shares."""
    with opener(tmp_path_factory.mktemp("bundles")) as serve:
        yield serve
