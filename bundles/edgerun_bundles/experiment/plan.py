"""The plan of an experiment as a record, read strictly: fields that nobody knows or that are missing are refused.

What a plan says of a bundle (its node, arms and control) is checked by `check_plan` against that bundle's graph.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from edgerun.artifact import check_name
from edgerun.errors import BundleError
from edgerun.graph import RandomSplit
from edgerun_bundles.experiment.fields import Fields
from edgerun_bundles.experiment.metrics import OUTCOMES, DeclaredMetric, metric_document, parse_metric
from edgerun_bundles.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.graph import Graph

Unit: TypeAlias = Literal["split_key", "device", "request"]
Analysis: TypeAlias = Literal["sequential", "fixed"]
DAYS_MAX = 400.0
UNITS_MAX = 10**12


class Tolerance(NamedTuple):
    """How much worse a guardrail may get."""

    margin: float
    """In the unit of the metric, or as a share of the control's value; at least 0."""

    is_relative: bool
    """Whether it is a share."""


class ExpectedTraffic(NamedTuple):
    """What the fleet brings, as far as it is known before."""

    at_once: float = 0.0
    """Units that are there from the first day on."""

    per_day: float = 0.0
    """Units that were never seen before, each day."""

    icc: float = 0.0
    """Correlation of two units of one device."""

    units_per_device: float = 1.0
    """Units of a device."""


class Plan(NamedTuple):
    """What is written down before an experiment runs."""

    name: str
    """What the experiment is known by."""

    node: str
    """The random split whose arms are compared."""

    unit: Unit
    """What was randomised, and so is the row of every statistic."""

    control: str
    """The arm that the others are compared with."""

    null: str
    """The null hypothesis, in words."""

    alternative: str
    """The alternative, in words."""

    primary: str
    """The metric that the experiment is about."""

    success: tuple[str, ...]
    """Further metrics of success."""

    guardrails: Mapping[str, Tolerance]
    """Metrics that must not get worse by more than a margin."""

    metrics: Mapping[str, DeclaredMetric]
    """Every metric, by its name."""

    minimum_effect: float
    """The smallest effect on the primary metric that should be seen, in its unit."""

    alpha: float
    """Chance of a false claim of success."""

    power: float
    """Chance that the minimum effect is shown."""

    analysis: Analysis
    """Whether it may be read at every look, or once."""

    minimum_days: float
    """Before which nothing ships."""

    maximum_days: float
    """After which it is over."""

    units: Mapping[str, int]
    """The planned sample of each arm; empty where it is still to be computed."""

    traffic: ExpectedTraffic
    """What the sample was computed from."""


def parse_plan(document: Any, where: str) -> Plan:
    """Read a plan.

    Args:
        document: the section ``experiment`` as TOML or JSON has it.
        where: names the file in errors.

    Raises:
        BundleError: a field is missing, unknown or wrong, or fields contradict each other.
    """
    fields = Fields(document, f"{where}: 'experiment'")
    metrics = _metrics(fields)
    analysis: Any = fields.one_of("analysis", ["sequential", "fixed"], "sequential")
    unit: Any = fields.one_of("unit", ["split_key", "device", "request"], "split_key")
    plan = Plan(
        name=check_name(fields.text("name")),
        node=fields.text("node"),
        unit=unit,
        control=fields.text("control"),
        null=fields.text("null"),
        alternative=fields.text("alternative"),
        primary=fields.text("primary"),
        success=fields.names("success"),
        guardrails=_guardrails(fields),
        metrics=metrics,
        minimum_effect=fields.number("minimum_effect", 0, math.inf),
        alpha=fields.number("alpha", 0, 0.5, 0.05),
        power=fields.number("power", 0, 1, 0.8),
        analysis=analysis,
        minimum_days=fields.number("minimum_days", 0, DAYS_MAX, 7),
        maximum_days=fields.number("maximum_days", 0, DAYS_MAX + 1),
        units=_units(fields),
        traffic=_traffic(fields),
    )
    fields.end()
    _check_whole(plan, fields)
    return plan


def check_plan(plan: Plan, graph: Graph, where: str) -> None:
    """Check that a plan speaks of the graph of its bundle.

    Raises:
        BundleError: the node is no random split, the control or an arm of the plan is none of its arms, or the unit is
            not what the split draws.
    """
    node = graph.nodes.get(plan.node)
    if not isinstance(node, RandomSplit):
        known = ", ".join(name for name, found in graph.nodes.items() if isinstance(found, RandomSplit)) or "none"
        raise BundleError(f"{where}: 'experiment': {plan.node!r} is no random_split of this bundle; there is {known}")
    if plan.control != node.control:
        raise BundleError(
            f"{where}: 'experiment': the control of {plan.node!r} is {node.control!r}, not {plan.control!r}: who has "
            "no key gets it, so it is the control of the experiment too"
        )
    unknown = plan.units.keys() - {*node.split.arms}
    if unknown:
        raise BundleError(f"{where}: 'experiment': 'units' names {min(unknown)!r}, which is no arm of {plan.node!r}")
    if (plan.unit == "request") != (node.split_key is None):
        said = "draws every request" if node.split_key is None else f"draws by {node.split_key!r}"
        raise BundleError(f"{where}: 'experiment': the unit is {plan.unit!r}, and {plan.node!r} {said}")


def require_sample(plan: Plan, arms: Mapping[str, float], where: str) -> None:
    """Check that a plan has the sample of every arm that has a weight, without which no sequence of looks is tuned.

    Raises:
        BundleError: an arm has none.
    """
    missing = [arm for arm, weight in arms.items() if weight > 0 and arm not in plan.units]
    if missing:
        raise BundleError(
            f"{where}: 'experiment': the planned sample of {missing[0]!r} is missing; write the 'units' that "
            "'edgerun experiment plan' computes"
        )


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON has it; `parse_plan` gives the same one back."""
    document = plan._asdict()
    document["success"] = [*plan.success]
    document["metrics"] = {name: metric_document(metric) for name, metric in plan.metrics.items()}
    document["guardrails"] = {
        name: {"relative_margin" if found.is_relative else "margin": found.margin}
        for name, found in plan.guardrails.items()
    }
    document["units"] = dict(plan.units)
    document["traffic"] = plan.traffic._asdict()
    return document


def _metrics(fields: Fields) -> dict[str, DeclaredMetric]:
    found = fields.table("metrics")
    if not 1 <= len(found) <= LIMITS.experiment_metrics_max:
        fields.refuse("metrics", f"1 to {LIMITS.experiment_metrics_max} tables", len(found))
    return {check_name(name): parse_metric(value, f"{fields.where}: metric {name!r}") for name, value in found.items()}


def _guardrails(fields: Fields) -> dict[str, Tolerance]:
    found = {}
    for name, value in fields.table("guardrails").items():
        table = Fields(value, f"{fields.where}: guardrail {name!r:.100}")
        margins = [table.optional_number(field, 0, 1e300) for field in ("margin", "relative_margin")]
        table.end()
        if (margins[0] is None) == (margins[1] is None):
            table.refuse("margin", "there, or 'relative_margin', and not both", value)
        found[name] = Tolerance(next(margin for margin in margins if margin is not None), margins[0] is None)
    return found


def _units(fields: Fields) -> dict[str, int]:
    found = fields.table("units")
    for arm, units in found.items():
        if type(units) is not int or not 2 <= units <= UNITS_MAX:
            fields.refuse("units", f"a whole number from 2 to {UNITS_MAX} for each arm", {arm: units})
    return dict(found)


def _traffic(fields: Fields) -> ExpectedTraffic:
    table = Fields(dict(fields.table("traffic")), f"{fields.where}: 'traffic'")
    ranges = {"at_once": (0, UNITS_MAX), "per_day": (0, UNITS_MAX), "icc": (0, 1), "units_per_device": (1, UNITS_MAX)}
    given = {name: table.optional_number(name, low, high) for name, (low, high) in ranges.items()}
    table.end()
    return ExpectedTraffic(**{name: value for name, value in given.items() if value is not None})


def _check_whole(plan: Plan, fields: Fields) -> None:
    used = [plan.primary, *plan.success, *plan.guardrails]
    unknown = [name for name in used if name not in plan.metrics]
    if unknown:
        raise BundleError(
            f"{fields.where}: {unknown[0]!r} is no metric; declare it as a table [experiment.metrics.{unknown[0]}]"
        )
    twice = next((name for place, name in enumerate(used) if name in used[:place]), None)
    if twice is not None:
        raise BundleError(f"{fields.where}: {twice!r} has two parts; a metric is primary, a success or a guardrail")
    idle = [name for name in plan.metrics if name not in used]
    if idle:
        raise BundleError(f"{fields.where}: the metric {idle[0]!r} has no part; name it in 'success' or 'guardrails'")
    for name, metric in plan.metrics.items():
        if metric.kind in OUTCOMES and plan.unit == "request":
            raise BundleError(f"{fields.where}: metric {name!r}: an outcome is of a key or device, never of a request")
    if plan.units and plan.control not in plan.units:
        fields.refuse("units", f"with the control {plan.control!r} among them", dict(plan.units))
    if plan.maximum_days < plan.minimum_days:
        fields.refuse("maximum_days", f"at least the minimum of {plan.minimum_days:g}", plan.maximum_days)
    if plan.power <= plan.alpha:
        fields.refuse("power", f"above alpha ({plan.alpha:g})", plan.power)
