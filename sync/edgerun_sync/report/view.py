"""What a report says, sentence by sentence, before it is text or HTML: both say the same, and a test reads it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.experiments.numbers import difference_text, interval_text, p_text, value_text
from edgerun_sync.report.model_tables import curves, label_table, model_tables
from edgerun_sync.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_sync.experiments.decision import Kind
    from edgerun_sync.experiments.drift_cards import DriftCard
    from edgerun_sync.experiments.effects import Interval
    from edgerun_sync.experiments.scorecard import MetricCard, Scorecard, TreatmentCard
    from edgerun_sync.report.model_tables import Curve

RULE = (
    "The first that applies: a broken check of health is NO VERDICT; harm that is shown is ROLL BACK; a fixed analysis "
    "before its sample is KEEP RUNNING; a primary metric shown to be better, with every guardrail within its margin "
    "and the minimum duration over, is SHIP; an experiment that is over is INCONCLUSIVE; anything else is KEEP RUNNING."
)
"""The rule of docs/verdict.md in one sentence."""

_DISTANCES = {"psi": "PSI", "ks": "Kolmogorov-Smirnov", "wasserstein": "Wasserstein"}


class Mark(NamedTuple):
    """An interval as it is drawn, all ends in the unit of its metric."""

    low: float
    """Where it begins."""

    high: float
    """Where it ends."""


class Line(NamedTuple):
    """One metric of one treatment."""

    role: str
    """'primary', 'success' or 'guardrail'."""

    name: str
    """The metric."""

    control: str
    """Its value in the control; empty where it cannot be told."""

    treatment: str
    """Its value in the treatment, likewise."""

    difference: str
    """Treatment less control, likewise."""

    interval: str
    """The interval that the analysis goes by, with its confidence."""

    beside: str
    """The other interval, and when it is valid."""

    said: str
    """What is shown, in words."""

    sequential: Mark | None
    """What is drawn broad."""

    fixed: Mark | None
    """What is drawn narrow."""

    point: float | None
    """The difference, in the unit of the metric."""

    limit: float | None
    """Of a guardrail with an absolute margin: the difference that it must not pass."""

    axis: tuple[float, float] = (0.0, 0.0)
    """The least and the greatest of all that is drawn, 0 among them."""

    ends: tuple[str, str] = ("", "")
    """The same, as text."""


class Treatment(NamedTuple):
    """One treatment."""

    arm: str
    """Its name."""

    kind: Kind
    """The verdict."""

    reason: str
    """Why, in one sentence."""

    lines: tuple[Line, ...]
    """Its metrics; none where there is no verdict."""


class View(NamedTuple):
    """All that a report says."""

    title: str
    """The experiment."""

    about: tuple[tuple[str, str], ...]
    """What it is: a word, and what is said."""

    treatments: tuple[Treatment, ...]
    """Verdicts and metrics."""

    health: tuple[tuple[str, str, str], ...]
    """Each check: its name, 'ok', 'broken' or 'waits', and its sentence."""

    units: Table
    """Arms, and their units of each phase, of all and as planned."""

    labels: Table
    """How many calls have a label, by phase."""

    models: tuple[Table, ...]
    """What is known of models."""

    curves: tuple[Curve, ...]
    """Of confidences, to be drawn."""

    drift: tuple[str, ...]
    """What moved, a sentence for each column, and a sentence on those that did not."""

    notes: tuple[str, ...]
    """What a reader must know besides."""

    origin: tuple[tuple[str, str], ...]
    """Where the numbers are from."""


def view_of(card: Scorecard) -> View:
    """Return what a report says of a scorecard."""
    facts, plan = card.facts, card.facts.plan
    treatments = tuple(_treatment(card, found) for found in card.treatments)
    return View(
        title=plan.name,
        about=(
            ("bundle", f"{facts.bundle}, node {plan.node}, one row a {plan.unit.replace('_', ' ')}"),
            ("null", plan.null),
            ("alternative", plan.alternative),
            ("analysis", f"{plan.analysis}, alpha {plan.alpha:g}, power {plan.power:g}"),
            (
                "looked at",
                f"{facts.looked_at}, after {facts.days:.3g} of {plan.minimum_days:g} to {plan.maximum_days:g} days",
            ),
        ),
        treatments=treatments,
        health=tuple(
            (found.name, "ok" if found.is_ok else "broken" if found.stops == "verdict" else "waits", found.sentence)
            for found in card.findings
        ),
        units=_units(card),
        labels=label_table(facts),
        models=model_tables(card),
        curves=curves(card),
        drift=(*_drifts(card.drift), *([facts.training] if facts.training else [])),
        notes=tuple(_notes(card)),
        origin=(
            ("edgerun", facts.provenance.edgerun),
            *((f"table {name}", f"version {number}") for name, number in facts.provenance.tables.items()),
        ),
    )


def _treatment(card: Scorecard, found: TreatmentCard) -> Treatment:
    lines = tuple(_line(card, metric, found.verdict.adjusted_p.get(metric.name)) for metric in found.metrics)
    return Treatment(found.arm, found.verdict.kind, found.verdict.reason, lines)


def _line(card: Scorecard, metric: MetricCard, adjusted_p: float | None) -> Line:
    effect, declared = metric.effect, metric.declared
    if effect is None:
        why = f"Too little is there to tell: {metric.why}."
        return Line(metric.role, metric.name, "", "", "", "", "", why, None, None, None, None)
    is_sequential = card.facts.plan.analysis == "sequential"
    first, second = (effect.sequential, effect.fixed) if is_sequential else (effect.fixed, effect.sequential)
    relative = "" if effect.relative is None else f" ({100 * effect.relative.value:+.3g} %)"
    margin = metric.margin
    limit = None
    if margin is not None and not margin.is_relative:
        limit = -margin.size if declared.direction == "up" else margin.size
    drawn = [*effect.sequential[:2], *effect.fixed[:2], effect.contrast.difference, 0.0]
    drawn += [] if limit is None else [limit]
    axis = (min(drawn), max(drawn))
    return Line(
        role=metric.role,
        name=metric.name,
        control=value_text(declared, effect.contrast.control),
        treatment=value_text(declared, effect.contrast.treatment),
        difference=f"{difference_text(declared, effect.contrast.difference)}{relative}",
        interval=f"{interval_text(declared, first.low, first.high)}, {_validity(first)}",
        beside=f"{interval_text(declared, second.low, second.high)}, {_validity(second)}",
        said=_said(card, metric, adjusted_p),
        sequential=Mark(effect.sequential.low, effect.sequential.high),
        fixed=Mark(effect.fixed.low, effect.fixed.high),
        point=effect.contrast.difference,
        limit=limit,
        axis=axis,
        ends=(difference_text(declared, axis[0]), difference_text(declared, axis[1])),
    )


def _validity(interval: Interval) -> str:
    return f"{100 * interval.confidence:.4g} %, {interval.validity}"


def _said(card: Scorecard, metric: MetricCard, adjusted_p: float | None) -> str:
    """What is shown of a metric, and nothing that is not."""
    plan = card.facts.plan
    beside = " Adjusted by what units did before." if metric.is_adjusted else ""
    if metric.guarded is not None:
        bound = metric.guarded.within if plan.analysis == "sequential" else metric.guarded.within_fixed
        assert metric.margin is not None
        size = (
            f"{100 * metric.margin.size:g} %"
            if metric.margin.is_relative
            else difference_text(metric.declared, metric.margin.size).removeprefix("+")
        )
        if bound.p <= plan.alpha:
            return f"Shown to be within its margin of {size} ({p_text(bound.p)}).{beside}"
        worse = " Shown to be worse than the control." if metric.guarded.worse.low > 0 else ""
        return f"Not shown to be within its margin of {size} ({p_text(bound.p)}).{worse}{beside}"
    assert metric.effect is not None
    p = 1.0 if adjusted_p is None else adjusted_p
    centre = metric.effect.contrast.centre
    is_better = centre > 0 if metric.declared.direction == "up" else centre < 0
    if metric.worse is not None and metric.worse.low > 0:
        return f"Shown to be worse ({p_text(metric.worse.p)}).{beside}"
    if p <= plan.alpha and is_better:
        return f"Shown to be better ({p_text(p)} after Holm).{beside}"
    return f"Not shown to be better ({p_text(p)} after Holm).{beside}"


def _units(card: Scorecard) -> Table:
    facts = card.facts
    arms = dict.fromkeys([facts.plan.control, *(arm for phase in facts.phases for arm in phase.weights)])
    head = ("arm", *(f"{phase.name} from {phase.begin[:10]}" for phase in facts.phases), "units", "planned")
    rows = []
    for arm in arms:
        shares = [phase.weights.get(arm, 0.0) / (sum(phase.weights.values()) or 1.0) for phase in facts.phases]
        found = [phase.units.get(arm, 0) for phase in facts.phases]
        cells = [f"{units:,} at {100 * share:.3g} %" for units, share in zip(found, shares, strict=True)]
        rows.append((arm, *cells, f"{sum(found):,}", f"{facts.plan.units.get(arm, 0):,}"))
    return Table("Units", head, tuple(rows))


def _drifts(cards: tuple[DriftCard, ...]) -> Iterator[str]:
    """What moved, column by column; then what did not, and what cannot be told, many in one sentence."""
    still: dict[str, list[str]] = {}
    for card in cards:
        column, _, since = card.name.partition(", since ")
        when = f" since {since}" if since else ""
        if any(one.drifted for one in card.measures):
            measured = ", ".join(
                f"{_DISTANCES[one.measure]} {one.statistic:.3g}, {'above' if one.drifted else 'below'} "
                f"{one.threshold:.3g}"
                for one in card.measures
            )
            yield f"{column} moved{when}: {measured}."
        else:
            said = f"cannot be told{when}: {card.why}" if card.why else f"no alarm{when}"
            still.setdefault(said, []).append(column)
    for said, names in still.items():
        yield f"{', '.join(names)}: {said}."


def _notes(card: Scorecard) -> Iterator[str]:
    if not card.is_healthy:
        yield "No effect is shown while a check of health is broken: what arms look like then says nothing of them."
    elif card.facts.plan.analysis == "sequential":
        yield "Sequential intervals hold at every look; fixed ones hold once, at the planned end, and decide nothing."
    else:
        yield "The analysis is fixed: its intervals hold once, at the planned end. Harm is watched sequentially."
    for treatment in card.treatments:
        for metric in treatment.metrics:
            for phase in metric.left_out:
                yield f"{metric.name} of {treatment.arm} leaves out {phase.phase} ({phase.units:,} units): {phase.why}."
