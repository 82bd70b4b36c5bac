"""Profiles merged into one: of hours, arms, devices. The result does not depend on the order, to the last bit.

Counts, sketches, registers and extremes merge exactly, in one step or in many. Mean and m2 are summed up as exact
fractions and rounded once a merge: those of a merge of merged profiles may differ in the last bits from those of one
merge of them all. Of frequent texts each merge that has to leave some out adds to the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgerun._core.profile import FREQUENT_MAX
from edgerun.errors import LogError
from edgerun.log.profiles import COUNT_MAX, Numbers, PortProfile, Profile, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_CELL_RANGE = 2**16
"""More than there are cell numbers: one integer says column and cell."""


def merge(profiles: Iterable[Profile]) -> Profile:
    """Return one profile of everything that some profiles sum up.

    A name (bundle, version, model, arm, node) in which they differ becomes None; begin is the earliest, end the latest.
    A port that only some of them have is merged from those. Ports come inputs first, in the order of their names.

    Raises:
        LogError: there is no profile, or a port has another type or number of columns in another one.
    """
    listed = list(profiles)
    if not listed:
        raise LogError("there is no profile to merge")
    by_port: dict[tuple[bool, str], list[PortProfile]] = {}
    for profile in listed:
        for port in profile.ports:
            by_port.setdefault((port.is_output, port.name), []).append(port)
    return Profile(
        bundle=_shared({profile.bundle for profile in listed}),
        version=_shared({profile.version for profile in listed}),
        model=_shared({profile.model for profile in listed}),
        arm=_shared({profile.arm for profile in listed}),
        node=_shared({profile.node for profile in listed}),
        begin=min(profile.begin for profile in listed),
        end=max(profile.end for profile in listed),
        ports=tuple(_merged_port(by_port[key]) for key in sorted(by_port)),
    )


def _shared(names: set[str | None]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None


def _merged_port(ports: Sequence[PortProfile]) -> PortProfile:
    first = ports[0]
    if any((port.type, port.columns) != (first.type, first.columns) for port in ports):
        raise LogError(f"{first.name} has another type or number of columns in another profile: they cannot be merged")
    whats = [port.what for port in ports]
    numbers = [what for what in whats if isinstance(what, Numbers)]
    texts = [what for what in whats if isinstance(what, Texts)]
    what = _merged_numbers(numbers) if numbers else _merged_texts(texts)
    seen, unlike = sum(port.seen for port in ports), sum(port.unlike for port in ports)
    return first._replace(seen=seen, unlike=unlike, what=what)


def _merged_numbers(parts: Sequence[Numbers]) -> Numbers:
    n = len(parts[0].finite)
    moments = [
        _moments([(int(part.finite[i]), float(part.mean[i]), float(part.m2[i])) for part in parts]) for i in range(n)
    ]
    cells, cell, weight = _merged_cells(parts, n)
    return Numbers(
        finite=_summed([part.finite for part in parts]),
        missing=_summed([part.missing for part in parts]),
        infinite=_summed([part.infinite for part in parts]),
        zero=_summed([part.zero for part in parts]),
        unsketched=_summed([part.unsketched for part in parts]),
        min=np.min([part.min for part in parts], axis=0),
        max=np.max([part.max for part in parts], axis=0),
        mean=np.array([mean for mean, _ in moments], np.float64),
        m2=np.array([m2 for _, m2 in moments], np.float64),
        cells=cells,
        cell=cell,
        weight=weight,
    )


def _summed(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Sums of counts, which are too large for floats and might be for 64 bits."""
    sums = [sum(column) for column in zip(*(array.tolist() for array in arrays), strict=True)]
    if max(sums) >= COUNT_MAX:
        raise LogError("these profiles count more than can be counted")
    return np.array(sums, np.uint64)


def _merged_cells(parts: Sequence[Numbers], n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64]]:
    columns = [np.repeat(np.arange(n), part.cells.astype(np.int64)) for part in parts]
    place = np.concatenate([at * _CELL_RANGE + part.cell for at, part in zip(columns, parts, strict=True)])
    weight = np.concatenate([part.weight for part in parts])
    order = np.argsort(place, kind="stable")
    place, weight = place[order], weight[order]
    starts = np.flatnonzero(np.diff(place, prepend=np.iinfo(np.int64).min) != 0)
    place, weight = place[starts], np.add.reduceat(weight, starts) if len(starts) else weight
    column = (place + _CELL_RANGE // 2) // _CELL_RANGE
    return np.bincount(column, minlength=n).astype(np.uint64), place - column * _CELL_RANGE, weight


def _moments(parts: Sequence[tuple[int, float, float]]) -> tuple[float, float]:
    """Mean and m2 of the union of parts (count, mean, m2), each the float next to the exact value."""
    parts = [part for part in parts if part[0] > 0]
    count = sum(n for n, _, _ in parts)
    if count == 0:
        return 0.0, 0.0
    means, shift = _whole([mean for _, mean, _ in parts])
    total = sum(n * mean for (n, _, _), mean in zip(parts, means, strict=True))
    mean = total / (count << shift)
    if any(m2 == np.inf for _, _, m2 in parts):
        return mean, np.inf
    rests, rest_shift = _whole([m2 for _, _, m2 in parts])
    squares = sum(n * mean * mean for (n, _, _), mean in zip(parts, means, strict=True))
    between = count * squares - total * total
    try:
        m2 = ((sum(rests) * count << 2 * shift) + (between << rest_shift)) / (count << 2 * shift + rest_shift)
    except OverflowError:
        m2 = np.inf
    return mean, m2


def _whole(floats: Sequence[float]) -> tuple[list[int], int]:
    """Integers that stand for floats once they are divided by a power of two; and its exponent."""
    ratios = [value.as_integer_ratio() for value in floats]
    bits = max(below.bit_length() for _, below in ratios)
    return [above << (bits - below.bit_length()) for above, below in ratios], bits - 1


def _merged_texts(parts: Sequence[Texts]) -> Texts:
    merged = [
        _frequent([part.frequent[i] for part in parts], sum(int(part.error[i]) for part in parts))
        for i in range(len(parts[0].total))
    ]
    return Texts(
        total=_summed([part.total for part in parts]),
        empty=_summed([part.empty for part in parts]),
        registers=np.max([part.registers for part in parts], axis=0),
        frequent=tuple(found for found, _ in merged),
        error=np.array([error for _, error in merged], np.uint64),
    )


def _frequent(parts: Sequence[dict[str, int]], error: int) -> tuple[dict[str, int], int]:
    """Weights added; of more than fit, all lose what the first one too many has.

    Source: Agarwal et al., "Mergeable summaries" (2012).
    """
    weights: dict[str, int] = {}
    for part in parts:
        for text, weight in part.items():
            weights[text] = weights.get(text, 0) + weight
    order = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    lost = order[FREQUENT_MAX][1] if len(order) > FREQUENT_MAX else 0
    return {text: weight - lost for text, weight in order if weight > lost}, error + lost
