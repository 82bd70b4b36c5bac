"""The folders of trusted metadata: each is written once, and means nothing until the state names it; FORMAT.md."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun._strict_json import strict_json
from edgerun.disk import write_all
from edgerun.errors import StoreError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.disk import Disk
    from edgerun.store.state import State

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.json")
ROOT = "root.json"


class Metadata:
    """The metadata of one store."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk = disk
        self._folder = f"{folder}/metadata"

    def path(self, number: int) -> str:
        """Return where the folder of a number lies."""
        return f"{self._folder}/{number}"

    def trusted(self, state: State) -> str | None:
        """Return the folder that a state names; None where there is none, or it is damaged.

        Raises:
            OSError: it cannot be read.
        """
        if not state.metadata:
            return None
        folder = self.path(state.metadata)
        try:
            files = {name: self._disk.read(f"{folder}/{name}") for name in self._disk.sizes(folder)}
            for content in files.values():
                strict_json(content)
        except (FileNotFoundError, ValueError):
            return None
        is_same = hashlib.sha256(files.get(ROOT, b"")).hexdigest() == state.root
        return folder if is_same else None

    def read(self, folder: str, root_sha256: str) -> dict[str, bytes]:
        """Return the files of a folder that is to be published.

        Raises:
            OSError: it cannot be read.
            StoreError: a file of it has no place among metadata, or root.json is not the one that is meant.
        """
        sizes = self._disk.sizes(folder)
        if len(sizes) > LIMITS.store_metadata_files_max:
            raise StoreError(f"{folder} holds {len(sizes)} files; at most {LIMITS.store_metadata_files_max}")
        for name, size in sizes.items():
            if not _FILE.fullmatch(name):
                raise StoreError(f"{folder}/{name} is no file of metadata")
            if size > LIMITS.store_metadata_max_bytes:
                raise StoreError(f"{folder}/{name} has {size} bytes; at most {LIMITS.store_metadata_max_bytes}")
        files = {name: self._disk.read(f"{folder}/{name}") for name in sizes}
        if hashlib.sha256(files.get(ROOT, b"")).hexdigest() != root_sha256:
            raise StoreError(f"{folder}/{ROOT} is not the root with the SHA-256 {root_sha256}")
        return files

    def write(self, number: int, files: Mapping[str, bytes]) -> None:
        """Write the folder of a number, durably. What a power cut left there goes first.

        Raises:
            OSError: the disk failed.
        """
        folder = self.path(number)
        self._disk.make_folder(folder)
        for name in self._disk.sizes(folder):
            self._disk.remove(f"{folder}/{name}")
        for name, content in files.items():
            file = self._disk.create(f"{folder}/{name}")
            try:
                write_all(self._disk, file, 0, content)
                self._disk.sync(file)
            finally:
                self._disk.close(file)
        self._disk.sync_folder(folder)

    def remove_all_but(self, number: int) -> None:
        """Remove the folders of other numbers. Where the disk fails, the next one will."""
        with suppress(OSError):
            for name in self._disk.folders(self._folder):
                if name.isdecimal() and name != str(number):
                    folder = f"{self._folder}/{name}"
                    for file in self._disk.sizes(folder):
                        self._disk.remove(f"{folder}/{file}")
                    self._disk.remove_folder(folder)
