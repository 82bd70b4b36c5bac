"""Reads calls from files: one call from JSON, .npy or .npz, or one a line. It guesses no types and skips no field."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = "-"
FORMATS = ("json", "jsonl", "npy", "npz")
_FIELDS = ("inputs", "key", "meta", "label")

_NUMPY_ERRORS = (ValueError, EOFError, KeyError, MemoryError, OSError, SyntaxError, TypeError, tokenize.TokenError)
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError)  # RuntimeError: an encrypted file


class CallOfFile(NamedTuple):
    """One call as a file gives it: what `EdgeRunner.predict` takes, unchecked."""

    inputs: Any
    key: Any = None
    meta: Any = None


def format_of(file: str) -> str:
    """Return the format that a file's name stands for: JSON unless it ends in .jsonl, .npy or .npz."""
    suffix = Path(file).suffix.lower().removeprefix(".")
    return suffix if suffix in FORMATS else "json"


def read_inputs(file: str, form: str) -> Any:
    """Return the inputs of one call: a dict of arrays or lists, or one array or list. ``-`` is stdin.

    Raises:
        InputError: the file cannot be read or is not of its format.
    """
    with _opened(file) as stream:
        return _read_json(file, stream) if form == "json" else _read_arrays(file, stream)


def read_lines(file: str) -> Iterator[tuple[str, CallOfFile]]:
    """Yield each line's call with its place, such as ``calls.jsonl line 3``, as soon as it can be read.

    A line is an object of ``inputs`` and, as they are needed, ``key`` and ``meta``. A ``label`` may stand there too
    and is not read. Empty lines are passed over.

    Raises:
        InputError: the file cannot be read; or a line is no such object.
    """
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                place = f"{_name(file)} line {number}"
                yield place, _call(place, _parse_json(place, line))


def _call(place: str, fields: Any) -> CallOfFile:
    if not isinstance(fields, dict) or "inputs" not in fields:
        raise InputError(f'{place} must be an object with "inputs"')
    for field in fields:
        if field not in _FIELDS:
            raise InputError(f"{place}: unknown field {field!r}; known: {', '.join(_FIELDS)}")
    meta = fields.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise InputError(f"{place}: meta must be an object, got {json.dumps(meta)[:60]}")
    return CallOfFile(fields["inputs"], fields.get("key"), meta)


def _name(file: str) -> str:
    return "stdin" if file == STDIN else file


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == STDIN:
        if sys.stdin is None:
            raise InputError("stdin is closed")
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        yield stream


def _read_json(file: str, stream: IO[bytes]) -> Any:
    inputs = _parse_json(_name(file), stream.read())
    if not isinstance(inputs, dict | list):
        raise InputError(f"{_name(file)} must hold an object of input name to nested list, or one nested list")
    return inputs


def _parse_json(place: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not valid JSON: {error}") from error


def _read_arrays(file: str, stream: IO[bytes]) -> Any:
    try:
        found = np.load(stream if stream.seekable() else io.BytesIO(stream.read()), allow_pickle=False)
        return dict(found) if isinstance(found, np.lib.npyio.NpzFile) else found
    except (*_NUMPY_ERRORS, *_ZIP_ERRORS) as error:
        raise InputError(f"{_name(file)} holds no arrays that numpy can read without pickle: {error}") from error
