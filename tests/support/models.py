"""Small ONNX models for tests, each made on the spot and returned as the bytes of its file.

The models of the first group share one signature (``x`` float32 [batch, 2] to ``y`` float32 [batch, 2]), so
that any can be an arm beside any other. The troublemakers among them behave until a number is negative.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence

OPSET = 17
IR_VERSION = 8  # of opset 17; the oldest supported onnxruntime reads it

DTYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
"""Every dtype that onnxruntime accepts from and returns to numpy, by the name edgerun gives it."""

Dim = str | int | None


# One signature: x float32 [batch, 2] -> y float32 [batch, 2].


def steady(factor: float = 2.0) -> bytes:
    """``y = factor * x``: never fails, and the factor tells which model answered."""
    return _pair_model([_node("Mul", "x factor", "y")], factor=np.float32(factor))


def slow(*, steps: int = 95, size: int = 256) -> bytes:
    """``y = 2 x``, after ``steps`` products of ``size`` x ``size`` matrices: about 20 ms by default."""
    chain = [_node("MatMul", f"matrix a{i}", f"a{i + 1}") for i in range(steps)]
    return _pair_model(
        [
            _node("ReduceMean", "x", "mean", keepdims=0),
            _node("Mul", "matrix mean", "a0"),
            *chain,
            _node("ReduceMean", f"a{steps}", "result", keepdims=0),
            _node("Mul", "result zero", "nothing"),
            _node("Mul", "x two", "twice"),
            _node("Add", "twice nothing", "y"),
        ],
        matrix=_rotation(size),
        zero=np.float32(0),
        two=np.float32(2),
    )


def non_finite() -> bytes:
    """``y = log(x)``: NaN where ``x`` is negative, minus infinity where it is 0."""
    return _pair_model([_node("Log", "x", "y")])


def wrong_shape() -> bytes:
    """``y = x``, but twice as wide as declared when any ``x`` is negative."""
    return _pair_model(
        [
            *_ANY_NEGATIVE,
            _node("Cast", "negative", "extra", to=TensorProto.INT64),
            _node("Add", "extra one", "times"),
            _node("Concat", "one times", "repeats", axis=0),
            _node("Tile", "x repeats", "y"),
        ],
        threshold=np.zeros(1, np.float32),
        one=np.ones(1, np.int64),
    )


def raises() -> bytes:
    """``y = x``, but the run fails (an index out of range) when any ``x`` is negative."""
    return _pair_model(
        [
            *_ANY_NEGATIVE,
            _node("Cast", "negative", "index", to=TensorProto.INT64),
            _node("Gather", "one index", "factor"),
            _node("Mul", "x factor", "y"),
        ],
        threshold=np.zeros(1, np.float32),
        one=np.ones(1, np.float32),
    )


def stalls(*, steps: int = 800, size: int = 256) -> bytes:
    """``y = x`` at once, but after ``steps`` matrix products (about 0.2 s) when any ``x`` is negative."""
    body = helper.make_graph(
        [
            _node("MatMul", "matrix before", "after"),
            _node("Identity", "go", "go_on"),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            _tensor("before", "float32", [size, size]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            _tensor("after", "float32", [size, size]),
        ],
    )
    return _pair_model(
        [
            *_ANY_NEGATIVE,
            _node("Cast", "negative", "flag", to=TensorProto.INT64),
            _node("Mul", "flag steps", "trips"),
            _node("Loop", ["trips", "", "matrix"], "product", body=body),
            _node("ReduceMean", "product", "result", keepdims=0),
            _node("Mul", "result zero", "nothing"),
            _node("Add", "x nothing", "y"),
        ],
        matrix=_rotation(size),
        steps=np.array([steps]),
        threshold=np.zeros(1, np.float32),
        zero=np.float32(0),
    )


# Models of ordinary shape.


def mlp(seed: int = 0, *, sizes: Sequence[int] = (30, 64, 32, 2), batch: Dim = "batch") -> bytes:
    """The benchmarks' model: ``x`` float32 [batch, 30] to ``y`` float32 [batch, 2], ReLU between layers."""
    random = np.random.default_rng(seed)
    nodes, constants, last = [], {}, len(sizes) - 2
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        constants[f"w{i}"] = random.normal(0, fan_in**-0.5, (fan_in, fan_out)).astype(np.float32)
        constants[f"b{i}"] = random.normal(0, 0.1, fan_out).astype(np.float32)
        source = "x" if i == 0 else f"h{i - 1}"
        nodes.append(_node("Gemm", f"{source} w{i} b{i}", "y" if i == last else f"z{i}"))
        if i != last:
            nodes.append(_node("Relu", f"z{i}", f"h{i}"))
    ends = _tensor("x", "float32", [batch, sizes[0]]), _tensor("y", "float32", [batch, sizes[-1]])
    return _model(nodes, [ends[0]], [ends[1]], constants)


def fixed_batch() -> bytes:
    """The benchmarks' model with a batch of exactly one row."""
    return mlp(batch=1)


def identity(dtype: str = "float32", shape: Sequence[Dim] = ("n",)) -> bytes:
    """``y = x`` for any of `DTYPES`."""
    return _model([_node("Identity", "x", "y")], [_tensor("x", dtype, shape)], [_tensor("y", dtype, shape)])


def brain_float(role: str) -> bytes:
    """``y = x`` through a cast, where the ``input`` or the ``output`` has the dtype bfloat16, which numpy lacks."""
    kinds = {"input": (TensorProto.BFLOAT16, TensorProto.FLOAT), "output": (TensorProto.FLOAT, TensorProto.BFLOAT16)}
    given, returned = kinds[role]
    ends = helper.make_tensor_value_info("x", given, ["n"]), helper.make_tensor_value_info("y", returned, ["n"])
    return _model([_node("Cast", "x", "y", to=returned)], [ends[0]], [ends[1]])


def scalar_input() -> bytes:
    """``x`` float32 [] to ``y`` float32 []."""
    return identity(shape=())


def unknown_rank() -> bytes:
    """``y = x`` of any rank; onnxruntime reports the same empty shape as for a scalar."""
    return _model(
        [_node("Identity", "x", "y")],
        [_tensor("x", "float32", None)],
        [_tensor("y", "float32", None)],
    )


def shared_dim() -> bytes:
    """``y = a + b``: two inputs float32 [batch, 3] that must agree on ``batch``."""
    ends = [_tensor(name, "float32", ["batch", 3]) for name in "aby"]
    return _model([_node("Add", "a b", "y")], ends[:2], ends[2:])


def many_inputs(count: int) -> bytes:
    """``y`` is the sum of ``x0``, ``x1`` and so on, each float32 [n]."""
    names = [f"x{i}" for i in range(count)]
    ends = [_tensor(name, "float32", ["n"]) for name in (*names, "y")]
    return _model([helper.make_node("Sum", names, ["y"])], ends[:-1], ends[-1:])


def many_outputs(count: int) -> bytes:
    """``x`` float32 [n] is each of ``y0``, ``y1`` and so on."""
    names = [f"y{i}" for i in range(count)]
    ends = [_tensor(name, "float32", ["n"]) for name in ("x", *names)]
    return _model([_node("Identity", "x", name) for name in names], ends[:1], ends[1:])


def default_input() -> bytes:
    """``y = x * scale``: the input ``scale`` float32 [1] may be left out and is then 3."""
    ends = [
        _tensor("x", "float32", ["n"]),
        _tensor("scale", "float32", [1]),
        _tensor("y", "float32", ["n"]),
    ]
    return _model([_node("Mul", "x scale", "y")], ends[:2], ends[2:], {"scale": np.full(1, 3, np.float32)})


def heavy(megabytes: int = 16) -> bytes:
    """``x`` float32 [batch, 2] to ``y`` float32 [batch, 2] through this many megabytes of weights."""
    return mlp(sizes=(2, megabytes * 10**6 // 20, 2))


# Outputs of unusual kinds.


def dynamic_output() -> bytes:
    """``x`` float32 [n] to ``y`` int64 [1, how many are not 0]."""
    return _model(
        [_node("NonZero", "x", "y")],
        [_tensor("x", "float32", ["n"])],
        [_tensor("y", "int64", [1, "count"])],
    )


def scalar_output() -> bytes:
    """``x`` float32 [n] to its sum, ``y`` float32 []."""
    return _model(
        [_node("ReduceSum", "x", "y", keepdims=0)],
        [_tensor("x", "float32", ["n"])],
        [_tensor("y", "float32", [])],
    )


def constant_output() -> bytes:
    """``y`` float32 [2] is a weight, [1, 2], whatever ``x`` float32 [n] is."""
    return _model(
        [],
        [_tensor("x", "float32", ["n"])],
        [_tensor("y", "float32", [2])],
        {"y": np.array([1, 2], np.float32)},
    )


def no_input() -> bytes:
    """No input at all; ``y`` float32 [2] is [1, 2]."""
    return _model([], [], [_tensor("y", "float32", [2])], {"y": np.array([1, 2], np.float32)})


def output_is_input() -> bytes:
    """No node: the output ``x`` float32 [n] is the input of that name."""
    end = _tensor("x", "float32", ["n"])
    return _model([], [end], [end])


def sequence_output() -> bytes:
    """``x`` float32 [n] to ``y``, a list of two tensors."""
    return _model(
        [_node("SequenceConstruct", "x x", "y")],
        [_tensor("x", "float32", ["n"])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )


def empty_optional_output() -> bytes:
    """``x`` float32 [n] to ``y``, an optional tensor that is never there (Python sees None)."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])
    return _model(
        [_node("Optional", "", "y", type=tensor)],
        [_tensor("x", "float32", ["n"])],
        [helper.make_value_info("y", helper.make_optional_type_proto(tensor))],
    )


def optional_input() -> bytes:
    """``x``, an optional float32 [n] tensor, to ``y`` bool []: whether it is there."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])
    return _model(
        [_node("OptionalHasElement", "x", "y")],
        [helper.make_value_info("x", helper.make_optional_type_proto(tensor))],
        [_tensor("y", "bool", [])],
    )


def sparse_output() -> bytes:
    """``y`` [2, 2] is a sparse tensor when the model runs, though onnxruntime calls it a dense one before."""
    values = helper.make_tensor("values", TensorProto.FLOAT, [1], [3.0])
    indices = helper.make_tensor("indices", TensorProto.INT64, [1, 2], [0, 1])
    sparse = helper.make_sparse_tensor(values, indices, [2, 2])
    return _model(
        [_node("Constant", "", "y", sparse_value=sparse)],
        [_tensor("x", "float32", ["n"])],
        [helper.make_value_info("y", helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2, 2]))],
    )


def no_output() -> bytes:
    """``x`` float32 [n] to nothing: onnxruntime loads the model, and refuses to run it."""
    return _model([_node("Identity", "x", "y")], [_tensor("x", "float32", ["n"])], [])


@cache
def strings_to_map(labels: tuple[str, str] | tuple[int, int] = ("no", "yes")) -> bytes:
    """Return a scikit-learn classifier with ZipMap.

    ``word`` string [N, 1] to ``output_label`` (string or int64 [N]) and ``output_probability``, a list of N
    maps from label to float. The second label is that of "good" and "great", the first of "bad" and "awful".
    """
    from skl2onnx import to_onnx  # noqa: PLC0415 - scikit-learn takes a second to import
    from skl2onnx.common.data_types import StringTensorType  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415

    words = np.array([["good"], ["great"], ["bad"], ["awful"]], dtype=object)
    classifier = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    classifier.fit(words, np.array([labels[1], labels[1], labels[0], labels[0]]))
    model = to_onnx(
        classifier,
        initial_types=[("word", StringTensorType([None, 1]))],
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        name="strings_to_map",
    )
    return bytes(model.SerializeToString())


# Models that cannot be loaded.


def unknown_operator() -> bytes:
    """A well-formed model with an operator that nobody has."""
    return _model(
        [_node("NoSuchOperator", "x", "y")],
        [_tensor("x", "float32", ["n"])],
        [_tensor("y", "float32", ["n"])],
    )


def outside_weights(location: str) -> bytes:
    """A model whose weights, float32 [2], are said to be in the file ``location``, beside it or anywhere."""
    model = helper.make_model(
        helper.make_graph(
            [_node("Mul", "x weights", "y")],
            "outside_weights",
            [_tensor("x", "float32", ["batch", 2])],
            [_tensor("y", "float32", ["batch", 2])],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    weights = model.graph.initializer.add(name="weights", dims=[2], data_type=TensorProto.FLOAT)
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return bytes(model.SerializeToString())


_ANY_NEGATIVE = (
    helper.make_node("ReduceMin", ["x"], ["smallest"], axes=[0, 1], keepdims=0),
    helper.make_node("Less", ["smallest", "threshold"], ["negative"]),
)
"""``negative`` bool [1] from ``x`` and a constant ``threshold`` float32 [1] of 0."""


def _pair_model(nodes: list, **constants: np.ndarray | np.generic) -> bytes:
    ends = _tensor("x", "float32", ["batch", 2]), _tensor("y", "float32", ["batch", 2])
    return _model(nodes, [ends[0]], [ends[1]], constants)


def _node(operator: str, inputs: str | list[str], outputs: str, **attributes: object):
    names = inputs.split() if isinstance(inputs, str) else inputs
    return helper.make_node(operator, names, outputs.split(), **attributes)


def _tensor(name: str, dtype: str, shape: Sequence[Dim] | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, DTYPES[dtype], shape)


def _model(
    nodes: list,
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    constants: dict[str, np.ndarray | np.generic] | None = None,
) -> bytes:
    weights = [_weight(name, np.asarray(value)) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _weight(name: str, value: np.ndarray) -> TensorProto:
    dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor(name, dtype, value.shape, value.tobytes(), raw=True)


def _rotation(size: int) -> np.ndarray:
    """Return an orthogonal float32 matrix, so that long products neither vanish nor overflow."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0].astype(np.float32)
