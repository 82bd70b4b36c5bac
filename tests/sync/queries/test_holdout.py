"""A holdout, from tables that were made up to its report: two groups, their health, and how they differ."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from click.testing import CliRunner
from scipy import stats

from edgerun import bundle
from edgerun.cli import main
from edgerun.enrolment import Holdout
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.held_out import HELD_OUT, OTHERS, holdout_card
from edgerun_sync.queries import engines
from edgerun_sync.queries.duck import DuckDB
from edgerun_sync.queries.holdout import HoldoutVersion, holdout_facts
from edgerun_sync.report.holdout_text import holdout_document, holdout_text
from support import models
from vectors.split import split_reference as reference

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = BEGIN + timedelta(days=60)
HOLDOUT = Holdout("2026-h2", Fraction(1, 5), "user")
KEYS = [f"user-{i}" for i in range(1_200)]
METRICS = {
    "accuracy": {"kind": "accuracy", "deviation": 0.1},
    "paid": {"kind": "outcome_mean", "direction": "up", "outcome": "paid", "deviation": 1},
    "slow": {"kind": "latency_quantile", "share": 0.5, "deviation": 1, "baseline": 0.01},
    "came": {"kind": "conversion", "direction": "up", "outcome": "paid", "baseline": 0.5},
    "errors": {"kind": "error_rate", "deviation": 0.1},
}
EXPERIMENT = {
    "name": "made",
    "node": "ab",
    "control": "old",
    "null": "a",
    "alternative": "b",
    "primary": "accuracy",
    "success": ["paid", "slow", "came"],
    "metrics": {name: metric for name, metric in METRICS.items() if name != "errors"},
    "minimum_effect": 0.1,
    "maximum_days": 28,
    "units": {"old": 30, "new": 30},
}
PLAN = parse_plan(EXPERIMENT, "here")


def is_held(key):
    return reference.point_of("2026-h2/holdout", key) < reference.enrolled_width(Fraction(1, 5))


EPOCH = "e" * 16


def unit_of(key):
    return xxhash.xxh64_intdigest(key.encode(), seed=42) - (
        2**64 if xxhash.xxh64_intdigest(key.encode(), seed=42) >= 2**63 else 0
    )


def made(effect=0.0, fault="none", seed=5):
    """Three labelled calls of each user, in two versions, and what some of them paid: others pay by `effect` more."""
    rng = np.random.default_rng(seed)
    events, labels, paid = [], [], {HELD_OUT: [], OTHERS: []}
    others = ("assigned", "not_enrolled", "other_slice")
    for number, key in enumerate(KEYS):
        held = is_held(key)
        if fault == "lost" and held and rng.random() < 0.4:
            continue
        assignment = "holdout" if held else others[number % 3]
        if fault == "swapped" and rng.random() < 0.02:
            assignment = "holdout" if not held else "assigned"
        for call in range(3):
            event = {
                "device": f"d{number % 5}",
                "time": BEGIN + timedelta(days=number % 40, minutes=call),
                "batch_time": UNTIL,
                "epoch": EPOCH,
                "row": len(events),
                "sequence": len(events),
                "id": f"{EPOCH}-{len(events)}",
                "kind": "inference",
                "bundle": "cards",
                "version": "2" if number % 2 else "1",
                "arm": "new" if assignment == "assigned" else None,
                "assignment": assignment,
                "unit": unit_of(key),
                "latency_s": float(np.round(rng.lognormal(-5, 0.5), 4)),
                "label": "1",
            }
            events.append(event)
            label = {"kind": "label", "id": event["id"], "value": float(rng.random() < 0.8), "epoch": "j", "row": 0}
            labels.append({**label, "time": BEGIN + timedelta(days=50)})
        worth = round(float(rng.normal(5 + (0 if assignment == "holdout" else effect), 1)), 3)
        paid[HELD_OUT if assignment == "holdout" else OTHERS].append(worth)
        outcome = {"kind": "outcome", "unit": unit_of(key), "name": "paid", "value": worth, "epoch": "j", "row": 0}
        labels.append({**outcome, "time": BEGIN + timedelta(days=55)})
    nobody = (
        {"assignment": "forced"},
        {"assignment": "unassigned", "unit": None},
        {"assignment": None},
        {"bundle": "x"},
    )
    events += [{**events[0], "unit": -number, "id": "no", **fields} for number, fields in enumerate(nobody, 1)]
    return events, labels, paid


def tables_of(events, labels):
    rows = {"events": events, "labels": labels, "profiles": []}
    return {name: pa.Table.from_pylist(found, SCHEMAS[name]) for name, found in rows.items()}


def facts_of(events, labels, keys=KEYS):
    versions = [HoldoutVersion(name, HOLDOUT) for name in ("1", "2")]
    with DuckDB({}, tables_of(events, labels)) as engine:
        return holdout_facts(engine, PLAN, "cards", versions, until=UNTIL, keys=keys)


@pytest.fixture(scope="module")
def known():
    events, labels, paid = made(effect=0.3)
    return facts_of(events, labels), paid


def test_every_unit_is_in_one_group_and_nobody_who_was_forced_or_has_no_key(known):
    facts, _ = known
    held = sum(map(is_held, KEYS))
    found = {arm: sum(phase.units[arm] for phase in facts.phases) for arm in (HELD_OUT, OTHERS)}
    assert found == {HELD_OUT: held, OTHERS: len(KEYS) - held}
    assert [phase.name for phase in facts.phases] == ["1", "2"]
    assert facts.phases[0].weights[HELD_OUT] == pytest.approx(0.2, abs=1e-9)
    assert (facts.in_both, facts.audited, facts.misassigned) == (0, len(KEYS), 0)


def test_the_effect_of_each_phase_is_welchs_on_the_units(known):
    facts, paid = known
    card = holdout_card(facts)
    assert card.is_healthy
    (found,) = [metric for metric in card.metrics if metric.name == "paid"]
    assert found.effect.contrast.treatment_units == len(paid[OTHERS])
    assert found.effect.contrast.difference == pytest.approx(np.mean(paid[OTHERS]) - np.mean(paid[HELD_OUT]), abs=0.01)
    welch = stats.ttest_ind(paid[OTHERS], paid[HELD_OUT], equal_var=False)
    assert np.log10(found.effect.fixed_p) == pytest.approx(np.log10(welch.pvalue), abs=0.5)
    low, high = welch.confidence_interval(1 - 0.05 / 4)
    assert (found.effect.fixed.low, found.effect.fixed.high) == pytest.approx((low, high), abs=0.02)


def test_p_values_are_adjusted_for_all_metrics_and_only_what_is_shown_is_said(known):
    card = holdout_card(known[0])
    assert [metric.name for metric in card.metrics] == ["accuracy", "paid", "slow", "came"]
    told = [metric for metric in card.metrics if metric.effect]
    for metric in told:
        assert metric.effect.fixed_p <= metric.adjusted_p <= min(1, len(told) * metric.effect.fixed_p)
    text = holdout_text(card)
    assert text.count("are shown to have made it better") == 1
    assert text.count("No effect is shown.") == 3
    document = json.loads(json.dumps(holdout_document(card)))
    assert [metric["name"] for metric in document["metrics"]] == [metric.name for metric in card.metrics]
    assert document["healthy"] is True


def test_a_metric_of_which_nothing_is_there_says_so(known):
    phases = tuple(phase._replace(estimates={}) for phase in known[0].phases)
    card = holdout_card(known[0]._replace(phases=phases))
    (slow,) = [metric for metric in card.metrics if metric.name == "slow"]
    assert (slow.effect, slow.adjusted_p) == (None, None)
    assert "slow: Too little is there to tell: " in holdout_text(card)
    assert [found["why"] for found in holdout_document(card)["metrics"] if found["name"] == "slow"] == [slow.why]


@pytest.mark.parametrize(("fault", "check"), [("lost", "sample ratio"), ("swapped", "assignment audit")])
def test_what_is_broken_shows_no_effect(fault, check):
    card = holdout_card(facts_of(*made(0.5, fault)[:2]))
    assert check in [found.name for found in card.findings if not found.is_ok]
    assert card.metrics == ()
    assert "No effect is shown while a check is broken." in holdout_text(card)
    assert holdout_document(card)["healthy"] is False


def test_nothing_that_was_seen_in_both_groups_goes_unnoticed():
    events, labels, _ = made()
    moved = [{**event, "assignment": "holdout"} if event["id"][-1] == "7" else event for event in events]
    card = holdout_card(facts_of(moved, labels, keys=None))
    assert card.facts.audited is None
    assert "several arms" in [found.name for found in card.findings if not found.is_ok]


def test_under_no_effect_no_more_than_alpha_are_said_to_differ(known):
    rng, rejected, fleets = np.random.default_rng(20260101), 0, 400
    facts = known[0]
    moments = facts.phases[0].moments["paid"]
    for _ in range(fleets):
        phases = []
        for phase in facts.phases:
            drawn = {}
            for arm, found in moments.items():
                values = rng.normal(5, 1, found.n)
                centred = values - values.mean()
                drawn[arm] = found._replace(mean=np.array([values.mean()]), m2=np.array([[centred @ centred]]))
            phases.append(phase._replace(moments={"paid": drawn}))
        one = facts._replace(metrics={"paid": facts.metrics["paid"]}, phases=tuple(phases), audited=None)
        (metric,) = holdout_card(one).metrics
        rejected += metric.adjusted_p <= 0.05
    assert rejected <= stats.binom.ppf(0.999, fleets, 0.05)


def test_alpha_is_a_chance(known):
    for alpha in (0, 1, -0.1):
        with pytest.raises(ExperimentError, match="alpha must lie between 0 and 1"):
            holdout_card(known[0], alpha)


def test_a_holdout_of_which_nothing_was_recorded_says_where_to_look():
    with pytest.raises(ExperimentError, match="no call of cards 1 or 2 passed a random split"):
        facts_of([], [])


# The command.


@pytest.fixture
def bundles(tmp_path):
    """Two versions with the holdout, one without, and one whose split draws something else."""
    (tmp_path / "m.onnx").write_bytes(models.steady())
    ab = {"kind": "random_split", "weights": {"old": 1, "new": 1}, "split_key": "user"}
    held = {"name": "2026-h2", "share": "1/5", "split_key": "user"}
    found = {}
    for name, version, node, holdout in (
        ("one", "1", ab, held),
        ("two", "2", ab, held),
        ("none", "3", ab, None),
        ("other", "4", {**ab, "split_key": "session"}, held),
    ):
        bundle.write(
            tmp_path / name,
            name="cards",
            version=version,
            models=dict.fromkeys(("old", "new"), tmp_path / "m.onnx"),
            nodes={"ab": node},
            route="ab",
            experiment=EXPERIMENT,
            holdout=holdout,
        )
        found[name] = tmp_path / name
    return found


def run(*arguments):
    return CliRunner().invoke(main, ["experiment", "holdout", *map(str, arguments)])


def test_the_command_asks_the_tables(bundles, tmp_path, monkeypatch):
    events, labels, _ = made(effect=0.3)
    monkeypatch.setattr(engines, "open_engine", lambda *_: DuckDB({}, tables_of(events, labels)))
    (tmp_path / "keys.txt").write_text("\n".join(KEYS) + "\n")
    common = ("2026-h2", "--data", "x", "--bundle", bundles["one"], "--bundle", bundles["two"])
    found = run(*common, "--until", UNTIL.isoformat(), "--keys", tmp_path / "keys.txt")
    assert found.exit_code == 0, found.output
    assert "All experiments together are shown to have made it better." in found.output
    document = json.loads(run(*common, "--until", UNTIL.isoformat(), "--json").output)
    assert document["holdout"] == "2026-h2"
    assert [check["check"] for check in document["health"]] == ["sample ratio", "several arms", "label rate"]


@pytest.mark.parametrize(
    ("name", "of", "words"),
    [
        ("2026-h2", "none", "cards@3 has no holdout"),
        ("2025-h1", "one", "cards@1 has the holdout '2026-h2', and none of the name '2025-h1'"),
        ("2026-h2", "other", "node 'ab' draws by 'session' and the holdout by 'user'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(bundles, name, of, words):
    found = run(name, "--data", "x", "--bundle", bundles[of])
    assert found.exit_code == 1
    assert words in found.output
