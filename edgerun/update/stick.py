"""A repository in one tar, as `edgerun bundle export` writes it to a stick. bundles/FORMAT.md has the archive's rules.

The archive is looked through once for the names and places of its files. Their bytes are read when they are asked for
and believed by nobody until then; what is no file of a repository is refused at once.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from edgerun._shown import shown
from edgerun.errors import UpdateError
from edgerun.limits import LIMITS
from edgerun.update.source import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

_BLOCK = 512
_NAME = re.compile(r"metadata/[A-Za-z0-9][A-Za-z0-9._-]*\.json|blobs/sha256/[0-9a-f]{64}")
_FOLDERS = frozenset({"metadata", "blobs", "blobs/sha256"})
_FILE, _FILE_TOO, _FOLDER, _PAX = b"0", b"\0", b"5", b"x"
_PAX_FIELDS = frozenset({"size", "mtime", "atime", "ctime"})


class _Entry(NamedTuple):
    name: str
    kind: bytes
    size: int


class Stick:
    """A repository in a tar.

    Args:
        path: the tar.

    Raises:
        UpdateError: it cannot be read, or is no tar of a repository.
    """

    def __init__(self, path: str) -> None:
        self.where = path
        try:
            with open(path, "rb", buffering=0) as file:
                self._places = self._looked_through(file)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def open(self, path: str, offset: int = 0) -> Iterator[bytes] | None:
        """Give the bytes of a file from an offset on, in pieces; None where it is not there.

        Raises:
            UpdateError: while they are read: the stick was pulled, or fails.
        """
        if path not in self._places:
            return None
        start, size = self._places[path]
        return self._pieces(start + offset, size - offset)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _pieces(self, place: int, left: int) -> Iterator[bytes]:
        try:
            with open(self.where, "rb", buffering=0) as file:
                file.seek(place)
                while left > 0:
                    piece = file.read(min(left, PIECE_BYTES))
                    if not piece:
                        raise self._failed("it ends early; copy it again")
                    yield piece
                    left -= len(piece)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def _looked_through(self, file: FileIO) -> dict[str, tuple[int, int]]:
        """Return where each file lies: its first byte and its size."""
        places: dict[str, tuple[int, int]] = {}
        end, at, real_size = os.fstat(file.fileno()).st_size, 0, None
        while any(block := self._block(file, at)):
            entry = _entry(block)
            at += _BLOCK
            if entry is None:
                raise self._failed(f"the header at byte {at - _BLOCK} is damaged, or of another kind of archive")
            if entry.kind == _PAX:
                real_size = self._pax_size(file, at, entry.size)
            elif entry.kind in {_FILE, _FILE_TOO}:
                size = entry.size if real_size is None else real_size
                if not _NAME.fullmatch(entry.name) or entry.name in places:
                    raise self._failed(f"{shown(entry.name)} has no place in a repository, or stands there twice")
                places[entry.name] = at, size
                entry, real_size = entry._replace(size=size), None
            elif entry.kind != _FOLDER or entry.name.rstrip("/") not in _FOLDERS or entry.size:
                raise self._failed(f"{shown(entry.name)} is neither a file nor a folder of a repository")
            at += -(-entry.size // _BLOCK) * _BLOCK
            if at > end or len(places) > LIMITS.stick_files_max:
                raise self._failed(f"it ends early, or has more than {LIMITS.stick_files_max} files")
        return places

    def _block(self, file: FileIO, at: int) -> bytes:
        block = os.pread(file.fileno(), _BLOCK, at)
        if len(block) < _BLOCK:
            raise self._failed("it ends early; copy it again")
        return block

    def _pax_size(self, file: FileIO, at: int, size: int) -> int | None:
        if size > LIMITS.stick_pax_max_bytes:
            raise self._failed(f"an extended header has {size} bytes; at most {LIMITS.stick_pax_max_bytes}")
        raw, found = os.pread(file.fileno(), size, at), None
        while raw:
            record = re.match(rb"([1-9][0-9]{0,4}) ([a-z]+)=([0-9.]+)\n", raw)
            if record is None or int(record[1]) != record.end() or record[2].decode() not in _PAX_FIELDS:
                raise self._failed("an extended header says what no repository needs")
            if record[2] == b"size":
                if not record[3].isdigit() or len(record[3]) > 15:
                    raise self._failed("an extended header has a size that is none")
                found = int(record[3])
            raw = raw[record.end() :]
        return found

    def _failed(self, why: str) -> UpdateError:
        return UpdateError(f"{self.where} cannot be read as a repository: {why}")


def _entry(block: bytes) -> _Entry | None:
    """Read a header of ustar; None where it is none."""
    checksum, size = _octal(block[148:156]), _octal(block[124:136])
    if block[257:265] != b"ustar\x0000" or size is None or checksum != sum(block) - sum(block[148:156]) + 8 * 0x20:
        return None
    try:
        name, prefix = (part.partition(b"\0")[0].decode("ascii") for part in (block[:100], block[345:500]))
    except UnicodeDecodeError:
        return None
    return _Entry(f"{prefix}/{name}" if prefix else name, block[156:157], size)


def _octal(field: bytes) -> int | None:
    text = field.rstrip(b"\0 ")
    return int(text, 8) if re.fullmatch(rb"[0-7]+", text) else None
