"""A device that follows a repository, and attacks on it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edgerun.errors import EdgerunError, UpdateError
from edgerun.requirements import Machine
from edgerun.store import Store, Subscription
from edgerun.update.client import Update, update
from support.tuf_repository import CHANNEL, NAME, TufRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MACHINE = Machine("0.1.0", "1.29.0", "x86_64", frozenset(), 2**30)


def unrehearsed(path: str, limits: object) -> None:
    """Believe that a bundle serves: to run it in a process of its own takes seconds, and has tests of its own."""


class Device:
    """A device with a store that follows a repository."""

    def __init__(self, folder: Path, repository: TufRepository, where: str | None = None) -> None:
        self.repository = repository
        self.store = Store.create(folder, device="device-1", say=lambda event, **details: None)
        self.follow(where or str(repository.folder))

    def follow(self, where: str, channel: str = CHANNEL, groups: tuple[str, ...] = ()) -> None:
        self.store.subscribe(Subscription(where, NAME, channel, groups), self.repository.root_file.read_bytes())

    def look(self, **more: Any) -> Update:
        """Look once; returns what came of it."""
        return update(self.store, **{"machine": MACHINE, "rehearse": unrehearsed, **more})

    def take(self) -> str:
        """Look once, activate what is there, and confirm it; returns its digest."""
        found = self.look()
        assert found.what == "activated"
        with self.store.start() as start:
            start.confirm()
        assert self.store.state().current == found.digest
        return found.digest

    @contextmanager
    def unmoved(self, told: str | None = None, error: type[EdgerunError] = UpdateError) -> Iterator[None]:
        """Expect an error of ours, and a store that remembers exactly what it did before."""
        before = self.store.state()
        with pytest.raises(error, match=told):
            yield
        assert self.store.state() == before

    @contextmanager
    def serving_on(self, told: str | None = None, error: type[EdgerunError] = EdgerunError) -> Iterator[None]:
        """Expect an error of ours, the same current bundle and no candidate; metadata may be newer, and not older."""
        before = self.store.state()
        with pytest.raises(error, match=told):
            yield
        after = self.store.state()
        assert (after.current, after.previous, after.candidate) == (before.current, before.previous, before.candidate)
        assert {**after.floors, **before.floors}.keys() == after.floors.keys()
        assert all(after.floors[role] >= version for role, version in before.floors.items())


@pytest.fixture
def repository(tmp_path):
    return TufRepository(tmp_path / "repository")


@pytest.fixture
def device(tmp_path, repository):
    """A device that serves 1.0.0."""
    repository.release("1.0.0")
    found = Device(tmp_path / "device", repository)
    found.take()
    return found
