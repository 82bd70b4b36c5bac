"""What a writer does beside writing rows: recovery, sealing, the budget. It never writes to a stream.

It leaves notes for the journal. A file that a note tells of goes only when the note is durable.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.log.budget import excess, rows_by_kind, sealed_segments
from edgerun.log.recovery import Recovered, recover
from edgerun.log.rows import Kind, Note
from edgerun.log.seal import rewrite
from edgerun.log.segment import parse_name

if TYPE_CHECKING:
    from edgerun.disk import Disk
    from edgerun.log.clocks import Clocks
    from edgerun.log.stream import Retired, Stream


class Upkeep:
    """Keeps a log's folder in order on behalf of one writer."""

    def __init__(self, disk: Disk, folder: str, clocks: Clocks) -> None:
        self.notes: list[Note] = []
        """Rows that the journal is to have."""
        self._disk = disk
        self._folder = folder
        self._clocks = clocks
        self._retired: list[Retired] = []
        self._settled: list[Recovered] = []

    def has_retired(self) -> bool:
        """Whether there are segments that could not be sealed so far."""
        return bool(self._retired)

    def tell(self, kind: Kind, value: dict[str, object]) -> None:
        """Leave a note, unless the same one waits already."""
        if all(note.value != value for note in self.notes):
            self.notes.append(Note(kind, self._clocks.monotonic_us(), value))

    def told(self, count: int) -> None:
        """Go on when the first notes are durable: drop them, and remove the files that they tell of."""
        del self.notes[:count]
        if not self.notes:
            for recovered in self._settled:
                self._finish(recovered)
            self._settled.clear()

    def recover(self) -> None:
        """Seal what dead processes left.

        Raises:
            OSError: the folder cannot be listed.
        """
        for recovered in recover(self._disk, self._folder):
            if recovered.has_news():
                self._settle(recovered)
            else:
                self._finish(recovered)

    def retire(self, retired: Retired | None) -> None:
        """Take over a segment that is written no more, to seal it."""
        if retired is not None:
            self._retired.append(retired)

    def forget_vanished(self, stream: Stream) -> None:
        """Take note that somebody removed a stream's open segment, and what was in it."""
        retired = stream.retire(stream.at)
        if retired is not None:
            first_row = int(retired.name[-16:], 16)
            value = {"event": "vanished", "segment": retired.name, "rows": retired.end_row - first_row}
            self.tell(Kind.LIFECYCLE, value)
            self._close(retired.file)

    def seal_retired(self) -> None:
        """Seal all segments that were taken over.

        Raises:
            OSError: the disk failed; those that are left are sealed later.
        """
        while self._retired:
            name, file, size, end_row = self._retired[0]
            try:
                data = self._disk.read(os.path.join(self._folder, f"{name}.open"))[:size]
            except FileNotFoundError:
                self.tell(Kind.LIFECYCLE, {"event": "vanished", "segment": name})
                self._close(file)
            else:
                contents = rewrite(self._disk, self._folder, name, (data,), end_row)
                recovered = Recovered(name, file, contents)
                if contents.end_row < end_row or contents.gaps or contents.bytes_dropped:
                    self._settle(recovered)
                else:
                    self._finish(recovered)
            del self._retired[0]

    def over_budget(self, bytes_max: int) -> list[str]:
        """Return the paths of the segments that are to be removed, of which notes are left.

        Raises:
            OSError: the folder cannot be listed or read.
        """
        sizes = {name: size for name, size in self._disk.sizes(self._folder).items() if parse_name(name)}
        over = sum(sizes.values()) - bytes_max
        if over <= 0:
            return []
        victims = []
        for segment in excess(sealed_segments(self._disk, self._folder, sizes), over):
            path = os.path.join(self._folder, segment.name)
            try:
                events = rows_by_kind(self._disk.read(path), segment.name)
            except FileNotFoundError:  # another process was quicker, and says so
                continue
            value = {
                "reason": "budget",
                "segment": segment.name[: -len(".log")],
                "rows": sum(events.values()),
                "bytes": segment.size,
                "events": events,
            }
            self.tell(Kind.LOSS, value)
            victims.append(path)
        return victims

    def remove(self, paths: list[str]) -> None:
        """Remove files; one that cannot be is found again later."""
        for path in paths:
            with suppress(OSError):
                self._disk.remove(path)

    def let_go(self) -> None:
        """Close all files, so that another process can recover them."""
        for file in (*(retired.file for retired in self._retired), *(settled.file for settled in self._settled)):
            self._close(file)
        self._retired.clear()
        self._settled.clear()

    def _settle(self, recovered: Recovered) -> None:
        """Keep the open file until the note of it is durable: who finds it again would tell it again."""
        self.tell(Kind.LIFECYCLE, recovered.event())
        self._settled.append(recovered)

    def _finish(self, recovered: Recovered) -> None:
        self.remove([os.path.join(self._folder, f"{recovered.name}.open")])
        self._close(recovered.file)

    def _close(self, file: int) -> None:
        with suppress(OSError):  # nothing that mattered was still to be written
            self._disk.close(file)
