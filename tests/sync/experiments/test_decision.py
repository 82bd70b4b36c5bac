"""Verdicts: every line of the rule, its levels, and that no sentence says what statistics cannot."""

from __future__ import annotations

import ast
import math
import re
import typing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_bundles.experiment.metrics import parse_metric
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments import decision, health
from edgerun_sync.experiments.contrasts import Contrast
from edgerun_sync.experiments.decision import (
    Evidence,
    GuardrailEvidence,
    Kind,
    Progress,
    Rules,
    SuccessEvidence,
    decide,
)
from edgerun_sync.experiments.effects import Terms, effect
from edgerun_sync.experiments.guardrails import Margin, guard, worsening
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio

ROOT = Path(__file__).parents[3]
TERMS = Terms(0.05, 1000.0)
SEQUENTIAL, FIXED = Rules(0.05, "sequential", 28), Rules(0.05, "fixed", 28)
MIDWAY, AT_SAMPLE, AT_THE_END = Progress(14, False), Progress(14, True), Progress(28, False)
FINE = [health.minimum_duration(14, 7)]
SHORT = [health.minimum_duration(3, 7)]
BROKEN = [*FINE, sample_ratio([PhaseCounts("2.0.0", {"a": 600, "b": 400}, {"a": 1, "b": 1})])]


def of(difference, error=0.01, information=1000.0):
    return Contrast(2000, 2000, 1 + difference, 1.0, difference, difference, error**2, 3998.0, 1e-5, -1e-5, information)


def success(difference, name="accuracy", direction="up", error=0.01):
    found = of(difference, error)
    return SuccessEvidence(name, direction, effect(found, TERMS), worsening(found, direction, TERMS))


def guardrail(difference, name="latency", margin=0.05, error=0.01):
    return GuardrailEvidence(name, guard(of(difference, error), "down", Margin(margin, False), TERMS, 0.01))


def verdict(primary, *guardrails, rules=SEQUENTIAL, progress=MIDWAY, findings=FINE, further=()):
    return decide(rules, progress, findings, {"a": Evidence(primary, further, guardrails)})["a"]


def test_broken_health_is_no_verdict_whatever_the_effects_are():
    found = verdict(success(0.1), guardrail(0.5), findings=BROKEN)
    assert found.kind == "NO VERDICT"
    assert found.reason == BROKEN[1].sentence


def test_a_guardrail_that_got_worse_and_may_be_outside_its_margin_rolls_back():
    found = verdict(success(0.1), guardrail(0.06), findings=SHORT)
    assert found.kind == "ROLL BACK"
    assert found.reason.startswith("The guardrail latency got worse by at least 0.02")


def test_a_guardrail_that_got_worse_within_its_margin_is_tolerated():
    assert guardrail(0.06, margin=0.2).guarded.worse.low > 0
    assert verdict(success(0.1), guardrail(0.06, margin=0.2)).kind == "SHIP"


def test_a_success_metric_that_got_worse_rolls_back():
    assert verdict(success(-0.1)).kind == "ROLL BACK"
    found = verdict(success(0.1), further=[success(0.1, "error rate", "down")])
    assert (found.kind, "success metric error rate" in found.reason) == ("ROLL BACK", True)


def test_a_better_primary_metric_and_guardrails_within_their_margins_ship():
    found = verdict(success(0.1), guardrail(0.0), guardrail(-0.01, "memory"))
    assert found.kind == "SHIP"
    assert found.reason == (
        "accuracy got better by 0.1 (95 % interval +0.06963 to +0.1304, valid at every look), "
        "and the 2 guardrails are within the margin."
    )


def test_a_reason_has_the_units_of_its_metric():
    metrics = {"accuracy": {"kind": "accuracy"}, "latency": {"kind": "latency_quantile", "share": 0.9}}
    accuracy, latency = (parse_metric(fields, name) for name, fields in metrics.items())
    found = verdict(success(0.1)._replace(declared=accuracy))
    assert (
        found.reason == "accuracy got better by 10 points (95 % interval +6.963 to +13.04 points, valid at every look)."
    )
    found = verdict(success(0.1), guardrail(0.06)._replace(declared=latency))
    assert found.reason.startswith("The guardrail latency got worse by at least 26.44 ms (p = "), found.reason


def test_less_can_be_better():
    assert verdict(success(-0.1, "error rate", "down")).kind == "SHIP"


def test_nothing_ships_before_the_minimum_duration():
    found = verdict(success(0.1), findings=SHORT)
    assert (found.kind, found.reason) == ("KEEP RUNNING", SHORT[0].sentence)


def test_a_guardrail_that_is_not_shown_to_hold_keeps_from_shipping():
    assert verdict(success(0.1), guardrail(0.0, error=0.03)).kind == "KEEP RUNNING"
    found = verdict(success(0.1), guardrail(0.0, error=0.03), progress=AT_THE_END)
    assert found.kind == "INCONCLUSIVE"
    assert "latency is not shown to stay within the margin" in found.reason


def test_what_shows_nothing_runs_on_and_is_inconclusive_at_the_end():
    assert verdict(success(0.01)).kind == "KEEP RUNNING"
    found = verdict(success(0.01), progress=AT_THE_END)
    assert found.kind == "INCONCLUSIVE"
    assert "accuracy is not shown to get better (accuracy: 95 % interval -0.02037 to +0.04037" in found.reason


def test_a_further_success_metric_alone_does_not_ship():
    assert verdict(success(0.0), further=[success(0.1, "clicks")]).kind == "KEEP RUNNING"


def test_a_metric_of_which_there_is_too_little_is_not_shown():
    unknown = SuccessEvidence("accuracy", "up", None, None)
    assert verdict(unknown).kind == "KEEP RUNNING"
    assert "too little is there of accuracy" in verdict(unknown, progress=AT_THE_END).reason
    assert verdict(success(0.1), GuardrailEvidence("latency", None)).kind == "KEEP RUNNING"


def test_a_fixed_analysis_is_read_only_at_its_sample():
    assert verdict(success(0.1), rules=FIXED).kind == "KEEP RUNNING"
    assert verdict(success(0.1), rules=FIXED, progress=AT_SAMPLE).kind == "SHIP"
    assert verdict(success(0.1), rules=FIXED, progress=AT_SAMPLE, findings=SHORT).kind == "KEEP RUNNING"
    assert verdict(success(0.01), rules=FIXED, progress=AT_SAMPLE).kind == "INCONCLUSIVE"
    assert verdict(success(0.025), rules=FIXED, progress=AT_SAMPLE).kind == "SHIP"
    assert verdict(success(0.025), progress=AT_SAMPLE).kind == "KEEP RUNNING"


def test_harm_is_acted_upon_before_a_fixed_analysis_is_read():
    assert verdict(success(0.0), guardrail(0.1), rules=FIXED).kind == "ROLL BACK"


def test_success_metrics_of_all_treatments_share_one_alpha():
    strong, weak = success(0.1), success(0.0315)
    alone = decide(SEQUENTIAL, MIDWAY, FINE, {"a": Evidence(weak, [], [])})
    assert alone["a"].kind == "SHIP"
    many = {arm: Evidence(success(0.0315), [success(0.0, "clicks")], []) for arm in "abc"}
    assert {found.kind for found in decide(SEQUENTIAL, MIDWAY, FINE, many).values()} == {"KEEP RUNNING"}
    both = decide(SEQUENTIAL, MIDWAY, FINE, {"a": Evidence(strong, [], []), "b": Evidence(weak, [], [])})
    assert [found.kind for found in both.values()] == ["SHIP", "SHIP"]
    assert both["b"].adjusted_p["accuracy"] == pytest.approx(weak.effect.sequential_p)


@pytest.mark.parametrize(
    ("rules", "progress", "treatments"),
    [
        (SEQUENTIAL, MIDWAY, {}),
        (Rules(0.0, "fixed", 28), MIDWAY, {"a": Evidence(success(0.1), [], [])}),
        (Rules(0.05, "fixed", 0), MIDWAY, {"a": Evidence(success(0.1), [], [])}),
        (SEQUENTIAL, Progress(-1, False), {"a": Evidence(success(0.1), [], [])}),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules, progress, treatments):
    with pytest.raises(ExperimentError):
        decide(rules, progress, FINE, treatments)


# The document.


def test_the_page_has_every_verdict_and_every_check():
    page = (ROOT / "docs" / "verdict.md").read_text()
    assert set(re.findall(r"\*\*([A-Z ]+)\*\*", page)) == set(typing.get_args(Kind))
    said = page.partition("## Health")[2].partition("\n## ")[0]
    made = {*re.findall(r'Finding\(\s*"([a-z -]+)"|(?:_alike|_few)\(\s*"([a-z -]+)"', _sources())}
    assert {"".join(names) for names in made} == set(re.findall(r"^\| ([a-z -]+) \|", said, re.MULTILINE)) - {"check"}


def _sources():
    return "".join(path.read_text() for path in sorted(Path(decision.__file__).parent.glob("*.py")))


# What is never said.

NEVER = re.compile(
    r"accept|trend|H0|\bnull\b|hypothes|no effect|no difference|no change|equal\b|identical|proves?\b|proof|"
    r"(probab|chance|likel)\w* (that|of)|almost|nearly|marginal|approach|towards?\b|significan|confirm",
    re.IGNORECASE,
)
"""What no sentence of a verdict or a finding says."""

NUMBERS = st.floats(-0.3, 0.3)
ERRORS = st.floats(0.001, 0.2)


def assert_says_only_what_it_may(sentence):
    assert not NEVER.search(sentence), sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0, "one sentence"
    assert "nan" not in sentence


@given(
    st.sampled_from(["up", "down"]),
    NUMBERS,
    ERRORS,
    st.lists(st.tuples(NUMBERS, ERRORS, st.floats(0, 0.2)), max_size=3),
    st.sampled_from([SEQUENTIAL, FIXED]),
    st.sampled_from([MIDWAY, AT_SAMPLE, AT_THE_END]),
    st.sampled_from([FINE, SHORT, BROKEN]),
)
def test_no_verdict_says_what_statistics_cannot(direction, difference, error, guardrails, rules, progress, findings):
    rails = [guardrail(d, f"rail {i}", margin, e) for i, (d, e, margin) in enumerate(guardrails)]
    found = verdict(
        success(difference, direction=direction, error=error), *rails, rules=rules, progress=progress, findings=findings
    )
    assert found.kind in typing.get_args(Kind)
    assert_says_only_what_it_may(found.reason)


@given(st.lists(st.integers(0, 3000), min_size=4, max_size=4), st.floats(-1, 1))
def test_no_finding_says_what_statistics_cannot(counts, difference):
    a, b, more, most = counts
    arms = {"control": a + more, "a": b + most}
    did = {"control": a, "a": b}
    said = [
        sample_ratio(
            [PhaseCounts("1.0.0", arms, {"control": 9, "a": 1}), PhaseCounts("2.0.0", did, {"control": 1, "a": 1})]
        ),
        health.reporting_rate(did, arms),
        health.clock_skew(did, arms),
        health.several_arms(a, a + more),
        health.assignment_audit(b, b + most),
        health.minimum_duration(a, b),
        health.pre_period_imbalance({"errors in a": of(difference)}),
        health.pre_period_imbalance({}),
    ]
    for finding in said:
        assert_says_only_what_it_may(finding.sentence)
        assert all(number is None or math.isfinite(number) for number in finding.numbers.values())


def test_no_text_of_the_modules_that_make_sentences_says_it_either():
    for module in ("decision", "health", "sample_ratio", "findings", "proportions"):
        tree = ast.parse((Path(decision.__file__).parent / f"{module}.py").read_text())
        documentation = {
            node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in documentation:
                assert not NEVER.search(node.value), f"{module}: {node.value}"


def test_label_rates_are_said_in_the_same_way():
    rng = np.random.default_rng(1)
    for rate in (0.3, 0.2):
        calls = rng.poisson(20, 300) + 1
        arms = {
            name: moments_of({"calls": calls, "labels": rng.binomial(calls, share)})
            for name, share in (("control", 0.3), ("a", rate))
        }
        assert_says_only_what_it_may(health.label_rate(arms, "control", "labels", "calls").sentence)
