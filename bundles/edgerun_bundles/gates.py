"""What must hold before a bundle may move to another channel, decided from what was found. Pure.

A gate that cannot be looked at is not passed: a bundle without golden examples has proven nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun.rehearsal import Rehearsal
    from edgerun_bundles.provenance.comparison import Difference
    from edgerun_bundles.trial import Trial

DIFFERENCES_SHOWN = 5


class Gate(NamedTuple):
    """One thing that must hold."""

    name: str
    """``golden``, ``environment``, ``test`` or ``verdict``."""
    passed: bool
    says: str
    """What was found, in a sentence."""


def may_move(gates: Sequence[Gate]) -> bool:
    """Whether a bundle may move: there are gates, and it passed every one."""
    return bool(gates) and all(gate.passed for gate in gates)


def golden_gate(examples: int, outcome: Rehearsal | str) -> Gate:
    """Judge the rehearsal of a bundle.

    Args:
        examples: how many golden examples it has.
        outcome: what the rehearsal took, or why it failed.
    """
    if isinstance(outcome, str):
        return Gate("golden", False, outcome)
    if not examples:
        return Gate("golden", False, "there are no golden examples, so nothing was proven; add some to its definition")
    return Gate("golden", True, f"{examples} golden example{'' if examples == 1 else 's'} reproduced")


def environment_gate(differences: Sequence[Difference] | None) -> Gate:
    """Judge the differences between this machine and a bundle's environment; None where that is not known."""
    if differences is None:
        return Gate("environment", False, "the bundle does not say in what environment it was made")
    if not differences:
        return Gate("environment", True, "this machine matches one to one")
    shown = [f"{item.area} {item.name}: {item.expected}, here {item.found}" for item in differences[:DIFFERENCES_SHOWN]]
    more = len(differences) - len(shown)
    told = "; ".join([*shown, *([f"and {more} more, see: edgerun bundle check-env"] if more else [])])
    count = f"{len(differences)} difference{'' if len(differences) == 1 else 's'}"
    return Gate("environment", False, f"{count}: {told}")


def trial_gate(outcome: Trial) -> Gate:
    """Judge how a test command ended."""
    if outcome.problem:
        return Gate("test", False, outcome.problem)
    if outcome.status is None:
        return Gate("test", False, f"the command did not end within {outcome.seconds:g} s, and was stopped")
    if outcome.status:
        ended = f"signal {-outcome.status}" if outcome.status < 0 else f"exit code {outcome.status}"
        return Gate("test", False, f"the command ended with {ended}")
    return Gate("test", True, f"the command passed in {outcome.seconds:.1f} s")


def verdict_gate(arm: str, verdict: tuple[str, str] | None, forced: str | None) -> Gate:
    """Judge what the report of an experiment says of a treatment.

    Args:
        arm: the treatment.
        verdict: the verdict and its reason; None where there is no report.
        forced: why somebody goes ahead whatever the report says; None where nobody does.
    """
    said = f"no report says SHIP for {arm}" if verdict is None else f"{arm}: {verdict[0]}: {verdict[1]}"
    if forced is not None:
        return Gate("verdict", True, f"forced: {forced} ({said})")
    return Gate("verdict", verdict is not None and verdict[0] == "SHIP", said)
