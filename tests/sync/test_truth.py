"""Whole fleets whose truth is known, from the device's log to the report: intervals hold it, and faults are seen.

``EDGERUN_TRUTH_FLEETS=120 pytest tests/sync/test_truth.py`` takes as many fleets as the nominal rate is judged by; CI
takes fewer.
"""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner
from scipy import stats

from edgerun.cli import main
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.experiments.scorecard import scorecard
from support import models, truths

pytestmark = pytest.mark.slow
FLEETS = int(os.environ.get("EDGERUN_TRUTH_FLEETS", "12"))
FAULTY = max(2, FLEETS // 10)
EFFECT = 0.05


@pytest.fixture(scope="module", autouse=True)
def _each_question_is_said_once():
    with truths.said_once():
        yield


def card_of(tmp_path, seed, fault="none", effect=EFFECT):
    return scorecard(
        truths.facts_of(tmp_path / f"{seed}-{truths.FAULTS.index(fault)}", truths.calls_of(seed, effect, fault))
    )


def test_the_interval_of_the_report_holds_the_truth_at_its_rate(tmp_path):
    sequential = fixed = 0
    for seed in range(FLEETS):
        card = card_of(tmp_path, seed)
        (treatment,) = card.treatments
        assert treatment.verdict.kind != "NO VERDICT", treatment.verdict.reason
        effect = treatment.metrics[0].effect
        sequential += EFFECT in effect.sequential
        fixed += EFFECT in effect.fixed
    print(f"seeds 0 to {FLEETS - 1}: {sequential} sequential and {fixed} fixed intervals of {FLEETS} hold the truth")
    least, most = stats.binom(FLEETS, 0.95).ppf([0.001, 0.9999])
    assert least <= fixed <= most
    assert sequential >= max(least, fixed)


@pytest.mark.parametrize("fault", [fault for fault in truths.FAULTS if fault != "none"])
def test_an_injected_fault_never_gets_a_verdict(tmp_path, fault):
    for seed in range(1000, 1000 + FAULTY):
        card = card_of(tmp_path, seed, fault)
        (treatment,) = card.treatments
        assert treatment.verdict.kind == "NO VERDICT", (seed, [found.sentence for found in card.findings])
        assert treatment.metrics == ()


def test_a_large_effect_ships_and_large_harm_rolls_back(tmp_path):
    (better,) = card_of(tmp_path, 7, effect=0.15).treatments
    (worse,) = card_of(tmp_path, 8, effect=-0.2).treatments
    assert (better.verdict.kind, worse.verdict.kind) == ("SHIP", "ROLL BACK")


def test_what_the_tables_say_is_what_the_devices_did(tmp_path):
    calls = truths.calls_of(3, EFFECT)
    facts = truths.facts_of(tmp_path / "data", calls)
    (phase,) = facts.phases
    for number, arm in enumerate(truths.ARMS):
        own = calls.arm == number
        labelled = own & calls.is_labelled
        accuracy, fallbacks = phase.moments["accuracy"][arm], phase.moments["fallbacks"][arm]
        assert phase.units[arm] == len({*calls.session[own].tolist()}) == accuracy.n
        assert accuracy.mean_of("accuracy.below") * accuracy.n == pytest.approx(labelled.sum())
        assert accuracy.mean_of("accuracy.above") * accuracy.n == pytest.approx((labelled & calls.is_right).sum())
        assert fallbacks.mean_of("fallbacks.above") * fallbacks.n == pytest.approx((own & calls.is_fallback).sum())
        assert phase.labels[arm].mean_of("calls") * accuracy.n == pytest.approx(own.sum())
    assert facts.models.classes == ("0", "1")
    for number, arm in enumerate(truths.ARMS):
        seen = (calls.arm == number) & calls.is_labelled
        cells = facts.models.cells[arm]
        assert (cells.mean * cells.n).round().tolist() == [
            0,
            0,
            (seen & ~calls.is_right).sum(),
            (seen & calls.is_right).sum(),
        ]
    assert facts.health.audited == sum(phase.units.values())
    assert facts_document(parse_facts(facts_document(facts), "the test")) == facts_document(facts)


def test_the_command_asks_the_tables_and_measures_their_traffic(tmp_path):
    source, data = tmp_path / "cards", tmp_path / "data"
    source.mkdir()
    for arm in truths.ARMS:
        (source / f"{arm}.onnx").write_bytes(models.steady())
    (source / "bundle.toml").write_text(truths.DEFINITION)
    (tmp_path / "keys.txt").write_text("\n".join(truths.KEYS))
    read = lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)  # noqa: E731 - short
    assert read("bundle", "build", source, "-o", tmp_path / "cards.tar", "--no-provenance").exit_code == 0
    truths.facts_of(data, truths.calls_of(11, 0.15))
    asked = ("--data", data, "--bundle", tmp_path / "cards.tar", "--until", "2023-12-04T22:13:20")
    found = read("experiment", "report", "truth", *asked, "--keys", tmp_path / "keys.txt", "--format", "json")
    document = json.loads(found.output)
    assert document["verdicts"]["challenger"]["verdict"] == "SHIP", document["verdicts"]
    assert "SELECT" in document["facts"]["provenance"]["queries"]["units"]
    assert document["facts"]["provenance"]["tables"]["events"] >= 1
    unaudited = json.loads(read("experiment", "report", "truth", *asked, "--format", "json").output)
    assert unaudited["verdicts"]["challenger"]["verdict"] == "NO VERDICT"
    plan = json.loads(
        read("experiment", "plan", source, "--data", data, "--until", "2023-12-04T22:13:20", "--json").output
    )
    assert 0 < plan["traffic"]["at_once"] < truths.UNITS
    assert plan["traffic"]["per_day"] > 1
