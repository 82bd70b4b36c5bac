"""The outputs of calls as columns: maps of all that was kept of them, and the one class and score that most have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from edgerun_sync.collector.arrow.schemas import CODED_MAPS

if TYPE_CHECKING:
    from edgerun.log.chunks import Chunk
    from edgerun.log.columns import Array
    from edgerun_sync.collector.arrow.columns import Slice

_CLASSES = {"class", "text"}
_WHOLE = "iub"


def output_columns(part: Slice) -> dict[str, Any]:
    """Return the columns label, score, outputs and texts."""
    return {"label": _labels(part), "score": _scores(part), "outputs": _numbers(part), "texts": _texts(part)}


def is_text(values: Array) -> bool:
    """Whether a column of an output has texts."""
    return values.dtype == object


def _labelling(chunk: Chunk) -> Array | None:
    """The first output that is one class: of a distribution or a map, one text, or one integer."""
    for name, values in chunk.outputs.items():
        part = name.rpartition(".")[2]
        if part in _CLASSES or (part == "value" and values.dtype.kind in _WHOLE):
            return values
    return None


def _scoring(chunk: Chunk) -> Array | None:
    """The first confidence; without one, the first single float, or else number."""
    by_part = [(name.rpartition(".")[2], values) for name, values in chunk.outputs.items() if not is_text(values)]
    of_values = [values for part, values in by_part if part == "value"]
    found = [values for part, values in by_part if part == "confidence"]
    found += [values for values in of_values if values.dtype.kind == "f"] + of_values
    return found[0] if found else None


def _labels(part: Slice) -> Any:
    found = [_labelling(chunk) for chunk in part.chunks]
    if all(values is None for values in found):
        return pa.nulls(part.n, pa.string())
    is_whole = np.repeat([values is not None and not is_text(values) for values in found], part.lengths)
    numbers = np.concatenate(
        [
            np.zeros(chunk.n, np.int64) if values is None or is_text(values) else values.astype(np.int64)
            for chunk, values in zip(part.chunks, found, strict=True)
        ]
    )
    coded = pa.array(numbers, mask=None if bool(is_whole.all()) else ~is_whole).dictionary_encode()
    of_numbers = pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.string()))
    if not any(values is not None and is_text(values) for values in found):
        return of_numbers
    texts = np.concatenate(
        [
            values if values is not None and is_text(values) else np.full(chunk.n, None)
            for chunk, values in zip(part.chunks, found, strict=True)
        ]
    )
    return pc.coalesce(pa.array(texts, pa.string()), of_numbers.cast(pa.string()))


def _scores(part: Slice) -> Any:
    found = [_scoring(chunk) for chunk in part.chunks]
    lacking = np.repeat([values is None for values in found], part.lengths)
    joined = [
        np.zeros(chunk.n) if values is None else values.astype(np.float64)
        for chunk, values in zip(part.chunks, found, strict=True)
    ]
    return pa.array(np.concatenate(joined), mask=lacking if bool(lacking.any()) else None)


def _numbers(part: Slice) -> Any:
    columns = [{name: values for name, values in chunk.outputs.items() if not is_text(values)} for chunk in part.chunks]
    items = [
        np.stack([values.astype(np.float64) for values in of_chunk.values()], axis=1).reshape(-1)
        for of_chunk in columns
        if of_chunk
    ]
    return _maps(part, columns, pa.array(np.concatenate([np.empty(0), *items])))


def _texts(part: Slice) -> Any:
    columns = [{name: values for name, values in chunk.outputs.items() if is_text(values)} for chunk in part.chunks]
    items = [np.stack([*of_chunk.values()], axis=1).reshape(-1) for of_chunk in columns if of_chunk]
    if not items:
        return pa.nulls(part.n, CODED_MAPS["texts"])
    return _maps(part, columns, pa.array(np.concatenate(items), pa.string()))


def _maps(part: Slice, columns: list[dict[str, Array]], items: Any) -> Any:
    """Maps of the names of a chunk's columns to each row's items."""
    listed: dict[str, int] = {}
    codes = [np.array([listed.setdefault(name, len(listed)) for name in names], np.int32) for names in columns]
    counts = np.repeat([len(names) for names in columns], part.lengths)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    of_items = [np.tile(code, chunk.n) for code, chunk in zip(codes, part.chunks, strict=True)]
    keys = pa.DictionaryArray.from_arrays(pa.array(np.concatenate(of_items)), pa.array([*listed], pa.string()))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items)
