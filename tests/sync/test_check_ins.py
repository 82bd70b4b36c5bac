"""Check-ins become rows of the table `devices`: each once, whoever commits, and again when the tables are rebuilt."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from edgerun_sync.collector import keys
from edgerun_sync.collector.check_ins import check_in_name, parse_check_in
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.delta import DeltaTables
from edgerun_sync.collector.devices import Devices
from edgerun_sync.collector.documents import CheckIn
from edgerun_sync.collector.rebuild import rebuild
from edgerun_sync.errors import CollectorError, StorageError
from edgerun_sync.limits import LIMITS
from support.collection import commit_all, content, land_all
from support.fleet import made
from sync.test_service_http import CHECK_IN

NAME = "oven-7"


@pytest.fixture
def data(tmp_path):
    return open_data(str(tmp_path / "data"), lanes=2)


def check_in(data, count, device=NAME, **fields):
    said = CheckIn.model_validate({**CHECK_IN, "count": count, **fields})
    return Devices(data.objects).check_in(device, said, lane=keys.lane_of(device, data.lanes))


def rows(data):
    return data.tables.rows("devices").sort_by("row").to_pylist()


def test_a_check_in_is_a_row_with_its_fields_and_flags(data):
    bundle = {"name": "cards", "version": "1.2.0", "digest": "sha256:" + "ab" * 32, "state": "candidate"}
    backlog = {"segments": 3, "bytes": 4096, "oldest": "2026-11-01T00:00:00Z"}
    boot = "01234567-89ab-cdef-0123-456789abcdef"
    check_in(data, 5, bundle=bundle, backlog=backlog, lost={"call": 7}, errors=["no route"], boot=boot)
    check_in(data, 4)
    commit_all(data)
    restored, first = rows(data)
    assert (first["device"], first["epoch"], first["row"]) == (NAME, CHECK_IN["instance"], 5)
    assert first["clock"] == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert first["day"] == first["time"].date()
    assert first["boot"] == boot
    assert (first["bundle"], first["version"], first["state"]) == ("cards", "1.2.0", "candidate")
    assert (first["backlog_segments"], first["backlog_bytes"]) == (3, 4096)
    assert first["backlog_oldest"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert first["lost"] == [("call", 7)]
    assert (first["errors"], first["flags"]) == (["no route"], [])
    assert (restored["row"], restored["flags"]) == (4, ["restored"])


def test_a_check_in_that_is_sent_again_is_one_row(data):
    check_in(data, 1)
    check_in(data, 1)
    commit_all(data)
    check_in(data, 1)
    check_in(data, 2)
    commit_all(data)
    assert [row["row"] for row in rows(data)] == [1, 2]


def test_check_ins_and_segments_share_a_batch_and_are_gone_once_they_are_rows(data):
    segments = made(NAME, 3)
    land_all(data, *segments)
    check_in(data, 1)
    (batch,) = commit_all(data)
    assert batch.rows["devices"] == 1
    assert batch.rows["events"] > 0
    lane = keys.lane_of(NAME, data.lanes)
    assert [*data.objects.list(keys.check_in_prefix(lane))] == []
    assert len(json.loads(data.objects.get(keys.batch_key(lane, 1)))["checkins"]) == 1


@pytest.mark.parametrize("step", range(1, 12))
def test_a_committer_that_dies_anywhere_leaves_each_check_in_one_row(data, monkeypatch, step):
    land_all(data, *made(NAME, 1))
    for count in range(3):
        check_in(data, count)
    left = step

    def dying(method):
        def call(*arguments):
            nonlocal left
            left -= 1
            if left == 0:
                raise StorageError("killed")
            return method(*arguments)

        return call

    with monkeypatch.context() as patched:
        for name in ("put_new", "replace", "delete"):
            patched.setattr(data.objects, name, dying(getattr(data.objects, name)))
        with suppress(StorageError):
            commit_all(data)
    commit_all(data)
    assert [row["row"] for row in rows(data)] == [0, 1, 2]
    assert data.tables.rows("events").num_rows == 5


def test_many_committers_of_a_lane_make_each_check_in_one_row(data):
    lane = keys.lane_of(NAME, data.lanes)
    land_all(data, *made(NAME, 4))
    started = threading.Barrier(4)

    def commit(_):
        limits = LIMITS._replace(check_ins_wait_s=0.0, batch_check_ins_max=3, batch_segments_max=1)
        committer = Committer(data.objects, data.tables.another(), lane, limits=limits)
        started.wait()
        for _ in range(20):
            committer.step()

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(commit, n) for n in range(4)]
        for count in range(12):
            check_in(data, count)
        for future in waiting:
            future.result()
    commit_all(data)
    assert [row["row"] for row in rows(data)] == [*range(12)]
    assert data.tables.rows("events").num_rows == 20


def test_rebuilt_tables_have_the_same_check_ins(data, tmp_path):
    for count in range(3):
        check_in(data, count)
        check_in(data, count, device="mill-1", arch="aarch64")
        commit_all(data)
    again = DeltaTables((tmp_path / "data").as_uri(), data.objects, folder="rebuilt")
    again.make()
    assert rebuild(data.objects, data.lanes, again).rows == {"devices": 6}
    assert content(again, "devices") == content(data.tables, "devices")


def test_check_ins_wait_for_each_other(data):
    """`check_ins_wait_s`: between two looks of one committer."""
    now_us = 10**15
    committer = Committer(data.objects, data.tables, keys.lane_of(NAME, data.lanes), now_us=lambda: now_us)
    check_in(data, 1)
    assert committer.step() is not None
    check_in(data, 2)
    now_us += int(LIMITS.check_ins_wait_s * 1e6) - 1
    assert committer.step() is None
    now_us += 1
    assert committer.step().rows == {"devices": 1}


def test_a_batch_takes_so_many_check_ins_and_the_next_one_the_rest(data):
    """`batch_check_ins_max`."""
    for count in range(5):
        check_in(data, count)
    batches = commit_all(data, LIMITS._replace(batch_check_ins_max=2))
    assert [batch.rows["devices"] for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("time", ["2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z"])
def test_a_time_that_no_calendar_has_is_none(data, time):
    check_in(data, 1, time=time)
    commit_all(data)
    assert rows(data)[0]["clock"] is None


def test_the_name_of_a_check_in_is_of_all_that_it_says(data):
    said = CHECK_IN
    assert check_in_name(said) == check_in_name(dict(reversed(said.items())))
    assert check_in_name(said) != check_in_name({**said, "arch": "armv7l"})
    assert keys.is_check_in(check_in_name({**said, "count": 2**53 - 1}))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"said":1,"device":"a","received":"","flags":[]}'])
def test_what_is_no_check_in_is_said_to_be(data):
    with pytest.raises(CollectorError, match="check-in is damaged"):
        parse_check_in(data)
