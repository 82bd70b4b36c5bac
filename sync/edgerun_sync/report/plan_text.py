"""What a plan takes, as text with its power curve, and as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns
from edgerun_sync.experiments.numbers import amount_text

if TYPE_CHECKING:
    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.outlook import Outlook
    from edgerun_sync.experiments.planning import Traffic

BAR = 40
"""Characters of a power of 1."""


def outlook_text(plan: Plan, found: Outlook, traffic: Traffic) -> str:
    """Return what a plan takes, for people."""
    units = found.sample.units
    days = "never, at this traffic" if found.days is None else f"{found.days} days"
    primary = plan.metrics[plan.primary]
    rows = [
        (
            "experiment",
            f"{plan.name}: {amount_text(primary, plan.minimum_effect)} in {plan.primary}",
        ),
        (
            "sample",
            ", ".join(f"{arm} {count:,}" for arm, count in units.items()) + f"; {found.sample.binding} needs most",
        ),
        ("time", f"{days}, with {traffic.at_once:,.0f} units at once and {traffic.per_day:,.0f} new ones a day"),
        ("tests", _tests(plan, found)),
        ("analysis", f"{plan.analysis}, {found.inflation:.2f} times the units of a fixed test at most"),
        ("devices", _alike(found.design_effect)),
        *((f"needs of {name}", f"{math.ceil(need):,} units in all") for name, need in found.needs.items()),
    ]
    curve = [
        (
            amount_text(primary, effect),
            f"{100 * power:5.1f} %",
            "#" * round(BAR * power),
        )
        for effect, power in found.curve
    ]
    written = ", ".join(f"{arm if '.' not in arm else json.dumps(arm)} = {count}" for arm, count in units.items())
    advice = "" if dict(plan.units) == dict(units) else f"\n\nTo be written into the plan:\nunits = {{ {written} }}"
    late = ""
    if found.days is None or found.days > plan.maximum_days:
        late = f"\n\nThat is more than the maximum of {plan.maximum_days:g} days: ask for less, or wait longer."
    return f"{columns(rows)}\n\n{columns([('effect', 'power', ''), *curve])}{advice}{late}"


def _alike(design_effect: float) -> str:
    times = f"{design_effect:.3g} times the units"
    return (
        f"{times}, because those of a device are alike" if design_effect > 1 else "those of one are not alike (icc 0)"
    )


def outlook_document(plan: Plan, found: Outlook, traffic: Traffic) -> dict[str, Any]:
    """Return what a plan takes, as JSON has it."""
    return {
        "experiment": plan.name,
        "units": dict(found.sample.units),
        "binding": found.sample.binding,
        "needs": dict(found.needs),
        "levels": found.levels._asdict(),
        "looks": found.looks,
        "inflation": found.inflation,
        "design_effect": found.design_effect,
        "traffic": traffic._asdict(),
        "days": found.days,
        "curve": [{"effect": effect, "power": power} for effect, power in found.curve],
    }


def _tests(plan: Plan, found: Outlook) -> str:
    level = found.levels
    guardrails = f", {len(plan.guardrails)} guardrails at {level.guardrail:.3g}" if plan.guardrails else ""
    return f"success at {level.success:.3g} two-sided{guardrails}, each with the power {level.power:.3g}"
