"""Tars: a writer that leaves nothing open, and a strict reader. Files and folders only, ustar, or pax for large files.

Python's tarfile reads every dialect there is: links, devices, sparse files, headers of any size. What the archive of a
bundle may hold is so little that reading exactly that is shorter and leaves nothing to trick. And what tarfile
writes differs between versions of Python, which an archive must not. Memory stays bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from edgerun.errors import BundleError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES
"""What the size of an archive is a multiple of."""
USTAR_SIZE_MAX = 8**11 - 1
PIECE_BYTES = 2**20

_ZEROS = bytes(BLOCK_BYTES)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_PAX_RECORD = re.compile(rb"([1-9]\d{0,3}) ([a-z]+)=([^\n\0]*)\n")
_PAX_IGNORED = {b"mtime", b"atime", b"ctime"}
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"D": "a folder's listing",
    b"K": "a GNU long link",
    b"L": "a GNU long name",
    b"M": "a continued file",
    b"S": "a sparse file",
    b"V": "a volume label",
    b"g": "a global extended header",
}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
}


def file_header(name: str, size: int) -> bytes:
    """Return what stands before a file's content; with an extended header where its size needs one."""
    if size <= USTAR_SIZE_MAX:
        return _header(name, size, b"0", 0o644)
    text = f" size={size}\n"
    record = f"{len(text) + 2}{text}".encode()
    return _header("pax", len(record), b"x", 0o644) + record + padding_of(len(record)) + _header(name, 0, b"0", 0o644)


def folder_header(name: str) -> bytes:
    """Return the entry of a folder."""
    return _header(f"{name}/", 0, b"5", 0o755)


def padding_of(size: int, unit_bytes: int = BLOCK_BYTES) -> bytes:
    """Return the zeros that fill up the last block."""
    return bytes(-size % unit_bytes)


def end_of(size: int) -> bytes:
    """Return what ends an archive that has so many bytes."""
    end = 2 * _ZEROS
    return end + padding_of(size + len(end), RECORD_BYTES)


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        *(b"%0*o\0" % (width - 1, number) for number, width in ((mode, 8), (0, 8), (0, 8), (size, 12), (0, 12))),
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x0000",
        bytes(64),
        b"0000000\0" * 2,
        bytes(167),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class Entry(NamedTuple):
    """One file or folder of a tar; its pieces must be read before the next entry is asked for."""

    name: str
    """As the header has it; a folder's without the slash at its end."""

    is_folder: bool
    """Whether it is a folder; else it is a regular file."""

    size: int
    """Bytes of its content."""

    pieces: Iterator[bytes]
    """Its content."""


def read_bounded(stream: BinaryIO, where: str) -> Iterator[Entry]:
    """Yield the entries of a tar as they come, each name once, and no more of them than an archive of ours may have.

    Raises:
        BundleError: as `read_tar`; or a name is there twice, or there are too many entries or bytes.
    """
    seen: set[str] = set()
    total = 0
    for entry in read_tar(stream, where):
        if entry.name in seen:
            raise BundleError(f"{where}: {entry.name[:200]!r} is there twice")
        seen.add(entry.name)
        total += entry.size
        if len(seen) > LIMITS.archive_entries_max:
            raise BundleError(f"{where} has more than {LIMITS.archive_entries_max} entries")
        if total > DEVICE_LIMITS.bundle_max_bytes:
            raise BundleError(f"{where} has more than {DEVICE_LIMITS.bundle_max_bytes} bytes")
        yield entry


def read_tar(stream: BinaryIO, where: str) -> Iterator[Entry]:
    """Yield the entries of a tar as they come.

    Raises:
        BundleError: something is damaged, cut off, or of a kind that is not read; ``where`` and the offset are named.
    """
    reader = _Reader(stream, where)
    size_said: int | None = None
    while (block := reader.block()) != _ZEROS:
        header = _Header.parse(block, reader)
        if header.kind == b"x":
            if size_said is not None:
                raise reader.error("two extended headers for one entry")
            size_said = _pax_size(b"".join(reader.content(header.size, LIMITS.pax_max_bytes)), reader)
            continue
        entry = Entry(header.name, header.kind == b"5", header.size if size_said in {None, -1} else size_said, iter(()))
        size_said = None
        if entry.is_folder and entry.size:
            raise reader.error(f"the folder {entry.name!r} has content")
        pieces = reader.content(entry.size, entry.size)
        yield entry._replace(pieces=pieces)
        for _ in pieces:  # what the caller did not read
            pass
    if size_said is not None:
        raise reader.error("an extended header without an entry")
    reader.finish()


class _Reader:
    """A stream of blocks that knows where it is."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream, self._where, self._offset = stream, where, 0

    def error(self, problem: str) -> BundleError:
        return BundleError(f"{self._where}: {problem} (before byte {self._offset})")

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except OSError as error:
            raise self.error(f"it cannot be read: {error.strerror or error}") from error
        self._offset += len(data)
        return data

    def block(self) -> bytes:
        data = self._read(BLOCK_BYTES)
        if self._offset <= BLOCK_BYTES:
            for magic, name in _COMPRESSED.items():
                if data.startswith(magic):
                    raise self.error(f"it is compressed with {name}; give the tar itself")
        if len(data) < BLOCK_BYTES:
            raise self.error("the archive is cut off, or no tar at all")
        return data

    def content(self, size: int, max_bytes: int) -> Iterator[bytes]:
        if size > max_bytes:
            raise self.error(f"an extended header of {size} bytes; at most {max_bytes}")
        left = size
        while left:
            piece = self._read(min(PIECE_BYTES, left))
            if not piece:
                raise self.error("the archive is cut off")
            left -= len(piece)
            yield piece
        padding = -size % BLOCK_BYTES
        if self._read(padding) != bytes(padding):
            raise self.error("the padding after an entry is cut off or not empty")

    def finish(self) -> None:
        """Read to the end, where only zeros may be."""
        if self.block() != _ZEROS:
            raise self.error("one empty block where two end a tar")
        padding = 0
        while piece := self._read(PIECE_BYTES):
            padding += len(piece)
            if piece.strip(b"\0"):
                raise self.error("something follows the end of the archive")
            if padding > LIMITS.archive_padding_max_bytes:
                raise self.error(f"more than {LIMITS.archive_padding_max_bytes} zeros follow the end of the archive")


class _Header(NamedTuple):
    name: str
    size: int
    kind: bytes

    @classmethod
    def parse(cls, block: bytes, reader: _Reader) -> _Header:
        if sum(block[:148]) + 8 * ord(" ") + sum(block[156:]) != _number(block[148:156], reader):
            raise reader.error("a header's checksum is wrong: the archive is damaged, or no tar")
        if block[257:265] != b"ustar\x0000":
            raise reader.error("a header is neither ustar nor pax; other dialects are not read")
        kind = block[156:157].replace(b"\0", b"0")
        name = _text(block[:100], reader)
        prefix = _text(block[345:500], reader)
        name = f"{prefix}/{name}" if prefix else name
        if kind in _REFUSED:
            raise reader.error(f"{name!r} is {_REFUSED[kind]}; only files and folders are taken")
        if kind not in {b"0", b"5", b"x"}:
            raise reader.error(f"{name!r} is of the unknown kind {kind!r}")
        if block[157:257].strip(b"\0"):
            raise reader.error(f"{name!r} names a link although it is none")
        return cls(name.removesuffix("/") if kind == b"5" else name, _number(block[124:136], reader), kind)


def _number(field: bytes, reader: _Reader) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise reader.error("a number in a header is not octal")
    return int(match[1], 8)


def _text(field: bytes, reader: _Reader) -> str:
    text, _, rest = field.partition(b"\0")
    if rest.strip(b"\0") or not text.isascii():
        raise reader.error("a name in a header is no plain text")
    return text.decode("ascii")


def _pax_size(content: bytes, reader: _Reader) -> int:
    """The size that an extended header gives, -1 if it gives none."""
    size, position, seen = -1, 0, set()
    while position < len(content):
        match = _PAX_RECORD.match(content, position)
        if match is None or int(match[1]) != match.end() - position:
            raise reader.error("an extended header is damaged")
        name, value = match[2], match[3]
        if name in seen:
            raise reader.error(f"an extended header says {name.decode()!r} twice")
        seen.add(name)
        position = match.end()
        if name == b"size":
            if not re.fullmatch(rb"0|[1-9]\d{0,15}", value):
                raise reader.error("an extended header has a size that is no number")
            size = int(value)
        elif name not in _PAX_IGNORED:
            raise reader.error(f"an extended header says {name.decode()!r}, which is not taken")
    return size
