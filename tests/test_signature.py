"""Two models may stand in for each other when they take and give the same; where they do not, the error says how."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import bundle
from edgerun.errors import GraphError, InputError, ModelError
from edgerun.graph import check_signatures, parse_graph
from edgerun.limits import LIMITS
from edgerun.signature import Signature, broken_promise, common_signature, conflicting_output, with_batch_of
from support import models, oracle, published
from support.ports import DTYPES, signature, tensor, value

WEIGHTS = {"kind": "random_split", "weights": {"a": 1, "b": 1}}
SHADOW = {"kind": "shadow_deploy", "champion": "a", "shadows": ["b"]}


def on(dims):
    """The signature of one float32 input of these dimensions, and one fixed output."""
    return signature(tensor("x", dims=dims))


# What two models have in common.


def test_a_model_alone_keeps_its_signature():
    assert common_signature({"a": on(("n", 3))}) == on(("n", 3))


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (("n", 3), ("batch", 3), ("n", 3)),
        (("n", ""), ("", 4), ("n", 4)),
        ((1, "m"), ("n", 4), (1, 4)),
        (None, ("n", 3), ("n", 3)),
        (("n", 3), None, ("n", 3)),
        (None, None, None),
        ((), (), ()),
    ],
    ids=["names", "open", "both ways", "unknown first", "unknown second", "unknown", "scalar"],
)
def test_a_fixed_dimension_holds_over_an_open_one(first, second, common):
    assert common_signature({"a": on(first), "b": on(second)}) == on(common)


def test_the_order_of_ports_does_not_matter_and_is_that_of_the_first_model():
    ports = (tensor("p"), tensor("q", "int64"), tensor("r", "string"))
    common = common_signature({"a": signature(*ports), "b": signature(*reversed(ports))})
    assert common == signature(*ports)


def test_outputs_must_agree_too():
    with pytest.raises(
        GraphError, match=r"^models 'a' and 'b' differ in output 'y': 'a' has y: float32 \[n\], 'b' has"
    ):
        common_signature({"a": signature(), "b": signature(outputs=[tensor("y", "int64")])})


CONFLICTS = {
    "dtype": (
        on(("n",)),
        signature(tensor("x", "float64")),
        r"input 'x': 'a' has x: float32 \[n\], 'b' has x: float64",
    ),
    "rank": (on(("n",)), on(("n", 1)), r"input 'x': 'a' has x: float32 \[n\], 'b' has x: float32 \[n, 1\]"),
    "scalar": (on(()), on(("n",)), r"input 'x': 'a' has x: float32 \[\], 'b' has x: float32 \[n\]"),
    "size": (on(("n", 3)), on(("n", 4)), r"input 'x': 'a' has x: float32 \[n, 3\], 'b' has x: float32 \[n, 4\]"),
    "unknown of another dtype": (
        on(None),
        signature(tensor("x", "int8", None)),
        "input 'x': 'a' has x: float32 of any shape, 'b' has x: int8 of any shape",
    ),
    "name": (on(("n",)), signature(tensor("X")), "inputs: 'a' has 'x', 'b' has 'X'"),
    "number": (on(("n",)), signature(tensor("x"), tensor("z")), "inputs: 'a' has 'x', 'b' has 'x', 'z'"),
    "none": (signature(), on(("n",)), "inputs: 'a' has none, 'b' has 'x'"),
    "kind": (
        signature(outputs=[tensor("y")]),
        signature(outputs=[value("y", "sequence")]),
        r"output 'y': 'a' has y: float32 \[n\], 'b' has y: sequence",
    ),
    "texts": (on(("n",)), signature(tensor("x", "string")), r"'b' has x: string \[n\]"),
}


@pytest.mark.parametrize(("first", "second", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_models_that_disagree_are_both_named_with_what_each_says(first, second, message):
    with pytest.raises(GraphError, match=rf"^models 'a' and 'b' differ in .*{message}"):
        common_signature({"a": first, "b": second})


def test_the_model_that_disagrees_is_named_and_not_the_first():
    with pytest.raises(GraphError, match=r"^models 'b' and 'c' differ in input 'x': 'b' has x: float32 \[n, 3\], "):
        common_signature({"a": on(("n", "m")), "b": on(("n", 3)), "c": on(("n", 4))})
    with pytest.raises(GraphError, match=r"^models 'b' and 'c' differ in input 'x': 'b' has x: float32 \[n\], "):
        common_signature({"a": on(None), "b": on(("n",)), "c": on(("n", 4))})


dims = st.one_of(st.none(), st.lists(st.one_of(st.integers(1, 3), st.sampled_from(["n", ""])), max_size=3).map(tuple))


@given(st.lists(dims, min_size=1, max_size=4))
def test_models_agree_whatever_their_order_and_the_common_signature_fits_each(all_dims):
    signatures = {f"m{i}": on(each) for i, each in enumerate(all_dims)}
    backwards = dict(reversed(signatures.items()))

    def fixed(found):
        return found and [size if isinstance(size, int) else None for size in found.inputs[0].dims or ()]

    def attempt(some):
        try:
            return common_signature(some)
        except GraphError:
            return None

    common = attempt(signatures)
    assert fixed(common) == fixed(attempt(backwards))
    if common is not None:
        for each in signatures.values():
            assert common_signature({"common": common, "each": each}).inputs[0].dims == common.inputs[0].dims


# In a graph, the innermost node that leads to both is named.


def test_the_innermost_node_that_leads_to_both_is_named():
    nodes = {
        "outer": {"kind": "key_split", "field": "f", "cases": {"x": "inner"}, "default": "c"},
        "inner": WEIGHTS,
    }
    graph = parse_graph("bundle", nodes, "outer", "abc")
    three, four = on((3,)), on((4,))
    with pytest.raises(GraphError, match=r"^node 'inner': models 'a' and 'b' differ"):
        check_signatures(graph, {"a": three, "b": four, "c": three})
    with pytest.raises(
        GraphError, match=r"^node 'outer': models 'c' and '\w' differ|^node 'outer': models 'a' and 'c'"
    ):
        check_signatures(graph, {"a": three, "b": three, "c": four})
    assert check_signatures(graph, {"a": three, "b": three, "c": three}) == three


def test_a_shadow_must_fit_its_champion():
    graph = parse_graph("bundle", {"watch": SHADOW}, "watch", "ab")
    with pytest.raises(GraphError, match=r"^node 'watch': models 'a' and 'b' differ in input 'x'"):
        check_signatures(graph, {"a": on((3,)), "b": on((4,))})


def test_a_graph_of_one_model_has_its_signature():
    assert check_signatures(parse_graph("bundle", {}, "a", "a"), {"a": on((3,))}) == on((3,))


# What real models say.


@pytest.fixture
def write(tmp_path):
    """Write a bundle of models, given as bytes or paths, under one node."""

    def write(node, **contents):
        paths = {}
        for name, content in contents.items():
            paths[name] = content
            if isinstance(content, bytes):
                paths[name] = tmp_path / f"{name}.onnx"
                paths[name].write_bytes(content)
        nodes = {} if node is None else {"it": node}
        route = "it" if nodes else next(iter(paths))
        return bundle.write(tmp_path / "b", name="b", version="1", models=paths, nodes=nodes, route=route)

    return write


def opened(folder):
    """The common signature of a bundle's models."""
    return next(iter(bundle.open_sessions(folder.models, folder.graph, threads=1).values())).signature


@pytest.mark.parametrize("node", [WEIGHTS, SHADOW], ids=["arms", "shadow"])
def test_the_two_magika_releases_cannot_stand_in_for_each_other(write, node):
    message = (
        r"^node 'it': models 'a' and 'b' differ in input 'bytes': "
        r"'a' has bytes: float32 \[unk__122, 1536\], 'b' has bytes: int32 \[unk__214, 2048\]$"
    )
    with pytest.raises(GraphError, match=message):
        write(node, a=published.MAGIKA_0.path(), b=published.MAGIKA_1.path())


@pytest.mark.parametrize("node", [WEIGHTS, SHADOW], ids=["arms", "shadow"])
def test_the_two_silero_releases_stand_in_for_each_other(write, node):
    common = opened(write(node, a=published.SILERO_VAD_5.path(), b=published.SILERO_VAD_6.path()))
    assert [str(port) for port in common.inputs] == [
        "input: float32 [?, ?]",
        "state: float32 [2, ?, 128]",
        "sr: int64 []",
    ]
    assert [str(port) for port in common.outputs] == ["output: float32 [?, 1]", "stateN: float32 [?, ?, ?]"]


def test_a_fixed_batch_holds_for_both_arms(write):
    common = opened(write(WEIGHTS, a=models.mlp(), b=models.fixed_batch()))
    assert [str(port) for port in common.inputs] == ["x: float32 [1, 30]"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_from_the_model(write, dtype):
    common = opened(write(None, m=models.identity(dtype)))
    assert [str(port) for port in (*common.inputs, *common.outputs)] == [f"x: {dtype} [n]", f"y: {dtype} [n]"]
    assert common.inputs[0].dtype == DTYPES[dtype]


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (models.scalar_input(), "x: float32 []"),
        (models.unknown_rank(), "x: float32 of any shape"),
        (models.identity(shape=("", 3, "seq")), "x: float32 [?, 3, seq]"),
        (models.default_input(), "x: float32 [n]"),
    ],
    ids=["scalar", "unknown rank", "symbols", "with a default"],
)
def test_a_shape_is_read_from_the_model(write, model, shown):
    assert [str(port) for port in opened(write(None, m=model)).inputs] == [shown]


def test_a_map_is_an_output_of_its_own_kind(write):
    common = opened(write(None, m=models.strings_to_map()))
    assert [(port.name, port.kind) for port in common.outputs] == [
        ("output_label", "tensor"),
        ("output_probability", "sequence"),
    ]
    assert oracle.signature(models.strings_to_map())[1][1][1].startswith("seq(map")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.optional_input(), "model 'm': input 'x' is of the kind 'optional'; edgerun feeds tensors only"),
        (models.empty_optional_output(), "model 'm': output 'y' is of the kind 'optional', which edgerun cannot read"),
        (models.brain_float("input"), "model 'm': input 'x' has an element type that numpy lacks"),
        (models.brain_float("output"), "model 'm': output 'y' has an element type that numpy lacks"),
        (models.no_output(), "model 'm' has no output, so that it can answer nothing"),
    ],
    ids=["optional input", "optional output", "input dtype", "output dtype", "no output"],
)
def test_a_model_that_edgerun_cannot_serve_is_refused(write, model, message):
    with pytest.raises(ModelError) as caught:
        write(None, m=model)
    assert str(caught.value) == message


@pytest.mark.parametrize("make", [models.many_inputs, models.many_outputs], ids=["inputs", "outputs"])
def test_a_model_has_at_most_so_many_inputs_and_outputs(write, make):
    common = opened(write(None, m=make(LIMITS.ports_max)))
    assert max(len(common.inputs), len(common.outputs)) == LIMITS.ports_max
    with pytest.raises(ModelError, match=r"^model 'm': .*m\.onnx has more than 256 inputs or outputs, or one of more"):
        write(None, m=make(LIMITS.ports_max + 1))


def test_an_input_has_at_most_so_many_dimensions(write):
    assert len(opened(write(None, m=models.identity(shape=(1,) * LIMITS.rank_max))).inputs[0].dims) == LIMITS.rank_max
    with pytest.raises(ModelError, match=r"^model 'm': .*or one of more than 32 dimensions$"):
        write(None, m=models.identity(shape=(1,) * (LIMITS.rank_max + 1)))


# Outputs of a run, against what was declared.


@pytest.mark.parametrize(
    ("dims", "shape", "fits"),
    [
        (None, (7, 7), True),
        (("n", 2), (5, 2), True),
        (("n", 2), (0, 2), True),
        ((), (), True),
        (("n", 2), (5, 3), False),
        (("n", 2), (5,), False),
        ((), (1,), False),
    ],
    ids=["any", "fits", "empty", "scalar", "size", "rank", "not a scalar"],
)
def test_an_output_is_held_against_its_declared_shape(dims, shape, fits):
    conflict = conflicting_output(tensor("y", "float32", dims), shape)
    if fits:
        assert conflict is None
    else:
        assert conflict == f"output 'y' has shape {list(shape)}, expected float32 {list(dims)}"


# Batches.


@pytest.mark.parametrize(
    ("dims", "batched"),
    [(("n", 3), ("rows", 3)), ((1, 3), ("rows", 3)), (("n",), ("rows",)), (None, None)],
    ids=["open", "one", "flat", "unknown"],
)
def test_a_batch_may_have_any_number_of_rows(dims, batched):
    assert with_batch_of(on(dims)) == on(batched)


@pytest.mark.parametrize("dims", [(), (2, 3), (7,)], ids=["scalar", "two rows", "seven"])
def test_a_model_without_a_free_first_axis_takes_no_batch(dims):
    with pytest.raises(InputError, match=r"^the model takes no batch: input x: float32 \[.*\] has no free first axis"):
        with_batch_of(on(dims))


def test_a_model_without_inputs_takes_no_batch():
    with pytest.raises(InputError, match=r"^the model takes no batch: it has no input"):
        with_batch_of(Signature((), (tensor("y"),)))


def test_dtypes_have_names_that_users_say():
    assert str(tensor("x", "string", (2, ""))) == "x: string [2, ?]"
    assert str(value("x", "map")) == "x: map"
    assert str(tensor("x")._replace(dtype=None)) == "x: unsupported type [n]"
    assert np.dtype(object) == DTYPES["string"]


# Whether one bundle serves all calls that another one did.


@pytest.mark.parametrize(
    ("former", "other", "is_kept"),
    [
        (("n", 3), ("n", 3), True),
        (("n", 3), ("batch", ""), True),
        ((1, 3), ("n", 3), True),
        (("n", 3), None, True),
        (("n", 3), (1, 3), False),
        (("n", 3), ("n", 4), False),
        (("n", 3), ("n",), False),
        (None, ("n", 3), False),
        (None, None, True),
    ],
)
def test_every_shape_that_one_takes_another_must_take(former, other, is_kept):
    assert (broken_promise(on(former), on(other)) is None) is is_kept


def test_a_promise_is_broken_by_name_or_dtype_of_an_input_and_by_a_missing_output():
    both = signature(tensor("x"), outputs=(tensor("y"), tensor("z")))
    assert broken_promise(both, both) is None
    assert broken_promise(signature(tensor("x")), both) is None
    assert "no output 'z'" in broken_promise(both, signature(tensor("x"), outputs=(tensor("y"),)))
    assert "'w'" in broken_promise(both, signature(tensor("w"), outputs=both.outputs))
    assert "int64" in broken_promise(both, signature(tensor("x", "int64"), outputs=both.outputs))
    assert "'more'" in broken_promise(both, signature(tensor("x"), tensor("more"), outputs=both.outputs))
