"""What collecting costs: landed segments to committed rows, where the time goes, and JSON lines in the same place."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from bench_log import ten_hertz
from deltalake import write_deltalake
from side_by_side import side_by_side

from edgerun import log
from edgerun.log.policy import LogPolicy
from edgerun.log.writer import LogWriter
from edgerun_sync.collector.arrow.parquet import day_files
from edgerun_sync.collector.arrow.tables import slices
from edgerun_sync.collector.crew import Crew
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.keys import Landed
from edgerun_sync.collector.landing import land
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.collector.segments import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from edgerun_sync.collector.committing import Committed

DEVICES, ROWS = 16, 100_000
SMALL_DEVICES, SMALL_ROWS = 500, 10


class Sealed(NamedTuple):
    """A segment of a device."""

    landed: Landed
    body: bytes


def sealed(folder: Path, devices: int, rows: int) -> list[Sealed]:
    """Segments of devices that call a model ten times a second: three arms, 200 sessions, a class, its confidence."""
    batch, sources = ten_hertz(max(rows, 200))
    found = []
    for device in range(devices):
        path = folder / str(device)
        writer = LogWriter(path, policy=LogPolicy())
        writer.write(batch, (), sources)
        writer.close()
        found += [Sealed(Landed(f"oven-{device}", file.stem), file.read_bytes()) for file in sorted(path.iterdir())]
    return found


def test_events_committed_a_second_on_two_cores(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    segments = sealed(tmp_path / "logs", DEVICES, ROWS)
    wall_s, cpu_s, rows, size = committed(tmp_path / "data", segments)
    sent = sum(len(segment.body) for segment in segments)
    print(
        f"\n{rows:,} events of {DEVICES} devices committed by two threads: {rows / wall_s / 1e3:,.0f} k/s; "
        f"{cpu_s / rows * 1e6:.2f} CPU µs an event, so {2 * rows / cpu_s / 1e3:,.0f} k/s of two cores; "
        f"{sent / rows:.2f} bytes an event sent, {size / rows:.2f} in the table"
    )
    benchmark.pedantic(lambda: None)


def test_small_segments_committed_a_second(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """As of 500 devices that each send what a minute left."""
    segments = sealed(tmp_path / "logs", SMALL_DEVICES, 200)
    wall_s, cpu_s, rows, _ = committed(tmp_path / "data", segments)
    count = len(segments)
    print(
        f"\n{count} segments of {rows // count} events committed: {count / wall_s:,.0f} a second, "
        f"{cpu_s / count * 1e3:.2f} CPU ms a segment"
    )
    benchmark.pedantic(lambda: None)


def committed(folder: Path, segments: list[Sealed]) -> tuple[float, float, int, int]:
    """Wall and CPU seconds of committing segments that were landed, the rows, and the bytes of the table."""
    data = open_data(str(folder), lanes=2)
    for segment in segments:
        land(data.objects, 2, segment.landed, segment.body, hashlib.sha256(segment.body).hexdigest())
    left, done, rows = len(segments), threading.Event(), 0
    lock = threading.Lock()

    def report(batch: Committed) -> None:
        nonlocal left, rows
        with lock:
            left -= batch.segments
            rows += sum(batch.rows.values())
        if left <= 0:
            done.set()

    wall, cpu = time.perf_counter(), time.process_time()
    with Crew(data, report=report):
        assert done.wait(600)
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    size = sum(path.stat().st_size for path in (folder / "tables" / "events").glob("day=*/*.parquet"))
    return wall_s, cpu_s, rows, size


def test_where_the_time_of_a_batch_goes(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    segments = sealed(tmp_path / "logs", 4, ROWS)
    data, n = open_data(str(tmp_path / "data"), lanes=1), 4 * ROWS
    decoded = [decode(segment.landed, segment.body) for segment in segments]
    rows = rows_of(time.time_ns() // 1000, decoded)
    numbers = iter(range(1, 1000))
    files = [file.data for file in day_files(rows, "events")]
    stages: dict[str, Callable[[], object]] = {
        "check": lambda: [check(segment.landed.segment, segment.body) for segment in segments],
        "decode": lambda: [decode(segment.landed, segment.body) for segment in segments],
        "rows": lambda: rows_of(0, decoded),
        "columns": lambda: [*slices(rows, "events")],
        "columns and Parquet": lambda: day_files(rows, "events"),
        "put": lambda: [data.objects.replace("x", file) for file in files],
        "columns, Parquet, put, commit": lambda: data.tables.append(0, next(numbers), rows),
    }
    print()
    for name, stage in stages.items():
        stage()
        found = []
        for _ in range(5):
            begun = time.process_time()
            stage()
            found.append(time.process_time() - begun)
        print(f"{name}: {np.median(found) / n * 1e9:.0f} CPU ns an event")
    benchmark.pedantic(lambda: None)


def test_against_json_lines(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """A service that takes gzipped lines of JSON, and appends them to a Delta table as delta-rs has it."""
    n = 20_000
    (segment,) = sealed(tmp_path / "logs", 1, n)
    calls = log.read(tmp_path / "logs" / "0").calls
    names = ("id", "time", "model", "arm", "bundle", "version", "unit", "latency_s", "y.class", "y.confidence")
    columns = [calls[name].astype(np.int64 if name == "unit" else object).tolist() for name in names]
    lines = "\n".join(json.dumps(dict(zip(names, row, strict=True)), default=str) for row in zip(*columns, strict=True))
    posted = gzip.compress(lines.encode(), 6)
    data, numbers = open_data(str(tmp_path / "data"), lanes=1), iter(range(1, 1000))

    def collect() -> None:
        check(segment.landed.segment, segment.body)
        data.tables.append(0, next(numbers), rows_of(10**15, [decode(segment.landed, segment.body)]))

    def collect_lines() -> None:
        events = [json.loads(line) for line in gzip.decompress(posted).splitlines()]
        write_deltalake(str(tmp_path / "lines"), pa.Table.from_pylist(events), mode="append")

    size, peer = len(segment.body) / n, len(posted) / n
    print(f"\nbytes an event: {size:.2f} against {peer:.2f} of gzipped JSON lines, 1/{peer / size:.1f}")
    comparison = side_by_side("an event into a table against a JSON line", collect, collect_lines, items=n, rounds=5)
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.pedantic(lambda: None)
