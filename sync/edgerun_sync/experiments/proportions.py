"""Whether the same share of units in every arm did something: reported, was labelled, had a clock that is off.

What an arm did not change falls on the arms as the split does. Given how many units did it in all, the number in one
arm is then hypergeometric: exactly so, whatever the shares are, however unequal the arms, and even where units fall
silent together because they are on one device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import chi_square_tail, hypergeometric_tails

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXPECTED_MIN = 500.0
"""Expected units of a cell from which on chi-square says what the exact test says, and sooner."""


def equal_shares_p(did: Sequence[int], of: Sequence[int]) -> float:
    """Return the chance of shares as unequal as these, if all arms had the same.

    Of two arms or few units, it is the exact test of each arm against the others, times the number of such tests.

    Args:
        did: units of each arm that did it.
        of: units of each arm.

    Raises:
        ExperimentError: there are more units that did it than units, or fewer than none.
    """
    for some, most in zip(did, of, strict=True):
        if not 0 <= some <= most:
            raise ExperimentError(f"{some!r} of {most!r} units cannot be; count both over the same units")
    arms = [(some, most) for some, most in zip(did, of, strict=True) if most]
    yes, total = sum(some for some, _ in arms), sum(most for _, most in arms)
    if len(arms) < 2 or yes in {0, total}:
        return 1.0
    expected = [most * share / total for _, most in arms for share in (yes, total - yes)]
    if min(expected) >= _EXPECTED_MIN:
        statistic = sum(
            (some - most * yes / total) ** 2 / (most * yes * (total - yes) / total**2) for some, most in arms
        )
        return chi_square_tail(statistic, len(arms) - 1)
    tests = arms[1:] if len(arms) == 2 else arms
    return min(1.0, len(tests) * min(2 * min(hypergeometric_tails(some, most, yes, total)) for some, most in tests))


def share_text(did: int, of: int) -> str:
    """Return a share as a text with its counts: '97.5 % (195 of 200)'."""
    return f"{100 * did / of:.3g} % ({did:,} of {of:,})" if of else "none of none"
