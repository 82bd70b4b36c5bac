"""Phases of a ramp: all that can be compared are, and what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import adjusted_contrast, contrast
from edgerun_sync.experiments.contrasts import across_phases
from edgerun_sync.experiments.metrics import Conversion, Mean
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.phases import compare_phases

X, BEFORE = Mean("x"), Mean("before")


def arm(seed, units):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=units)
    return moments_of({"x": before + rng.normal(size=units), "before": before})


PHASES = {
    "1": {"control": arm(1, 500), "a": arm(2, 1)},
    "2": {"control": arm(3, 400), "a": arm(4, 100), "b": arm(5, 100)},
    "3": {"control": arm(6, 200), "a": arm(7, 200)},
    "4": {"control": arm(8, 300)},
}


def test_all_phases_that_can_be_compared_are():
    found = compare_phases(X, [], PHASES, "a", "control")
    expected = across_phases([contrast(X, PHASES[name]["a"], PHASES[name]["control"]) for name in "23"])
    assert found.contrast == expected
    (left_out,) = found.left_out
    assert (left_out.phase, left_out.units) == ("1", 501)
    assert "two units" in left_out.why


def test_covariates_learn_from_every_arm_of_a_phase():
    found = compare_phases(X, [BEFORE], PHASES, "a", "control")
    second = adjusted_contrast(X, [BEFORE], PHASES["2"]["a"], PHASES["2"]["control"], [PHASES["2"]["b"]])
    third = adjusted_contrast(X, [BEFORE], PHASES["3"]["a"], PHASES["3"]["control"])
    assert found.contrast == across_phases([second, third])


def test_a_treatment_of_one_phase_is_compared_there():
    found = compare_phases(X, [], PHASES, "b", "control")
    assert found.contrast.control_units == 400
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("metric", "treatment", "says"),
    [(X, "c", "no phase"), (Mean("z"), "a", "of 3: there are no moments"), (Conversion("x"), "a", "not 0 or 1")],
)
def test_what_no_phase_can_tell_is_refused(metric, treatment, says):
    with pytest.raises(ExperimentError, match=says):
        compare_phases(metric, [], PHASES, treatment, "control")
