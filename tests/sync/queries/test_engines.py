"""Engines read one version of the tables, never a file besides, beside whoever writes; and say what is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pyarrow as pa
import pytest
from ibis import _

from edgerun.log.merging import merge
from edgerun.log.payload import unpack
from edgerun.log.profile_values import as_value, from_value
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.devices import Devices
from edgerun_sync.collector.documents import CheckIn, parse
from edgerun_sync.errors import CollectorError, QueryError, TableError
from edgerun_sync.queries.devices import device_states
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.features import feature_profiles
from edgerun_sync.queries.tables import EVENTS, FLEET, PROFILES, ask, statement
from support.recorded import Fleet, batches

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
SAID = {
    "machine": "ab" * 32,
    "boot": "",
    "instance": "0123456789abcdef",
    "count": 1,
    "time": "2023-11-15T00:00:00Z",
    "synchronised": True,
    "edgerun": "0.1.0",
    "onnxruntime": None,
    "arch": "aarch64",
    "bundle": {"name": "cards", "version": "1.0.0", "digest": "sha256:" + "0" * 64, "state": "current"},
    "backlog": {"segments": 2, "bytes": 300, "oldest": "2023-11-14T23:00:00Z"},
    "lost": {"call": 7},
    "errors": ["the disk was full"],
}
COUNT = "SELECT count(*) AS n FROM events"
SMALL = Fleet(devices=6, events=600, days=2, batch_rows=200)


@pytest.fixture
def small(tmp_path):
    """Tables that a test may change, where a name has what SQL, URLs and globs have a meaning for."""
    data = open_data(str(tmp_path / "o'ven [7] data"), lanes=1)
    for number, rows in enumerate(batches(SMALL), 1):
        data.tables.append(0, number, rows)
    return tmp_path / "o'ven [7] data", data


def count(engine):
    return engine.rows(COUNT)["n"][0].as_py()


def test_an_engine_answers_from_the_version_that_it_opened(small):
    folder, data = small
    with open_engine(str(folder)) as engine:
        assert count(engine) == 600
        for number, rows in enumerate(batches(SMALL), 4):
            data.tables.append(0, number, rows)
        data.tables.compact("events")
        data.tables.vacuum("events")
        assert count(engine) == 600
        assert engine.versions["events"] == 3
    with open_engine(f"file://{folder}") as engine:
        assert count(engine) == 1200


def test_files_that_no_version_names_are_not_read(small):
    folder, _ = small
    (file, *_) = sorted((folder / "tables/events").glob("day=*/*.parquet"))
    (file.parent / "left-behind.parquet").write_bytes(file.read_bytes())
    with open_engine(str(folder)) as engine:
        assert count(engine) == 600


def test_a_column_that_came_later_is_missing_in_old_rows(small):
    folder, data = small
    data.tables.widen("events", SCHEMAS["events"].append(pa.field("humidity", pa.float64())))
    with open_engine(str(folder)) as engine:
        found = engine.rows("SELECT count(*) AS n, count(humidity) AS known FROM events").to_pylist()
    assert found == [{"n": 600, "known": 0}]


def test_a_table_without_rows_has_its_columns(small):
    with open_engine(str(small[0])) as engine:
        assert engine.rows("SELECT * FROM captures").schema.names == SCHEMAS["captures"].names
        assert engine.rows("SELECT * FROM fleet").num_rows == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("DROP VIEW events", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("", "one SELECT"),
        ("COPY (SELECT 1) TO '/tmp/never'", "one SELECT"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
        ("SELECT nothing FROM events", "nothing"),
        ("SELEC 1", "syntax"),
        ("SELECT xxhash64(row) FROM events", "texts"),
    ],
)
def test_what_duckdb_will_not_answer_is_said_in_a_line(duck, wrong, message):
    with pytest.raises(QueryError, match=message) as found:
        duck.rows(wrong)
    assert "\n\n" not in str(found.value)


@pytest.mark.parametrize(
    "wrong",
    [
        "INSERT INTO events VALUES (1)",
        "WITH a AS (SELECT 1) INSERT INTO events SELECT * FROM a",
        "-- hello\n DROP VIEW events",
        "SELECT nothing FROM events",
        "SELEC 1",
        "",
    ],
)
def test_spark_only_reads_too(engines, wrong):
    with pytest.raises(QueryError):
        engines.sail.rows(wrong)
    assert count(engines.sail) > 0


def test_a_query_may_begin_with_with_on_both(engines):
    for engine in engines:
        assert engine.rows("/* two */ WITH a AS (SELECT 2 AS b) SELECT * FROM a ORDER BY b").to_pylist() == [{"b": 2}]
        assert [batch.num_rows for batch in engine.reader("SELECT 1 AS a")] == [1]


FOR_EVER = "SELECT count(*) AS n FROM range(10000000000) a"


@contextmanager
def ctrl_c_soon():
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize(
    "asked",
    [FOR_EVER, "SELECT sum(a.range * b.range * c.range % 7) FROM range(100000) a, range(100000) b, range(100000) c"],
)
def test_a_long_query_ends_with_ctrl_c(duck, asked):
    with ctrl_c_soon(), pytest.raises(KeyboardInterrupt):
        duck.rows(asked)
    assert count(duck) > 0


def test_what_is_being_kept_ends_with_ctrl_c(duck):
    duck.keep("for ever", FOR_EVER)
    with ctrl_c_soon(), pytest.raises(KeyboardInterrupt):
        count(duck)
    assert count(duck) > 0


def test_what_is_being_kept_is_given_up_when_the_engine_is_closed(small):
    with open_engine(str(small[0])) as engine:
        engine.keep("for ever", FOR_EVER)


def test_what_could_not_be_kept_is_said_to_the_next_question_alone(duck):
    duck.keep("wrong", "SELECT CAST(device AS DATE) AS day FROM events")
    with pytest.raises(QueryError, match="date"):
        count(duck)
    assert count(duck) > 0


def test_a_place_without_data_is_said_and_not_made(tmp_path):
    with pytest.raises(CollectorError, match="no data of a collector"):
        open_engine(str(tmp_path / "nowhere"))
    assert [*tmp_path.iterdir()] == []


def test_a_table_whose_log_is_damaged_is_said(small):
    folder, _ = small
    for commit in (folder / "tables/events/_delta_log").iterdir():
        commit.write_bytes(b"{")
    with pytest.raises(TableError, match="events"):
        open_engine(str(folder))


@pytest.mark.parametrize(("url", "message"), [("sc://127.0.0.1:1", "no engine answers"), ("spark", "sc://HOST:PORT")])
def test_an_engine_that_is_not_there_is_said(place, url, message):
    with pytest.raises(QueryError, match=message):
        open_engine(place, url)


# Profiles and devices.


def test_profiles_are_merged_by_arm_and_what_cannot_be_read_is_counted(engines, frames):
    found = [[*feature_profiles(engine, by=["arm"])] for engine in engines]
    raw = [unpack(value) for value in frames["profiles"].profile]
    for ours in found:
        assert [group.by["arm"] for group in ours] == ["challenger", "control", "second", None]
        assert (ours[3].profile, ours[3].merged, ours[3].unreadable) == (None, 0, 40)
        for group in ours[:3]:
            truth = merge(from_value(value) for value in raw if value.get("arm") == group.by["arm"])
            assert as_value(group.profile) == as_value(truth)
            assert group.merged == 40


def test_profiles_can_be_had_by_day(duck):
    (group, *_) = feature_profiles(duck, PROFILES.filter(PROFILES.arm == "control"), by=["device"], every="day")
    assert (group.by, group.merged, group.begin.hour) == ({"device": "device-00000"}, 1, 0)


def test_devices_that_checked_in_and_that_sent_rows_are_shown(small, engines):
    folder, data = small
    devices = Devices(data.objects)
    devices.enrol("device-00001")
    devices.enrol("silent")
    devices.check_in("device-00001", parse(CheckIn, json.dumps(SAID).encode()), lane=0)
    at = max(data.tables.rows("events")["time"].to_pylist())
    with open_engine(str(folder)) as engine:
        found = {row["device"]: row for row in ask(engine, device_states(at)).to_pylist()}
        said = engine.rows("SELECT backlog_segments, lost, errors, arch FROM fleet WHERE device = 'device-00001'")
    assert said.to_pylist() == [
        {"backlog_segments": 2, "lost": [("call", 7)], "errors": ["the disk was full"], "arch": "aarch64"}
    ]
    assert set(found) == {f"device-0000{number}" for number in range(6)} | {"silent"}
    assert found["silent"]["events"] == 0
    assert found["silent"]["last_event"] is None
    assert (found["device-00001"]["events"], found["device-00001"]["flags"]) == (100, [])
    assert found["device-00001"]["seen"] is not None
    assert found["device-00002"]["behind_s"] >= 0
    assert found["device-00002"]["lag_s"] >= 0
    assert len(engines.ask(device_states(at), "device")) == 40


def test_an_empty_table_of_devices_reaches_spark(engines):
    assert engines.ask(FLEET.count().as_table()).to_numpy().tolist() == [[0]]


def test_a_question_is_sql_that_can_be_kept(engines):
    question = EVENTS.group_by("arm").agg(n=_.count())
    for engine in engines:
        assert sum(engine.rows(statement(question, engine.dialect))["n"].to_pylist()) == count(engine)


ASKING = """
import sys
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.tables import EVENTS, ask
with open_engine(*sys.argv[1:]) as engine:
    print(ask(engine, EVENTS.aggregate(n=EVENTS.count()))["n"])
"""


def test_an_answer_of_spark_comes_without_warnings_about_what_nobody_uses(place, sail_url, tmp_path):
    (tmp_path / "asking.py").write_text(ASKING)
    command = [sys.executable, tmp_path / "asking.py", place, sail_url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
