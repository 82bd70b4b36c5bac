"""Captured inputs as the recorder hands them over to the value that a log keeps; FORMAT.md, block."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun._core.recorder import read_capture
from edgerun.log.payload import pack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Captured(NamedTuple):
    """What the captures of a source have in common.

    Attributes:
        inputs: the names of the model's inputs, in its order.
        probability: the share of calls whose inputs are captured.
    """

    inputs: tuple[str, ...]
    probability: float


def capture_value(raw: NDArray[np.uint8], captured: Captured | None) -> bytes:
    """Return the msgpack value of a capture; where nothing is known of its source, inputs are named by number.

    Numbers are bytes in the host's order, texts a list.
    """
    inputs, redacted = {}, []
    for number, found in enumerate(read_capture(raw)):
        name = captured.inputs[number] if captured and number < len(captured.inputs) else str(number)
        if found.data is None:
            redacted.append(name)
            continue
        is_text = isinstance(found.data, list)
        data = [text.decode(errors="replace") for text in found.data] if isinstance(found.data, list) else found.data
        inputs[name] = {"dtype": "str" if is_text else found.dtype, "shape": list(found.shape), "data": data}
    return pack({"probability": captured and captured.probability, "inputs": inputs, "redacted": redacted})
