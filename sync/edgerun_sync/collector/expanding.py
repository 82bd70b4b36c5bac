"""How large rows become when they are columns: counted before anything is made of that size.

A frame says once what all of its rows share: a long text, or outputs by the thousand, of 65,536 rows in a few bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgerun.errors import LogError
from edgerun.log.chunks import Chunk
from edgerun.log.payload import pack
from edgerun_sync.errors import ContentError
from edgerun_sync.limits import LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgerun.log.columns import Array
    from edgerun.log.rows import Source
    from edgerun.log.segment import Frame

NUMBER_BYTES = 8
_PART_BYTES = len(".confidence")
"""What a column's name has besides that of its output, at most."""
_JSON_FACTOR = 8
"""A value as JSON takes up to that many of its bytes in a log, mostly."""


def check_expanded(frames: Sequence[Frame], limits: Limits = LIMITS) -> None:
    """Make sure that the rows of a segment's frames can become columns in bounded memory.

    Raises:
        ContentError: they would be too large, or a source is.
    """
    sources = {source for frame in frames for source in frame.sources.values()}
    if len(sources) > limits.segment_sources_max:
        raise ContentError(f"it has {len(sources)} sources; at most {limits.segment_sources_max} are taken")
    longest = max((len(text) for source in sources for text in _texts(source)), default=0)
    if longest > limits.source_text_max:
        raise ContentError(f"a source has a text of {longest} characters; at most {limits.source_text_max} are taken")
    name = _PART_BYTES + max((len(name) for source in sources for name in source.outputs), default=NUMBER_BYTES)
    size = sum(_outputs_bytes(frame, name) for frame in frames)
    if size > limits.segment_expanded_max_bytes:
        raise ContentError(
            f"its outputs as columns take {size} bytes; at most {limits.segment_expanded_max_bytes} are taken"
        )


def divided(chunk: Chunk, max_bytes: int) -> Iterator[tuple[Chunk, int]]:
    """Yield the rows of a chunk as pieces of so many bytes at most, or of one row, with the bytes of each."""
    of_rows = _row_bytes(chunk)
    total = int(of_rows.sum())
    if total <= max_bytes or chunk.n == 1:
        yield chunk, total
        return
    upto, begin = np.concatenate([[0], np.cumsum(of_rows)]), 0
    while begin < chunk.n:
        end = int(np.searchsorted(upto, upto[begin] + max_bytes, "right")) - 1
        end = max(end, begin + 1)
        yield _part(chunk, begin, end), int(upto[end] - upto[begin])
        begin = end


def _outputs_bytes(frame: Frame, name: int) -> int:
    return sum(
        name * block.n + (_characters(column) if column.dtype == object else NUMBER_BYTES * block.n)
        for block in frame.blocks
        for output in block.outputs
        for column in output.columns
    )


def _characters(texts: Array) -> int:
    """Characters of texts, each as often as it is there."""
    return len(texts) * len(texts[0]) if texts.strides == (0,) else sum(map(len, texts))


def _row_bytes(chunk: Chunk) -> Array:
    """Bytes of each row's outputs or value."""
    values = chunk.columns.get("values")
    if values is not None:
        return np.fromiter(map(_value_bytes, values), np.int64, chunk.n) * _JSON_FACTOR
    is_text = {name: column.dtype == object for name, column in chunk.outputs.items()}
    fixed = sum(len(name) + (0 if is_text[name] else NUMBER_BYTES) for name in chunk.outputs)
    found = np.broadcast_to(np.int64(fixed), chunk.n)
    for name, column in chunk.outputs.items():
        if is_text[name]:
            found = found + np.fromiter(map(len, column), np.int64, chunk.n)
    return found


def _value_bytes(value: object) -> int:
    try:
        return len(pack(value))
    except LogError:  # it is nested deeper than can be packed
        return LIMITS.slice_max_bytes


def _part(chunk: Chunk, begin: int, end: int) -> Chunk:
    columns = {name: column[begin:end] for name, column in chunk.columns.items()}
    return Chunk(end - begin, columns, {name: column[begin:end] for name, column in chunk.outputs.items()})


def _texts(source: Source) -> Iterator[str]:
    for text in source:
        if isinstance(text, str):
            yield text
    yield from source.outputs
