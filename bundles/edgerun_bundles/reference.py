"""Training data that a bundle's definition names, and the profile of them that the bundle gets; FORMAT.md, The profile.

The rows are read piece by piece from an npz, which is never unpickled, and run as a device would run them. Only an
array in Fortran's order is read whole, since its rows do not lie together.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun.bundle import open_sessions
from edgerun.errors import BundleError, InputError, LogError, ModelError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.log.columns import DTYPES
from edgerun.log.training import pack_training, parse_training
from edgerun.log.training_runs import chosen_rows, profile_rows
from edgerun_bundles.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import IO

    from edgerun.bundle import Bundle
    from edgerun.graph import Graph
    from edgerun.log.profiles import PortProfile
    from edgerun.log.training import TrainingProfile
    from edgerun.signature import Dims, Signature

_SUFFIX = ".npy"
_BLOCK_BYTES = 2**20
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What zipfile and numpy raise on a file that is no npz, or a damaged or encrypted one."""


class _Array(NamedTuple):
    """One array of the file, which stands at its first row."""

    stream: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    """Whether the last axis is the outer one: then rows do not lie together."""

    is_whole: bool
    """Whether a row is a whole input; else it is an input of which the first axis is left out, being 1."""


def build_profile(
    path: Path,
    models: Mapping[str, Path],
    graph: Graph,
    progress: Callable[[int, str], AbstractContextManager[Callable[[int], None]]],
) -> bytes:
    """Run training data through all models of a bundle; return the file that says what they were like.

    Args:
        path: an npz with an array for each input, whose first axis is the row.
        models: model name to its ONNX file.
        graph: of the bundle.
        progress: gives, for a number of rows and a label, a context manager of a function to call with rows done.

    Raises:
        BundleError: the file cannot be read or has other arrays than the inputs, or the models do not take a row.
        GraphError: the models cannot stand in for each other.
        ModelError: a model cannot be loaded.
    """
    sessions = open_sessions(models, graph, threads=1)
    signature = next(iter(sessions.values())).signature
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            _check_names(path, archive, signature)
            arrays = {port.name: _array(stack, archive, port.name, port.dims) for port in signature.inputs}
        except _UNREADABLE as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise BundleError(f"{path} cannot be read as an npz of numbers and texts (np.savez): {why}") from error
        of = _count(path, arrays)
        chosen = chosen_rows(of, LIMITS.reference_rows_max)
        given = zip(*(_rows(path, array, chosen) for array in arrays.values()), strict=True)
        advance = stack.enter_context(progress(len(chosen), "profiling the training data"))
        try:
            rows = (dict(zip(arrays, row, strict=True)) for row in given)
            return pack_training(profile_rows(sessions, rows, of, advance))
        except (InputError, ModelError, LogError) as error:
            raise BundleError(f"{path}: {error}") from error


def read_profile(found: Bundle) -> TrainingProfile | None:
    """Return the profile of a bundle's training data; None where it has none.

    Raises:
        BundleError: it cannot be read.
    """
    if found.profile is None:
        return None
    try:
        with found.profile.open("rb") as file:
            return parse_training(file.read(DEVICE_LIMITS.profile_max_bytes + 1))
    except (OSError, LogError) as error:
        raise BundleError(f"{found.profile} cannot be read as a profile of training data: {error}") from error


def verify_profile(found: Bundle) -> TrainingProfile | None:
    """Return the profile of a bundle's training data, once it is known to be of the bundle's models.

    Raises:
        BundleError: it cannot be read, or is of other models, inputs or outputs.
        GraphError: the models cannot stand in for each other.
        ModelError: a model cannot be loaded.
    """
    profile = read_profile(found)
    if profile is None:
        return None
    where = f"{found.profile}: the profile of the training data"
    if profile.outputs.keys() != found.models.keys():
        raise BundleError(f"{where} is of the models {', '.join(profile.outputs)}, not of those of the bundle")
    sessions = open_sessions(found.models, found.graph, threads=1)
    signature = next(iter(sessions.values())).signature
    for ports in (profile.inputs, *profile.outputs.values()):
        _check_ports(where, ports, signature)
    return profile


def _check_ports(where: str, ports: Sequence[PortProfile], signature: Signature) -> None:
    for port in ports:
        role, known = ("output", signature.outputs) if port.is_output else ("input", signature.inputs)
        declared = next((one for one in known if one.name == port.name), None)
        if declared is None:
            raise BundleError(f"{where} tells of the {role} {port.name!r}, which the models do not have")
        if declared.dtype is not None and DTYPES[port.type] != declared.dtype:
            raise BundleError(f"{where} has the {role} {port.name!r} of another type than the models")


def _check_names(path: Path, archive: zipfile.ZipFile, signature: Signature) -> None:
    there = [name.removesuffix(_SUFFIX) for name in archive.namelist()]
    if sorted(there) != sorted(signature.input_names):
        raise BundleError(
            f"{path} has the arrays {', '.join(map(repr, there)) or 'none'}; it must have one for each input of the "
            f"bundle and no other: {', '.join(map(repr, signature.input_names))}"
        )


def _array(stack: ExitStack, archive: zipfile.ZipFile, name: str, dims: Dims) -> _Array:
    """Open an array and read its header. What is wrong with it is a ValueError, as numpy's own are."""
    stream = stack.enter_context(archive.open(name + _SUFFIX))
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject or not shape:
        what = "Python objects; give texts as an array of dtype str" if dtype.hasobject else "no first axis"
        raise ValueError(f"the array {name!r} has {what}")
    if math.prod(shape[1:]) * dtype.itemsize > LIMITS.reference_row_max_bytes:
        raise ValueError(f"a row of {name!r} has more than {LIMITS.reference_row_max_bytes} bytes")
    is_whole = dims is not None and len(shape) == len(dims) + 1
    return _Array(stream, shape, dtype, is_fortran, is_whole)


def _count(path: Path, arrays: Mapping[str, _Array]) -> int:
    counts = {name: array.shape[0] for name, array in arrays.items()}
    if len({*counts.values()}) > 1:
        said = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
        raise BundleError(f"{path} has rows of different number: {said}")
    if not any(counts.values()):
        raise BundleError(f"{path} has no rows, or the bundle no inputs")
    return next(iter(counts.values()))


def _rows(path: Path, array: _Array, chosen: Sequence[int]) -> Iterator[np.ndarray[Any, Any]]:
    """The chosen rows, as a caller of ``predict`` gives each."""
    at, end = 0, 0
    block = np.empty((0, *array.shape[1:]), array.dtype)
    try:
        blocks = _whole(array) if array.is_fortran and len(array.shape) > 1 else _blocks(array)
        for row in chosen:
            while row >= end:
                block = next(blocks)
                at, end = end, end + len(block)
            yield block[row - at] if array.is_whole else block[row - at : row - at + 1]
    except (*_UNREADABLE, MemoryError, StopIteration) as error:
        raise BundleError(f"{path} is damaged or too large: {error}") from error


def _blocks(array: _Array) -> Iterator[np.ndarray[Any, Any]]:
    row_bytes = math.prod(array.shape[1:]) * array.dtype.itemsize
    most, left = max(1, _BLOCK_BYTES // max(row_bytes, 1)), array.shape[0]
    while left:
        rows = min(most, left)
        raw = array.stream.read(rows * row_bytes)
        yield np.frombuffer(raw, array.dtype, rows * math.prod(array.shape[1:])).reshape(rows, *array.shape[1:])
        left -= rows


def _whole(array: _Array) -> Iterator[np.ndarray[Any, Any]]:
    """All rows at once, where they do not lie together."""
    raw = array.stream.read(math.prod(array.shape) * array.dtype.itemsize)
    yield np.ascontiguousarray(np.frombuffer(raw, array.dtype).reshape(array.shape[::-1]).T)
