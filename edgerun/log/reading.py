"""Reading a log: every row of a folder's streams once, whoever is still writing to it, and what was lost.

Nothing is written, and a writer is never kept waiting.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from edgerun._shown import shown
from edgerun.errors import LogError
from edgerun.log.chunks import Chunk, Origin, Sources, chunks_of, selected
from edgerun.log.contents import OF_A_SOURCE
from edgerun.log.files import LogFile, list_files
from edgerun.log.lost import Recovery, lost_of
from edgerun.log.moments import Moment, microseconds
from edgerun.log.repair import Timeline, timeline
from edgerun.log.rows import Kind
from edgerun.log.segment import Frame, parse_name, scan
from edgerun.log.spans import Spans
from edgerun.log.tables import Boots, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from edgerun.log.columns import Array
    from edgerun.log.segment import Header

_ROUNDS_MAX = 10
"""How often the folder is listed again for files that were sealed while others were read."""
_NO_END = 2**64 - 1


class Log:
    """What a log holds: a table for each kind of row, and what was lost."""

    def __init__(self, tables: dict[Kind, Table], recovery: Recovery) -> None:
        self.tables = tables
        """By kind; of those that were not asked for, empty ones."""
        self.recovery = recovery
        """What was lost of the files that were read."""
        self.calls = tables[Kind.CALL]
        self.shadows = tables[Kind.SHADOW]
        self.errors = tables[Kind.ERROR]
        self.captures = tables[Kind.CAPTURE]
        self.profiles = tables[Kind.PROFILE]
        self.labels = tables[Kind.LABEL]
        self.outcomes = tables[Kind.OUTCOME]
        self.losses = tables[Kind.LOSS]
        self.lifecycle = tables[Kind.LIFECYCLE]

    def __repr__(self) -> str:
        """Return how many rows of each kind there are, and what was lost."""
        rows = ", ".join(f"{kind.name.lower()}={table.rows:,}" for kind, table in self.tables.items() if table.rows)
        return f"Log({rows or 'empty'}; lost: {self.recovery.events:,} rows, {self.recovery.bytes_dropped:,} bytes)"


def read(
    path: str | os.PathLike[str],
    *,
    kinds: Iterable[Kind | str] | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    arm: str | None = None,
) -> Log:
    """Return the rows of a log, each once.

    Args:
        path: a log's folder, which processes may be writing to; or one segment, .log or .open.
        kinds: the kinds of rows to read, such as "call" or Kind.LABEL; None for all.
        since: the first time to read: an aware datetime, a datetime64 (UTC), ISO text (UTC where it says no other), or
            seconds since 1970.
        until: the first time not to read.
        arm: read only rows that have this arm: calls, shadows, errors, captures and profiles.

    Raises:
        LogError: the path is no log or cannot be read, or an argument is none of the above.
    """
    return Reader(path, kinds=kinds, since=since, until=until, arm=arm).poll()


class Reader:
    """Reads a log and then, at each poll, what came to it since. Arguments as of `read`."""

    _decodes = True
    """Whether rows are decoded, not only counted."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        kinds: Iterable[Kind | str] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        arm: str | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._kinds = _kinds(kinds, arm)
        self._since = None if since is None else microseconds(since)
        self._until = None if until is None else microseconds(until)
        self._arm = arm
        self._files: dict[str, LogFile] = {}
        self._claims: Mapping[int, list[int]] = {}
        self._rows: dict[int, Spans] = {}
        self._sources = Sources()
        self._boot_of: dict[int, int] = {}
        self._boot_ids: list[bytes] = []
        self._clocks: list[tuple[array[int], array[int]]] = []
        self._chunks: dict[Kind, list[Chunk]] = {}

    def poll(self) -> Log:
        """Return the rows that are new since the last poll, and all that was lost so far.

        Raises:
            LogError: the log cannot be read.
        """
        timelines = None if self._since is None and self._until is None else self._look_at_clocks()
        self._chunks = {kind: [] for kind in Kind}
        for file, data in self._changed():
            if timelines is None or file.origin is None or file.origin.boot < len(timelines):
                self._read(file, data, timelines)
            else:
                file.size = -1  # a stream that began just now: nobody knows its times
        boots = Boots(tuple(self._boot_ids), self._timelines())
        tables = {
            kind: Table(kind, tuple(chunks), self._sources.listed, boots) for kind, chunks in self._chunks.items()
        }
        return Log(tables, lost_of(self.files(), self._rows))

    def files(self) -> list[LogFile]:
        """Return the files that were read, in the order of streams and rows."""
        return [self._files[path] for path in sorted(self._files)]

    def _changed(self) -> Iterator[tuple[LogFile, bytes]]:
        """Yield the files that are new or grew, with their bytes."""
        seen: set[str] = set()
        for _ in range(_ROUNDS_MAX):
            listed = list_files(self._path)
            self._claims = _claims(listed)
            fresh = {path: size for path, size in listed.items() if path not in seen}
            if not fresh:
                return
            seen.update(fresh)
            for path, size in fresh.items():
                file = self._files.get(path) or LogFile(path)
                if file.size != size and (data := file.read()) is not None:
                    self._files[path] = file
                    self._place(file)
                    yield file, data

    def _place(self, file: LogFile) -> None:
        """Say where a file's rows come from, once its header is known."""
        if file.header is None or file.origin is not None:
            return
        epoch = file.header.epoch
        boot = self._boot_of.setdefault(epoch, len(self._boot_ids))
        if boot == len(self._boot_ids):
            self._boot_ids.append(file.header.boot)
            self._clocks.append((array("q"), array("q")))
            self._rows.setdefault(epoch, Spans())
        elif not any(self._boot_ids[boot]):  # a former file's header was lost
            self._boot_ids[boot] = file.header.boot
        file.origin = Origin(epoch, boot, {})

    def _look_at_clocks(self) -> list[Timeline]:
        """Read the clocks of all new frames, and nothing else, so that times can be told before rows are decoded."""
        for file, data in self._changed():
            if file.header is not None and file.origin is not None:
                for frame in scan(data, file.header, start=max(file.offset, file.clocks_to), kinds=()):
                    if isinstance(frame, Frame):
                        self._keep_clocks(file, file.origin, frame)
            file.size = -1  # to be read again, now for its rows
        return self._timelines()

    def _read(self, file: LogFile, data: bytes, timelines: list[Timeline] | None) -> None:
        if file.header is None or file.origin is None:
            return
        origin = file.origin
        wants = self._wants(file, None if timelines is None else timelines[origin.boot])
        spans, end_row = self._rows[origin.epoch], self._end_row(file.header)
        for frame in scan(data, file.header, start=file.offset, kinds=self._kinds, wants=wants):
            if not isinstance(frame, Frame):
                file.take(frame)
                continue
            self._keep_clocks(file, origin, frame)
            origin.codes.update({number: self._sources.code(source) for number, source in frame.sources.items()})
            file.offset = frame.end
            file.rows += frame.rows
            file.end_row = max(file.end_row, frame.first_row + frame.rows)
            for first, end in spans.add(frame.first_row, min(frame.first_row + frame.rows, end_row)):
                for block in frame.blocks:
                    for chunk in chunks_of(block, frame, first, end, origin, self._sources):
                        self._keep(block.kind, chunk, timelines)

    def _end_row(self, header: Header) -> int:
        """The first row that a later segment of the stream claims."""
        claims = self._claims.get(header.epoch, [])
        later = bisect_right(claims, header.first_row)
        return claims[later] if later < len(claims) else _NO_END

    def _wants(self, file: LogFile, reading: Timeline | None) -> Callable[[Array], bool]:
        """Return what says by the times of a block whether it is to be decoded."""

        def wants(times: Array) -> bool:
            file.note(times)
            return self._decodes and (reading is None or bool(self._is_within(reading.wall_us(times)).any()))

        return wants

    def _is_within(self, wall_us: Array) -> Array:
        found = np.ones(len(wall_us), np.bool_)
        if self._since is not None:
            found &= wall_us >= self._since
        if self._until is not None:
            found &= wall_us < self._until
        return found

    def _keep(self, kind: Kind, chunk: Chunk, timelines: list[Timeline] | None) -> None:
        """Keep the rows of a chunk that were asked for."""
        if timelines is not None:
            times = timelines[int(chunk.columns["boot"][0])].wall_us(chunk.columns["monotonic_us"])
            chunk = selected(chunk, self._is_within(times))
        if self._arm is not None and kind in OF_A_SOURCE:
            codes = [code for code, source in enumerate(self._sources.listed) if source and source.arm == self._arm]
            chunk = selected(chunk, np.isin(chunk.columns["source"], codes))
        elif self._arm is not None:
            of_arm = [value.get("arm") == self._arm for value in chunk.columns["values"]]
            chunk = selected(chunk, np.array(of_arm, np.bool_))
        if chunk.n:
            self._chunks[kind].append(chunk)

    def _keep_clocks(self, file: LogFile, origin: Origin, frame: Frame) -> None:
        if frame.offset < file.clocks_to:
            return
        file.clocks_to = frame.end
        monotonic, wall = self._clocks[origin.boot]
        monotonic.append(frame.monotonic_us)
        wall.append(frame.wall_us)

    def _timelines(self) -> list[Timeline]:
        """For each boot's number, how its times are read; streams of one boot have their frames together."""
        groups: dict[object, list[int]] = {}
        for number, boot in enumerate(self._boot_ids):
            groups.setdefault(boot if any(boot) else number, []).append(number)
        made: dict[int, Timeline] = {}
        for numbers in groups.values():
            clocks = [
                np.concatenate([np.array(self._clocks[number][which], np.int64) for number in numbers])
                for which in (0, 1)
            ]
            made |= dict.fromkeys(numbers, timeline(clocks[0], clocks[1]))
        return [made[number] for number in range(len(self._boot_ids))]


def _kinds(kinds: Iterable[Kind | str] | None, arm: str | None) -> frozenset[Kind]:
    """The kinds to read; with an arm, only those that have one."""
    wanted = frozenset(Kind) if kinds is None else frozenset(map(_kind, [kinds] if isinstance(kinds, str) else kinds))
    return wanted if arm is None else wanted & (OF_A_SOURCE | {Kind.PROFILE})


def _kind(kind: Kind | str) -> Kind:
    try:
        return Kind[kind.upper()] if isinstance(kind, str) else Kind(kind)
    except (KeyError, ValueError) as error:
        raise LogError(
            f"{shown(kind)} is no kind of row; there are: {', '.join(known.name.lower() for known in Kind)}"
        ) from error


def _claims(paths: Iterable[str]) -> dict[int, list[int]]:
    """The first rows of a folder's segments, by stream, in order."""
    found: dict[int, list[int]] = {}
    for name in filter(None, (parse_name(os.path.basename(path)) for path in paths)):
        found.setdefault(name.epoch, []).append(name.first_row)
    return {epoch: sorted(rows) for epoch, rows in found.items()}
