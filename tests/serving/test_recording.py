"""What a runner serves stands in its log afterwards: every call, and what became of it."""

from __future__ import annotations

import asyncio
import errno
import shutil

import numpy as np
import pytest
import xxhash
from msgpack import packb

from edgerun import (
    LIMITS,
    BreakerPolicy,
    ClosedError,
    DeadlineError,
    EdgeRunner,
    InputError,
    LogError,
    ModelError,
    bundle,
    log,
)
from edgerun.log import Capture, LogPolicy
from edgerun.log.profile_values import from_value
from edgerun.testing import SimulatedDisk
from support import models
from support.serve import CHALLENGED, WATCHED, wait_until, write_bundle

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
STICKY = {"ab": {"kind": "random_split", "weights": {"a": 1, "b": 1}, "split_key": "user"}}
HOURS = 10**7
TIMEOUT_S = 100


@pytest.fixture
def logged(serve, tmp_path):
    """Open a bundle that logs into ``tmp_path / "log"``."""

    def opened(*args, **options):
        return serve(*args, log=tmp_path / "log", **options)

    return opened


@pytest.fixture
def read(tmp_path):
    """Read what was logged."""
    return lambda: log.read(tmp_path / "log")


def recorded_latency_ns(latency_ns, bits=11):
    """So many significant bits, rounded to nearest."""
    excess = max(0, latency_ns.bit_length() - bits)
    return ((latency_ns + (1 << excess >> 1)) >> excess) << excess


def unit(key):
    return xxhash.xxh64(str(key).encode(), seed=42).intdigest()


def test_every_call_is_read_back_as_it_was_returned(logged, read):
    runner = logged({"a": models.steady(2), "b": models.steady(3)}, STICKY)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(1, 2)).astype(np.float32) for _ in range(500)]
    predictions = [runner.predict(x, key=f"user-{i % 7}") for i, x in enumerate(inputs)]
    runner.close()
    calls = read().calls
    assert calls["id"].tolist() == [p.id for p in predictions]
    assert calls["model"].tolist() == [p.model for p in predictions]
    assert calls["arm"].tolist() == [p.arm for p in predictions]
    assert calls["assignment"].tolist() == ["assigned"] * 500
    assert calls["bundle"].tolist() == ["test"] * 500
    assert calls["version"].tolist() == ["1"] * 500
    kept = [recorded_latency_ns(recorded_latency_ns(p.latency_ns), 9) for p in predictions]
    assert np.round(calls["latency_s"] * 1e9).tolist() == kept
    assert calls["unit"].tolist() == [unit(f"user-{i % 7}") for i in range(500)]
    assert np.array_equal(calls["y.value_0"], [p["y"][0, 0] for p in predictions])
    assert np.array_equal(calls["y.value_1"], [p["y"][0, 1] for p in predictions])
    assert (np.diff(calls["time"].astype(np.int64)) >= 0).all()
    assert (calls["monotonic_us"] % 1024 == 0).all()


def test_a_policy_may_keep_every_microsecond_and_all_bits_of_a_latency(logged, read):
    runner = logged(models.steady(2), log_policy=LogPolicy(time_step_us=1, latency_bits=11))
    predictions = [runner.predict(X) for _ in range(50)]
    runner.close()
    calls = read().calls
    assert np.round(calls["latency_s"] * 1e9).tolist() == [recorded_latency_ns(p.latency_ns) for p in predictions]
    assert (calls["monotonic_us"] % 1024 != 0).any()


def test_every_way_to_call_is_recorded(logged, read):
    runner = logged({"a": models.steady(2), "b": models.steady(3)}, STICKY)
    predictions = [
        runner.predict(X, key="u"),
        runner.predict(X.tolist(), key="u"),
        runner.predict(X, key="u", deadline_s=TIMEOUT_S),
        asyncio.run(runner.apredict(X, key="u")),
        *runner.predict_batch(np.repeat(X, 40, axis=0), keys=["u", *range(39)]).rows,
        runner.predict(X),
    ]
    runner.close()
    calls = read().calls
    by_id = {id_: i for i, id_ in enumerate(calls["id"].tolist())}
    assert sorted(by_id) == sorted(p.id for p in predictions)
    order = [by_id[p.id] for p in predictions]
    assert calls["arm"][order].tolist() == [p.arm for p in predictions]
    assert calls["y.value_0"][order].tolist() == [float(p["y"][0, 0]) for p in predictions]
    units = [unit("u")] * 4 + [unit("u"), *(unit(i) for i in range(39))]
    assert calls["unit"][order][:-1].tolist() == units
    assert np.ma.getmaskarray(calls["unit"])[order].tolist() == [False] * 44 + [True]


def test_who_is_in_another_slice_or_held_out_is_recorded_as_such_and_with_the_unit_that_was_drawn(tmp_path):
    layered = {"name": "search", "from": 0, "to": 0.5}
    nodes = {
        "outer": {"kind": "random_split", "weights": {"inner": 1, "b": 1}, "split_key": "user"},
        "inner": {"kind": "random_split", "weights": {"a": 1, "c": 1}, "split_key": "session", "layer": layered},
    }
    for name in "abc":
        (tmp_path / f"{name}.onnx").write_bytes(models.steady(2))
    paths = {name: tmp_path / f"{name}.onnx" for name in "abc"}
    holdout = {"name": "h", "share": 0.3, "split_key": "user"}
    bundle.write(
        tmp_path / "bundle", name="test", version="1", models=paths, route="outer", nodes=nodes, holdout=holdout
    )
    with EdgeRunner.open(tmp_path / "bundle", log=tmp_path / "log") as runner:
        metas = [{"user": f"user-{i}", "session": f"session-{i}"} for i in range(200)]
        predictions = [runner.predict(X, meta=meta) for meta in metas]
        together = runner.predict_batch(np.repeat(X, 200, axis=0), metas=metas)
    assert [*together.arms] == [p.arm for p in predictions]
    kept = log.read(tmp_path / "log").calls
    columns = (kept[name].tolist() for name in ("id", "assignment", "unit"))
    rows = {id_: (assignment, drawn) for id_, assignment, drawn in zip(*columns, strict=True)}
    ways = set()
    for meta, prediction, of_batch in zip(metas, predictions, together.ids, strict=True):
        assert rows[prediction.id] == rows[of_batch]
        assert rows[prediction.id][0] == prediction.assignment
        is_held = xxhash.xxh64(meta["user"].encode(), seed=xxhash.xxh64(b"h/holdout", seed=42).intdigest())
        assert (prediction.assignment == "holdout") == (is_held.intdigest() >> 32 < round(0.3 * 2**32))
        of_session = prediction.arm in {"a", "c"}
        assert rows[prediction.id][1] == unit(meta["session"] if of_session else meta["user"])
        ways.add((prediction.arm, prediction.path))
    assert ways == {
        (None, ("outer", "inner", "a")),
        ("inner", ("outer", "inner", "a")),
        ("b", ("outer", "b")),
        ("a", ("outer", "inner", "a")),
        ("c", ("outer", "inner", "c")),
    }


def test_a_key_that_no_split_hashed_is_the_unit_all_the_same(logged, read):
    runner = logged(models.steady(2))
    for _ in range(3):
        runner.predict(X, key=42)
    runner.predict(X)
    runner.close()
    calls = read().calls
    assert calls["unit"][:3].tolist() == [unit(42)] * 3
    assert np.ma.getmaskarray(calls["unit"]).tolist() == [False, False, False, True]


def test_a_fallback_says_why_and_who_answered(logged, read):
    runner = logged(
        {"control": models.steady(2), "challenger": models.non_finite()},
        CHALLENGED,
        breaker=BreakerPolicy(failures=2, retry_after_s=HOURS),
    )
    found = [runner.predict(x, key="u") for x in (X, TROUBLE, TROUBLE, X)]
    assert [p.fallback for p in found] == [None, "nonfinite", "nonfinite", "breaker_open"]
    runner.close()
    kept = read()
    assert kept.calls["fallback"].tolist() == [None, "nonfinite", "nonfinite", "breaker_open"]
    assert kept.calls["arm"].tolist() == ["challenger"] * 4
    assert kept.calls["route"].tolist() == ["challenger"] * 4
    assert kept.calls["model"].tolist() == ["challenger", "control", "control", "control"]
    assert "breaker_opened" in kept.lifecycle["event"].tolist()


def test_the_callers_own_fallback_is_recorded_without_outputs(logged, read):
    runner = logged(models.slow(steps=2000))
    prediction = runner.predict(X, deadline_s=0.001, fallback={"y": X})
    runner.close()
    calls = read().calls
    assert calls["id"].tolist() == [prediction.id]
    assert calls["model"].tolist() == [None]
    assert calls["fallback"].tolist() == ["deadline"]


def test_a_call_without_an_answer_is_an_error_in_the_log(logged, read):
    runner = logged(models.slow(steps=2000))
    with pytest.raises(DeadlineError):
        runner.predict(X, deadline_s=0.001)
    with pytest.raises(InputError, match="y"):
        runner.predict({"y": X})
    with pytest.raises(InputError):
        runner.predict_batch(X, keys=[1.5])
    runner.close()
    errors = read().errors
    assert errors["error"].tolist()[:2] == ["DeadlineError", "InputError"]
    assert "gave no answer within" in errors["message"][0]


def test_an_error_says_whose_call_it_was(logged, read):
    runner = logged({"control": models.raises(), "challenger": models.raises()}, CHALLENGED)
    with pytest.raises(ModelError):
        runner.predict(TROUBLE, key="u")
    with pytest.raises(ModelError):
        runner.predict(TROUBLE, key="v", deadline_s=HOURS)
    with pytest.raises(InputError, match="shape"):
        runner.predict([1], key=42)
    with pytest.raises(ModelError):
        runner.predict_batch(np.concatenate([X, TROUBLE]), keys=["a", "b"])
    runner.close()
    errors = read().errors
    assert errors["unit"][:3].tolist() == [unit("u"), unit("v"), unit(42)]
    assert errors["arm"].tolist() == ["challenger"] * 3 + [None]
    assert np.ma.getmaskarray(errors["unit"]).tolist() == [False] * 3 + [True]


def test_an_error_of_a_call_without_a_key_or_with_none_that_is_one_has_no_unit(logged, read):
    runner = logged(models.raises())
    for key in (None, 1.5):
        with pytest.raises((ModelError, InputError)):
            runner.predict(TROUBLE, key=key)
    runner.close()
    assert np.ma.getmaskarray(read().errors["unit"]).all()


def test_what_was_watched_is_recorded_with_its_comparison_and_outputs(logged, read):
    runner = logged({"champion": models.steady(2), "shadow": models.steady(3)}, WATCHED)
    predictions = [runner.predict(X + i) for i in range(50)]
    results = runner.shadows(TIMEOUT_S)
    runner.close()
    kept = read()
    assert kept.shadows["id"].tolist() == [p.id for p in predictions]
    assert kept.shadows["model"].tolist() == ["shadow"] * 50
    assert kept.shadows["node"].tolist() == ["watch"] * 50
    assert kept.shadows["disagrees"].tolist() == [r.disagree for r in results]
    assert kept.shadows["difference"].tolist() == [r.max_abs_diff for r in results]
    assert kept.shadows["y.value_0"].tolist() == [float(3 * (1 + i)) for i in range(50)]
    assert kept.calls["y.value_0"].tolist() == [float(2 * (1 + i)) for i in range(50)]


def test_labels_and_outcomes_may_come_days_later_and_after_a_restart(logged, read):
    runner = logged(models.steady(2))
    first = runner.predict(X)
    runner.close()
    runner = logged(models.steady(2))
    second = runner.predict(X)
    runner.label(first.id, np.int64(3))
    runner.label(second.id, {"class": "cat", "box": [1, 2.5]})
    runner.outcome("sold", 1, id=first.id)
    runner.outcome("spent", 2.5, key="user-7")
    runner.close()
    kept = read()
    assert kept.labels["id"].tolist() == [first.id, second.id]
    assert kept.labels["value"].tolist() == [3, {"class": "cat", "box": [1, 2.5]}]
    assert kept.outcomes["name"].tolist() == ["sold", "spent"]
    assert kept.outcomes["value"].tolist() == [1.0, 2.5]
    assert kept.outcomes["id"].tolist() == [first.id, None]
    assert kept.outcomes["unit"].tolist()[1] == unit("user-7")
    assert sorted(kept.calls["id"].tolist()) == sorted([first.id, second.id])


@pytest.mark.parametrize(
    ("id_", "value"),
    [("no id", 1), ("0123456789abcdef", 1), (None, 1), ("0123456789abcdeF-1", 1), (f"{'0' * 16}-{2**64}", 1)]
    + [(f"{'0' * 16}-1", value) for value in (object(), 2**65, {1: 2}, b"x", "x" * 20_000)],
)
def test_a_label_that_cannot_be_logged_is_refused(logged, id_, value):
    with pytest.raises(InputError):
        logged(models.steady(2)).label(id_, value)


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("", 1, {"key": "u"}),
        ("x" * 129, 1, {"key": "u"}),
        ("sold", float("nan"), {"key": "u"}),
        ("sold", "much", {"key": "u"}),
        ("sold", 1, {}),
        ("sold", 1, {"key": "u", "id": f"{'0' * 16}-1"}),
        ("sold", 1, {"id": "no id"}),
        ("sold", 1, {"key": 1.5}),
    ],
)
def test_an_outcome_that_cannot_be_logged_is_refused(logged, name, value, where):
    with pytest.raises(InputError):
        logged(models.steady(2)).outcome(name, value, **where)


def test_labels_and_names_of_outcomes_are_taken_up_to_their_limits(logged, read):
    runner = logged(models.steady(2))
    deepest = 1
    for _ in range(LIMITS.label_max_depth):
        deepest = [deepest]
    id_ = f"{'0' * 16}-1"
    around = len(packb({"id": id_, "value": "x" * 1000})) - 1000
    longest = "x" * (LIMITS.note_max_bytes - around)
    runner.label(id_, deepest)
    runner.label(id_, longest)
    runner.outcome("x" * LIMITS.outcome_name_max_bytes, 1, id=id_)
    for wrong in ([deepest], longest + "x"):
        with pytest.raises(InputError):
            runner.label(id_, wrong)
    with pytest.raises(InputError):
        runner.outcome("x" * (LIMITS.outcome_name_max_bytes + 1), 1, id=id_)
    runner.close()
    assert read().labels["value"].tolist() == [deepest, longest]


def test_labels_need_a_log_and_an_open_runner(serve, logged):
    with pytest.raises(LogError, match="log="):
        serve(models.steady(2)).label(f"{'0' * 16}-1", 1)
    runner = logged(models.steady(2))
    runner.close()
    with pytest.raises(ClosedError):
        runner.label(f"{'0' * 16}-1", 1)


@pytest.mark.parametrize(
    "policy",
    [
        LogPolicy(durability="never"),
        LogPolicy(ring_bytes=100_000),
        LogPolicy(ring_bytes=2**15),
        LogPolicy(time_step_us=1000),
        LogPolicy(time_step_us=2**21),
        LogPolicy(latency_bits=3),
        LogPolicy(latency_bits=12),
        LogPolicy(latency_bits=9.0),
        LogPolicy(group_s=-1),
        LogPolicy(group_rows=1.5),
        LogPolicy(capture=Capture(inputs="all")),
        LogPolicy(capture=Capture(rate=2)),
        LogPolicy(capture=Capture(redact="x")),
        {"durability": "group"},
    ],
)
def test_a_policy_out_of_range_is_refused(logged, policy):
    with pytest.raises(InputError):
        logged(models.steady(2), log_policy=policy)


def test_by_event_durability_a_row_is_on_the_disk_when_the_call_returns(logged, read):
    runner = logged(models.steady(2), log_policy=LogPolicy(durability="event"))
    for i in range(20):
        prediction = runner.predict(X if i % 2 else X.tolist())
        assert read().calls["id"].tolist()[-1] == prediction.id
    runner.label(prediction.id, 1)
    assert read().labels["id"].tolist() == [prediction.id]


def test_flush_waits_until_everything_is_on_the_disk(logged, read):
    runner = logged(models.steady(2), log_policy=LogPolicy(group_s=3600, group_rows=2**20))
    ids = [runner.predict(X).id for _ in range(10)]
    assert runner.flush(TIMEOUT_S)
    assert read().calls["id"].tolist() == ids


def test_a_group_is_written_soon_without_being_asked(logged, read, tmp_path):
    runner = logged(models.steady(2), log_policy=LogPolicy(group_s=0.01))
    prediction = runner.predict(X)
    wait_until(lambda: (tmp_path / "log").is_dir() and read().calls["id"].tolist() == [prediction.id])


def test_a_bundle_without_log_writes_nothing(serve, tmp_path):
    runner = serve(models.steady(2))
    before = sorted(tmp_path.rglob("*"))
    runner.predict(X)
    runner.close()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_log_goes_on_when_its_folder_vanishes(logged, read, tmp_path):
    runner = logged(models.steady(2), log_policy=LogPolicy(group_s=0.01))
    runner.predict(X)
    assert runner.flush(TIMEOUT_S)
    shutil.rmtree(tmp_path / "log")
    after = [runner.predict(X).id for _ in range(5)]
    wait_until(lambda: runner.flush(TIMEOUT_S) and (tmp_path / "log").is_dir() and read().calls.rows >= 5)
    runner.close()
    assert read().calls["id"].tolist()[-5:] == after


def test_a_folder_that_cannot_be_made_never_keeps_a_runner_from_serving(serve, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    runner = serve(models.steady(2), log=tmp_path / "file" / "log")
    prediction = runner.predict(X)
    assert prediction["y"].tolist() == [[2, 4]]
    assert not runner.flush(TIMEOUT_S)
    assert runner.stats().log.problem
    (tmp_path / "file").unlink()
    wait_until(lambda: runner.flush(TIMEOUT_S))
    assert runner.stats().log.problem is None
    runner.close()
    assert log.read(tmp_path / "file" / "log").calls["id"].tolist() == [prediction.id]


def full(disk):
    disk.capacity = 0


def read_only(disk):
    disk.is_read_only = True


def failing(disk):
    disk.fail("sync", errno.EIO, times=10**9)


@pytest.mark.parametrize("trouble", [full, read_only, failing])
def test_a_disk_in_trouble_never_keeps_a_runner_from_serving_and_nothing_is_lost(serve, tmp_path, monkeypatch, trouble):
    disk = SimulatedDisk()
    monkeypatch.setattr("edgerun.log.writer.RealDisk", lambda: disk)
    runner = serve(models.steady(2), log=tmp_path / "log")
    ids = [runner.predict(X).id for _ in range(5)]
    assert runner.flush(TIMEOUT_S)
    trouble(disk)
    ids += [runner.predict(X).id for _ in range(5)]
    runner.label(ids[0], 1)
    assert not runner.flush(TIMEOUT_S)
    assert "the log cannot be written" in runner.stats().log.problem
    disk.heal()
    wait_until(lambda: runner.flush(TIMEOUT_S))
    ids += [runner.predict(X).id for _ in range(5)]
    runner.close()
    (tmp_path / "copy").mkdir()
    for name, data in disk.contents(str(tmp_path / "log")).items():
        (tmp_path / "copy" / name).write_bytes(data)
    kept = log.read(tmp_path / "copy")
    assert kept.calls["id"].tolist() == ids
    assert kept.labels["id"].tolist() == ids[:1]
    assert "disk_error" in kept.lifecycle["event"].tolist()


def test_what_found_no_room_in_the_ring_is_counted_and_the_count_is_logged(serve, tmp_path):
    (tmp_path / "file").write_text("in the way, so that nothing is written")
    runner = serve(
        models.steady(2), log=tmp_path / "file" / "log", log_policy=LogPolicy(ring_bytes=2**16, group_rows=1)
    )
    predictions = [runner.predict(X) for _ in range(3000)]
    for prediction in predictions[:20]:
        runner.label(prediction.id, 1)  # labels have room when calls have none
    lost = runner.stats().log.lost
    assert lost["ring_full"]["call"] > 0
    (tmp_path / "file").unlink()
    wait_until(lambda: runner.flush(TIMEOUT_S))
    runner.close()
    kept = log.read(tmp_path / "file" / "log")
    assert kept.calls.rows + lost["ring_full"]["call"] == len(predictions)
    assert kept.labels.rows == 20
    losses = zip(kept.losses["reason"].tolist(), kept.losses["events"].tolist(), strict=True)
    assert sum(events["call"] for reason, events in losses if reason == "ring_full") == lost["ring_full"]["call"]


def test_inputs_are_stored_only_where_asked_for_and_never_those_redacted(serve, tmp_path):
    runner = serve(models.steady(2), log=tmp_path / "none")
    runner.predict(X)
    runner.close()
    assert log.read(tmp_path / "none").captures.rows == 0

    policy = LogPolicy(capture=Capture(inputs="sample", rate=0.25))
    runner = serve(models.steady(2), log=tmp_path / "some", log_policy=policy)
    by_id = {runner.predict(X + i).id: X + i for i in range(2000)}
    runner.close()
    captures = log.read(tmp_path / "some").captures
    assert 400 < captures.rows < 600
    assert set(captures["probability"].tolist()) == {0.25}
    for id_, inputs in zip(captures["id"].tolist(), captures["inputs"].tolist(), strict=True):
        assert np.array_equal(inputs["x"], by_id[id_])

    policy = LogPolicy(capture=Capture(inputs="sample", rate=1.0, redact=("x",)))
    runner = serve(models.steady(2), log=tmp_path / "redacted", log_policy=policy)
    runner.predict(X)
    runner.close()
    captures = log.read(tmp_path / "redacted").captures
    assert captures["inputs"].tolist() == [{}]
    assert captures["redacted"].tolist() == [["x"]]


def test_stats_tell_counts_and_quantiles_of_every_arm_while_serving(logged):
    runner = logged({"a": models.steady(2), "b": models.steady(3)}, STICKY)
    predictions = [runner.predict(X, key=i) for i in range(1000)]
    arms = {arm.arm: arm for arm in runner.stats().arms}
    for name in ("a", "b"):
        latencies = sorted(p.latency_ns * 1e-9 for p in predictions if p.arm == name)
        assert arms[name].calls == len(latencies)
        rank = int(np.ceil(0.5 * len(latencies))) - 1
        assert arms[name].latency_p50_s == pytest.approx(latencies[rank], rel=0.01)
        assert arms[name].latency_p50_s <= arms[name].latency_p90_s <= arms[name].latency_p99_s


def test_profiles_of_inputs_and_outputs_are_in_the_log(logged, read):
    runner = logged({"a": models.steady(2), "b": models.steady(3)}, STICKY)
    rng = np.random.default_rng(1)
    inputs = rng.lognormal(size=(400, 1, 2)).astype(np.float32)
    arms = [runner.predict(x, key=i).arm for i, x in enumerate(inputs)]
    runner.close()
    profiles = {profile.arm: profile for profile in map(from_value, read().profiles["profile"])}
    for arm in ("a", "b"):
        data = inputs[np.array(arms) == arm, 0].astype(float)
        port = next(port for port in profiles[arm].ports if not port.is_output)
        assert port.name == "x"
        assert list(port.what.finite) == [len(data)] * 2
        assert np.allclose(port.what.mean, data.mean(axis=0))
        assert np.allclose(port.what.m2, data.var(axis=0) * len(data))
        assert np.array_equal(port.what.min, data.min(axis=0))
        assert np.array_equal(port.what.max, data.max(axis=0))


def test_two_runners_log_into_one_folder(serve, tmp_path):
    runners = [serve(models.steady(2), log=tmp_path / "log") for _ in range(3)]
    ids = [runner.predict(X).id for _ in range(100) for runner in runners]
    for runner in runners:
        runner.close()
    assert sorted(log.read(tmp_path / "log").calls["id"].tolist()) == sorted(ids)


def test_what_was_opened_and_closed_is_in_the_journal(logged, read):
    logged(models.steady(2)).close()
    kept = read()
    assert kept.lifecycle["event"].tolist() == ["opened", "closed"]


def test_a_runner_that_is_forgotten_still_writes_its_log(serve, tmp_path):
    folder = write_bundle(tmp_path / "bundle", models.steady(2))
    runner = EdgeRunner.open(folder, log=tmp_path / "log")
    prediction = runner.predict(X)
    del runner
    wait_until(lambda: log.read(tmp_path / "log").calls["id"].tolist() == [prediction.id])
