"""A fleet in memory: devices' segments, storage and tables that interleave, fail and die as a seed says."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from edgerun.log.clocks import Clocks
from edgerun.log.policy import LogPolicy
from edgerun.log.segment import Frame, parse_header, scan
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from edgerun_sync.collector.arrow.tables import CHECK_INS, KINDS
from edgerun_sync.collector.keys import Landed
from edgerun_sync.errors import ContentError, StorageError
from support.logs import SOURCES, batch_of, call, label

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from random import Random

    from edgerun_sync.collector.rows import Rows

NOON_US = 1_700_000_000_000_000


class Made(NamedTuple):
    """A segment that a device has: its names, its bytes, and the rows (device, epoch, row) in it."""

    landed: Landed
    body: bytes
    rows: frozenset


def ticking(start_us: int = 10**9, ahead_us: int = NOON_US, boot: bytes = b"a boot of tests.") -> Clocks:
    """Clocks that move a millisecond at each look."""
    now = iter(range(start_us, 2**62, 1000))
    return Clocks(lambda: next(now), lambda: next(now) + ahead_us, boot)


def log_files(disk: SimulatedDisk) -> dict[str, bytes]:
    """The sealed segments of a log, by name."""
    found = disk.contents("/log")
    return {name[:-4]: data for name, data in sorted(found.items()) if name.endswith(".log")}


def rows_in(device: str, body: bytes) -> frozenset:
    """The rows of a segment, as (device, epoch, row)."""
    header = parse_header(body)
    return frozenset(
        (device, header.epoch, frame.first_row + i)
        for frame in scan(body, header, kinds=())
        if isinstance(frame, Frame)
        for i in range(frame.rows)
    )


def made(device: str, segments: int, *, rows: int = 5, clocks: Clocks | None = None) -> list[Made]:
    """Real segments of a device, as its log seals them: calls, and labels besides."""
    disk = SimulatedDisk()
    writer = LogWriter("/log", policy=LogPolicy(), disk=disk, clocks=clocks or ticking())
    for number in range(segments):
        calls = [call(number * rows + i, 10**9 + 1000 * (number * rows + i)) for i in range(rows)]
        writer.write(batch_of([*calls, label(number)] if number % 3 == 0 else calls), [], SOURCES)
        writer.seal()
    writer.close()
    return [Made(Landed(device, name), body, rows_in(device, body)) for name, body in log_files(disk).items()]


@cache
def pool(devices: int = 6, segments: int = 4) -> tuple[tuple[Made, ...], ...]:
    """The segments of some devices, made once."""
    return tuple(tuple(made(f"device-{number}", segments)) for number in range(devices))


class Memory:
    """Objects in memory, which are durable at once."""

    at_once = 16

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put_new(self, key: str, data: bytes) -> bool:
        return self.stored.setdefault(key, data) is data

    def replace(self, key: str, data: bytes) -> None:
        self.stored[key] = data

    def get(self, key: str) -> bytes | None:
        return self.stored.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.stored if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        for key, data in objects:
            self.replace(key, data)

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)


class KilledError(BaseException):
    """The process is no more: nothing catches it."""


class Stepping:
    """Objects that ask before and after each operation, as whoever steps wants to know."""

    def __init__(self, objects, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._objects, self._before, self._after = objects, before, after

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """In steps of their own: one may die, or fail, between any two."""
        for key, data in objects:
            self.replace(key, data)

    def delete_all(self, keys: Sequence[str]) -> None:
        """Likewise."""
        for key in keys:
            self.delete(key)

    def __getattr__(self, name: str):
        method = getattr(self._objects, name)

        def stepped(*args):
            self._before()
            found = method(*args)
            found = list(found) if name == "list" else found
            self._after()
            return found

        return stepped


class ModelTables:
    """The tables as Delta keeps them: versions, and commits that fail where another one has the same transaction."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[int, int, tuple]]] = {name: [] for name in (*KINDS, CHECK_INS)}

    def rows(self) -> list[tuple]:
        return [row for versions in self.versions.values() for _, _, rows in versions for row in rows]

    def number(self, name: str, lane: int, upto: int) -> int:
        return max((number for of, number, _ in self.versions[name][:upto] if of == lane), default=0)


class TablesOfModel:
    """What one process has open of the tables of a model."""

    def __init__(
        self,
        model: ModelTables,
        before: Callable[[], None],
        after: Callable[[], None],
        refused: Collection[str] = (),
    ) -> None:
        self._model, self._before, self._after, self._refused = model, before, after, refused

    def committed(self, lane: int) -> int:
        self._before()
        return max(self._model.number(name, lane, len(log)) for name, log in self._model.versions.items())

    def files_of(self, rows: Rows) -> Rows:
        if any(stream.device in self._refused for stream in rows.streams):
            raise ContentError("rows of this device cannot become files")
        return rows

    def append_files(self, lane: int, number: int, rows: Rows | dict) -> dict[str, int]:
        if not rows:  # of nothing there are no rows
            return {}
        for name, kinds in KINDS.items():
            found = tuple(
                (rows.streams[int(stream)].device, int(epoch), int(row))
                for kind in kinds
                for chunk in rows.chunks[kind]
                for stream, epoch, row in zip(
                    chunk.columns["boot"], chunk.columns["epoch"], chunk.columns["row"], strict=True
                )
            )
            if found:
                self._append(name, lane, number, found)
        if rows.check_ins:
            taken = tuple((one.device, one.said["instance"], one.said["count"]) for one in rows.check_ins)
            self._append(CHECK_INS, lane, number, taken)
        return {}

    def _append(self, name: str, lane: int, number: int, found: tuple) -> None:
        log = self._model.versions[name]
        while True:
            self._before()
            seen = len(log)
            if self._model.number(name, lane, seen) >= number:
                return
            self._before()
            if all(of != lane for of, _, _ in log[seen:]):
                log.append((lane, number, found))
                self._after()
                return


class Actor:
    """Something that runs a step at a time, when it is let."""

    def __init__(self, work: Callable[[Actor], object]) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self.is_done = False
        self._orders: list[BaseException | None] = []
        self._mine, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._late: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()
        self._back.acquire()

    def before(self) -> None:
        """Wait for leave to do the next operation."""
        self._back.release()
        self._mine.acquire()
        order = self._orders.pop()
        if isinstance(order, KilledError) or (order is not None and not isinstance(order, UnknownError)):
            raise order
        self._late = order

    def after(self) -> None:
        """An operation was done; perhaps nobody is told so."""
        late, self._late = self._late, None
        if late is not None:
            raise late

    def go(self, order: BaseException | None = None) -> None:
        """Let it do one operation, fail at it, or die."""
        self._orders.append(order)
        self._mine.release()
        self._back.acquire()

    def _run(self, work: Callable[[Actor], object]) -> None:
        try:
            self.before()
            self.result = work(self)
        except BaseException as error:  # noqa: BLE001 - whoever started it looks at it
            self.error = error
        finally:
            self.is_done = True
            self._back.release()


class UnknownError(StorageError):
    """It was done, and the answer was lost."""


def order(random: Random) -> BaseException | None:
    """What happens to the next operation: mostly nothing."""
    chance = random.random()
    if chance < 0.02:
        return KilledError()
    if chance < 0.04:
        return StorageError("503 Slow Down")
    return UnknownError("the connection was reset") if chance < 0.06 else None
