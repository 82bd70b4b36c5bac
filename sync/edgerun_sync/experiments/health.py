"""Whether an experiment can be trusted, asked before any effect is shown. One function a check; each returns a finding.

A check asks whether something that the arms cannot have caused differs between them, or whether something that must
not happen did. Its p-values are compared with 0.001: an experiment has a dozen of them, and is looked at every day.
The sample ratio, which is asked first, is in `edgerun_sync.experiments.sample_ratio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import ROUNDING, contrast
from edgerun_sync.experiments.effects import two_sided_fixed_p
from edgerun_sync.experiments.findings import Finding
from edgerun_sync.experiments.metrics import Ratio, unit_deviation
from edgerun_sync.experiments.proportions import equal_shares_p, share_text
from edgerun_sync.experiments.sample_ratio import P_BROKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_sync.experiments.contrasts import Contrast
    from edgerun_sync.experiments.facts import DeviceClocks
    from edgerun_sync.experiments.moments import Moments

SEVERAL_ARMS_MAX_SHARE = 0.001
"""Share of units that may be seen in several arms of one phase: a device that was cloned, a clock that was wrong."""

MISASSIGNED_MAX_SHARE = 0.001
"""Share of audited assignments that may not be what the split says."""

CLOCK_SKEWED_MAX_SHARE = 0.05
"""Share of devices whose clock may be so wrong that their days are not known."""


def reporting_rate(reported: Mapping[str, int], assigned: Mapping[str, int]) -> Finding:
    """Return whether units fell silent alike in all arms.

    An arm that crashes its devices loses exactly those it harmed, and looks the better for it.

    Args:
        reported: units of each arm that reported since the phase began.
        assigned: units that are known and that the split gives to each arm, the silent ones included.

    Raises:
        ExperimentError: an arm has more units that reported than units.
    """
    return _alike(
        "reporting rate",
        reported,
        assigned,
        ok="Units of all arms report alike",
        broken="Units of some arms fell silent more than of others",
        remedy="what became of the silent ones is not in the numbers, so find it out first",
    )


def label_rate(arms: Mapping[str, Moments], control: str, labels: str, calls: str) -> Finding:
    """Return whether calls were labelled alike in all arms.

    Labels that come where a model was wrong rather than where it was right are no sample of its calls.

    Its numbers: ``p``, and the share of calls with a label of each arm. Calls are clustered by unit.

    Args:
        arms: moments of each arm's units, with the variables `labels` and `calls`.
        control: the arm that the others are compared with.
        labels: the variable that counts a unit's labelled calls.
        calls: the variable that counts a unit's calls.

    Raises:
        ExperimentError: the control or a variable is missing, or an arm has too few units with calls.
    """
    if control not in arms:
        raise ExperimentError(f"the control {control!r} is none of the arms {', '.join(map(repr, arms))}")
    rates = {arm: found.mean_of(labels) / (found.mean_of(calls) or 1.0) for arm, found in arms.items()}
    others = [arm for arm in arms if arm != control]
    p = 1.0
    for arm in others:
        if rates[arm] != rates[control]:
            p = min(p, len(others) * _ratio_p(Ratio(labels, calls), arms[arm], arms[control]))
    said = ", ".join(f"{arm} {100 * rate:.3g} %" for arm, rate in rates.items())
    numbers = {"p": p} | {f"share labelled in {arm}": rate for arm, rate in rates.items()}
    if p >= P_BROKEN:
        return Finding("label rate", True, numbers, f"Calls of all arms are labelled alike ({said}; p = {p:.2g}).")
    sentence = f"Calls of some arms are labelled more than of others ({said}; p = {p:.2g})"
    return Finding("label rate", False, numbers, f"{sentence}: find out which calls have no label.")


def _ratio_p(ratio: Ratio, treatment: Moments, control: Moments) -> float:
    """The p-value of two ratios that differ; 0 where no unit of an arm differs from another."""
    spreads = [unit_deviation(ratio, arm) for arm in (treatment, control)]
    return two_sided_fixed_p(contrast(ratio, treatment, control)) if max(spreads) > ROUNDING else 0.0


def several_arms(units_in_several: int, units: int) -> Finding:
    """Return whether units stayed in one arm. Count within a phase: a ramp moves some of them, and rightly.

    Raises:
        ExperimentError: more units were in several arms than there are.
    """
    return _few(
        "several arms",
        units_in_several,
        units,
        SEVERAL_ARMS_MAX_SHARE,
        "units were seen in several arms",
        "look for keys that many share, and for cloned devices",
    )


def assignment_audit(misassigned: int, audited: int) -> Finding:
    """Return whether assignments are what the split says when it is computed again. Leave out arms that were forced.

    Raises:
        ExperimentError: more assignments were wrong than audited.
    """
    return _few(
        "assignment audit",
        misassigned,
        audited,
        MISASSIGNED_MAX_SHARE,
        "assignments are not what the split says",
        "look for devices with another bundle, another salt or another key than the log says",
        count="give the keys that are known, with --keys or --known-keys",
    )


def clock_skew(skewed: Mapping[str, int], devices: Mapping[str, int], clocks: DeviceClocks | None = None) -> Finding:
    """Return whether clocks are right enough to tell days and phases apart, and wrong in all arms alike.

    Args:
        skewed: devices of each arm whose times could not be repaired, or lie after their arrival.
        devices: devices of each arm.
        clocks: devices of all arms, each counted once; None where no device is in several arms.

    Raises:
        ExperimentError: there are more devices with a wrong clock than devices, in an arm or in all.
    """
    alike = _alike(
        "clock skew",
        skewed,
        devices,
        ok="Clocks are wrong in all arms alike",
        broken="Clocks are wrong in some arms more than in others",
        remedy="an arm cannot turn clocks, so find out what chose those devices",
    )
    if not alike.is_ok:
        return alike
    few = _few(
        "clock skew",
        sum(skewed.values()) if clocks is None else clocks.skewed,
        sum(devices.values()) if clocks is None else clocks.devices,
        CLOCK_SKEWED_MAX_SHARE,
        "devices have a clock that cannot be repaired",
        "let them reach a time server, or leave them out in all arms",
        may_be_none=True,
    )
    return few._replace(numbers={**alike.numbers, **few.numbers})


def pre_period_imbalance(contrasts: Mapping[str, Contrast]) -> Finding:
    """Return whether the arms were alike before the experiment began.

    If not, the units of an arm were not drawn by the split alone.

    Its numbers: ``p``, corrected for how many contrasts there are, and the p-value of each.

    Args:
        contrasts: of metrics from before the experiment, by a name such as 'errors in challenger'.

    """
    each = {name: two_sided_fixed_p(found) for name, found in contrasts.items()}
    p = min([1.0, *(len(each) * one for one in each.values())])
    numbers = {"p": p} | {f"p of {name}": one for name, one in each.items()}
    if p >= P_BROKEN:
        return Finding("pre-period", True, numbers, f"The arms were alike before the experiment (p = {p:.2g}).")
    worst = min(each, key=each.__getitem__)
    gap = contrasts[worst].difference
    sentence = f"Before the experiment, {worst} differed by {gap:.3g} already (p = {p:.2g})"
    return Finding("pre-period", False, numbers, f"{sentence}: look at how the units of each arm came in.")


def minimum_duration(days: float, minimum_days: float) -> Finding:
    """Return whether the experiment ran as long as the plan says, so that it has seen whole weeks.

    Where it did not, it stops shipping only: harm is acted upon at once.

    Raises:
        ExperimentError: a number of days is negative.
    """
    if not (days >= 0 and minimum_days >= 0):
        raise ExperimentError(f"days are counted from 0 on, not {days!r} of {minimum_days!r}")
    numbers = {"days": days, "minimum_days": minimum_days}
    said = f"{days:.3g} of at least {minimum_days:.3g} days"
    if days >= minimum_days:
        return Finding("minimum duration", True, numbers, f"The experiment ran {said}.", "ship")
    return Finding("minimum duration", False, numbers, f"The experiment ran only {said}: let it run.", "ship")


def _alike(name: str, did: Mapping[str, int], of: Mapping[str, int], *, ok: str, broken: str, remedy: str) -> Finding:
    unknown = did.keys() - of.keys()
    if unknown:
        raise ExperimentError(f"{name}: {min(unknown)!r} has no number of units in all; give one for every arm")
    p = equal_shares_p([did.get(arm, 0) for arm in of], [*of.values()])
    said = ", ".join(f"{arm} {share_text(did.get(arm, 0), most)}" for arm, most in of.items())
    numbers = {"p": p} | {f"share of {arm}": did.get(arm, 0) / most if most else None for arm, most in of.items()}
    is_ok = p >= P_BROKEN
    end = "." if is_ok else f": {remedy}."
    return Finding(name, is_ok, numbers, f"{ok if is_ok else broken} ({said}; p = {p:.2g}){end}")


def _few(
    name: str,
    found: int,
    of: int,
    most: float,
    what: str,
    remedy: str,
    *,
    count: str = "count it",
    may_be_none: bool = False,
) -> Finding:
    if not 0 <= found <= of:
        raise ExperimentError(f"{name}: {found!r} of {of!r} cannot be; count both over the same units")
    numbers = {"found": float(found), "of": float(of), "share": found / of if of else None}
    if of == 0 and not may_be_none:
        return Finding(name, False, numbers, f"Nothing was counted, so it is not known whether {what}: {count}.")
    is_ok = found <= most * of
    end = "." if is_ok else f", and at most {100 * most:g} % may: {remedy}."
    return Finding(name, is_ok, numbers, f"{found:,} of {of:,} {what}{end}")
