"""How arms did in the last minutes: the numbers are those of numpy, of that time alone, and of so many arms at most."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from edgerun_sync.collector.data import open_to_read
from edgerun_sync.errors import QueryError
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.arms import BY, QUANTILES, RecentArms, families_of
from support.recorded import START_US
from sync.queries.test_serving import rank

pytestmark = pytest.mark.slow
START = datetime.fromtimestamp(START_US / 1e6, UTC)
WINDOW_S = 6 * 3600
NOW = START + timedelta(days=1, hours=7)


@pytest.fixture(scope="module")
def tables(place):
    return open_to_read(place).tables


def asked(tables, *, limits=LIMITS, now=NOW, window_s=WINDOW_S):
    found = RecentArms(lambda: tables, window_s=window_s, clock=lambda: now, limits=limits).families()
    return {(family.name, tuple(point.labels.values())): point.value for family in found for point in family.points}


def truth_of(frames, now=NOW, window_s=WINDOW_S):
    rows = frames["events"]
    rows = rows[(rows.time >= now - timedelta(seconds=window_s)) & (rows.time < now) & (rows.kind != "shadow")]
    truth = {}
    for arm, members in rows.groupby([*BY], dropna=False):
        calls = members[members.kind != "error"]
        truth["edgerun_arm_calls", arm] = len(calls)
        truth["edgerun_arm_fallbacks", arm] = int((members.kind == "fallback").sum())
        truth["edgerun_arm_errors", arm] = len(members) - len(calls)
        for share in QUANTILES if len(calls) else ():
            truth["edgerun_arm_latency_seconds", (*arm, f"{share:g}")] = rank(calls.latency_s, share)
    return truth


@pytest.mark.parametrize(("now", "window_s"), [(NOW, WINDOW_S), (START + timedelta(days=8), 8 * 86400)])
def test_each_arm_has_its_calls_errors_fallbacks_and_latencies_of_that_time(tables, frames, now, window_s):
    found, truth = asked(tables, now=now, window_s=window_s), truth_of(frames, now, window_s)
    arms = sum(name == "edgerun_arm_calls" for name, _ in truth)
    assert arms > 2
    assert found == truth | {
        ("edgerun_arms", ()): arms,
        ("edgerun_arms_left_out", ()): 0,
        ("edgerun_arm_window_seconds", ()): window_s,
    }
    counts = {name: sum(n for (one, _), n in truth.items() if one == name) for name, _ in truth}
    assert window_s == WINDOW_S or min(counts.values()) > 0


def test_of_arms_beyond_the_limit_those_with_most_calls_are_told(tables, frames):
    """`exported_arms_max`, at the limit and one past it."""
    truth = truth_of(frames)
    arms = sum(name == "edgerun_arm_calls" for name, _ in truth)
    for limit in (arms, arms - 1):
        found = asked(tables, limits=LIMITS._replace(exported_arms_max=limit))
        assert (found["edgerun_arms", ()], found["edgerun_arms_left_out", ()]) == (arms, arms - limit)
        told = [value for (name, _), value in found.items() if name == "edgerun_arm_calls"]
        every = [value for (name, _), value in truth.items() if name == "edgerun_arm_calls"]
        assert sorted(told) == sorted(every)[arms - limit :]


def test_where_nobody_called_that_is_told(tables):
    found = asked(tables, now=START + timedelta(days=300))
    assert found == {("edgerun_arms", ()): 0, ("edgerun_arms_left_out", ()): 0,
                     ("edgerun_arm_window_seconds", ()): WINDOW_S}  # fmt: skip


def test_files_of_earlier_days_are_not_opened(tables, frames):
    every = tables.snapshot("events")
    kept = every.since(NOW.date())
    assert 0 < len(kept.files) < len(every.files)
    days = {file.split("day=")[1][:10] for file in kept.files}
    assert min(days) == NOW.date().isoformat()
    assert {*every.files} - {*kept.files} == {file for file in every.files if file.split("day=")[1][:10] not in days}


def test_too_little_memory_is_an_error_of_the_question(tables):
    """`exported_arms_memory_max_bytes`."""
    with pytest.raises(QueryError, match=r"[Mm]emory"):
        asked(tables, limits=LIMITS._replace(exported_arms_memory_max_bytes=2**12))


def ask_for_long(arms):
    for _ in range(200):
        arms.families()


def test_whoever_stops_need_not_wait_for_the_answer(tables):
    arms, is_over = RecentArms(lambda: tables, window_s=WINDOW_S, clock=lambda: NOW), threading.Event()

    def interrupt() -> None:
        while not is_over.is_set():
            arms.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(QueryError, match="given up"):
            ask_for_long(arms)
    finally:
        is_over.set()
        thread.join()
    assert arms.families()


def test_a_label_that_is_missing_is_empty():
    row = {"bundle": "cards", "version": None, "arm": None, "arms": 1, "calls": 2, "fallbacks": 0, "errors": 0,
           "latency_p50_s": 0.5, "latency_p95_s": None, "latency_p99_s": 0.7}  # fmt: skip
    found = {family.name: family for family in families_of([row], 60)}
    assert found["edgerun_arm_calls"].points[0].labels == {"bundle": "cards", "version": "", "arm": ""}
    assert [point.labels["quantile"] for point in found["edgerun_arm_latency_seconds"].points] == ["0.5", "0.99"]
