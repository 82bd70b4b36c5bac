"""Verdicts of whole simulated experiments: false ones are as rare as the plan says, and no fault is overlooked."""

from __future__ import annotations

import numpy as np
import pytest

from support.calibrated import chance
from support.decided import final_verdicts, healthy, planned, verdict, with_fault
from support.simulated import METHODS, draw, pairs

pytestmark = pytest.mark.slow
PLAN = planned(0.15)


def test_the_plan_of_the_simulations_knows_how_far_devices_are_apart():
    rng = np.random.default_rng(1)
    treatment, control = ({name: column[0] for name, column in draw(rng, 1, 20_000).items()} for _ in range(2))
    found = METHODS["ratio of errors"].compare(treatment, control)
    assert found.variance == pytest.approx(2 * 0.154**2 / 20_000, rel=0.05)


def test_without_an_effect_hardly_any_experiment_ships_or_rolls_back():
    ends = final_verdicts(41, 150, 0.0, PLAN)
    print(f"seed 41, 150 experiments without an effect end with {dict(ends)}")
    for wrong in ("SHIP", "ROLL BACK"):
        assert ends[wrong] / 150 <= 0.05 + chance(0.05, 150, 2.0)
    assert ends["INCONCLUSIVE"] > 120


def test_the_planned_effect_ships_at_least_as_often_as_planned():
    ends = final_verdicts(42, 200, 0.15, PLAN)
    print(f"seed 42, 200 experiments with the planned effect end with {dict(ends)}")
    assert ends["SHIP"] / 200 >= 0.8 - chance(0.8, 200, 1.5)


def test_harm_of_the_planned_size_rolls_back():
    ends = final_verdicts(43, 100, -0.15, PLAN)
    print(f"seed 43, 100 experiments with harm end with {dict(ends)}")
    assert ends["ROLL BACK"] >= 80
    assert ends["SHIP"] == 0


@pytest.mark.parametrize("fault", ["crash", "lost telemetry", "wrong split", "labels of some answers only", "none"])
def test_a_fault_always_gives_no_verdict(fault):
    rng, kinds = np.random.default_rng(44), []
    for treatment, control in pairs(44, 100, 0.15):
        findings = with_fault(fault, treatment, control, rng)
        kinds.append(verdict(treatment, control, PLAN, 28, [*healthy(treatment, control, 28), *findings]).kind)
    broken = kinds.count("NO VERDICT")
    print(f"seed 44, 100 experiments with the fault {fault!r}: {broken} without a verdict")
    assert broken == (100 if fault != "none" else 0)
