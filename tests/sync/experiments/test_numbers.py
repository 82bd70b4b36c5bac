"""Numbers of a report read as English."""

from __future__ import annotations

import pytest

from edgerun_bundles.experiment.metrics import DeclaredMetric
from edgerun_sync.experiments.numbers import difference_text, in_points


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.01, "+1 point"),
        (-0.01, "-1 point"),
        (0.0100001, "+1 point"),
        (0.011, "+1.1 points"),
        (0.1, "+10 points"),
        (0.0, "0 points"),
        (float("inf"), "+unbounded points"),
    ],
)
def test_a_difference_of_shares_is_one_point_or_several(share, said):
    assert difference_text(DeclaredMetric("accuracy", "up"), share) == said


def test_one_point_is_one_however_it_is_signed():
    assert [in_points(number) for number in ("1", "+1", "-1", "1.5", "11")] == [
        "1 point",
        "+1 point",
        "-1 point",
        "1.5 points",
        "11 points",
    ]
