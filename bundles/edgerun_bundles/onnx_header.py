"""What an ONNX file says of itself: the versions that a runtime must know to read it. The weights are never read.

The file is one protobuf message. Its outermost fields are walked, and the graph, which is nearly all of it, is skipped:
a model of gigabytes costs as little as a small one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from edgerun.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _OPSET_IMPORT = 1, 2, 3, 8  # fields of onnx.ModelProto
_DOMAIN, _VERSION = 1, 2  # fields of onnx.OperatorSetIdProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SMALL_MAX_BYTES = 2**16
_FIELDS_MAX = 2**16


class OnnxHeader(NamedTuple):
    """The versions of one model."""

    ir_version: int
    """The version of the file format."""

    opsets: dict[str, int]
    """Operator set to version; the standard one is named ``ai.onnx``."""

    producer: str
    """The program that wrote it, and its version."""


def read_header(path: Path) -> OnnxHeader:
    """Read the versions of a model.

    Raises:
        ModelError: it cannot be read, or is no ONNX file.
    """
    ir_version, opsets, producer = 0, {}, ["", ""]
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(0)
            for field, value in _fields(file, end):
                if field == _IR_VERSION and isinstance(value, int):
                    ir_version = value
                elif field in {_PRODUCER, _PRODUCER_VERSION} and isinstance(value, bytes):
                    producer[field - _PRODUCER] = value.decode("utf-8", "replace")
                elif field == _OPSET_IMPORT and isinstance(value, bytes):
                    domain, version = _opset(value)
                    opsets[domain or "ai.onnx"] = version
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is no ONNX file that can be read: {error}") from error
    return OnnxHeader(ir_version, dict(sorted(opsets.items())), " ".join(filter(None, producer)))


def _opset(message: bytes) -> tuple[str, int]:
    domain, version = "", 0
    for field, value in _fields(io.BytesIO(message), len(message)):
        if field == _DOMAIN and isinstance(value, bytes):
            domain = value.decode("utf-8", "replace")
        elif field == _VERSION and isinstance(value, int):
            version = value
    return domain, version


def _fields(file: BinaryIO, end: int) -> list[tuple[int, int | bytes | None]]:
    """The outermost fields of a message; None stands for a value that was skipped."""
    found: list[tuple[int, int | bytes | None]] = []
    while file.tell() < end:
        if len(found) == _FIELDS_MAX:
            raise ValueError("it has too many fields")
        key = _varint(file)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            found.append((field, _varint(file)))
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind) or (_varint(file) if kind == _BYTES else -1)
        if size < 0 or file.tell() + size > end:
            raise ValueError("it is cut off or no protobuf message")
        if kind == _BYTES and size <= _SMALL_MAX_BYTES:
            found.append((field, file.read(size)))
        else:
            file.seek(size, 1)
            found.append((field, None))
    return found


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no protobuf message")
