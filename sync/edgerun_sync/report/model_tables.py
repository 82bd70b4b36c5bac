"""What a report says of models: tables of measures, matrices, confidences, days and shadows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.experiments.declared import CALLS, LABELLED_CALLS
from edgerun_sync.experiments.numbers import in_points, p_text
from edgerun_sync.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgerun_sync.experiments.effects import Interval
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.interval_estimates import Difference, IntervalEstimate
    from edgerun_sync.experiments.model_cards import ModelCard
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.experiments.reliability import Reliability
    from edgerun_sync.experiments.scorecard import Scorecard

MEASURES_SHOWN_MAX = 16
"""Measures of an arm that are shown: labels of many classes have three each."""


class Curve(NamedTuple):
    """A reliability curve, to be drawn."""

    arm: str
    """Whose calls they are."""

    points: tuple[tuple[float, float, float, float], ...]
    """Of each bin with labelled calls: mean confidence, share that was right, and the ends of its interval."""

    said: str
    """The curve in words."""


def label_table(facts: Facts) -> Table:
    """Return how many calls of each arm have a label, phase by phase."""
    seen = {arm for phase in facts.phases for arm in phase.labels}
    arms = [arm for arm in dict.fromkeys([facts.plan.control, *sorted(seen)]) if arm in seen]
    rows = []
    for arm in arms:
        counts = [_labelled(phase.labels.get(arm)) for phase in facts.phases]
        all_ = (sum(labelled for labelled, _ in counts), sum(calls for _, calls in counts))
        rows.append((arm, *(_rate(*count) for count in counts), *([_rate(*all_)] if len(counts) > 1 else [])))
    names = [f"{phase.name} from {phase.begin[:10]}" for phase in facts.phases]
    head = ("arm", *names, *(["all phases"] if len(names) > 1 else []))
    return Table("Labels", head, tuple(rows), "Calls with a label, of all calls of the units of each phase.")


def model_tables(card: Scorecard) -> tuple[Table, ...]:
    """Return the tables of which something is known."""
    arms = [model for model in card.models if not model.is_shadow]
    shadows = [model for model in card.models if model.is_shadow]
    drawn = _drawn(card.facts.models.one_in, "units")
    tables = [
        *_matrices(arms, drawn),
        *_measures(arms, drawn),
        *_filled("Confidence", _OF_CONFIDENCE, _confidences(arms), _ON_CONFIDENCE + drawn),
        *_filled("Accuracy by day", _OF_DAYS, _days(arms), _ON_DAYS + drawn),
        *_filled("Shadows", _OF_SHADOWS, _shadows(shadows), _ON_SHADOWS + _drawn(card.facts.models.shadow_one_in)),
        *_paired(shadows),
        *_filled("Not told", ("of", "why"), _why(card.models), ""),
    ]
    return tuple(tables)


def curves(card: Scorecard) -> tuple[Curve, ...]:
    """Return the reliability curve of each arm that has one."""
    return tuple(_curve(model.name, model.reliability) for model in card.models if model.reliability is not None)


_EACH = "Each interval holds by itself and once, at the planned end; of many measures some are far off by chance."
_OF_CONFIDENCE = (
    "arm",
    "expected",
    "realised",
    "realised less expected",
    "corrected",
    "recalibrated",
    "error",
    "by chance",
)
_ON_CONFIDENCE = (
    "Expected: the mean confidence of all calls, with a label or not; realised: how many labelled calls were right. "
    "Corrected: the expected accuracy plus the gap, which holds for all calls if labels were given at random; "
    "recalibrated: the expected accuracy, had each confidence been what labels say that it is worth. Error: how far "
    "confidence and rightness are apart on average; by chance: what calls of a perfect confidence would show. "
    "Confidence knows nothing of a world in which inputs mean something else."
)
_OF_DAYS = ("arm", "on the first day", "change a day", "test of no change", "mean day")
_ON_DAYS = (
    "A line through all labelled calls, days counted from the experiment's first call. It says nothing of why, and may "
    "hide that accuracy fell at once."
)
_OF_SHADOWS = (
    "model at node",
    "labelled pairs",
    "champion",
    "shadow",
    "difference",
    "at every look",
    "at the planned end",
    "Obuchowski",
    "McNemar",
)
_ON_SHADOWS = (
    "Accuracy of both models on the same labelled calls, with intervals of the difference that hold at every look and "
    "at the planned end; calls on which the shadow failed are left out. Obuchowski's test and the intervals have "
    "devices as clusters; McNemar's takes each call for independent, and so is right only where a device gave one."
)


def _matrices(arms: Sequence[ModelCard], drawn: str) -> Iterator[Table]:
    for arm in arms:
        if arm.matrix is not None:
            classes, k = arm.matrix.classes, range(len(arm.matrix.classes))
            rows = tuple((classes[truth], *(_cell(arm, truth, said) for said in k)) for truth in k)
            head = ("label", *(f"said {name}" for name in classes))
            beside = "" if arm.matrix_difference is None else " After it, the share less the control's, in points."
            yield Table(f"What {arm.name} takes for what", head, rows, f"Labelled calls.{beside}{drawn}")


def _cell(arm: ModelCard, truth: int, said: int) -> str:
    found, gap = arm.matrix, arm.matrix_difference
    assert found is not None
    count = f"{found.calls[truth, said]:,.0f}, {_share(found.share[truth, said])}"
    if gap is None:
        return count
    share, low, high = (100 * float(side[truth, said]) for side in (gap.share, gap.low, gap.high))
    ends = "" if math.isnan(low) else f" ({_signed(low)} to {_signed(high)})"
    return f"{count}; {_signed(share)}{ends}"


def _measures(arms: Sequence[ModelCard], drawn: str) -> Iterator[Table]:
    """A row for each measure, a column for each arm, and one for each that is compared."""
    held = [arm for arm in arms if arm.measures]
    compared = [arm for arm in held if arm.differences]
    names = list(dict.fromkeys(name for arm in held for name in arm.measures))[:MEASURES_SHOWN_MAX]
    head = ("measure", *(arm.name for arm in held), *(f"{arm.name} less the control" for arm in compared))
    rows = tuple(
        (
            name.replace("_", " "),
            *(f"{arm.measures[name].value:.4g}" if name in arm.measures else "" for arm in held),
            *(_gap(arm.differences, name) for arm in compared),
        )
        for name in names
    )
    if rows:
        yield Table("Measures", head, rows, _EACH + drawn)


def _paired(shadows: Sequence[ModelCard]) -> Iterator[Table]:
    held = [one for one in shadows if len(one.differences) > 1]
    names = list(dict.fromkeys(name for one in held for name in one.differences))[:MEASURES_SHOWN_MAX]
    rows = tuple((name.replace("_", " "), *(_gap(one.differences, name) for one in held)) for name in names)
    if rows:
        yield Table("Shadows less the champion", ("measure", *(one.name for one in held)), rows, _EACH)


def _gap(differences: Mapping[str, Difference], name: str) -> str:
    found = differences.get(name)
    return "" if found is None else f"{_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"


def _confidences(arms: Sequence[ModelCard]) -> Iterator[tuple[str, ...]]:
    for arm in arms:
        found, curve = arm.expected, arm.reliability
        if found is not None:
            yield (
                arm.name,
                _share(found.expected.value),
                _with_interval(found.realised),
                _points(found.gap),
                _with_interval(found.corrected),
                "" if arm.recalibrated is None else _share(arm.recalibrated),
                "" if curve is None else _share(curve.error),
                "" if curve is None else _share(curve.noise),
            )


def _days(arms: Sequence[ModelCard]) -> Iterator[tuple[str, ...]]:
    for arm in arms:
        found = arm.decay
        if found is not None:
            per_day = found.per_day
            test = "" if math.isnan(per_day.p_value) else p_text(per_day.p_value)
            yield arm.name, _with_interval(found.at_start), _points(per_day), test, f"{found.mean_age_days:.3g}"


def _shadows(shadows: Sequence[ModelCard]) -> Iterator[tuple[str, ...]]:
    for one in shadows:
        contrast = None if one.effect is None else one.effect.contrast
        if one.effect is not None and contrast is not None:
            yield (
                one.name,
                f"{one.pairs:,} on {one.devices:,} devices",
                _share(contrast.control),
                _share(contrast.treatment),
                in_points(_signed(100 * contrast.difference)),
                _interval(one.effect.sequential),
                _interval(one.effect.fixed),
                "" if one.paired is None else p_text(one.paired.p_value),
                "" if one.mcnemar is None else p_text(one.mcnemar.p_value),
            )


def _why(models: Sequence[ModelCard]) -> Iterator[tuple[str, ...]]:
    for one in models:
        for why in one.why:
            yield one.name, f"cannot be told: {why}"


def _curve(arm: str, found: Reliability) -> Curve:
    columns = (found.score, found.rate, found.low, found.high)
    points = [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    held = tuple((a, b, c, d) for a, b, c, d in points if not math.isnan(a))
    said = "; ".join(f"of calls with confidence {score:.2f}, {_share(rate)} were right" for score, rate, _, _ in held)
    return Curve(arm, held, f"{arm}: {said}")


def _filled(title: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]], note: str) -> Iterator[Table]:
    held = tuple(rows)
    if held:
        yield Table(title, head, held, note)


def _drawn(one_in: int, what: str = "calls") -> str:
    return f" From one in {one_in:,} {what}, drawn by a hash." if one_in > 1 else ""


def _labelled(moments: Moments | None) -> tuple[float, float]:
    if moments is None:
        return 0.0, 0.0
    return moments.n * moments.mean_of(LABELLED_CALLS), moments.n * moments.mean_of(CALLS)


def _rate(labelled: float, calls: float) -> str:
    return f"{labelled:,.0f} of {calls:,.0f} ({_share(labelled / calls)})" if calls else "none"


def _with_interval(found: IntervalEstimate) -> str:
    if math.isnan(found.value):
        return "not defined"
    ends = "" if math.isnan(found.low) else f" ({_share(found.low)} to {_share(found.high)})"
    return f"{_share(found.value)}{ends}"


def _points(found: IntervalEstimate | Difference) -> str:
    if math.isnan(found.value):
        return "not defined"
    ends = "" if math.isnan(found.low) else f" ({_signed(100 * found.low)} to {_signed(100 * found.high)})"
    return f"{in_points(_signed(100 * found.value))}{ends}"


def _interval(found: Interval) -> str:
    """An interval of a difference of two shares, which is never more than 100 points: few devices say no more."""
    low, high = (min(max(end, -1.0), 1.0) for end in (found.low, found.high))
    return f"{_signed(100 * low)} to {_signed(100 * high)}"


def _share(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{100 * value:.4g} %"


def _signed(value: float) -> str:
    return f"{value:+.3g}" if math.isfinite(value) else "unbounded"
