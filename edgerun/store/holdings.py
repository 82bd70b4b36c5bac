"""What a store consists of, and the steps that its operations share: change the state, tell of it, find a bundle."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgerun.errors import StoreError
from edgerun.store.blobs import Blobs
from edgerun.store.events import LogEvents, Say
from edgerun.store.metadata import Metadata
from edgerun.store.state_file import HeldState, StateFile
from edgerun.store.stored import StoredBundle, stored_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgerun.disk import Disk
    from edgerun.store.state import State


class Holdings:
    """The parts of one store.

    Attributes:
        disk: where it lies.
        path: its folder.
        blobs: its blobs.
        metadata: its metadata.
        state: its state.
        say: is told every step.
    """

    def __init__(self, disk: Disk, path: str, say: Say | None) -> None:
        self.disk = disk
        self.path = path
        self.blobs = Blobs(disk, path)
        self.metadata = Metadata(disk, path)
        self.state = StateFile(disk, path)
        self._log = LogEvents(disk, f"{path}/log")
        self.say: Say = say or self._log

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Write down at the end what was said meanwhile."""
        try:
            yield
        finally:
            self._log.write()

    def apply(self, change: Callable[[State], State], **details: str) -> State:
        """Make a change of the state, and tell of it; returns the state after it.

        Raises:
            StoreError: the change is refused, or the disk failed.
        """
        with self.telling(), self.state.held() as held:
            return self.write(held, change(held.state), **details)

    def write(self, held: HeldState, state: State, **details: str) -> State:
        """Write a state, and tell what happened; returns it as it was written.

        Raises:
            StoreError: the disk failed.
        """
        before = held.state.history
        after = held.write(state)
        if after.history != before:
            happened = after.history[-1]
            self.say(f"bundle_{happened.what}", digest=happened.digest, **details)
        return after

    def bundle(self, digest: str) -> StoredBundle:
        """Return a bundle that the store keeps.

        Raises:
            StoreError: its manifest is missing, damaged or cannot be read.
        """
        found = stored_bundle(self.blobs, digest)
        if found is None:
            raise StoreError(f"{self.blobs.path(digest)}, the manifest of a bundle, is missing or damaged; fetch it")
        return found


def named(found: StoredBundle) -> dict[str, str]:
    """Return how events name a bundle."""
    return {"bundle": found.name, "version": found.version, "digest": found.digest}
