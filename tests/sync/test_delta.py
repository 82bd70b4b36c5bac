"""Delta tables: a batch is in once whoever tries, readers are never broken, columns may come."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from edgerun_sync.collector import delta, keys
from edgerun_sync.collector.arrow.erasing import Gone
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.arrow.tables import KINDS
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.delta import DeltaTables
from edgerun_sync.collector.files import Files
from edgerun_sync.collector.rebuild import rebuild
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.collector.settling import Settler, mend
from edgerun_sync.errors import CollectorError, OvertakenError, StorageError, TableError
from edgerun_sync.limits import LIMITS
from support.collection import ONE_SEGMENT, commit_all, content, land_all, rows_in_tables
from support.fleet import made, pool

AT_US = 10**15


@pytest.fixture
def data(tmp_path):
    return open_data(str(tmp_path / "data"), lanes=2)


def rows_of_segments(*segments):
    return rows_of(AT_US, [decode(segment.landed, segment.body) for segment in segments])


def calls(device="oven", segments=1):
    """Segments of calls alone."""
    return [segment for segment in made(device, segments) if segment.body[9] == 0]


def test_what_was_landed_is_in_the_tables_once(data):
    segments = [segment for device in pool()[:3] for segment in device]
    land_all(data, *segments)
    commit_all(data, ONE_SEGMENT)
    assert sorted(rows_in_tables(data.tables)) == sorted(row for segment in segments for row in segment.rows)
    assert all(batch.rows == {} for batch in commit_all(data)), "a new committer completes the last batch once more"


def test_duckdb_reads_the_tables_as_pyarrow_does(data):
    land_all(data, *made("oven", 2))
    commit_all(data)
    events = DeltaTable(data.tables.url("events")).to_pyarrow_dataset()
    query = "SELECT count(*), min(outputs['output_1.confidence']), count(DISTINCT day) FROM events"
    assert duckdb.query(query).fetchall() == [(10, 0.5, 1)]
    assert events.count_rows() == 10


def test_a_batch_that_is_appended_again_changes_nothing(data):
    rows = rows_of_segments(*calls())
    assert data.tables.append(0, 1, rows) == {"events": 5}
    assert data.tables.append(0, 1, rows) == {}
    assert data.tables.another().append(0, 1, rows) == {}
    assert data.tables.committed(0) == 1
    assert len(rows_in_tables(data.tables)) == 5


def test_of_many_who_append_a_batch_at_once_one_does(data):
    rows = rows_of_segments(*calls())
    with ThreadPoolExecutor(4) as threads:
        for number in range(1, 6):
            everyone = [data.tables.another() for _ in range(4)]
            found = [*threads.map(lambda tables, number=number: tables.append(0, number, rows), everyone)]
            assert sorted(found, key=len) == [{}, {}, {}, {"events": 5}]
    assert len(rows_in_tables(data.tables)) == 25


def test_lanes_append_beside_each_other(data):
    rows = rows_of_segments(*calls())

    def append(lane):
        tables = data.tables.another()
        return [tables.append(lane, number, rows) for number in range(1, 5)]

    with ThreadPoolExecutor(4) as threads:
        assert all(found == [{"events": 5}] * 4 for found in threads.map(append, range(4)))
    assert len(rows_in_tables(data.tables)) == 80


def test_an_append_from_a_version_that_others_have_passed_with_the_same_batch_is_refused(data):
    """What the fence rests on: delta-rs itself refuses, whatever we looked at before."""
    late, rows = data.tables.another(), rows_of_segments(*calls())
    stale = DeltaTable(data.tables.url("events"))
    data.tables.append(0, 1, rows)
    with pytest.raises(OvertakenError):
        late._commit(stale, "events", [], delta.Transaction("lane-0", 1))


def test_what_a_lane_has_committed_outlives_checkpoints(data, monkeypatch):
    rows = rows_of_segments(*calls())
    for number in range(1, 4):
        data.tables.append(1, number, rows)
    DeltaTable(data.tables.url("events")).create_checkpoint()
    for path in (DeltaTable(data.tables.url("events")).version(),):
        assert path == 3
    again = data.tables.another()
    assert (again.committed(1), again.committed(0)) == (3, 0)
    assert again.append(1, 3, rows) == {}


# Files.


def test_a_file_of_rows_is_durable_before_the_table_names_it(data, monkeypatch):
    named = []
    real = DeltaTable.create_write_transaction

    def spied(self, actions, *args, **kwargs):
        named.extend(data.objects.get(f"tables/events/{action.path}") is not None for action in actions)
        return real(self, actions, *args, **kwargs)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", spied)
    data.tables.append(0, 1, rows_of_segments(*calls()))
    assert named == [True]


def test_the_log_is_synced_before_an_append_returns(tmp_path):
    seen = []
    files = Files(tmp_path / "data")
    tables = DeltaTables((tmp_path / "data").as_uri(), files, settle=seen.append)
    tables.make()
    assert seen == [*SCHEMAS]
    tables.append(0, 1, rows_of_segments(*calls()))
    tables.append(0, 1, rows_of_segments(*calls()))
    assert seen[len(SCHEMAS) :] == ["events", "events"]


def test_settling_syncs_every_commit_since_the_last_time_and_the_folders_that_name_them(data, tmp_path):
    synced = []
    settle = Settler(tmp_path / "data" / "tables", sync=lambda file: synced.append(name_of(file)))
    settle("events")
    data.tables.append(0, 1, rows_of_segments(*calls()))
    data.tables.append(0, 2, rows_of_segments(*calls()))
    synced.clear()
    settle("events")
    assert synced == ["00000000000000000001.json", "00000000000000000002.json", "_delta_log", "events", "tables"]
    synced.clear()
    settle("events")
    assert synced == []


def name_of(file):
    return Path(f"/proc/self/fd/{file}").readlink().name


def test_a_failing_disk_is_a_table_error(tmp_path, data):
    def fail(file):
        raise OSError(5, "Input/output error")

    with pytest.raises(TableError, match="Input/output"):
        Settler(tmp_path / "data" / "tables", sync=fail)("events")


# What a power cut leaves of a log.


@pytest.mark.parametrize("left", [b"", b'{"commitInfo":', b"\0" * 100])
def test_a_commit_that_a_power_cut_left_half_written_is_taken_off_and_done_again(tmp_path, data, left):
    rows = rows_of_segments(*calls())
    data.tables.append(0, 1, rows)
    data.tables.append(0, 2, rows)
    commit = tmp_path / "data/tables/events/_delta_log/00000000000000000002.json"
    commit.write_bytes(left)
    again = open_data(str(tmp_path / "data"))
    assert again.tables.committed(0) == 1
    assert again.tables.append(0, 2, rows) == {"events": 5}
    assert len(rows_in_tables(again.tables)) == 10


def test_a_checkpoint_that_a_power_cut_left_half_written_is_done_without(tmp_path, data):
    data.tables.append(0, 1, rows_of_segments(*calls()))
    table = DeltaTable(data.tables.url("events"))
    table.create_checkpoint()
    folder = tmp_path / "data/tables/events"
    (checkpoint,) = (folder / "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert mend(folder) == [checkpoint.name, "_last_checkpoint"]
    assert mend(folder) == []
    assert len(rows_in_tables(open_data(str(tmp_path / "data")).tables)) == 5


def test_mending_leaves_a_whole_log_alone(tmp_path, data):
    data.tables.append(0, 1, rows_of_segments(*calls()))
    DeltaTable(data.tables.url("events")).create_checkpoint()
    assert mend(tmp_path / "data/tables/events") == []
    assert mend(tmp_path / "nothing") == []


# Compaction, vacuum, rows that go.


def appended(data, count=6):
    for number in range(1, count + 1):
        data.tables.append(0, number, rows_of_segments(*calls(f"oven-{number}")))


def test_compaction_keeps_every_row_in_fewer_files(data):
    appended(data)
    before = content(data.tables, "events")
    assert data.tables.compact("events") == 6
    assert data.tables.compact("events") == 0
    assert len(DeltaTable(data.tables.url("events")).file_uris()) == 1
    assert content(data.tables, "events") == before


def test_files_are_put_together_only_up_to_a_size(data):
    appended(data)
    size = max(DeltaTable(data.tables.url("events")).get_add_actions(flatten=True).column("size_bytes").to_pylist())
    assert data.tables.compact("events", file_bytes=2 * size + 2) > 0
    assert len(DeltaTable(data.tables.url("events")).file_uris()) == 3
    assert len(rows_in_tables(data.tables)) == 30


def test_a_reader_of_an_older_version_reads_on_through_compaction_and_vacuum(data):
    appended(data)
    reader = DeltaTable(data.tables.url("events"))
    before = sorted(map(repr, reader.to_pyarrow_table().to_pylist()))
    data.tables.compact("events")
    data.tables.vacuum("events")
    assert sorted(map(repr, reader.to_pyarrow_table().to_pylist())) == before


def test_vacuum_removes_what_is_old_and_what_dead_committers_left(data):
    appended(data)
    data.objects.put_new("tables/events/day=2001-09-09/0-9-dead.parquet", b"left behind")
    data.tables.compact("events")
    assert data.tables.vacuum("events", keep_hours=0) >= 7
    assert data.objects.get("tables/events/day=2001-09-09/0-9-dead.parquet") is None
    assert len(rows_in_tables(data.tables)) == 30


def test_of_two_who_compact_the_same_files_one_does(data):
    appended(data)
    with ThreadPoolExecutor(4) as threads:
        everyone = [data.tables.another() for _ in range(4)]
        gone = [*threads.map(lambda tables: tables.compact("events"), everyone)]
    assert sum(gone) >= 6
    assert len(rows_in_tables(data.tables)) == 30


def test_rows_come_and_go_while_files_are_put_together(data):
    def append(lane):
        tables = data.tables.another()
        for number in range(1, 9):
            tables.append(lane, number, rows_of_segments(*calls(f"oven-{lane}")))

    def compact(_):
        tables = data.tables.another()
        return [tables.compact("events") for _ in range(8)]

    with ThreadPoolExecutor(4) as threads:
        waiting = [*(threads.submit(append, lane) for lane in (0, 1)), *(threads.submit(compact, _) for _ in "ab")]
        for future in waiting:
            future.result()
    assert len(rows_in_tables(data.tables)) == 80


def test_rows_of_a_device_can_be_removed_from_files_put_together_and_not(data):
    appended(data)
    data.tables.compact("events")
    assert data.tables.erase("events", Gone(device="oven-1")) == 5
    assert data.tables.erase("events", Gone(device="oven-1")) == 0
    data.tables.append(0, 7, rows_of_segments(*calls("oven-7")))
    assert data.tables.erase("events", Gone(device="oven-7")) == 5
    assert data.tables.erase("events", Gone(device="oven-2")) == 5
    assert {device for device, _, _ in rows_in_tables(data.tables)} == {f"oven-{i}" for i in (3, 4, 5, 6)}


def test_clearing_at_once_leaves_what_is_there_and_what_a_committer_has_placed(data):
    appended(data)
    data.tables.compact("events")
    placed, dead = (f"tables/events/day=2001-09-09/0-{number}-{'0' * 32}.parquet" for number in (7, 6))
    data.objects.put_new(placed, b"to be committed")
    data.objects.put_new(dead, b"left behind")
    assert data.tables.clear("events") == 7
    assert data.objects.get(placed) is not None
    assert data.objects.get(dead) is None
    assert len(rows_in_tables(data.tables)) == 30


# Columns.


def test_a_column_that_comes_later_stops_nobody(data):
    data.tables.append(0, 1, rows_of_segments(*calls()))
    older = data.tables.another()
    older.committed(0)
    data.tables.widen("events", SCHEMAS["events"].append(pa.field("humidity", pa.float64())))
    data.tables.widen("events", SCHEMAS["events"].append(pa.field("humidity", pa.float64())))
    assert older.append(0, 2, rows_of_segments(*calls("other"))) == {"events": 5}
    found = data.tables.rows("events")
    assert found["humidity"].null_count == found.num_rows == 10
    data.tables.compact("events")
    assert data.tables.rows("events").num_rows == 10


def test_many_may_widen_a_table_and_append_to_it_at_once(data):
    def widen(number):
        tables = data.tables.another()
        tables.widen("events", SCHEMAS["events"].append(pa.field(f"x{number}", pa.string())))
        return tables.append(number, 1, rows_of_segments(*calls(f"oven-{number}")))

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(widen, range(4))] == [{"events": 5}] * 4
    assert {f"x{number}" for number in range(4)} <= {*data.tables.rows("events").schema.names}


# Rebuilding.


def test_tables_that_are_rebuilt_from_what_was_landed_are_the_same(data, tmp_path):
    land_all(data, *(segment for device in pool()[:4] for segment in device))
    batches = commit_all(data, LIMITS._replace(batch_segments_max=3))
    again = DeltaTables((tmp_path / "data").as_uri(), data.objects, folder="rebuilt")
    again.make()
    found = rebuild(data.objects, data.lanes, again)
    assert (found.batches, found.segments) == (len(batches), sum(batch.segments for batch in batches))
    for name in KINDS:
        assert content(again, name) == content(data.tables, name)
    assert rebuild(data.objects, data.lanes, again).rows == {}
    assert found.rows == {name: again.rows(name).num_rows for name in KINDS if again.rows(name).num_rows}


def test_a_rebuild_refuses_an_archive_that_its_batch_does_not_list(data, tmp_path):
    land_all(data, *calls())
    commit_all(data)
    lane = keys.lane_of("oven", data.lanes)
    data.objects.replace(keys.batch_key(lane, 1), b'{"at":"2023-11-14T22:13:20Z","segments":[]}')
    again = DeltaTables((tmp_path / "data").as_uri(), data.objects, folder="rebuilt")
    again.make()
    with pytest.raises(CollectorError, match="does not list"):
        rebuild(data.objects, data.lanes, again)


# Opening.


def test_data_keep_the_number_of_lanes_that_they_began_with(tmp_path):
    assert open_data(str(tmp_path), lanes=3).lanes == 3
    assert open_data(tmp_path.as_uri(), lanes=5).lanes == 3


def test_lanes_have_a_limit(tmp_path):
    """`lanes_max`."""
    with pytest.raises(CollectorError, match="1 to"):
        open_data(str(tmp_path / "a"), lanes=LIMITS.lanes_max + 1)
    with pytest.raises(CollectorError, match="1 to"):
        open_data(str(tmp_path / "b"), lanes=0)
    assert open_data(str(tmp_path / "c"), lanes=LIMITS.lanes_max).lanes == LIMITS.lanes_max


@pytest.mark.parametrize("config", [b"", b"{}", b'{"format":1}', b'{"format":2,"lanes":1}'])
def test_data_of_another_format_are_refused(tmp_path, config):
    (tmp_path / "config.json").write_bytes(config)
    with pytest.raises(CollectorError, match=r"config\.json"):
        open_data(str(tmp_path))


def test_a_table_that_cannot_be_read_is_said_to_be(tmp_path, data):
    log = tmp_path / "data/tables/events/_delta_log/00000000000000000000.json"
    log.write_text(json.dumps({"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}}))
    with pytest.raises(TableError, match="events"):
        open_data(str(tmp_path / "data"))


def test_a_lost_file_of_a_table_is_said_to_be(data):
    appended(data, 2)
    path = DeltaTable(data.tables.url("events")).get_add_actions(flatten=True).column("path").to_pylist()[0]
    data.objects.delete(f"tables/events/{path}")
    with pytest.raises(TableError, match="rebuild"):
        data.tables.compact("events")


def test_a_storage_that_fails_lets_the_batch_wait(data, monkeypatch):
    land_all(data, *calls())

    def fail(key, body):
        raise StorageError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(data.objects, "put_new", fail)
        with pytest.raises(StorageError):
            commit_all(data)
    assert [batch.rows for batch in commit_all(data)] == [{"events": 5}]


def test_digests_are_those_of_the_bytes(data):
    (segment,) = calls()
    land_all(data, segment)
    commit_all(data)
    tombstone = keys.parse_tombstone(data.objects.get(segment.landed.key))
    assert tombstone == (hashlib.sha256(segment.body).hexdigest(), len(segment.body), 1)
