"""Rates of error, power and coverage of the statistics, counted over simulated experiments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgerun_sync.experiments.contrasts import information_of
from edgerun_sync.experiments.effects import Terms, effect, fixed_bound, sequential_bound
from edgerun_sync.experiments.guardrails import Margin, guard
from edgerun_sync.experiments.multiplicity import holm
from edgerun_sync.experiments.quantiles import quantile_contrast, quantile_of
from support.simulated import CALLS, DEVICES, METHODS, QUANTILES, Columns, latencies, pairs, quantile_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHA = 0.05
LOOKS = 28
TERMS = Terms(ALPHA, information_of(DEVICES, DEVICES))


def chance(rate: float, experiments: int, errors: float = 3.5) -> float:
    """How far a counted rate may be from the true one."""
    return errors * math.sqrt(rate * (1 - rate) / experiments)


def missed(method: str, seed: int, experiments: int, drawn: float) -> tuple[float, float]:
    """How often the fixed intervals miss what is true: the difference, and the relative one."""
    compare, true_of, base = METHODS[method]
    truth, absolute, relative = true_of(drawn), 0, 0
    for treatment, control in pairs(seed, experiments, drawn):
        found = effect(compare(treatment, control), TERMS)
        absolute += truth not in found.fixed
        if found.relative and not math.isnan(base):
            relative += truth / base not in found.relative.fixed
    return absolute / experiments, relative / experiments


def missed_quantile(quantile: str, seed: int, experiments: int, shift: float) -> float:
    """How often the fixed interval of a quantile misses what is true."""
    contrasts = quantile_pairs(seed, experiments, QUANTILES[quantile], shift)
    return sum(shift not in effect(found, TERMS).fixed for found in contrasts) / experiments


def days(treatment: Columns, control: Columns, looks: int = LOOKS) -> Iterator[tuple[Columns, Columns]]:
    """What is known on each day, when an equal part of the units comes every day."""
    units = len(treatment["number"])
    for day in range(1, looks + 1):
        until = units * day // looks
        yield tuple({name: column[:until] for name, column in arm.items()} for arm in (treatment, control))


def ever_wrong(method: str, seed: int, experiments: int) -> tuple[float, float]:
    """How often at one of 28 daily looks an interval leaves out that there is no effect: sequential, and fixed."""
    compare = METHODS[method].compare
    sequential = fixed = 0
    for treatment, control in pairs(seed, experiments, devices=8 * LOOKS):
        found = [effect(compare(*known), TERMS) for known in days(treatment, control)]
        sequential += any(0 not in one.sequential for one in found)
        fixed += any(0 not in one.fixed for one in found)
    return sequential / experiments, fixed / experiments


def ever_wrong_in_a_fleet(seed: int, experiments: int) -> float:
    """The same where all devices are there from the first day, and report one more latency a day."""
    rng, wrong = np.random.default_rng(seed), 0
    for _ in range(experiments):
        arms = np.concatenate([np.log(latencies(rng, 2, DEVICES)), np.log(latencies(rng, 2, DEVICES))], axis=2)
        totals = arms[:, :, :LOOKS].cumsum(axis=2) / np.arange(1, LOOKS + 1)
        looks = ({"number": totals[arm, :, day]} for day in range(LOOKS) for arm in (0, 1))
        compare = METHODS["mean"].compare
        contrasts = [compare(next(looks), next(looks)) for _ in range(LOOKS)]
        wrong += any(0 not in effect(one, TERMS).sequential for one in contrasts)
    return wrong / experiments


def ever_wrong_quantile(seed: int, experiments: int, share: float) -> float:
    """The same for a quantile, looked at seven times."""
    rng, wrong = np.random.default_rng(seed), 0
    owners = np.repeat(np.arange(DEVICES), CALLS)
    for _ in range(experiments):
        arms = latencies(rng, 2, DEVICES).reshape(2, -1)
        untils = [CALLS * DEVICES * look // 8 for look in range(2, 9)]
        contrasts = [
            quantile_contrast(*(quantile_of(share, arm[:until], owners[:until]) for arm in arms)) for until in untils
        ]
        wrong += any(0 not in effect(one, TERMS).sequential for one in contrasts)
    return wrong / experiments


def let_through(seed: int, experiments: int, margin: Margin, method: str) -> tuple[float, float]:
    """How often a guardrail exactly at its margin is shown to be within: at one of 28 looks, and at the end."""
    compare, _, base = METHODS[method]
    lost = margin.size * base if margin.is_relative else margin.size
    sequential = fixed = 0
    for treatment, control in pairs(seed, experiments, -lost, devices=8 * LOOKS):
        looks = [guard(compare(*known), "up", margin, TERMS, ALPHA) for known in days(treatment, control)]
        sequential += any(one.within.low > 0 for one in looks)
        fixed += looks[-1].within_fixed.low > 0
    return sequential / experiments, fixed / experiments


def any_claim(seed: int, experiments: int) -> float:
    """How often Holm's procedure claims anything of three metrics without an effect."""
    wrong = 0
    for treatment, control in pairs(seed, experiments):
        found = [effect(METHODS[name].compare(treatment, control), TERMS) for name in ("mean", "conversion")]
        found.append(effect(METHODS["ratio of errors"].compare(treatment, control), TERMS))
        wrong += min(holm([one.fixed_p for one in found])) <= ALPHA
    return wrong / experiments


def shown(method: str, seed: int, experiments: int, drawn: float, devices: int) -> float:
    """How often the fixed interval shows an effect at the end, on its side."""
    compare = METHODS[method].compare
    contrasts = (compare(*arms) for arms in pairs(seed, experiments, drawn, devices))
    return sum(effect(one, TERMS).fixed.low > 0 for one in contrasts) / experiments


def shown_in_time(method: str, seed: int, experiments: int, drawn: float, devices: int) -> float:
    """How often the sequential interval shows an effect at one of 28 looks, before it shows the opposite."""
    compare, terms, found = METHODS[method].compare, Terms(ALPHA, information_of(devices, devices)), 0
    for treatment, control in pairs(seed, experiments, drawn, devices):
        for known in days(treatment, control):
            interval = effect(compare(*known), terms).sequential
            if 0 not in interval:
                found += interval.low > 0
                break
    return found / experiments


def within_in_time(seed: int, experiments: int, margin: float, devices: int) -> tuple[float, float]:
    """How often a guardrail without any harm is shown to be within its margin: at one of 28 looks, and at the end."""
    compare, terms = METHODS["mean"].compare, Terms(ALPHA, information_of(devices, devices))
    sequential = fixed = 0
    for treatment, control in pairs(seed, experiments, 0.0, devices):
        moved = treatment | {"number": treatment["number"] + margin}
        for known in days(moved, control):
            if sequential_bound(compare(*known), terms).low > 0:
                sequential += 1
                break
        fixed += fixed_bound(compare(moved, control), ALPHA).low > 0
    return sequential / experiments, fixed / experiments
