"""All that a scorecard rests on, as one record: the plan, moments of units, counts for health, and where they are from.

Nothing else enters a scorecard, so a record that was kept gives the same one years later, on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.experiments.drift import INDEPENDENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.drift import DesignEffect
    from edgerun_sync.experiments.histograms import Histogram
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.experiments.quantiles import Quantile
    from edgerun_sync.experiments.reliability import ScoreBins

NUMBERS, TEXTS = "numbers", "texts"
"""Kinds of columns that are watched."""


class PhaseFacts(NamedTuple):
    """What came while the weights were what they were: one step of a ramp."""

    name: str
    """Usually the version of the bundle."""

    begin: str
    """When its first unit was seen, RFC 3339 in UTC."""

    weights: Mapping[str, float]
    """Weights of the arms, as that bundle has them."""

    units: Mapping[str, int]
    """Units of each arm that were first exposed in it."""

    moments: Mapping[str, Mapping[str, Moments]]
    """By metric, then by arm, over those units: the variables that `declared.variables_of` names."""

    labels: Mapping[str, Moments]
    """By arm, over those units: `declared.CALLS` and `declared.LABELLED_CALLS`."""

    estimates: Mapping[str, Mapping[str, Quantile]]
    """By metric, then by arm: quantiles and areas under the curve, with variances clustered by unit."""


class DeviceClocks(NamedTuple):
    """Devices of an experiment. One that serves several units may be in several arms, and is counted once here."""

    devices: int
    """All of them."""

    skewed: int
    """Those whose clock could not be repaired."""


class HealthFacts(NamedTuple):
    """Counts that the checks need besides."""

    assigned: Mapping[str, int]
    """Units that are known, by the arm that the split gives them; silent ones too."""

    reported: Mapping[str, int]
    """Those of them that were heard of since the experiment began."""

    in_several: int
    """Units that were in several arms of one phase."""

    audited: int
    """Assignments that were computed again."""

    misassigned: int
    """Those that are not what the split gives."""

    devices: Mapping[str, int]
    """Devices by arm."""

    skewed: Mapping[str, int]
    """Those whose clock could not be repaired."""

    clocks: DeviceClocks | None = None
    """Devices of all arms, each counted once; None in a record that was made before they were counted so."""


class ModelFacts(NamedTuple):
    """What is known of models beyond the plan's metrics. All of it may be empty."""

    classes: tuple[str, ...] = ()
    """Of the label."""

    cells: Mapping[str, Moments] = {}
    """By arm: moments of `confusion.cell_names` over units."""

    expected: Mapping[str, Moments] = {}
    """By arm: moments of `expected_accuracy.EXPECTED_NAMES` over units."""

    shadows: Mapping[str, Moments] = {}
    """By shadow model: moments of `paired.PAIRED_NAMES` over devices; the champion is their control."""

    decay: Mapping[str, Moments] = {}
    """By arm: moments of `decay.DECAY_NAMES` over units; age 0 is the first day of the experiment."""

    reliability: Mapping[str, ScoreBins] = {}
    """By arm: labelled calls by the confidence in what was said; a positive is a call that was right."""

    scores: Mapping[str, Histogram] = {}
    """By arm: all calls by confidence, those without a label too; values are the bins' means."""

    one_in: int = 1
    """Of how many units one was drawn, by its hash, for all of this but the shadows."""

    shadow_one_in: int = 1
    """Of how many calls one was drawn for the shadows."""


class DriftFacts(NamedTuple):
    """One column of a model's inputs or outputs, then and now."""

    name: str
    """Which column, and against what: 'amount, since training'."""

    reference: Histogram
    """What it was like."""

    current: Histogram
    """What it is like."""

    kind: str = NUMBERS
    """`NUMBERS`, or `TEXTS`: those have no order, and their values are the numbers of categories."""

    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT)
    """Of the reference and of the current rows: how much more chance does because rows are of devices."""


class Provenance(NamedTuple):
    """Where the numbers are from."""

    edgerun: str
    """The version of edgerun that asked."""

    tables: Mapping[str, int]
    """Versions of the tables that were read."""

    queries: Mapping[str, str]
    """What was asked of them, in SQL."""


class Facts(NamedTuple):
    """The whole record."""

    plan: Plan
    """What was written down before."""

    bundle: str
    """Name of the bundle that the plan is part of."""

    looked_at: str
    """When the tables were read, RFC 3339 in UTC."""

    days: float
    """Since the first unit was exposed."""

    phases: tuple[PhaseFacts, ...]
    """In the order in which they began."""

    health: HealthFacts
    """Counts for the checks."""

    models: ModelFacts
    """Matrices, calibration, shadows."""

    drift: tuple[DriftFacts, ...]
    """Columns that are watched."""

    provenance: Provenance
    """Tables and queries."""

    training: str = ""
    """Which training data columns are compared with, or why with none; empty where nobody asked."""
