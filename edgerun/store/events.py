"""What a store tells of each step: by default rows of the device's log. A log that cannot be written stops nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from edgerun.errors import LogError

if TYPE_CHECKING:
    from edgerun.disk import Disk
    from edgerun.log.rows import Note


class Say(Protocol):
    """Is told what happens."""

    def __call__(self, event: str, **details: Any) -> None:
        """Take an event and what belongs to it."""


class LogEvents:
    """Keeps events until `write`, which opens the log of a folder for as long as it takes."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk = disk
        self._folder = folder
        self._waiting: list[Note] = []

    def __call__(self, event: str, **details: Any) -> None:
        """Keep an event."""
        from edgerun.log.clocks import system_clocks  # noqa: PLC0415 - whoever passes a `say` of its own needs no log
        from edgerun.log.rows import Kind, Note  # noqa: PLC0415 - likewise

        self._waiting.append(Note(Kind.LIFECYCLE, system_clocks().monotonic_us(), {"event": event, **details}))

    def write(self) -> None:
        """Write what was kept; where the disk fails, it is lost."""
        notes, self._waiting = self._waiting, []
        if not notes:
            return
        from edgerun.log.writer import LogWriter  # noqa: PLC0415 - likewise

        with suppress(LogError):
            writer = LogWriter(self._folder, disk=self._disk)
            try:
                writer.write(None, notes)
            finally:
                writer.close()
