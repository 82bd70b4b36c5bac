"""A record of facts as JSON and back: strict, and exact to the last bit of every number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.errors import BundleError
from edgerun_bundles.experiment.plan import parse_plan, plan_document
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.drift import DesignEffect
from edgerun_sync.experiments.facts import (
    NUMBERS,
    TEXTS,
    DeviceClocks,
    DriftFacts,
    Facts,
    HealthFacts,
    ModelFacts,
    PhaseFacts,
    Provenance,
)
from edgerun_sync.experiments.histograms import Histogram, histogram
from edgerun_sync.experiments.moments import Moments
from edgerun_sync.experiments.quantiles import Quantile
from edgerun_sync.experiments.reliability import ScoreBins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1


def facts_document(facts: Facts) -> dict[str, Any]:
    """Return facts as JSON has them; `parse_facts` gives the same record back."""
    return {
        "format": FORMAT,
        "plan": plan_document(facts.plan),
        "bundle": facts.bundle,
        "looked_at": facts.looked_at,
        "days": facts.days,
        "phases": [_phase_document(phase) for phase in facts.phases],
        "health": _health_document(facts.health),
        "models": {
            "classes": [*facts.models.classes],
            **{field: _all(_moments_document, getattr(facts.models, field)) for field in _OF_MODELS},
            "reliability": _all(_bins_document, facts.models.reliability),
            "scores": _all(_histogram_document, facts.models.scores),
            "one_in": facts.models.one_in,
            "shadow_one_in": facts.models.shadow_one_in,
        },
        "drift": [_drift_document(one) for one in facts.drift],
        "training": facts.training,
        "provenance": {name: _plain(value) for name, value in facts.provenance._asdict().items()},
    }


def parse_facts(document: Any, where: str) -> Facts:
    """Read facts.

    Args:
        document: as `facts_document` gives it.
        where: names the file in errors.

    Raises:
        ExperimentError: a field is missing or wrong, numbers contradict each other, or the plan is wrong.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else document
        raise ExperimentError(f"{where}: facts of format {found!r:.100}; this edgerun reads format {FORMAT}")
    try:
        return Facts(
            plan=parse_plan(document["plan"], where),
            bundle=str(document["bundle"]),
            looked_at=str(document["looked_at"]),
            days=_number(document["days"]),
            phases=tuple(map(_phase, document["phases"])),
            health=_health(document["health"]),
            models=_models(document["models"]),
            drift=tuple(map(_drift, document["drift"])),
            provenance=Provenance(
                str(document["provenance"]["edgerun"]),
                _all(int, document["provenance"]["tables"]),
                _all(str, document["provenance"]["queries"]),
            ),
            training=str(document.get("training", "")),
        )
    except (BundleError, ExperimentError) as error:
        raise ExperimentError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ExperimentError(f"{where}: no facts of an experiment: {type(error).__name__} {error}") from error


_OF_MODELS = ("cells", "expected", "shadows", "decay")


def _phase_document(phase: PhaseFacts) -> dict[str, Any]:
    return {
        "name": phase.name,
        "begin": phase.begin,
        "weights": _all(float, phase.weights),
        "units": _all(int, phase.units),
        "moments": {name: _all(_moments_document, arms) for name, arms in phase.moments.items()},
        "labels": _all(_moments_document, phase.labels),
        "estimates": {name: _all(Quantile._asdict, arms) for name, arms in phase.estimates.items()},
    }


def _phase(value: Any) -> PhaseFacts:
    return PhaseFacts(
        name=str(value["name"]),
        begin=str(value["begin"]),
        weights=_all(_number, value["weights"]),
        units=_all(_count, value["units"]),
        moments={str(name): _all(_moments, arms) for name, arms in value["moments"].items()},
        labels=_all(_moments, value["labels"]),
        estimates={str(name): _all(_estimate, arms) for name, arms in value["estimates"].items()},
    )


def _estimate(value: Any) -> Quantile:
    return Quantile(_count(value["units"]), _number(value["value"]), _number(value["variance"]))


def _health_document(health: HealthFacts) -> dict[str, Any]:
    counted = {name: _plain(value) for name, value in health._asdict().items() if name != "clocks"}
    return {**counted, "clocks": None if health.clocks is None else health.clocks._asdict()}


def _health(value: Any) -> HealthFacts:
    counts: dict[str, Any] = {name: _count(value[name]) for name in ("in_several", "audited", "misassigned")}
    by_arm: dict[str, Any] = {name: _all(_count, value[name]) for name in ("assigned", "reported", "devices", "skewed")}
    found = value.get("clocks")  # a former report has none
    clocks = None if found is None else DeviceClocks(_count(found["devices"]), _count(found["skewed"]))
    return HealthFacts(**counts, **by_arm, clocks=clocks)


def _models(value: Any) -> ModelFacts:
    """What a former report has not is empty."""
    return ModelFacts(
        tuple(map(str, value["classes"])),
        **{field: _all(_moments, value.get(field, {})) for field in _OF_MODELS},
        reliability=_all(_bins, value.get("reliability", {})),
        scores=_all(_histogram, value.get("scores", {})),
        one_in=_count(value.get("one_in", 1)),
        shadow_one_in=_count(value.get("shadow_one_in", 1)),
    )


def _bins_document(bins: ScoreBins) -> dict[str, Any]:
    return {name: column.tolist() for name, column in bins._asdict().items()}


def _bins(value: Any) -> ScoreBins:
    columns = [np.asarray(value[name], np.float64) for name in ScoreBins._fields]
    found = ScoreBins(*columns)
    if any(column.ndim != 1 or column.shape != found.calls.shape for column in columns):
        raise ExperimentError("the columns of score bins differ in length")
    if not all((np.isfinite(column) & (column >= 0)).all() for column in columns):
        raise ExperimentError("a number of score bins is negative or not finite")
    return found


def _moments_document(moments: Moments) -> dict[str, Any]:
    return {"names": [*moments.names], "n": moments.n, "mean": moments.mean.tolist(), "m2": moments.m2.tolist()}


def _moments(value: Any) -> Moments:
    names, n = tuple(map(str, value["names"])), _count(value["n"])
    mean, m2 = np.asarray(value["mean"], np.float64), np.asarray(value["m2"], np.float64).reshape(len(names), -1)
    if mean.shape != (len(names),) or m2.shape != (len(names), len(names)) or len({*names}) != len(names):
        raise ExperimentError(f"moments of {len(names)} variables have no means {mean.shape} and products {m2.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(m2).all() and (m2.diagonal() >= 0).all()):
        raise ExperimentError(f"moments of {', '.join(names)} are not finite, or a sum of squares is negative")
    return Moments(names, n, mean, m2)


def _drift_document(one: DriftFacts) -> dict[str, Any]:
    sides = {"reference": one.reference, "current": one.current}
    effects = [effect._asdict() for effect in one.design_effects]
    return {"name": one.name, **_all(_histogram_document, sides), "kind": one.kind, "design_effects": effects}


def _drift(value: Any) -> DriftFacts:
    kind, effects = str(value.get("kind", NUMBERS)), value.get("design_effects")
    if kind not in {NUMBERS, TEXTS}:
        raise ExperimentError(f"a column is of {NUMBERS} or {TEXTS}, not of {kind!r:.100}")
    found = DriftFacts(str(value["name"]), _histogram(value["reference"]), _histogram(value["current"]), kind)
    if effects is None:
        return found
    first, second = (DesignEffect(*(_number(effect[name]) for name in DesignEffect._fields)) for effect in effects)
    return found._replace(design_effects=(first, second))


def _histogram_document(found: Histogram) -> dict[str, Any]:
    return {"values": found.values.tolist(), "weights": found.weights.tolist(), "missing": found.missing}


def _histogram(value: Any) -> Histogram:
    return histogram(value["values"], value["weights"], _number(value["missing"]))


def _all(read: Callable[[Any], Any], table: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): read(value) for name, value in table.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else dict(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise ExperimentError(f"{value!r:.100} is no number")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ExperimentError(f"{value!r:.100} is no number of units, calls or devices")
    return value
