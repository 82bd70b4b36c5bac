"""What a power cut leaves of files and names whose changes were not synced; chance chooses among all that it may be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from random import Random

SECTOR_BYTES = 512


class Change(NamedTuple):
    """One change of a disk.

    Attributes:
        what: "create", "write", "truncate", "sync", "sync failed", "sync folder", "replace", "remove", "make folder" or
            "remove folder".
        path: of the file or folder; of "replace" the former one.
        file: the file that it is about.
        offset: of the write; of "truncate" the size.
        data: that is written.
        target: the new path of "replace".
    """

    what: str
    path: str = ""
    file: int = 0
    offset: int = 0
    data: bytes = b""
    target: str = ""


def names_after_cut(first: Mapping[str, int], history: Sequence[Change], random: Random) -> dict[str, int]:
    """Return the names that a power cut leaves, and the file of each."""
    names, waiting = dict(first), list[Change]()
    for change in history:
        if change.what == "sync folder":
            for earlier in [earlier for earlier in waiting if os.path.dirname(earlier.path) == change.path]:
                _rename(names, earlier)
                waiting.remove(earlier)
        elif change.what in {"create", "replace", "remove"}:
            waiting += _by_folder(change)
    for change in _some(waiting, random):
        _rename(names, change)
    return names


def folders_after_cut(
    first: Iterable[str], names: Iterable[str], history: Sequence[Change], random: Random
) -> set[str]:
    """Return the folders that a power cut leaves: those that were made, for that lasts, less some of the removed."""
    folders = {*first}
    for change in history:
        if change.what == "make folder":
            folders.add(change.path)
        elif change.what == "remove folder" and random.random() < 0.5:
            folders.discard(change.path)
    return folders.union(map(os.path.dirname, names))


def files_after_cut(first: Mapping[int, bytes], history: Sequence[Change], random: Random) -> dict[int, bytes]:
    """Return what a power cut leaves of every file."""
    durable = dict(first)
    waiting: dict[int, list[Change]] = {}
    doomed: dict[int, list[Change]] = {}
    for change in history:
        match change.what:
            case "create":
                durable[change.file] = b""
            case "write" | "truncate":
                waiting.setdefault(change.file, []).append(change)
            case "sync failed":
                doomed.setdefault(change.file, []).extend(waiting.pop(change.file, []))
            case "sync":
                durable[change.file] = _applied(durable[change.file], waiting.pop(change.file, []))
    stale = b"".join(_applied(content, waiting.get(file, [])) for file, content in durable.items())
    return {
        file: _torn(content, [*doomed.get(file, []), *waiting.get(file, [])], stale, random)
        for file, content in durable.items()
    }


def _torn(durable: bytes, waiting: list[Change], stale: bytes, random: Random) -> bytes:
    """A file some of whose waiting changes have reached the disk, in order or by sectors."""
    reached = waiting[: random.randint(0, len(waiting))] if random.random() < 0.5 else waiting
    image = _applied(durable, reached)
    if not waiting or random.random() < 0.3:
        return image
    size = random.choice([len(durable), len(image), random.randint(min(len(durable), len(image)), len(image))])
    begin = random.randrange(len(stale) + 1)
    filler = random.choice([bytes(size), (stale[begin:] + stale[:begin]) * (size // max(1, len(stale)) + 1)])
    old = durable + filler[len(durable) : size]
    found = bytearray(size)
    for at in range(0, size, SECTOR_BYTES):
        end = min(size, at + SECTOR_BYTES)
        written = image[at:end].ljust(end - at, b"\0")
        found[at:end] = written if random.random() < 0.6 else old[at:end].ljust(end - at, b"\0")
    if random.random() < 0.4:
        for _ in range(random.randint(1, 8)):
            if found:
                found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    for begin, end in _untouched(len(durable), reached):
        found[begin:end] = durable[begin:end]
    return bytes(found)


def _untouched(size: int, waiting: Sequence[Change]) -> Iterator[tuple[int, int]]:
    """Ranges of a file's bytes that no waiting change was about."""
    at = 0
    for begin, end in sorted(
        (change.offset, change.offset + len(change.data) if change.what == "write" else size) for change in waiting
    ):
        if at < min(begin, size):
            yield at, min(begin, size)
        at = max(at, end)
    if at < size:
        yield at, size


def _applied(content: bytes, changes: Sequence[Change]) -> bytes:
    found = bytearray(content)
    for change in changes:
        if change.what == "write":
            found.extend(bytes(max(0, change.offset - len(found))))
            found[change.offset : change.offset + len(change.data)] = change.data
        else:
            del found[change.offset :]
    return bytes(found)


def _some(waiting: list[Change], random: Random) -> list[Change]:
    """All, none, the first ones, or any of them, in order."""
    how = random.randrange(4)
    if how == 0:
        return waiting
    if how == 1:
        return []
    if how == 2:
        return waiting[: random.randint(0, len(waiting))]
    return [change for change in waiting if random.random() < 0.5]


def _by_folder(change: Change) -> list[Change]:
    """A rename from one folder into another waits for both, and may be there by halves."""
    if change.what != "replace" or os.path.dirname(change.path) == os.path.dirname(change.target):
        return [change]
    return [Change("create", change.target, change.file), Change("unlink", change.path, change.file)]


def _rename(names: dict[str, int], change: Change) -> None:
    if change.what == "create":
        names[change.path] = change.file
    elif change.what == "unlink":
        if names.get(change.path) == change.file:
            del names[change.path]
    elif change.what == "remove":
        names.pop(change.path, None)
    else:
        if names.get(change.path) == change.file:
            del names[change.path]
        names[change.target] = change.file
