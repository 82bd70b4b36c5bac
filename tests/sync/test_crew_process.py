"""The process that commits: it is started again when it dies, ends when told to, and never outlives the one beside."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from edgerun_sync.collector import crew_process
from edgerun_sync.collector.crew_process import CrewProcess
from edgerun_sync.collector.data import open_data
from edgerun_sync.errors import CollectorError
from support.collection import land_all, rows_in_tables
from support.collector_command import CollectorProcess
from support.fleet import pool
from support.served import until

pytestmark = pytest.mark.slow


class Told:
    """What a process reported."""

    def __init__(self):
        self.segments, self.waiting, self._lock = 0, {}, threading.Lock()

    def committed(self, batch):
        with self._lock:
            self.segments += batch.segments

    def wait(self, lane, segments):
        self.waiting[lane] = segments


def below(pid):
    """The processes that a process has started."""
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def lives(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def committing(pid):
    return [child for child in below(pid) if b"crew_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_process_commits_goes_on_in_another_when_it_is_killed_and_leaves_its_lanes_when_it_ends(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(crew_process, "BACKOFF_MIN_S", 0.01)
    data, told = open_data(str(tmp_path)), Told()
    first, second = pool()[:3], pool()[3:]
    segments = [segment for device in (*first, *second) for segment in device]
    land_all(data, *[segment for device in first for segment in device])
    with CrewProcess(str(tmp_path), every_s=0.0, committed=told.committed, waiting=told.wait) as crew:
        crew.wait_until_ready()
        until(lambda: told.segments == len(segments) // 2)
        (child,) = committing(os.getpid())
        os.kill(child, signal.SIGKILL)
        land_all(data, *[segment for device in second for segment in device])
        until(lambda: told.segments == len(segments))
        until(lambda: told.waiting == {0: 0, 1: 0})
        assert committing(os.getpid()) not in ([], [child])
    assert committing(os.getpid()) == []
    assert sorted(rows_in_tables(data.tables)) == sorted(row for segment in segments for row in segment.rows)
    claims = [json.loads(path.read_text()) for path in (tmp_path / "lanes").glob("*.json")]
    assert [claim["until"] for claim in claims] == [0.0] * data.lanes
    assert "the process that commits has ended" in caplog.text


def test_tables_that_cannot_be_opened_are_told_at_the_start(tmp_path):
    open_data(str(tmp_path))
    for commit in (tmp_path / "tables" / "labels" / "_delta_log").glob("*.json"):
        commit.write_text('{"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}}\n')
    with (
        CrewProcess(str(tmp_path), every_s=0.0) as crew,
        pytest.raises(CollectorError, match="the table labels cannot be read"),
    ):
        crew.wait_until_ready()


def test_a_process_that_is_stopped_before_it_began_ends(tmp_path):
    with CrewProcess(str(tmp_path), every_s=0.0):
        until(lambda: committing(os.getpid()))
    assert committing(os.getpid()) == []


def test_it_never_outlives_the_collector_that_started_it(tmp_path):
    collector = CollectorProcess(tmp_path / "data")
    (child,) = committing(collector.pid)
    assert {collector.pid, child} <= {*collector.pids()}
    collector.kill()
    until(lambda: not lives(child))
