"""Signatures made by hand, for what needs no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.signature import Port, Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

DTYPES: dict[str, Any] = {
    name: np.dtype(object if name == "string" else name)
    for name in (
        *("float16", "float32", "float64", "bool", "string"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}
"""numpy's dtype of each dtype that a model may have."""


def tensor(name: str, dtype: str = "float32", dims: Sequence[int | str] | None = ("n",)) -> Port:
    """A tensor input or output."""
    return Port(name, "tensor", DTYPES[dtype], None if dims is None else tuple(dims))


def value(name: str, kind: str) -> Port:
    """An input or output that is no tensor."""
    return Port(name, kind, None, None)


def signature(*inputs: Port, outputs: Sequence[Port] = ()) -> Signature:
    """The signature of these inputs; of one output ``y`` unless told otherwise."""
    return Signature(inputs, tuple(outputs) or (tensor("y"),))
