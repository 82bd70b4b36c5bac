"""The audit computes every assignment again, in SQL, and finds those that somebody changed."""

from __future__ import annotations

from fractions import Fraction

import ibis
import pyarrow as pa
import pytest

from edgerun.enrolment import Gate, Holdout, Layer, gates_of
from edgerun.nodes import RandomSplit
from edgerun.split import Split, xxh64
from edgerun_sync.collector.arrow.known_keys import points_table
from edgerun_sync.queries.assignments import audit, audit_enrolment, audit_requests, expected
from edgerun_sync.queries.tables import EVENTS, given
from support.recorded import SPLIT, WEIGHTS, key_of
from vectors.split import split_reference as reference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
KEYS = [key_of(device) for device in range(40)]


@pytest.fixture(scope="module")
def keys(engines):
    tables = [given(engine, "keys", pa.table({"key": KEYS})) for engine in engines]
    return tables[0]


def test_the_arms_of_keys_are_those_of_the_split(engines):
    texts = ["", "a", "sält 日本 🙂", *("k" * length for length in range(1, 100)), *map(str, range(500))]
    for engine in engines:
        table = given(engine, "texts", pa.table({"key": texts}))
    split = SPLIT.reweight({"control": 10, "challenger": 70, "second": 20})
    found = engines.ask(expected(split, table), "key")
    assert found.expected.tolist() == [split.assign(key) for key in found.key]
    assert found.point.tolist() == [split.explain(key).point for key in found.key]
    assert [unit % 2**64 for unit in found.unit.tolist()] == [xxh64(key.encode()) for key in found.key]


def test_a_table_that_nobody_changed_passes(engines, keys):
    found = engines.ask(audit(SPLIT, keys), "arm")
    assert found.arm.tolist() == found.expected.tolist() == sorted(WEIGHTS)
    assert found.units.sum() == 40


def test_units_in_another_arm_than_the_split_says_are_found(engines, keys):
    swapped = EVENTS.mutate(arm=ibis.ifelse(EVENTS.device == "device-00007", "elsewhere", EVENTS.arm))
    found = engines.ask(audit(SPLIT, keys, swapped), "arm", "expected")
    wrong = found[found.arm != found.expected]
    assert wrong[["arm", "expected", "units", "calls"]].to_numpy().tolist() == [
        ["elsewhere", SPLIT.assign(key_of(7)), 1, 100]
    ]


def test_a_split_of_requests_is_audited_without_keys(engines, frames):
    split = Split("requests", {"a": 1, "b": 1})
    drawn = EVENTS.mutate(arm=ibis.literal("a"))
    found = engines.ask(audit_requests(split, drawn), "expected")
    calls = frames["events"][frames["events"].kind.isin(["inference", "fallback"])]
    in_a = sum(split.assign(id_) == "a" for id_ in calls.id)
    assert found.calls.tolist() == [in_a, len(calls) - in_a]


NODE = RandomSplit(SPLIT, "user", "control", 0.7, {}, Layer("search", Fraction(1, 3), Fraction(1)))
GATES = gates_of(NODE, Holdout("2026-h2", Fraction(1, 4), "user"))


def said_of(key):
    """How a key is assigned by NODE, as the reference says, and its arm."""
    ranges = [(held.start, held.end, held.arm) for held in SPLIT.ranges]
    layer = ("search", Fraction(1, 3), 1)
    assignment, arm = reference.said_of(key, SPLIT.salt, ranges, ("2026-h2", 0.25), layer, 0.7)
    return assignment, arm or None


def test_who_is_enrolled_and_why_not_is_what_the_split_says(engines):
    texts = [f"user-{i}" for i in range(300)]
    for engine in engines:
        table = given(engine, "users", pa.table({"key": texts}))
    found = engines.ask(expected(SPLIT, table, GATES), "key")
    said = [said_of(key) for key in found.key]
    assert found.assignment.tolist() == [assignment for assignment, _ in said]
    assert [arm if isinstance(arm, str) else None for arm in found.expected] == [arm for _, arm in said]
    assert {*found.assignment} == {"assigned", *(gate.otherwise for gate in GATES)}


def test_who_was_enrolled_against_a_gate_is_found(engines, keys):
    allowed = [key for key in KEYS if said_of(key)[0] == "assigned"]
    found = engines.ask(audit(SPLIT, keys, gates=GATES), "arm", "expected")
    wrong = found[found.expected.isna()]
    assert (wrong.units.sum(), found.units.sum()) == (len(KEYS) - len(allowed), len(KEYS))
    right = found[found.expected.notna()]
    assert right.arm.tolist() == right.expected.tolist()


def test_who_was_left_out_though_every_gate_lets_him_through_is_found(engines, keys):
    known = {key_of(device): f"device-{device:05}" for device in range(40)}
    said = {known[key]: said_of(key)[0] for key in KEYS}
    swapped = next(device for device, assignment in said.items() if assignment == "assigned")
    as_said = ibis.cases(
        *((EVENTS.device == device, assignment) for device, assignment in {**said, swapped: "holdout"}.items())
    )
    found = engines.ask(
        audit_enrolment(SPLIT, keys, EVENTS.mutate(assignment=as_said), GATES), "assignment", "expected"
    )
    wrong = found[found.assignment != found.expected]
    assert wrong[["assignment", "expected", "units", "calls"]].to_numpy().tolist() == [["holdout", "assigned", 1, 100]]
    assert found.units.sum() == 40


def test_requests_that_a_slice_does_not_hold_are_found(engines, frames):
    split, gate = Split("requests", {"a": 1}), Gate("search/layer", 0, 2**31, "other_slice")
    found = engines.ask(audit_requests(split, EVENTS.mutate(arm=ibis.literal("a")), [gate]), "expected")
    calls = frames["events"][frames["events"].kind.isin(["inference", "fallback"])]
    inside = sum(reference.point_of("search/layer", id_) < 2**31 for id_ in calls.id)
    assert found.calls.tolist() == [inside, len(calls) - inside]


def test_the_points_of_keys_are_those_of_the_split_where_the_gates_let_them_through():
    texts = ["", "sält 日本 🙂", *(f"user-{i}" for i in range(20_000))]
    found = points_table(["user-7", *texts, "user-7"], {"1.0.0": (SPLIT, ()), "1.1.0": (SPLIT, GATES)}).to_pylist()
    keys = [*dict.fromkeys(["user-7", *texts])]
    assert [row["unit"] % 2**64 for row in found] == [xxh64(key.encode()) for key in keys]
    for row, key in zip(found[:300], keys, strict=False):
        point = reference.point_of(SPLIT.salt, key)
        assert (row["point_1.0.0"], row["point_1.1.0"]) == (point, point if said_of(key)[0] == "assigned" else None)
