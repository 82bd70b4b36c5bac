"""The audit computes every assignment again, in SQL, and finds those that somebody changed."""

from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

from edgerun.split import Split, xxh64
from edgerun_sync.queries.assignments import audit, audit_requests, expected
from edgerun_sync.queries.tables import EVENTS, given
from support.recorded import SPLIT, WEIGHTS, key_of

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
