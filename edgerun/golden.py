"""Golden examples: chosen inputs with the outputs that every model of a bundle must reproduce."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from edgerun._shown import shown
from edgerun.errors import BundleError, InputError
from edgerun.inputs import check_inputs
from edgerun.session import Session, outputs_by_name

DEFAULT_TOLERANCE = 1e-5


class Golden(NamedTuple):
    """One golden example.

    Attributes:
        inputs: input name to nested list.
        outputs: model name to output name to nested list: what each model answers.
        tolerance: how far a float may lie from the expected one, absolute and relative; all else must be equal.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]
    tolerance: float = DEFAULT_TOLERANCE


def parse_golden(index: int, example: Any) -> Golden:
    """Read an example from plain data.

    Raises:
        BundleError: a field is missing, unknown, of a wrong type or not finite; the example's number is named.
    """
    where = f"golden example {index}"
    if not isinstance(example, Mapping) or "inputs" not in example:
        raise BundleError(f"{where} must be a table with 'inputs'")
    for field in example:
        if field not in Golden._fields:
            raise BundleError(f"{where}: unknown field {shown(field)}; known: {', '.join(Golden._fields)}")
    inputs, outputs = example["inputs"], example.get("outputs", {})
    if not isinstance(inputs, Mapping) or not isinstance(outputs, Mapping):
        raise BundleError(f"{where}: 'inputs' and 'outputs' must be tables")
    if not all(isinstance(expected, Mapping) for expected in outputs.values()):
        raise BundleError(f"{where}: 'outputs' must map a model to a table of its outputs")
    tolerance = example.get("tolerance", DEFAULT_TOLERANCE)
    is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not is_number or not 0 <= tolerance <= sys.float_info.max:
        raise BundleError(f"{where}: 'tolerance' must be a finite number, 0 or more, got {shown(tolerance)}")
    try:
        golden = Golden(plain(inputs), plain(outputs), float(tolerance))
        _check_finite(f"{where}: input", golden.inputs)
        for model, expected in golden.outputs.items():
            _check_finite(f"{where}: model {model!r}, output", expected)
    except RecursionError as error:
        raise BundleError(f"{where} is nested too deeply") from error
    return golden


def _check_finite(where: str, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if not _is_finite(value):
            raise BundleError(f"{where} {name!r} holds NaN or an infinity, which JSON cannot")


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(item) for item in value.values())
    return not isinstance(value, list) or all(_is_finite(item) for item in value)


def check_golden(sessions: Mapping[str, Session], golden: Iterable[Golden]) -> None:
    """Run every golden example through every model that it names.

    Raises:
        BundleError: an input does not fit, a run fails, or an output is not the expected one; example, model and
            output are named.
    """
    for index, example in enumerate(golden):
        for model, expected in example.outputs.items():
            if model not in sessions:
                raise BundleError(f"golden example {index}: there is no model {model!r}")
            found = _answer(sessions[model], index, example)
            for output, values in expected.items():
                if output not in found:
                    raise BundleError(f"golden example {index}: model {model!r} has no output {output!r}")
                if not _agrees(found[output], values, example.tolerance):
                    raise BundleError(
                        f"golden example {index}: model {model!r}, output {output!r}: "
                        f"expected {_short(values)} within {example.tolerance}, got {_short(plain(found[output]))}"
                    )


def _answer(session: Session, index: int, example: Golden) -> Mapping[str, Any]:
    try:
        feeds = check_inputs(session.signature, example.inputs, None)
    except InputError as error:
        raise BundleError(f"golden example {index}: {error}") from error
    outcome = session.run(feeds, check=False)
    if outcome.outputs is None:
        raise BundleError(f"golden example {index}: {outcome.reason}")
    return outputs_by_name(session, outcome.outputs)


def complete(sessions: Mapping[str, Session], index: int, example: Golden) -> Golden:
    """Fill in what the models answer now where an example expects nothing yet.

    Raises:
        BundleError: an input does not fit, a run fails, or an answer is not finite; the example's number is named.
    """
    if example.outputs:
        return example
    outputs = {model: _answer(session, index, example) for model, session in sessions.items()}
    return parse_golden(index, {**example._asdict(), "outputs": outputs})


def plain(value: Any) -> Any:
    """Return an output, or an input, as JSON can hold it; the keys of maps become texts."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _agrees(found: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(found, float) or (isinstance(found, np.ndarray) and found.dtype.kind == "f"):
        return _is_close(np.asarray(found, np.float64), expected, tolerance)
    found = plain(found)
    if isinstance(found, dict):
        return (
            isinstance(expected, Mapping)
            and found.keys() == expected.keys()
            and all(_agrees(item, expected[key], tolerance) for key, item in found.items())
        )
    if isinstance(found, list):
        return (
            isinstance(expected, list | tuple)
            and len(found) == len(expected)
            and all(_agrees(a, b, tolerance) for a, b in zip(found, expected, strict=True))
        )
    return bool(found == expected)


def _is_close(found: np.ndarray[Any, np.dtype[np.float64]], expected: Any, tolerance: float) -> bool:
    try:
        wanted = np.asarray(expected)
    except ValueError:  # ragged
        return False
    if found.size == 0 or wanted.dtype.kind not in "iuf":
        return bool(found.tolist() == expected)
    with np.errstate(over="ignore"):  # a tolerance may be as large as a float can be
        return wanted.shape == found.shape and np.allclose(found, wanted, rtol=tolerance, atol=tolerance)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
