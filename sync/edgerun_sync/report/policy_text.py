"""What another split would have brought, as text and as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns
from edgerun_sync.experiments.numbers import value_text
from edgerun_sync.report.document import as_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.off_policy import OffPolicy
    from edgerun_sync.experiments.policy_cards import PolicyCard

_NOTE = (
    "Units routed by the split in force, weighed by how much more often the proposed one gives them their arm.\n"
    "Intervals hold once, not at every look; 'as good as' is how many units under that split would say as much.\n"
    "A split changes more than it shows here where arms act on each other, or people react to what others get."
)


def policy_text(facts: Facts, weights: Mapping[str, float], cards: Sequence[PolicyCard]) -> str:
    """Return the estimates for people."""
    said = ", ".join(f"{arm} {weight:g}" for arm, weight in weights.items())
    head = ("metric", "proposed", "interval", "as it is now", "units", "as good as", "mean weight")
    rows: list[tuple[str, ...]] = [head, *(_row(facts, card) for card in cards if card.proposed is not None)]
    why = [f"{card.name} cannot be told: {card.why}." for card in cards if card.why]
    left_out = dict.fromkeys(
        f"{one.phase} is left out ({one.units:,} units): {one.why}." for card in cards for one in card.left_out
    )
    return "\n\n".join(
        part
        for part in (
            f"{facts.plan.name}, had its weights been {said}",
            columns(rows) if len(rows) > 1 else "",
            "\n".join([*why, *left_out]),
            _NOTE,
        )
        if part
    )


def policy_document(facts: Facts, weights: Mapping[str, float], cards: Sequence[PolicyCard]) -> dict[str, Any]:
    """Return the estimates as JSON has them."""
    return {
        "experiment": facts.plan.name,
        "looked_at": facts.looked_at,
        "weights": dict(weights),
        "metrics": [
            {
                "name": card.name,
                "proposed": _plain(card.proposed),
                "logged": _plain(card.logged),
                "left_out": [one._asdict() for one in card.left_out],
                "why": card.why,
            }
            for card in cards
        ],
    }


def _row(facts: Facts, card: PolicyCard) -> tuple[str, ...]:
    metric, found = card.declared, card.proposed
    assert found is not None
    outcome = found.outcome
    interval = "not known"
    if not math.isnan(outcome.low):
        level = 100 * (1 - facts.plan.alpha)
        interval = f"{value_text(metric, outcome.low)} to {value_text(metric, outcome.high)}, {level:.4g} %"
    return (
        card.name,
        value_text(metric, outcome.value),
        interval,
        "" if card.logged is None else value_text(metric, card.logged.outcome.value),
        f"{found.calls:,.0f}",
        f"{found.effective_calls:,.0f}",
        f"{found.mean_weight:.3g}",
    )


def _plain(found: OffPolicy | None) -> Any:
    if found is None:
        return None
    return {
        "outcome": as_plain(found.outcome),
        "units": found.calls,
        "effective_units": found.effective_calls,
        "mean_weight": found.mean_weight,
    }
