"""What a fleet's uplink costs: a backlog of one device, many devices at once, and JSON lines posted to the same server.

The collector is `edgerun collector serve` on a folder, committing while it takes in; whoever sends is another process.
EDGERUN_BENCH_FULL=1 has the sizes of the project's goals.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import requests
from bench_log import ten_hertz
from many_devices import CONNECT_S, Plan

from edgerun.log.policy import LogPolicy
from edgerun.log.writer import LogWriter
from edgerun_sync.agent.http import Http
from edgerun_sync.agent.policy import SyncPolicy
from edgerun_sync.agent.uplink import Uplink
from edgerun_sync.collector.data import open_data
from support.collector_command import CollectorProcess, collector_running, enrolled
from support.counting import counting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from edgerun.log.rows import Batch

FULL = os.environ.get("EDGERUN_BENCH_FULL") == "1"
BACKLOG_EVENTS = 1_000_000 if FULL else 100_000
DEVICES, SECONDS = (500, 30) if FULL else (50, 3)
EVENTS_A_SECOND = 10
FIVE_MINUTES = 300 * EVENTS_A_SECOND
"""Events of a segment of a device that seals by time, at ten calls a second."""
POSTS = 330 if FULL else 30
COMMITTED = "edgerun_collector_committed_rows_total"
WAIT_S, LOOK_S = 300.0, 0.5
ROWWISE = ("kind", "flags", "source", "sequence", "unit", "time_us", "latency", "shape")


def test_a_backlog_to_acknowledged(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    batch, sources = ten_hertz(BACKLOG_EVENTS)
    data, log = tmp_path / "data", tmp_path / "log"
    with collector_running(data) as collector:
        token = enrolled(data, "oven-1")
        taken_s, client_s, server_s = [], [], []
        for _ in range(3):
            writer = LogWriter(log, policy=LogPolicy())
            writer.write(batch, (), sources)
            writer.close()
            http = Http(collector.url)
            wall, own, theirs = time.perf_counter(), time.process_time(), collector.cpu_s()
            done = Uplink(http, "oven-1", str(log), SyncPolicy(), lambda _: True).run(token)
            taken_s.append(time.perf_counter() - wall)
            client_s.append(time.process_time() - own)
            server_s.append(collector.cpu_s() - theirs)
            http.close()
            assert done.problem is None
            assert not [*log.glob("*.log")]
    print(
        f"\n{BACKLOG_EVENTS:,} events of one device acknowledged in {np.median(taken_s):.3f} s, in {done.segments} "
        f"segments of {done.bytes / BACKLOG_EVENTS:.2f} bytes an event; CPU {np.median(client_s):.2f} s of the device, "
        f"{np.median(server_s):.2f} s of the collector, which commits meanwhile; load {os.getloadavg()[0]:.1f}"
    )
    benchmark.pedantic(lambda: None)


def test_many_devices_at_once(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Each sends a segment of ten events, with its journal's row, every second."""
    data, log = tmp_path / "data", tmp_path / "log"
    segments = small_segments(log, SECONDS)
    with collector_running(data) as collector:
        idle = collector.memory_bytes()
        tokens = [(f"oven-{i}", enrolled(data, f"oven-{i}")) for i in range(DEVICES)]
        plan = Plan("127.0.0.1", collector.port, tokens, [str(path) for path in segments])
        before, wall = collector.cpu_s(), time.perf_counter()
        seen = sent_by_many(plan)
        used = (collector.cpu_s() - before) / (time.perf_counter() - wall - CONNECT_S)
        memory = collector.memory_bytes()
    taken = np.array(seen["taken_s"]) * 1000
    assert seen["statuses"] == {"201": DEVICES * SECONDS}
    p50, p99 = np.percentile(taken, (50, 99))
    wire = (seen["sent_bytes"] + seen["received_bytes"]) / len(taken)
    print(
        f"\n{DEVICES} devices, {SECONDS} s, a segment of {EVENTS_A_SECOND} events a second each: acknowledged after "
        f"{p50:.1f} ms (median), {p99:.1f} ms (99 %), {taken.max():.0f} ms (most); collector {memory / 1e6:.0f} MB at "
        f"most, {idle / 1e6:.0f} MB before, {used:.2f} cores; {wire:.0f} bytes a segment on the wire; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    benchmark.pedantic(lambda: None)


def small_segments(log: Path, count: int) -> list[Path]:
    """Segments of some events each, of one stream."""
    return segments_of(log, count, EVENTS_A_SECOND)


def segments_of(log: Path, count: int, events: int) -> list[Path]:
    """So many segments of so many events each, of one stream."""
    writer = LogWriter(log, policy=LogPolicy())
    batch, sources = ten_hertz(200 * -(-count * events // 200))
    for number in range(count):
        writer.write(cut(batch, number * events, events), (), sources)
        writer.seal()
    writer.close()
    return sorted(log.glob("*.log"))


def cut(batch: Batch, first: int, count: int) -> Batch:
    """Some of the calls of a batch, which have two numbers each and no texts."""
    end = first + count
    rows = {name: getattr(batch, name)[first:end] for name in ROWWISE}
    return batch._replace(
        **rows,
        numbers=batch.numbers[2 * first : 2 * end],
        numbers_at=batch.numbers_at[: count + 1],
        data_at=batch.data_at[: count + 1],
    )


def sent_by_many(plan: Plan) -> dict:
    """What a process saw that sends for many devices."""
    command = [sys.executable, os.fspath(Path(__file__).with_name("many_devices.py"))]
    found = subprocess.run(command, input=json.dumps(plan._asdict()), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout)


def test_against_json_lines_posted_to_the_same_server(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Events of five minutes a request, until all are in a Delta table; both land durably before they answer."""
    files = segments_of(tmp_path / "log", POSTS, FIVE_MINUTES)
    events = POSTS * FIVE_MINUTES
    first = segments_of(tmp_path / "first", 1, FIVE_MINUTES)  # whatever is loaded at the first batch is not counted
    data = tmp_path / "data"
    with collector_running(data) as collector, counting(collector.url) as relay:
        token = enrolled(data, "oven-1")
        http = Http(collector.url)
        assert Uplink(http, "oven-1", str(first[0].parent), SyncPolicy(), lambda _: True).run(token).segments == 1
        until(lambda: scraped(collector.url, COMMITTED) >= FIVE_MINUTES)
        http.close()
        http, theirs = Http(relay.url), collector.cpu_s()
        done = Uplink(http, "oven-1", str(tmp_path / "log"), SyncPolicy(), lambda _: True).run(token)
        http.close()
        assert (done.problem, done.segments) == (None, len(files))
        until(lambda: scraped(collector.url, COMMITTED) >= events + FIVE_MINUTES)
        product = (collector.cpu_s() - theirs) / events
        sent = relay.bytes / events
    warm, *posts = (gzip.compress(lines, 6) for lines in json_lines(data, FIVE_MINUTES))
    assert len(posts) == POSTS
    with line_server_running(tmp_path / "peer") as peer, counting(peer.url) as relay:
        post_lines(peer.url, token, [warm])
        until(lambda: requests.get(f"{peer.url}/committed", timeout=60).json() >= FIVE_MINUTES)
        theirs = peer.cpu_s()
        post_lines(relay.url, token, posts)
        until(lambda: requests.get(f"{peer.url}/committed", timeout=60).json() >= events + FIVE_MINUTES)
        peers = (peer.cpu_s() - theirs) / events
        peer_sent = relay.bytes / events
    print(
        f"\n{events:,} events in requests of {FIVE_MINUTES}: {sent:.2f} bytes an event on the wire, headers included, "
        f"against {peer_sent:.1f} of gzipped JSON lines, 1/{peer_sent / sent:.1f}; CPU of the server until they are in "
        f"the table {product * 1e6:.2f} µs an event against {peers * 1e6:.1f}, 1/{peers / product:.1f}"
    )
    benchmark.extra_info |= {"bytes": peer_sent / sent, "cpu": peers / product}
    benchmark.pedantic(lambda: None)


def json_lines(data: Path, events: int) -> Iterator[bytes]:
    """The rows of the table of events, as lines of JSON with what they have, so many at a time."""
    rows = open_data(str(data)).tables.rows("events")
    for first in range(0, rows.num_rows, events):
        lines = (
            {
                name: dict(value) if isinstance(value, list) else value
                for name, value in row.items()
                if value or name in {"row", "sequence"}  # each is 0 once, and every request has the same columns
            }
            for row in rows.slice(first, events).to_pylist()
        )
        yield "\n".join(json.dumps(line, default=str) for line in lines).encode()


def post_lines(url: str, token: str, posts: list[bytes]) -> None:
    """Post gzipped lines, one request after the other, over one connection."""
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip", "Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        for post in posts:
            assert session.post(f"{url}/lines", post, headers=headers, timeout=60).status_code == 201


@contextmanager
def line_server_running(folder: Path) -> Iterator[CollectorProcess]:
    """Run the peer."""
    process = CollectorProcess(folder, program=(os.fspath(Path(__file__).with_name("line_server.py")), str(folder)))
    try:
        yield process
    finally:
        process.stop()


def scraped(url: str, name: str) -> float:
    """The sum of a counter over its labels."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, and look seldom: looking costs the server something too."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(LOOK_S)
