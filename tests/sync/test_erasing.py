"""Erasure: what was asked for is nowhere, not after a rebuild either; everything else is what it was."""

from __future__ import annotations

import hashlib
import io
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgerun import EdgeRunner
from edgerun._core.recorder import unit_of
from edgerun.log import LogPolicy
from edgerun.log.policy import Capture
from edgerun_bundles import recipes
from edgerun_sync.collector import keys
from edgerun_sync.collector.archives import is_of_rows, parse_row_archive, rows_in
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.arrow.tables import slices
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.batches import parse_archive
from edgerun_sync.collector.credentials import Credentials
from edgerun_sync.collector.data import discard_tables, open_data
from edgerun_sync.collector.devices import Devices
from edgerun_sync.collector.documents import CheckIn
from edgerun_sync.collector.erasing import erase_device, erase_unit
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.collector.rebuild import rebuild
from edgerun_sync.errors import CollectorError, StorageError
from edgerun_sync.limits import LIMITS
from support.collection import commit_all
from support.fleet import made
from sync.test_service_http import CHECK_IN

DEVICES = ("oven-7", "mill-1")
UNITS = ("alice", "bob", "carol")
ALICE = unit_of(b"alice") - 2**64 if unit_of(b"alice") >= 2**63 else unit_of(b"alice")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Segments of two devices that served the same units: calls, shadows, captures, labels, outcomes, profiles."""
    with np.load(recipes.folder("digits") / "test.npz") as file:
        images = file["image"]
    found = {}
    for device in DEVICES:
        folder = tmp_path_factory.mktemp(device)
        policy = LogPolicy(capture=Capture(inputs="sample", rate=1.0))
        with EdgeRunner.open(recipes.folder("digits") / "bundle", log=folder, log_policy=policy) as runner:
            made_ = [runner.predict({"image": images[i : i + 1]}, key=UNITS[i % 3]) for i in range(30)]
            for prediction in made_[:12]:
                runner.label(prediction.id, 5)
            for unit in UNITS:
                runner.outcome("paid", 12.5, key=unit)
            runner.shadows(60)
        found[device] = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.log"))}
    return found


@pytest.fixture
def data(tmp_path, logs):
    """All of it, landed and committed; and what the devices said of themselves."""
    data = open_data(str(tmp_path / "data"), lanes=2)
    for device, segments in logs.items():
        Credentials(data.objects).issue_device(device)
        lane = keys.lane_of(device, data.lanes)
        Devices(data.objects).check_in(device, CheckIn.model_validate(CHECK_IN), lane=lane)
        for name, body in segments.items():
            digest = hashlib.sha256(body).hexdigest()
            assert land(data.objects, data.lanes, keys.Landed(device, name), body, digest) is Landing.STORED
    commit_all(data, LIMITS._replace(batch_segments_max=1))
    return data


def rows_of_tables(data):
    return {name: Counter(map(repr, data.tables.rows(name).to_pylist())) for name in SCHEMAS}


def rebuilt(data, tmp_path):
    """The data with tables made again from nothing but what was landed."""
    discard_tables(str(tmp_path / "data"))
    again = open_data(str(tmp_path / "data"))
    assert again.tables.rows("events").num_rows == 0
    rebuild(again.objects, again.lanes, again.tables)
    return again


def ids_of(data, unit):
    table = data.tables.rows("events").to_pylist()
    return {row["id"] for row in table if row["unit"] == unit}


def everything(folder):
    """Every file of the data but the audit log: its path and its bytes, and what they say once unpacked."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.parent.name == "audit":
            continue
        raw = path.read_bytes()
        yield str(path.relative_to(folder)).encode() + b"\n" + raw
        tables = []
        if path.suffix == ".parquet" and "_delta_log" not in path.parts:
            tables = [pq.read_table(io.BytesIO(raw))]
        elif path.parent.parent.name == "archive" and is_of_rows(raw):
            files = parse_row_archive(raw).files.values()
            tables = [pq.read_table(io.BytesIO(file.data)) for own in files for file in own]
        elif path.parent.parent.name == "archive":
            rows = rows_in(10**15, parse_archive(raw))
            tables = [part.table for name in SCHEMAS for part in slices(rows, name)]
        for table in tables:
            yield repr(table.to_pylist()).encode()


def holds(folder, *traces):
    """Which traces are found somewhere."""
    pieces = [*everything(folder)]
    return [trace for trace in traces if any(trace in piece for piece in pieces)]


def test_a_unit_that_was_erased_is_nowhere(data, tmp_path):
    ids = ids_of(data, ALICE)
    traces = [f"'unit': {ALICE}".encode(), *(f"'{id_}'".encode() for id_ in ids)]
    assert len(holds(tmp_path / "data", *traces)) == len(traces) == 21
    done = erase_unit(data, unit_of(b"alice"), who="console", at_once=True)
    assert done.rows["events"] >= 20
    assert done.rows["labels"] == 10
    assert done.rows["captures"] > 0
    assert holds(tmp_path / "data", *traces, ALICE.to_bytes(8, "little", signed=True)) == []
    assert holds(tmp_path / "data", f"'unit': {ALICE}".encode()) == []


def test_everything_but_the_unit_is_what_it_was_in_the_tables_and_when_they_are_rebuilt(data, tmp_path):
    before, ids = rows_of_tables(data), ids_of(data, ALICE)
    traces = [f"'unit': {ALICE},", *(f"'id': '{id_}'" for id_ in ids)]
    wanted = {
        name: Counter({row: n for row, n in rows.items() if not any(trace in row for trace in traces)})
        for name, rows in before.items()
    }
    assert wanted["events"] != before["events"]
    erase_unit(data, ALICE, who="console")
    assert rows_of_tables(data) == wanted
    assert rows_of_tables(rebuilt(data, tmp_path)) == wanted


def test_a_device_that_was_erased_is_nowhere_and_the_other_one_is_what_it_was(data, tmp_path):
    before = rows_of_tables(data)
    trace = b"oven-7"
    assert holds(tmp_path / "data", trace)
    done = erase_device(data, "oven-7", who="console", at_once=True)
    assert done.segments > 0
    assert holds(tmp_path / "data", trace) == []
    wanted = {
        name: Counter({row: n for row, n in rows.items() if "'device': 'oven-7'" not in row})
        for name, rows in before.items()
    }
    assert rows_of_tables(data) == wanted
    assert rows_of_tables(rebuilt(data, tmp_path)) == wanted
    assert holds(tmp_path / "data", trace) == []


def test_a_device_of_a_batch_that_lost_a_unit_before_can_be_erased(data, tmp_path):
    erase_unit(data, ALICE, who="console")
    erase_device(data, "oven-7", who="console", at_once=True)
    assert holds(tmp_path / "data", b"oven-7", f"'unit': {ALICE}".encode()) == []
    after = rows_of_tables(data)
    assert rows_of_tables(rebuilt(data, tmp_path)) == after


def test_what_waits_to_be_committed_is_erased_too(data, tmp_path):
    (segment,) = [found for found in made("oven-7", 1) if found.body[9] == 0]
    land(data.objects, data.lanes, segment.landed, segment.body, hashlib.sha256(segment.body).hexdigest())
    erase_device(data, "oven-7", who="console", at_once=True)
    assert holds(tmp_path / "data", b"oven-7") == []


def test_an_erased_device_is_refused_and_its_tombstones_no_longer_tell_its_segments(data, logs):
    token = Credentials(data.objects).rotate_device("oven-7")
    erase_device(data, "oven-7", who="console")
    assert Credentials(data.objects).authenticate(token) is None
    name, body = next(iter(logs["mill-1"].items()))
    again = land(data.objects, data.lanes, keys.Landed("mill-1", name), body, hashlib.sha256(body).hexdigest())
    assert again is Landing.KNOWN


def test_a_segment_of_which_a_unit_was_erased_is_known_still(data, logs):
    erase_unit(data, ALICE, who="console", at_once=True)
    for name, body in logs["oven-7"].items():
        digest = hashlib.sha256(body).hexdigest()
        assert land(data.objects, data.lanes, keys.Landed("oven-7", name), body, digest) is Landing.KNOWN
    assert commit_all(data) == [] or all(batch.rows == {} for batch in commit_all(data))


def test_the_audit_log_says_what_went_and_not_whose_key_it_was(data):
    archives = {key: data.objects.get(key) for lane in range(2) for key in data.objects.list(f"archive/{lane}/")}
    done = erase_unit(data, ALICE, who="console")
    (entry,) = [entry for entry in Audit(data.objects).entries() if entry["action"] == "erase"]
    assert entry["n"] == done.entry
    assert entry["subject"] == f"unit:{hashlib.sha256(str(ALICE).encode()).hexdigest()}"
    assert entry["details"]["rows"] == done.rows
    assert len(entry["details"]["archives"]) >= 2
    for key, before, after in entry["details"]["archives"]:
        assert before == hashlib.sha256(archives[key]).hexdigest()
        assert after == hashlib.sha256(data.objects.get(key)).hexdigest()
    assert str(ALICE) not in repr(entry)
    assert Audit(data.objects).verify().problem is None


@pytest.mark.parametrize("step", [1, 2, 4, 7, 12])
def test_an_erasure_that_was_cut_short_is_completed_by_the_next_one(data, tmp_path, monkeypatch, step):
    left = step

    def failing(method):
        def call(*arguments):
            nonlocal left
            left -= 1
            if left == 0:
                raise StorageError("the disk is gone")
            return method(*arguments)

        return call

    with monkeypatch.context() as patched:
        for name in ("put_new", "replace", "delete"):
            patched.setattr(data.objects, name, failing(getattr(data.objects, name)))
        with pytest.raises(StorageError):
            erase_unit(data, ALICE, who="console", at_once=True)
    erase_unit(data, ALICE, who="console", at_once=True)
    assert holds(tmp_path / "data", f"'unit': {ALICE}".encode()) == []
    after = rows_of_tables(data)
    assert rows_of_tables(rebuilt(data, tmp_path)) == after


def test_without_at_once_a_reader_of_an_older_version_reads_on(data):
    reader = data.tables.another()._table("events")
    before = reader.to_pyarrow_table().num_rows
    erase_unit(data, ALICE, who="console")
    assert reader.to_pyarrow_table().num_rows == before


def test_nothing_is_rewritten_where_nothing_is_found(data):
    files = {key: data.objects.get(key) for key in data.objects.list("tables/") if key.endswith(".parquet")}
    done = erase_unit(data, 12345, who="console")
    assert (sum(done.rows.values()), done.archives) == (0, ())
    assert {key: data.objects.get(key) for key in data.objects.list("tables/") if key.endswith(".parquet")} == files


@pytest.mark.parametrize("cut", [0, 9, 40, -1])
def test_a_damaged_archive_of_rows_is_said_to_be(data, cut):
    erase_unit(data, ALICE, who="console")
    (raw, *_) = [
        raw
        for lane in range(2)
        for key in data.objects.list(f"archive/{lane}/")
        if is_of_rows(raw := data.objects.get(key))
    ]
    with pytest.raises(CollectorError, match="archive of rows is damaged"):
        parse_row_archive(raw[:cut])
