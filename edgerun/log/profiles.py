"""Profiles as records, and how they are read from the C core; FORMAT.md, Profiles, says what the words mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun._core import profile as core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COUNT_MAX = 2**62
"""What no count reaches, so that sums of counts fit."""


class Numbers(NamedTuple):
    """What was counted of numbers; arrays have an entry for each column.

    Attributes:
        finite: uint64, how many numbers there were that are neither NaN nor infinite.
        missing: uint64, NaN.
        infinite: uint64.
        zero: uint64, of the finite ones.
        unsketched: uint64, finite numbers that are in no cell for want of room, or too large for a float32.
        min: float64, of the finite; infinity where there are none.
        max: float64; minus infinity where there are none.
        mean: float64; 0 where there are none.
        m2: float64, sum of squares of differences to the mean.
        cells: uint64, how many cells of the sketch each column has.
        cell: int64, cell numbers of all columns, ascending in each.
        weight: uint64, how many numbers lie in each.
    """

    finite: NDArray[np.uint64]
    missing: NDArray[np.uint64]
    infinite: NDArray[np.uint64]
    zero: NDArray[np.uint64]
    unsketched: NDArray[np.uint64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    cells: NDArray[np.uint64]
    cell: NDArray[np.int64]
    weight: NDArray[np.uint64]


class Texts(NamedTuple):
    """What was counted of texts; an entry for each column.

    Attributes:
        total: uint64, how many texts there were.
        empty: uint64, the empty ones among them.
        registers: uint8 [columns, 1024], the HyperLogLog.
        frequent: of each column, the frequent texts and their weights.
        error: uint64, by how much a weight may be too low; a text that is not there came at most so often.
    """

    total: NDArray[np.uint64]
    empty: NDArray[np.uint64]
    registers: NDArray[np.uint8]
    frequent: tuple[dict[str, int], ...]
    error: NDArray[np.uint64]


class PortProfile(NamedTuple):
    """What one input or output was like.

    Attributes:
        name: of the input or output.
        is_output: which of the two.
        type: ONNX's number of its element type.
        columns: of its last axis; 1 where it has none, or more than 256.
        seen: calls that it was in.
        unlike: calls in which it had another type or number of columns, and was left out.
        what: its numbers, or texts.
    """

    name: str
    is_output: bool
    type: int
    columns: int
    seen: int
    unlike: int
    what: Numbers | Texts


class Profile(NamedTuple):
    """What the calls that one model answered for one arm were like. None stands for several, after a merge.

    Attributes:
        bundle: its name.
        version: of the bundle.
        model: that answered, or was watched.
        arm: that the innermost random split assigned.
        node: the shadow_deploy node, of a watched model.
        begin: microseconds of the monotonic clock.
        end: likewise.
        ports: the inputs and outputs that were seen.
    """

    bundle: str | None
    version: str | None
    model: str | None
    arm: str | None
    node: str | None
    begin: int
    end: int
    ports: tuple[PortProfile, ...]


def read_profile(
    handle: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    bundle: str,
    version: str,
    model: str,
    arm: str | None,
    node: str | None,
    begin: int,
    end: int,
) -> Profile:
    """Return what a taken or copied profile of the C core holds; ``inputs`` and ``outputs`` name its ports in order."""
    named = [(name, False) for name in inputs] + [(name, True) for name in outputs]
    ports = []
    for index, (name, is_output) in enumerate(named):
        found = core.read_port(handle, index)
        if found is not None:
            counted = _texts(found.what) if isinstance(found.what, core.PortTexts) else _numbers(found.what)
            ports.append(PortProfile(name, is_output, found.type, found.columns, found.seen, found.unlike, counted))
    return Profile(bundle, version, model, arm, node, begin, end, tuple(ports))


def _numbers(read: core.PortNumbers) -> Numbers:
    return Numbers(
        finite=read.finite,
        missing=read.missing,
        infinite=read.infinite,
        zero=read.zero,
        unsketched=read.unsketched,
        min=read.min,
        max=read.max,
        mean=read.mean,
        m2=read.m2,
        cells=np.array([len(cells) for cells in read.cells], np.uint64),
        cell=np.concatenate(read.cells).astype(np.int64),
        weight=np.concatenate(read.weights),
    )


def _texts(read: core.PortTexts) -> Texts:
    frequent = []
    for found in read.frequent:
        by_text: dict[str, int] = {}
        for raw, weight in found:  # what is no UTF-8 may be shown as a text that is there too
            text = raw.decode(errors="backslashreplace")
            by_text[text] = by_text.get(text, 0) + weight
        frequent.append(by_text)
    return Texts(read.total, read.empty, read.registers, tuple(frequent), np.array(read.error, np.uint64))
