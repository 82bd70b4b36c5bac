"""The file ``state`` on the disk: made once, read without a lock, changed under one; FORMAT.md, state."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edgerun.disk import write_all
from edgerun.errors import StoreError
from edgerun.store.faults import disk_errors
from edgerun.store.files import write_new
from edgerun.store.sector import FILE_BYTES, SECTOR_BYTES, TAKEN_BACK, Sectors, encode_sector, read_sectors
from edgerun.store.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgerun.disk import Disk

_READS = 3
"""A reader that was kept waiting for long may have met a write in both sectors; it looks again."""


class StateFile:
    """The state of a store on its disk."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk = disk
        self._folder = folder
        self.path = f"{folder}/state"

    def exists(self) -> bool:
        """Whether the file is there.

        Raises:
            StoreError: the folder cannot be listed, or is none.
        """
        with disk_errors(f"{self._folder} cannot be listed; is it a store?"):
            return "state" in self._disk.sizes(self._folder)

    def create(self) -> None:
        """Make the file; nothing happens where it is there already.

        Raises:
            StoreError: the disk failed.
        """
        with disk_errors(f"{self.path} cannot be made"):
            write_new(self._disk, self.path, bytes(FILE_BYTES))

    def read(self) -> State:
        """Return the state.

        Raises:
            StoreError: the file is missing, cannot be read or is damaged.
        """
        return self._read().state

    def change(self, change: Callable[[State], State]) -> State:
        """Make one change, durably; returns the state after it. A change that changes nothing is not written.

        Raises:
            StoreError: the change is refused, or the disk failed: then the state is the one before, or after a power
                cut perhaps the one after.
        """
        with self.held() as held:
            return held.write(change(held.state))

    @contextmanager
    def held(self) -> Iterator[HeldState]:
        """Keep others from changing the state.

        Raises:
            StoreError: as for read(), or it cannot be locked.
        """
        with disk_errors(f"{self.path} cannot be locked"):
            file = self._disk.hold(self.path)
        try:
            yield HeldState(self._disk, file, self.path, self._read())
        finally:
            with suppress(OSError):
                self._disk.release(file)

    def _read(self) -> Sectors:
        for _ in range(_READS):
            with disk_errors(f"{self.path} cannot be read; is it a store?"):
                found = read_sectors(self._disk.read(self.path, FILE_BYTES))
            if found is not None:
                return found
        raise StoreError(f"{self.path} is damaged: no sector of it is valid; the device must be joined again")


class HeldState:
    """The state while nobody else can change it.

    Attributes:
        state: as it is now.
    """

    def __init__(self, disk: Disk, file: int, path: str, sectors: Sectors) -> None:
        self._disk = disk
        self._file = file
        self._path = path
        self._offset = sectors.offset
        self.state = sectors.state

    def write(self, state: State) -> State:
        """Make a state the one that is, durably; returns it with its generation.

        Raises:
            StoreError: the disk failed, or the state is too large.
        """
        if state == self.state:
            return state
        with disk_errors(f"{self._path} cannot be written"):
            self._disk.sync(self._file)  # what a process wrote that then died
            if not self.state.generation:
                self._put(State())
            self._put(state)
        return self.state

    def _put(self, state: State) -> None:
        state = state._replace(generation=self.state.generation + 1)
        try:
            write_all(self._disk, self._file, self._offset, encode_sector(state))
            self._disk.sync(self._file)
        except OSError:
            with suppress(OSError):  # else readers would see, and writers build upon, what is not on the disk
                write_all(self._disk, self._file, self._offset, TAKEN_BACK)
                self._disk.sync(self._file)
            raise
        self.state, self._offset = state, SECTOR_BYTES - self._offset
