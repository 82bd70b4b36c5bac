"""Reading what the writer and a runner wrote, while they write: all of it, each row once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import EdgeRunner
from edgerun.log import Capture, Kind, LogPolicy, Reader, read
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, Ticks, batch_of, call, label

DIGITS = Path(__file__).parents[2] / "bundles" / "recipes" / "digits"


def values(log):
    return log.labels["value"].tolist()


def written(path, batches, **policy):
    writer = LogWriter(path, policy=LogPolicy(**policy), clocks=Ticks().clocks())
    for rows in batches:
        writer.write(batch_of(rows), (), SOURCES)
    return writer


ROWS = st.lists(
    st.builds(
        lambda sequence, kind, keyed, at: (
            label(sequence) if kind else call(sequence, at, keyed=keyed, value=at % 7 / 7)
        ),
        st.integers(0, 2**60),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2**40),
    ),
    min_size=1,
    max_size=12,
)


@given(batches=st.lists(ROWS, min_size=1, max_size=4), sealed=st.booleans())
def test_what_the_writer_was_given_is_what_is_read(tmp_path_factory, batches, sealed):
    path = tmp_path_factory.mktemp("log")
    writer = written(path, batches)
    if sealed:
        writer.close()
    found = read(path)
    writer.disown()
    rows = [row for batch in batches for row in batch]
    calls = sorted((row for row in rows if row.kind == Kind.CALL), key=lambda row: row.time_us)
    order = np.argsort(found.calls["row"], kind="stable")
    table = {name: found.calls[name] for name in ("sequence", "monotonic_us", "model", "unit")}
    by_row = [row for row in rows if row.kind == Kind.CALL]
    assert table["sequence"][order].tolist() == [row.sequence for row in by_row]
    assert table["model"][order].tolist() == [SOURCES[row.source].model for row in by_row]
    assert table["unit"][order].tolist() == [row.unit for row in by_row]
    if calls:
        assert found.calls["output_1.confidence"][order].tolist() == [row.outputs[1][2][1] for row in by_row]
    assert table["monotonic_us"].tolist() == [row.time_us for row in calls]
    assert [value["id"] for value in _values_in_rows(found.labels)] == [
        row.value["id"] for row in rows if row.kind == Kind.LABEL
    ]
    assert found.recovery.events == found.recovery.bytes_dropped == 0


def _values_in_rows(table):
    order = np.argsort(table["row"], kind="stable")
    return [{"id": table["id"][i], "value": table["value"][i]} for i in order]


def test_rows_come_once_while_a_writer_writes_and_seals(tmp_path):
    """Polls, each from another thread's point of view, add up to what was written."""
    stop, count = threading.Event(), 300

    def write():
        writer = LogWriter(tmp_path, clocks=Ticks().clocks())
        for number in range(count):
            writer.write(batch_of([call(number), label(number)]), (), SOURCES)
            if number % 7 == 6:
                writer.seal()
        stop.set()
        writer.disown()

    thread = threading.Thread(target=write)
    thread.start()
    reader, seen, labelled = Reader(tmp_path), [], []
    while True:
        is_last = stop.is_set()
        log = reader.poll()
        seen += log.calls["sequence"].tolist()
        labelled += log.labels["value"].tolist()
        assert log.recovery.events == 0
        if is_last:
            break
    thread.join()
    assert sorted(seen) == sorted(labelled) == [*range(count)]


def test_a_poll_with_a_time_gives_what_is_new_too(tmp_path):
    writer = written(tmp_path, [[call(1)]])
    reader = Reader(tmp_path, since=0)
    assert reader.poll().calls["sequence"].tolist() == [1]
    assert reader.poll().calls.rows == 0
    writer.write(batch_of([call(2), label(1)]), (), SOURCES)
    found = reader.poll()
    assert found.calls["sequence"].tolist() == [2]
    assert found.calls["model"].tolist() == [SOURCES[call(2).source].model]
    assert values(found) == [1]
    writer.close()
    assert reader.poll().calls.rows == 0


def test_what_a_runner_serves_is_what_is_read(tmp_path):
    images = np.load(DIGITS / "test.npz")["image"][:200]
    policy = LogPolicy(capture=Capture("sample", 0.5), durability="event")
    with EdgeRunner.open(DIGITS / "bundle", log=tmp_path, log_policy=policy) as runner:
        served = [runner.predict({"image": image[None]}, key=f"user-{i}") for i, image in enumerate(images)]
        runner.label(served[3].id, 5)
        runner.outcome("clicked", 1.0, id=served[4].id)
    found = read(tmp_path)
    by_id = {prediction.id: (prediction, image) for prediction, image in zip(served, images, strict=True)}
    calls = found.calls
    assert sorted(calls["id"].tolist()) == sorted(by_id)
    for row, event in enumerate(calls["id"].tolist()):
        prediction, _ = by_id[event]
        assert calls["arm"][row] == prediction.arm
        assert calls["model"][row] == prediction.model
        assert calls["path"][row] == " > ".join(prediction.path)
        assert calls["label.value"][row] == prediction["label"][0]
        assert calls["probabilities.class"][row] == prediction["probabilities"][0].argmax()
        assert calls["probabilities.confidence"][row] == prediction["probabilities"][0].max()
        assert calls["latency_s"][row] == pytest.approx(prediction.latency_s, rel=1 / 400)
    assert 50 < found.captures.rows < 150
    for event, inputs in zip(found.captures["id"], found.captures["inputs"], strict=True):
        assert inputs["image"].tobytes() == by_id[event][1].tobytes()
    assert found.labels["id"].tolist() == [served[3].id]
    assert found.outcomes["id"].tolist() == [served[4].id]
    assert {*found.shadows["model"].tolist()} <= {"champion", "challenger"}
    assert found.recovery.events == 0
    now = np.datetime64(int(time.time() * 1e6), "us")
    assert bool((abs(calls["time"] - now) < np.timedelta64(600, "s")).all())
