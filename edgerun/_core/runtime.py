"""Models, values and lanes of the C core, as Python objects that own them."""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

import numpy as np

from edgerun import _onnxruntime
from edgerun._core import check, describe
from edgerun._core.owned import owned
from edgerun._edgerun import ffi, lib
from edgerun.errors import ModelError
from edgerun.limits import LIMITS

Array = np.ndarray[Any, np.dtype[Any]]
Value = Array | list[Any] | dict[Any, Any]

# numpy's dtype of every element type that edgerun handles; strings travel as arrays of object.
DTYPES: dict[int, np.dtype[Any]] = {
    lib.ER_TYPE_FLOAT: np.dtype(np.float32),
    lib.ER_TYPE_UINT8: np.dtype(np.uint8),
    lib.ER_TYPE_INT8: np.dtype(np.int8),
    lib.ER_TYPE_UINT16: np.dtype(np.uint16),
    lib.ER_TYPE_INT16: np.dtype(np.int16),
    lib.ER_TYPE_INT32: np.dtype(np.int32),
    lib.ER_TYPE_INT64: np.dtype(np.int64),
    lib.ER_TYPE_STRING: np.dtype(object),
    lib.ER_TYPE_BOOL: np.dtype(np.bool_),
    lib.ER_TYPE_FLOAT16: np.dtype(np.float16),
    lib.ER_TYPE_DOUBLE: np.dtype(np.float64),
    lib.ER_TYPE_UINT32: np.dtype(np.uint32),
    lib.ER_TYPE_UINT64: np.dtype(np.uint64),
}
STRING = DTYPES[lib.ER_TYPE_STRING]
_TYPES = {dtype: number for number, dtype in DTYPES.items()}
_KINDS = {
    0: "value of unknown kind",
    1: "tensor",
    2: "sequence",
    3: "map",
    4: "opaque value",
    5: "sparse tensor",
    6: "optional",
}

NONFINITE: int = lib.ER_RUN_NONFINITE
STOPPED: int = lib.ER_ETIMEOUT
run_lane = lib.er_lane_run  # (lane, model, check_finite, er_run *, er_message *) -> code, with the GIL released
run_prepared = lib.er_py_lane_run  # (lane, model, check_finite) -> nanoseconds, or a negative number: run with care


class Port(NamedTuple):
    """One input or output of a model.

    Attributes:
        name: as in the model.
        kind: "tensor", "sequence", "map" or another kind of ONNX value.
        dtype: numpy's dtype of a tensor (object for strings); None for other kinds and unsupported types.
        dims: a fixed dimension is an int, a dynamic one its symbol ("" where it has none); None where the model
            declares no shape.
    """

    name: str
    kind: str
    dtype: np.dtype[Any] | None
    dims: tuple[int | str, ...] | None

    def __str__(self) -> str:
        """Return the port as a reader would write it: ``image: float32 [N, 64]``."""
        if self.kind != "tensor":
            return f"{self.name}: {self.kind}"
        dtype = "unsupported type" if self.dtype is None else dtype_name(self.dtype)
        dims = "of any shape" if self.dims is None else f"[{', '.join(str(d) or '?' for d in self.dims)}]"
        return f"{self.name}: {dtype} {dims}"


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return a dtype's name as users say it: strings are not "object"."""
    return "string" if dtype == STRING else str(dtype)


_runtime: Any = None
_runtime_lock = threading.Lock()


def runtime() -> Any:
    """Return the process's one onnxruntime environment, made at the first call and never freed.

    Raises:
        ModelError: the library is missing, too old or refuses to start.
    """
    global _runtime  # noqa: PLW0603 - one environment a process is onnxruntime's own rule
    if _runtime is not None:  # no lock for every value: a fork while another thread holds it would never end
        return _runtime
    with _runtime_lock:
        if _runtime is None:
            out, why = ffi.new("er_runtime **"), ffi.new("er_message *")
            raise_for(lib.er_runtime_open(_onnxruntime.library_path().encode(), out, why), why)
            _runtime = out[0]
        return _runtime


def message(why: Any) -> str:
    """Return the sentence that onnxruntime left in an er_message."""
    return str(ffi.string(why.text).decode(errors="replace"))


def raise_for(code: int, why: Any) -> None:
    """Raise what a return code of the runtime part stands for; nothing for success."""
    if code in {lib.ER_ERUNTIME, lib.ER_ELIBRARY}:
        raise ModelError(message(why) or describe(code))
    check(code)


class ModelCounts(NamedTuple):
    """What a model has done since it was opened.

    Attributes:
        runs: runs that ended, those of a prepared lane that had to be repeated included.
        failures: runs that onnxruntime ended with an error.
        nonfinite: runs with NaN or infinity in an output, where that was checked.
        latency_s: a running mean of the time of a run in seconds, with weight 1/8 on the newest.
    """

    runs: int
    failures: int
    nonfinite: int
    latency_s: float


class Model:
    """One session: a model that can run. Runs from many threads at once; freed with its last reference.

    Attributes:
        inputs: its inputs, in the model's order.
        outputs: its outputs, in the model's order.
    """

    def __init__(self, name: str, path: str, threads: int) -> None:
        """Load an ONNX file.

        Args:
            name: what the model is called in its bundle, for errors.
            path: of the file.
            threads: for one run, the calling thread included; none of them spins.

        Raises:
            ModelError: onnxruntime refuses the file, it is beyond a limit, or a name in it is no text.
        """
        out, why = ffi.new("er_model **"), ffi.new("er_message *")
        code = lib.er_model_open(runtime(), os.fsencode(path), threads, out, why)
        if code == lib.ER_ELIMIT:
            raise ModelError(
                f"model {name!r}: {path} has more than {LIMITS.ports_max} inputs or outputs, "
                f"or one of more than {LIMITS.rank_max} dimensions"
            )
        try:
            raise_for(code, why)
        except ModelError as error:
            raise ModelError(f"model {name!r}: {path} cannot be loaded: {error}") from error
        self.handle = owned(out[0], lib.er_model_free)
        inputs, outputs = lib.er_model_input_count(self.handle), lib.er_model_output_count(self.handle)
        try:
            self.inputs = tuple(self._port(lib.er_model_input, i) for i in range(inputs))
            self.outputs = tuple(self._port(lib.er_model_output, i) for i in range(outputs))
        except UnicodeDecodeError as error:
            raise ModelError(f"model {name!r}: {path} has an input or output whose name is no UTF-8") from error

    def _port(self, read: Any, index: int) -> Port:
        port = ffi.new("er_port *")
        check(read(self.handle, index, port))
        dims: tuple[int | str, ...] | None = None
        if port.rank >= 0:
            dims = tuple(
                port.dims[i] if port.dims[i] >= 0 else ffi.string(port.symbols[i]).decode() for i in range(port.rank)
            )
        kind = _KINDS.get(port.kind, _KINDS[0])
        return Port(ffi.string(port.name).decode(), kind, DTYPES.get(port.type), dims)

    def arrange(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Fix the order of inputs and outputs that lanes use; the names are permutations of the model's."""
        order_in = [[p.name for p in self.inputs].index(name) for name in inputs]
        order_out = [[p.name for p in self.outputs].index(name) for name in outputs]
        check(lib.er_model_arrange(self.handle, order_in or ffi.NULL, order_out or ffi.NULL))

    def disown(self) -> None:
        """Never free the session: in a forked child, one with threads would wait for those of its parent."""
        ffi.gc(self.handle, None)

    def counts(self) -> ModelCounts:
        """Return what the model has done since it was opened."""
        counts = ffi.new("er_model_counts *")
        lib.er_model_count(self.handle, counts)
        return ModelCounts(counts.runs, counts.failures, counts.nonfinite, counts.latency_ns * 1e-9)


class Lane:
    """The inputs and outputs of one call at a time.

    Attributes:
        handle: the C lane.
        feeds: the arrays that the lane reads; the owner writes into them before a run of a prepared lane.
        outputs: the arrays that a prepared lane writes; empty for one whose outputs onnxruntime allocates.
        run: the er_run of the last run.
        why: onnxruntime's sentence, after a run that failed.
        home: the list that a pooled lane returns to.
        feed: the first of feeds, in a pooled lane.
        named: the outputs of a pooled lane with their names.
    """

    __slots__ = ("feed", "feeds", "handle", "home", "named", "outputs", "run", "why")

    def __init__(self, feeds: tuple[Array, ...], outputs: tuple[Array, ...] | int) -> None:
        """Make a lane over contiguous arrays; an int is the number of outputs that onnxruntime shall allocate."""
        self.run, self.why = ffi.new("er_run *"), ffi.new("er_message *")
        self.feed: Any = None
        self.home: list[Lane] = []
        self.named: tuple[tuple[str, Array], ...] = ()
        self.feeds, self.outputs = feeds, outputs if isinstance(outputs, tuple) else ()
        values: list[Any] = []
        out = ffi.new("er_lane **")
        try:
            values.extend(_make_value(array, self.why) for array in (*feeds, *self.outputs))
            prepared = values[len(feeds) :] if isinstance(outputs, tuple) else ffi.NULL
            count = len(self.outputs) if isinstance(outputs, tuple) else outputs
            raise_for(
                lib.er_lane_new(runtime(), values[: len(feeds)], len(feeds), prepared, count, out, self.why),
                self.why,
            )
        except BaseException:
            for value in values:
                lib.er_value_free(runtime(), value)
            raise
        self.handle = ffi.gc(out[0], lib.er_lane_free)

    def output(self, index: int) -> Value:
        """Return a copy of output ``index`` of the last run: an array, a list for a sequence, a dict for a map."""
        return _read_value(lib.er_lane_output(self.handle, index))

    def stop(self) -> None:
        """From any thread: make the run under way end early."""
        check(lib.er_lane_stop(self.handle))


def _make_value(array: Array, why: Any) -> Any:
    out = ffi.new("er_value **")
    dims = list(array.shape)
    if array.dtype == STRING:
        texts = [str(text).encode() for text in array.ravel()]
        offsets = [0, *np.cumsum([len(text) for text in texts], dtype=np.int64).tolist()]
        code = lib.er_value_strings(runtime(), dims, len(dims), b"".join(texts), offsets, len(texts), out, why)
    else:
        data = ffi.from_buffer("char[]", array)
        code = lib.er_value_borrow(runtime(), _TYPES[array.dtype], dims, len(dims), data, array.nbytes, out, why)
    raise_for(code, why)
    return out[0]


def _read_value(value: Any) -> Value:
    info, why = ffi.new("er_value_info *"), ffi.new("er_message *")
    raise_for(lib.er_value_describe(runtime(), value, info, why), why)
    if info.kind == lib.ER_KIND_TENSOR:
        return _read_tensor(value, info, why)
    if info.kind not in {lib.ER_KIND_SEQUENCE, lib.ER_KIND_MAP}:
        raise ModelError(f"an output is a {_KINDS.get(info.kind, _KINDS[0])}, which edgerun does not read")
    children = [_read_child(value, i, why) for i in range(info.count)]
    if info.kind == lib.ER_KIND_MAP:
        keys, values = children
        return dict(zip(np.asarray(keys).tolist(), np.asarray(values).tolist(), strict=True))
    return children


def _read_child(value: Any, index: int, why: Any) -> Value:
    out = ffi.new("er_value **")
    raise_for(lib.er_value_child(runtime(), value, index, out, why), why)
    try:
        return _read_value(out[0])
    finally:
        lib.er_value_free(runtime(), out[0])


def _read_tensor(value: Any, info: Any, why: Any) -> Array:
    shape = tuple(info.dims[0 : info.rank])
    dtype = DTYPES.get(info.type)
    if dtype is None:
        raise ModelError(f"an output has element type {info.type} of ONNX, which numpy has no dtype for")
    array = np.empty(shape, dtype)
    if info.type == lib.ER_TYPE_STRING:
        array.ravel()[:] = _read_texts(value, info.count, why)
    elif array.nbytes:
        ffi.memmove(ffi.from_buffer("char[]", array), info.data, array.nbytes)
    return array


def _read_texts(value: Any, count: int, why: Any) -> list[str]:
    if count == 0:
        return []
    total = ffi.new("size_t *")
    raise_for(lib.er_value_text_bytes(runtime(), value, total, why), why)
    texts, offsets = ffi.new("char[]", total[0] + 1), ffi.new("size_t[]", count)
    raise_for(lib.er_value_text(runtime(), value, texts, total[0], offsets, count, why), why)
    raw = bytes(ffi.buffer(texts, total[0]))
    ends = [*offsets[1:count], total[0]]
    return [raw[a:b].decode(errors="surrogateescape") for a, b in zip(offsets, ends, strict=True)]
