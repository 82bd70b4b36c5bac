"""Two models on the same calls, as a shadow gives them: tests of whether they are right equally often.

McNemar's tests take each call for independent of the others, so they are right only where a unit gives one call. Where
devices or sessions give many, Obuchowski's test is, and the interval beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of
from edgerun_sync.experiments.distributions import binomial_cdf, chi_square_tail
from edgerun_sync.experiments.interval_estimates import as_difference, ratio
from edgerun_sync.experiments.moments import moments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from edgerun_sync.experiments.interval_estimates import Difference
    from edgerun_sync.experiments.moments import Moments

PAIRED_NAMES = ("control_only", "treatment_only", "pairs")
"""The variables of a unit: calls that only the control got right, calls that only the treatment did, and all calls."""

PAIRED_WITH_BOTH = (*PAIRED_NAMES, "both")
"""The same, and calls that both got right: with them it is known how often each is right."""


class PairedTest(NamedTuple):
    """A test of two models on the same calls."""

    statistic: float
    """Chi-square of one degree of freedom; NaN for an exact test, and where the models never differed."""

    p_value: float
    """Two-sided, of both models being right equally often; 1 where they never differed."""


def mcnemar(control_only: int, treatment_only: int) -> PairedTest:
    """Return McNemar's test of independent pairs, from the calls that only one of the two models got right.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages"
    (Psychometrika 12, 1947).

    Raises:
        ExperimentError: a count is negative.
    """
    return _chi_square(control_only, treatment_only, 0)


def mcnemar_corrected(control_only: int, treatment_only: int) -> PairedTest:
    """Return McNemar's test with a correction for continuity; it errs to the safe side, often far.

    Source: Edwards, "Note on the 'correction for continuity' in testing the significance of the difference between
    correlated proportions" (Psychometrika 13, 1948).

    Raises:
        ExperimentError: a count is negative.
    """
    return _chi_square(control_only, treatment_only, 1)


def mcnemar_mid_p(control_only: int, treatment_only: int) -> PairedTest:
    """Return McNemar's exact test with the mid-p value, for few calls on which the models differ.

    Source: Fagerland, Lydersen and Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    better than exact conditional" (BMC Medical Research Methodology 13, 2013).

    Raises:
        ExperimentError: a count is negative.
    """
    few, total = _differing(control_only, treatment_only)
    if total == 0:
        return PairedTest(math.nan, 1.0)
    up_to = binomial_cdf(few, total, 0.5)
    below = binomial_cdf(few - 1, total, 0.5) if few else 0.0
    return PairedTest(math.nan, min(up_to + below, 1.0))


def paired_moments(control_only: ArrayLike, treatment_only: ArrayLike, pairs: ArrayLike) -> Moments:
    """Return the moments that `obuchowski` takes, from three counts of each unit [n].

    Raises:
        ExperimentError: the counts differ in length, or are not finite.
    """
    return moments_of(dict(zip(PAIRED_NAMES, (control_only, treatment_only, pairs), strict=True)))


def obuchowski(moments: Moments) -> PairedTest:
    """Return Obuchowski's test of two models on the same calls, where the calls of a unit depend on each other.

    The variance is the one under the hypothesis, so the test may differ a little from `paired_difference`.

    Args:
        moments: of `PAIRED_NAMES`, over units with at least one call.

    Source: Obuchowski, "On the comparison of correlated proportions for clustered data" (Statistics in Medicine 17,
    1998), in the form to which Yang, Sun and Hardin reduce it: "A note on the tests for clustered matched-pair binary
    data" (Biometrical Journal 52, 2010).

    Raises:
        ExperimentError: a variable is missing, or there are fewer than two units.
    """
    found = moments.select(PAIRED_NAMES[:2])
    n, covariance = found.n, found.covariance()
    surplus = float(found.mean[1] - found.mean[0])
    spread = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    squares = (n - 1) * spread + n * surplus**2
    if squares <= 0:
        return PairedTest(math.nan, 1.0)
    statistic = (n - 1) / n * (n * surplus) ** 2 / squares
    return PairedTest(statistic, chi_square_tail(statistic, 1))


def paired_difference(moments: Moments, alpha: float = 0.05) -> Difference:
    """Return by how much more often the treatment is right than the control, of all calls, clustered by unit.

    Args:
        moments: of `PAIRED_NAMES`, over units.
        alpha: 1 less the level of the interval.

    Raises:
        ExperimentError: a variable is missing, there are fewer than two units, or alpha is not between 0 and 1.
    """
    return as_difference(ratio(moments, {"treatment_only": 1, "control_only": -1}, "pairs", alpha))


def paired_contrast(moments: Moments) -> Contrast:
    """Return the contrast of two models on the same calls: by it a shadow has intervals that hold at every look.

    Args:
        moments: of `PAIRED_WITH_BOTH`, over units: each counts in both arms.

    Raises:
        ExperimentError: a variable is missing, there are fewer than two units or no pair, or no unit differs from
            another.
    """
    found = moments.select(PAIRED_WITH_BOTH)
    control_only, treatment_only, pairs, both = found.mean.tolist()
    if not pairs > 0:
        raise ExperimentError("the two models have no call in common; wait for more")
    control, treatment = (control_only + both) / pairs, (treatment_only + both) / pairs
    slope = np.array([[-1, 1, control - treatment, 0], [1, 0, -control, 1]]) / pairs  # of the difference, the control
    (variance, shared), (_, base) = (slope @ found.covariance() @ slope.T / found.n).tolist()
    if not variance > 0:
        raise ExperimentError("the two models differ alike on every device, so nothing tells by how much by chance")
    return Contrast(
        treatment_units=found.n,
        control_units=found.n,
        treatment=treatment,
        control=control,
        difference=treatment - control,
        centre=treatment - control,
        variance=variance,
        degrees=found.n - 1,
        base_variance=base,
        base_covariance=shared,
        information=information_of(found.n, found.n),
    )


def _chi_square(control_only: int, treatment_only: int, correction: int) -> PairedTest:
    _, total = _differing(control_only, treatment_only)
    if total == 0:
        return PairedTest(math.nan, 1.0)
    surplus = max(abs(control_only - treatment_only) - correction, 0)
    statistic = surplus**2 / total
    return PairedTest(statistic, chi_square_tail(statistic, 1))


def _differing(control_only: int, treatment_only: int) -> tuple[int, int]:
    """The smaller count, and both together."""
    if min(control_only, treatment_only) < 0:
        raise ExperimentError(f"counts of calls are at least 0, not {control_only} and {treatment_only}")
    return min(control_only, treatment_only), control_only + treatment_only
