"""The facts of an experiment from tables that were made up: all kinds of metrics as scikit-learn has them, ramps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from edgerun.enrolment import Gate
from edgerun.split import Split, xxh64
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.facts import DeviceClocks
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.duck import DuckDB
from edgerun_sync.queries.experiment import Version, experiment_facts
from vectors.split import split_reference as reference

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ARMS = ("old", "new")
SPLIT = Split("cards/ab", dict.fromkeys(ARMS, 1))
UNITS, CALLS = 60, 12
EPOCH = f"{2**63:016x}"
METRICS = {
    "fallbacks": {"kind": "fallback_rate"},
    "accuracy": {"kind": "accuracy"},
    "precision": {"kind": "precision", "positive": "1"},
    "recall": {"kind": "recall", "positive": "1"},
    "f1": {"kind": "f1", "positive": "1"},
    "loss": {"kind": "log_loss", "positive": "1"},
    "brier": {"kind": "brier", "positive": "1"},
    "auc": {"kind": "auc", "positive": "1"},
    "slow": {"kind": "latency_quantile", "share": 0.5},
    "paid": {"kind": "outcome_mean", "direction": "up", "outcome": "paid", "window_days": 3},
    "ratio": {"kind": "outcome_ratio", "direction": "up", "outcome": "paid", "per": "seen"},
    "came": {"kind": "conversion", "direction": "up", "outcome": "paid", "window_days": 3},
}
PLAN = parse_plan(
    {
        "name": "made",
        "node": "ab",
        "control": "old",
        "null": "a",
        "alternative": "b",
        "primary": "accuracy",
        "success": [name for name in METRICS if name != "accuracy"],
        "metrics": METRICS,
        "minimum_effect": 0.1,
        "maximum_days": 28,
        "units": dict.fromkeys(ARMS, 30),
    },
    "here",
)


def table(name, rows):
    return pa.Table.from_pylist(rows, SCHEMAS[name])


def made(seed=1, classes=2):
    """Calls, labels and outcomes, and the same calls as plain dicts."""
    rng = np.random.default_rng(seed)
    arms = rng.integers(0, 2, UNITS)
    events, labels = [], []
    for number in range(UNITS * CALLS):
        unit = number % UNITS
        second = number >= UNITS * CALLS // 2 and unit % 3 == 0
        late = unit % 3 == 0  # these units come in the second version only
        truth, said = int(rng.integers(0, classes)), int(rng.integers(0, classes))
        events.append(
            {
                "device": f"d{unit % 5}",
                "time": BEGIN + timedelta(days=5 if late else 0, minutes=number + second),
                "batch_time": BEGIN + timedelta(days=30),
                "epoch": EPOCH,
                "row": number,
                "sequence": number,
                "id": f"{EPOCH}-{number}",
                "kind": "fallback" if rng.random() < 0.1 else "inference",
                "bundle": "cards",
                "version": "2" if late else "1",
                "arm": ARMS[arms[unit]],
                "assignment": "assigned",
                "unit": unit,
                "latency_s": float(np.round(rng.lognormal(-5, 0.5), 4)),
                "label": str(said),
                "score": float(np.round(rng.uniform(0.5, 1), 4)),
                "truth": str(truth) if rng.random() < 0.8 else None,
            }
        )
        if events[-1]["truth"] is not None:
            labels.append(
                {"kind": "label", "id": f"{EPOCH}-{number}", "value": float(truth), "epoch": "j", "row": number}
            )
            labels[-1]["time"] = BEGIN + timedelta(days=1)
    for unit in range(0, UNITS, 2):
        for name, worth, day in (("paid", 5.0, 7), ("paid", 2.0, 1), ("seen", 1.0, 9)):
            labels.append({"kind": "outcome", "unit": unit, "name": name, "value": worth, "epoch": "j", "row": 0})
            labels[-1]["time"] = BEGIN + timedelta(days=day, hours=23)
    return events, labels


def facts_of(events, labels, plan=PLAN):
    tables = {"events": table("events", [{k: v for k, v in row.items() if k != "truth"} for row in events])}
    tables |= {"labels": table("labels", labels), "profiles": table("profiles", [])}
    with DuckDB({}, tables) as engine:
        return experiment_facts(
            engine, plan, "cards", [Version("1", SPLIT), Version("2", SPLIT)], until=BEGIN + timedelta(days=20)
        )


@pytest.fixture(scope="module")
def known():
    events, labels = made()
    return events, facts_of(events, labels)


def chosen(events, arm, phase, *, labelled=False):
    """Calls of an arm and phase, as arrays by column."""
    version = {"1": "1", "2": "2"}[phase]
    rows = [row for row in events if row["arm"] == arm and row["version"] == version and (row["truth"] or not labelled)]
    return {
        name: np.array([row[name] for row in rows]) for name in ("truth", "label", "score", "latency_s", "kind", "unit")
    }


@pytest.mark.parametrize("phase", ["1", "2"])
@pytest.mark.parametrize("arm", ARMS)
def test_every_kind_of_metric_is_that_of_scikit_learn(known, arm, phase):
    events, facts = known
    one = next(one for one in facts.phases if one.name == phase)
    rows, every = chosen(events, arm, phase, labelled=True), chosen(events, arm, phase)
    truth, said = rows["truth"] == "1", rows["label"] == "1"
    chance = np.where(said, rows["score"], 1 - rows["score"])
    theirs = {
        "fallbacks": (every["kind"] == "fallback").mean(),
        "accuracy": sk.accuracy_score(truth, said),
        "precision": sk.precision_score(truth, said),
        "recall": sk.recall_score(truth, said),
        "f1": sk.f1_score(truth, said),
        "loss": sk.log_loss(truth, chance),
        "brier": sk.brier_score_loss(truth, chance),
    }
    for name, value in theirs.items():
        found = one.moments[name][arm]
        assert found.mean_of(f"{name}.above") / found.mean_of(f"{name}.below") == pytest.approx(value), name
    assert one.estimates["auc"][arm].value == pytest.approx(sk.roc_auc_score(truth, np.floor(chance * 1000)))
    assert (
        one.estimates["slow"][arm].value == np.sort(every["latency_s"])[int(np.ceil(len(every["latency_s"]) / 2)) - 1]
    )
    assert one.units[arm] == len({*every["unit"].tolist()})


def test_outcomes_count_within_their_window_after_the_first_call(known):
    events, facts = known
    for one in facts.phases:
        for arm in ARMS:
            units = {*chosen(events, arm, one.name)["unit"].tolist()}
            even = sum(unit % 2 == 0 for unit in units)
            worth = 2.0 if one.name == "1" else 5.0  # of day 1 and day 7; units of the second version come on day 5
            found = {name: one.moments[name][arm] for name in ("paid", "ratio", "came")}
            assert found["paid"].mean_of("paid") * len(units) == pytest.approx(worth * even)
            assert found["came"].mean_of("came") * len(units) == pytest.approx(even)
            both = 7.0 if one.name == "1" else 5.0
            assert found["ratio"].mean_of("ratio.above") * len(units) == pytest.approx(both * even)
            assert found["ratio"].mean_of("ratio.below") * len(units) == pytest.approx(even)


def test_each_version_is_a_phase_and_nothing_is_audited_without_keys(known):
    _, facts = known
    assert [(one.name, one.weights) for one in facts.phases] == [(name, {"old": 0.5, "new": 0.5}) for name in "12"]
    assert sum(sum(one.units.values()) for one in facts.phases) == UNITS
    assert facts.health.audited == 0
    assert facts.days == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("step", [1, -1])
def test_arms_are_told_of_by_name_whatever_the_order_of_rows(step):
    events, labels = made()
    facts = facts_of(events[::step], labels)
    health, phases = facts.health, facts.phases
    counts = [health.assigned, health.reported, health.devices, health.skewed, *(one.units for one in phases)]
    assert [[*found] for found in [*counts, *(one.labels for one in phases)]] == [sorted(ARMS)] * (4 + 2 * len(phases))


def test_a_device_of_several_arms_and_versions_is_counted_once_and_so_is_its_clock():
    events, labels = made()
    for event in events:
        if event["device"] == "d3":
            event["batch_time"] = event["time"] - timedelta(hours=1)
    facts = facts_of(events, labels)
    assert facts.health.devices == dict.fromkeys(ARMS, 5)
    assert facts.health.skewed == dict.fromkeys(ARMS, 1)
    assert facts.health.clocks == DeviceClocks(5, 1)
    assert parse_facts(facts_document(facts), "here").health == facts.health
    former = facts_document(facts)
    del former["health"]["clocks"]
    assert parse_facts(former, "here").health.clocks is None


@pytest.mark.parametrize("classes", [LIMITS.matrix_classes_max, LIMITS.matrix_classes_max + 1])
def test_matrices_are_of_as_many_classes_as_the_limit_says(classes):
    metrics = {"accuracy": METRICS["accuracy"]}
    plan = PLAN._replace(success=(), metrics={"accuracy": PLAN.metrics["accuracy"]})
    assert metrics.keys() == plan.metrics.keys()
    found = facts_of(*made(classes=classes), plan).models
    assert len(found.classes) == (classes if classes <= LIMITS.matrix_classes_max else 0)
    assert bool(found.cells) == (classes <= LIMITS.matrix_classes_max)


def test_where_nothing_was_recorded_that_is_said():
    with pytest.raises(ExperimentError, match="no call of cards 1 or 2 was assigned to old or new"):
        facts_of([], [])


def test_who_is_known_and_who_is_audited_is_who_the_slice_and_the_traffic_enrol():
    keys, gates = [f"user-{number}" for number in range(UNITS)], (Gate("search/layer", 0, 2**31, "other_slice"),)
    enrolled = {number for number, key in enumerate(keys) if reference.point_of("search/layer", key) < 2**31}
    wrong = min({*range(UNITS)} - enrolled)
    events, labels = made()
    for event in events:
        key = keys[event["unit"]]
        is_in = event["unit"] in enrolled or event["unit"] == wrong
        event["arm"] = SPLIT.assign(key) if is_in else None
        event["assignment"] = "assigned" if is_in else "other_slice"
        event["unit"] = int(np.uint64(xxh64(key.encode())).astype(np.int64))
    versions = [Version(name, SPLIT, gates) for name in ("1", "2")]
    tables = {"events": table("events", [{k: v for k, v in row.items() if k != "truth"} for row in events])}
    tables |= {"labels": table("labels", labels), "profiles": table("profiles", [])}
    plan = PLAN._replace(metrics={"accuracy": PLAN.metrics["accuracy"]}, success=())
    with DuckDB({}, tables) as engine:
        health = experiment_facts(engine, plan, "cards", versions, until=BEGIN + timedelta(days=20), keys=keys).health
    assert sum(health.assigned.values()) == len(enrolled)
    assert {*health.assigned} == {*ARMS}
    assert (health.audited, health.misassigned) == (len(enrolled) + 1, 1)
