"""A graph that breaks a rule is refused with its node's name, however odd the data; one that keeps them all is read."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import GraphError
from edgerun.graph import Graph, KeySplit, RandomSplit, ShadowDeploy, check_signatures, node_to_dict, parse_graph
from edgerun.limits import LIMITS
from edgerun.routing import compile_graph
from edgerun.split import Split

MODELS = ("a", "b", "c")


def random_split(**fields):
    return {"kind": "random_split", "weights": {"a": 1, "b": 1, "c": 1}, **fields}


def key_split(**fields):
    return {"kind": "key_split", "field": "card", "cases": {"gold": "a", "black": "b"}, "default": "c", **fields}


def shadow_deploy(**fields):
    return {"kind": "shadow_deploy", "champion": "a", "shadows": ["b", "c"], **fields}


KINDS = {"random_split": random_split, "key_split": key_split, "shadow_deploy": shadow_deploy}


def graph_of(node, models=MODELS):
    """The graph of one node, called ``it``."""
    return parse_graph("bundle", {"it": node}, "it", models)


def chain(length, link):
    """Nodes n0 to n(length - 1), each made by ``link(next name)``; the last leads to the model ``a``."""
    names = [*(f"n{i}" for i in range(length)), "a"]
    return {name: link(names[i + 1]) for i, name in enumerate(names[:-1])}


def passing(target):
    return {"kind": "key_split", "field": "f", "cases": {}, "default": target}


# What a valid graph says.


def test_a_model_alone_is_a_graph():
    assert parse_graph("bundle", {}, "a", ["a"]) == Graph("a", {}, ("a",))


def test_a_random_split_has_defaults_that_enrol_everybody_per_request():
    node = graph_of(random_split()).nodes["it"]
    assert node == RandomSplit(
        split=Split("bundle/it", {"a": 1, "b": 1, "c": 1}), split_key=None, control="a", traffic=1.0, force={}
    )


def test_a_random_split_takes_every_field():
    node = graph_of(
        random_split(salt="ab-7", control="b", traffic=0.25, split_key="user", force={"qa-1": "c", "": "a"})
    ).nodes["it"]
    assert node == RandomSplit(
        split=Split("ab-7", {"a": 1, "b": 1, "c": 1}),
        split_key="user",
        control="b",
        traffic=0.25,
        force={"qa-1": "c", "": "a"},
    )


def test_a_key_split_leads_to_each_target_once():
    node = graph_of(key_split(cases={"x": "a", "y": "a", "z": "b"})).nodes["it"]
    assert node == KeySplit("card", {"x": "a", "y": "a", "z": "b"}, "c")
    assert node.targets == ("a", "b", "c")


def test_a_key_split_may_have_no_case():
    assert graph_of(passing("a"), ["a"]).nodes["it"].targets == ("a",)


def test_a_shadow_deploy_watches_every_key_by_default():
    assert graph_of(shadow_deploy()).nodes["it"] == ShadowDeploy("a", ("b", "c"), 1.0, LIMITS.shadow_tolerance)


def test_an_integer_share_is_a_share():
    assert graph_of(random_split(traffic=0)).nodes["it"].traffic == 0.0
    assert graph_of(shadow_deploy(sample=0, tolerance=0)).nodes["it"] == ShadowDeploy("a", ("b", "c"), 0.0, 0.0)


@pytest.mark.parametrize("weights", [(1, 2.5), (Fraction(1, 3), Decimal("0.1")), (np.float32(1), np.int64(2))])
def test_weights_are_any_numbers_that_a_split_takes(weights):
    node = graph_of({"kind": "random_split", "weights": dict(zip("ab", weights, strict=True))}, "ab").nodes["it"]
    assert node.split == Split("bundle/it", dict(zip("ab", weights, strict=True)))


def test_an_arm_of_weight_zero_is_still_a_way():
    node = graph_of({"kind": "random_split", "weights": {"a": 1, "b": 0}, "force": {"qa": "b"}, "split_key": "k"}, "ab")
    assert node.nodes["it"].targets == ("a", "b")


def test_nodes_nest_freely():
    nodes = {
        "by-card": key_split(cases={"gold": "a"}, default="watch"),
        "watch": shadow_deploy(champion="ab", shadows=["c"]),
        "ab": random_split(weights={"inner": 1, "a": 1}),
        "inner": random_split(weights={"b": 1, "a": 2}),
    }
    graph = parse_graph("bundle", nodes, "by-card", MODELS)
    assert {*graph.under("by-card")} == {*nodes, *MODELS}
    assert {*graph.under("inner")} == {"inner", "a", "b"}
    assert graph.under("c") == ("c",)


def test_split_keys_are_the_fields_that_splits_draw_by_each_once():
    nodes = {
        "one": random_split(weights={"two": 1, "a": 1}, split_key="user"),
        "two": random_split(weights={"three": 1, "b": 1}, split_key="device"),
        "three": random_split(weights={"four": 1, "a": 1}, split_key="user"),
        "four": random_split(weights={"a": 1, "c": 1}),
    }
    assert parse_graph("bundle", nodes, "one", MODELS).split_keys == ("user", "device")


# What a graph may not be: each rule with its message, which begins with the node's name.

CYCLES = [
    ({"it": passing("it")}, "it", "it -> it"),
    ({"p": passing("q"), "q": passing("p")}, "p", "p -> q -> p"),
    (
        {
            "p": key_split(cases={"x": "q"}, default="a"),
            "q": shadow_deploy(champion="r", shadows=["b"]),
            "r": random_split(weights={"p": 1, "c": 1}),
        },
        "p",
        "p -> q -> r -> p",
    ),
    ({"it": random_split(weights={"a": 1, "it": 0})}, "it", "it -> it"),
    (
        {"in": passing("p"), "p": passing("q"), "q": key_split(default="p")},
        "in",
        "p -> q -> p",
    ),
]


def rotations(cycle):
    """Every way of writing a cycle down, since which of its nodes is named first does not matter."""
    names = cycle.split(" -> ")[:-1]
    return {" -> ".join([*names[i:], *names[: i + 1]]) for i in range(len(names))}


@pytest.mark.parametrize(("nodes", "route", "cycle"), CYCLES, ids=["self", "pair", "mixed", "zero-weight", "tail"])
def test_a_cycle_is_refused_and_shown(nodes, route, cycle):
    with pytest.raises(GraphError, match=r"^node '\w+': the graph has a cycle: ") as caught:
        parse_graph("bundle", nodes, route, MODELS)
    named, _, shown = str(caught.value).partition(": the graph has a cycle: ")
    assert shown in rotations(cycle)
    assert named == f"node {shown.split(' ')[0]!r}"


def test_a_cycle_through_every_node_that_is_allowed_is_refused():
    nodes = {f"n{i}": passing(f"n{(i + 1) % LIMITS.nodes_max}") for i in range(LIMITS.nodes_max)}
    with pytest.raises(GraphError, match="the graph has a cycle: "):
        parse_graph("bundle", nodes, "n0", [])


UNKNOWN = {
    "arm": random_split(weights={"a": 1, "b": 1, "c": 1, "nobody": 1}),
    "arm of weight zero": random_split(weights={"a": 1, "b": 1, "c": 1, "nobody": 0}),
    "case": key_split(cases={"gold": "nobody", "x": "a", "y": "b"}),
    "default": key_split(default="nobody"),
    "champion": shadow_deploy(champion="nobody"),
    "shadow": shadow_deploy(shadows=["b", "c", "nobody"]),
}


@pytest.mark.parametrize("node", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_name_is_refused_with_those_that_are_known(node):
    with pytest.raises(
        GraphError, match=r"^node 'it': 'nobody' is neither a node nor a model; known: 'a', 'b', 'c', 'it'$"
    ):
        graph_of(node)


def test_an_unknown_route_is_refused():
    with pytest.raises(GraphError, match=r"^route 'nobody' is neither a node nor a model; known: 'a', 'it'$"):
        parse_graph("bundle", {"it": passing("a")}, "nobody", ["a"])


def test_a_message_never_lists_hundreds_of_names():
    with pytest.raises(GraphError, match=r"known: 'it', 'm000', .* and 281 more$") as caught:
        parse_graph("bundle", {"it": passing("nobody")}, "it", [f"m{i:03}" for i in range(300)])
    assert len(str(caught.value)) < 500


def test_a_node_may_not_have_the_name_of_a_model():
    with pytest.raises(GraphError, match=r"^node 'a': a model has the same name$"):
        parse_graph("bundle", {"a": passing("b")}, "a", ["a", "b"])


@pytest.mark.parametrize(("models", "lost"), [("abc", "c"), ("ab", None)])
def test_a_model_that_no_way_leads_to_is_refused(models, lost):
    nodes = {"it": random_split(weights={"a": 1, "b": 1})}
    if lost is None:
        parse_graph("bundle", nodes, "it", models)
        return
    with pytest.raises(GraphError, match=r"^model 'c': no route leads here; use it or remove it$"):
        parse_graph("bundle", nodes, "it", models)


def test_a_node_that_no_way_leads_to_is_refused():
    with pytest.raises(GraphError, match=r"^node 'lost': no route leads here; use it or remove it$"):
        parse_graph("bundle", {"it": key_split(), "lost": passing("a")}, "it", MODELS)


def test_nodes_beside_a_route_that_is_a_model_are_not_reached():
    with pytest.raises(GraphError, match=r"^node 'it': no route leads here"):
        parse_graph("bundle", {"it": passing("a")}, "a", ["a"])


def test_a_node_cannot_be_watched():
    nodes = {"it": shadow_deploy(shadows=["b", "other"]), "other": passing("c")}
    with pytest.raises(GraphError, match=r"^node 'it': the shadow 'other' is a node; only a model can be watched$"):
        parse_graph("bundle", nodes, "it", MODELS)


@pytest.mark.parametrize("fields", [{"champion": "b"}, {"shadows": ["b", "c", "b"]}], ids=["itself", "twice"])
def test_a_model_is_watched_once_and_never_by_itself(fields):
    with pytest.raises(GraphError, match=r"^node 'it': a model is watched twice or watches itself"):
        graph_of(shadow_deploy(**fields))


WEIGHTS = {
    "all zero": ({"a": 0, "b": 0}, "every weight is zero"),
    "negative": ({"a": 1, "b": -1}, "arm 'b': the weight -1 is negative"),
    "negative zero sum": ({"a": 1, "b": -0.5}, "arm 'b': the weight -0.5 is negative"),
    "NaN": ({"a": 1, "b": float("nan")}, "arm 'b': the weight nan is not a finite number"),
    "infinite": ({"a": float("inf"), "b": 1}, "arm 'a': the weight inf is not a finite number"),
    "none": ({}, "weights are empty"),
    "text": ({"a": "1", "b": 1}, "arm 'a': a weight is an int, float, Fraction or Decimal, not str '1'"),
    "truth value": ({"a": True, "b": 1}, "arm 'a': a weight is .* not bool True"),
    "null": ({"a": None, "b": 1}, "arm 'a': a weight is .* not NoneType None"),
    "out of proportion": ({"a": 1, "b": Decimal("1e-9999")}, "arm 'b': "),
    "no name": ({"": 1, "b": 1}, "an arm's name is empty"),
    "name of another type": ({1: 1, "b": 1}, "an arm's name is a str, not int 1"),
    "surrogate": ({"\ud800": 1, "b": 1}, "lone surrogate"),
    "long name": ({"a" * 129: 1, "b": 1}, "an arm's name has at most 128 bytes"),
}


@pytest.mark.parametrize(("weights", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_make_no_split_are_refused(weights, message):
    with pytest.raises(GraphError, match=rf"^node 'it': .*{message}"):
        graph_of(random_split(weights=weights))


def test_ten_to_the_five_arms_are_refused_at_once():
    arms = {f"m{i}": 1 for i in range(10**5)}
    before = time.perf_counter()
    with pytest.raises(GraphError, match=r"^node 'it': a split has at most 1024 arms, but 100000 weights are given$"):
        graph_of({"kind": "random_split", "weights": arms}, [*arms])
    assert time.perf_counter() - before < 5


def field(kind, name, *values, missing=True):
    """Wrong values of one field; ``missing`` is whether it may not be left out."""
    gone = [pytest.param(kind, name, ..., id=f"{kind} without {name}")] if missing else []
    return gone + [pytest.param(kind, name, value, id=f"{kind} {name} #{i}") for i, value in enumerate(values)]


NOT_TEXT = ("", None, 1, True, ["a"], {})
NOT_SHARE = (-0.1, 1.1, -(10**400), 10**5000, float("nan"), float("inf"), "0.5", True, None, [0.5])


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *field("random_split", "weights", None, 1, "a", ["a", "b"]),
        *field("random_split", "salt", *NOT_TEXT, missing=False),
        *field("random_split", "control", "nobody", None, 0, ["a"], {}, missing=False),
        *field("random_split", "traffic", *NOT_SHARE, missing=False),
        *field("random_split", "split_key", "", 1, True, ["a"], missing=False),
        *field("random_split", "force", None, "a", ["a"], {"k": 1}, {"k": ""}, {1: "a"}, missing=False),
        *field("key_split", "field", *NOT_TEXT),
        *field("key_split", "cases", None, "a", ["a"], {"x": 1}, {"x": ""}, {1: "a"}, {"x": ["a"]}),
        *field("key_split", "default", *NOT_TEXT),
        *field("shadow_deploy", "champion", *NOT_TEXT),
        *field("shadow_deploy", "shadows", None, "b", [], [1], [""], {"b": 1}, [["b"]]),
        *field("shadow_deploy", "sample", *NOT_SHARE, missing=False),
        *field("shadow_deploy", "tolerance", -1, 10**400, float("nan"), float("inf"), "1", True, None, missing=False),
    ],
)
def test_a_field_of_a_wrong_value_is_refused_by_its_name(kind, name, value):
    node = KINDS[kind](split_key="user") if name == "force" else KINDS[kind]()
    node = {field: found for field, found in node.items() if field != name} | ({} if value is ... else {name: value})
    with pytest.raises(GraphError, match=rf"^node 'it': '{name}' (must be|is missing; expected) ") as caught:
        graph_of(node)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_is_refused(kind):
    with pytest.raises(GraphError, match=r"^node 'it': unknown field 'sticky'; known: kind, "):
        graph_of(KINDS[kind](sticky=True))


def test_a_field_of_another_kind_is_unknown():
    with pytest.raises(GraphError, match=r"^node 'it': unknown field 'traffic'"):
        graph_of(key_split(traffic=0.5))


@pytest.mark.parametrize("kind", ["", "random-split", "RANDOM_SPLIT", "model", 1, None, True, ["random_split"], {}])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(
        GraphError, match=r"^node 'it': 'kind' must be one of random_split, key_split, shadow_deploy, got "
    ):
        graph_of({"kind": kind})


def test_a_node_without_a_kind_is_refused():
    with pytest.raises(GraphError, match=r"^node 'it': 'kind' is missing"):
        graph_of({})


@pytest.mark.parametrize("node", [None, "champion", 1, [], ["kind"], True])
def test_a_node_that_is_no_table_is_refused(node):
    with pytest.raises(GraphError, match=r"^node 'it': must be a table of fields, got "):
        graph_of(node)


@pytest.mark.parametrize("nodes", [None, "it", [], [("it", {})], 1])
def test_nodes_that_are_no_table_are_refused(nodes):
    with pytest.raises(GraphError, match="the graph's nodes must be a table of node name to fields, got "):
        parse_graph("bundle", nodes, "a", ["a"])


@pytest.mark.parametrize("route", [None, 1, True, ["a"], {"a": 1}])
def test_a_route_that_is_no_text_is_refused(route):
    with pytest.raises(GraphError, match=r"^route .* must be the name of a node or model$"):
        parse_graph("bundle", {}, route, ["a"])


@pytest.mark.parametrize("name", ["", None, 1, True, ("it",), "\ud800", "n" * 129, "é" * 65])
def test_a_node_of_an_impossible_name_is_refused(name):
    with pytest.raises(GraphError, match=r"^node .*: .*name"):
        parse_graph("bundle", {name: passing("a")}, name if isinstance(name, str) else "a", ["a"])


def test_a_nodes_name_may_be_as_long_as_an_arms():
    name = "n" * LIMITS.arm_name_max_bytes
    parse_graph("bundle", {"it": random_split(weights={name: 1}), name: passing("a")}, "it", ["a"])


def test_force_needs_a_split_key():
    with pytest.raises(GraphError, match=r"^node 'it': 'force' needs a 'split_key'"):
        graph_of(random_split(force={"qa": "a"}))


def test_force_sends_only_to_arms():
    with pytest.raises(GraphError, match=r"^node 'it': 'force' sends key 'qa' to 'nobody', which is no arm; arms: "):
        graph_of(random_split(split_key="user", force={"qa": "nobody"}))


@pytest.mark.parametrize("key", ["\ud800", "k" * (LIMITS.key_max_bytes + 1)], ids=["surrogate", "too long"])
def test_a_forced_key_must_be_a_key(key):
    with pytest.raises(GraphError, match=r"^node 'it': 'force': "):
        graph_of(random_split(split_key="user", force={key: "a"}))


# Salts: no two purposes share one.


@pytest.mark.parametrize("purpose", ["traffic", "layer", "holdout", "shadow"])
def test_a_salt_may_not_end_like_that_of_another_purpose(purpose):
    message = rf"^node 'it': the salt '.*' ends with '/{purpose}', which stands for another purpose of a split"
    for salt in (f"ab/{purpose}", f"/{purpose}"):
        with pytest.raises(GraphError, match=message):
            graph_of(random_split(salt=salt))
        with pytest.raises(GraphError, match=message):
            graph_of({"kind": "random_split", "split": Split(salt, {"a": 1, "b": 1, "c": 1}).to_dict()})


@pytest.mark.parametrize("purpose", ["traffic", "layer", "holdout", "shadow"])
def test_a_random_split_may_not_bear_the_name_of_a_purpose_unless_it_has_a_salt(purpose):
    with pytest.raises(GraphError, match=rf"^node '{purpose}': the salt 'bundle/{purpose}' ends with "):
        parse_graph("bundle", {purpose: random_split()}, purpose, MODELS)
    parse_graph("bundle", {purpose: random_split(salt="mine")}, purpose, MODELS)


@pytest.mark.parametrize("name", ["traffic", "layer", "holdout", "shadow"])
def test_a_node_that_has_no_salt_may_bear_the_name_of_a_purpose(name):
    parse_graph("bundle", {name: shadow_deploy()}, name, MODELS)
    parse_graph("bundle", {name: key_split()}, name, MODELS)


@pytest.mark.parametrize("salt", ["traffic", "ab/traffic2", "ab/traffic/", "ab-shadow", "ab/Layer", "/traffic/x"])
def test_a_salt_that_only_resembles_a_purpose_is_fine(salt):
    assert graph_of(random_split(salt=salt)).nodes["it"].split.salt == salt


@pytest.mark.parametrize("other", ["shared", "bundle/one"])
def test_two_splits_may_not_share_a_salt(other):
    salt = {"salt": "shared"} if other == "shared" else {}
    nodes = {
        "one": random_split(weights={"a": 1, "two": 1}, **salt),
        "two": random_split(weights={"b": 1, "c": 1}, salt=other),
    }
    with pytest.raises(GraphError, match=rf"^node 'two': its salt '{other}' clashes with that of node 'one'"):
        parse_graph("bundle", nodes, "one", MODELS)


def test_a_salt_may_be_as_long_as_leaves_room_for_its_purposes():
    longest = LIMITS.salt_max_bytes - len("/traffic")
    graph = graph_of(random_split(salt="é" * (longest // 2), traffic=0.5))
    compile_graph("bundle", "1", graph)
    with pytest.raises(GraphError, match=r"^node 'it': the salt has 1017 bytes; with '/traffic' after it, "):
        graph_of(random_split(salt="s" * (longest + 1)))


# Limits.


def test_a_graph_has_at_most_so_many_nodes():
    assert len(parse_graph("bundle", chain(LIMITS.nodes_max, passing), "n0", ["a"]).nodes) == LIMITS.nodes_max
    with pytest.raises(GraphError, match=r"^the graph has 257 nodes; at most 256 are allowed$"):
        parse_graph("bundle", chain(LIMITS.nodes_max + 1, passing), "n0", ["a"])


def test_the_longest_chain_of_every_kind_can_be_laid_out():
    watching = {"kind": "shadow_deploy", "shadows": ["b"]}
    nodes = chain(LIMITS.nodes_max - LIMITS.watches_max, passing)
    last = f"n{len(nodes) - 1}"
    watchers = chain(LIMITS.watches_max, lambda target: {**watching, "champion": target.replace("n", "w")})
    nodes[last] = passing("w0")
    nodes |= {name.replace("n", "w"): node for name, node in watchers.items()}
    start, routes, watches = compile_graph("bundle", "1", parse_graph("bundle", nodes, "n0", ["a", "b"]))
    route = start(None, None, "epoch", 0)
    assert len(nodes) == LIMITS.nodes_max
    assert route.path == (*nodes, "a")
    assert [*routes] == [route]
    assert route.watches == watches


def layered(depth):
    """A graph of ``2^depth`` ways: each split leads to the next one by both arms of a pair."""
    nodes = {}
    for i in range(depth):
        target = f"s{i + 1}" if i + 1 < depth else "a"
        nodes |= {f"s{i}": key_split(cases={"x": f"l{i}"}, default=f"r{i}")}
        nodes |= {f"l{i}": passing(target), f"r{i}": passing(target)}
    return parse_graph("bundle", nodes, "s0", ["a"])


def test_a_graph_has_at_most_so_many_ways():
    assert len(compile_graph("bundle", "1", layered(12))[1]) == LIMITS.routes_max == 2**12
    with pytest.raises(GraphError, match=r"^node 's0': the graph has more than 4096 ways through it$"):
        compile_graph("bundle", "1", layered(13))


def test_a_graph_of_astronomically_many_ways_is_refused_at_once():
    before = time.perf_counter()
    with pytest.raises(GraphError, match="more than 4096 ways"):
        compile_graph("bundle", "1", layered(85))  # 2^85 ways in 255 nodes
    assert time.perf_counter() - before < 5


def test_the_densest_graph_is_checked_at_once():
    count = LIMITS.nodes_max
    nodes = {f"n{i}": passing("a") for i in range(count)}
    for i, node in enumerate(nodes.values()):
        node["cases"] = {str(j): f"n{j}" for j in range(i + 1, count)}
    before = time.perf_counter()
    graph = parse_graph("bundle", nodes, "n0", ["a"])
    assert check_signatures(graph, {"a": "any"}) == "any"
    assert time.perf_counter() - before < 5


def test_any_number_of_cases_may_lead_to_one_target():
    cases = {str(store): "ab"[store % 2] for store in range(2 * LIMITS.routes_max)}
    _, routes, _ = compile_graph("bundle", "1", graph_of(key_split(cases=cases)))
    assert sorted(route.model for route in routes) == ["a", "b", "c"]


def test_any_number_of_keys_may_be_forced():
    force = {f"qa-{i}": "abc"[i % 3] for i in range(2 * LIMITS.routes_max)}
    graph = graph_of(random_split(split_key="user", force=force))
    start, routes, _ = compile_graph("bundle", "1", graph)
    assert len(routes) < 16
    assert start("qa-4", None, "epoch", 0).model == "b"


@pytest.mark.parametrize(("models", "refused"), [(LIMITS.watches_max, False), (LIMITS.watches_max + 1, True)])
def test_a_call_is_watched_by_at_most_so_many_models(models, refused):
    shadows = [f"m{i}" for i in range(models)]
    graph = graph_of(shadow_deploy(shadows=shadows), ["a", *shadows])
    if not refused:
        assert len(compile_graph("bundle", "1", graph)[0].watches) == LIMITS.watches_max
        return
    with pytest.raises(GraphError, match=r"^node 'it': 17 models watch one call; at most 16$"):
        compile_graph("bundle", "1", graph)


# A graph that is written down reads back as itself.


def test_a_reweighted_split_keeps_its_ranges():
    split = Split("ab", {"a": 1, "b": 1}).reweight({"a": 1, "b": 1, "c": 1})
    assert split != Split("ab", {"a": 1, "b": 1, "c": 1})
    node = graph_of({"kind": "random_split", "split": split.to_dict()}).nodes["it"]
    again = graph_of(json.loads(json.dumps(node_to_dict(node)))).nodes["it"]
    assert node.split == again.split == split


def test_a_split_and_weights_exclude_each_other():
    split = Split("ab", {"a": 1, "b": 1, "c": 1}).to_dict()
    for field_name, value in (("weights", {"a": 1}), ("salt", "ab")):
        with pytest.raises(GraphError, match=rf"^node 'it': unknown field '{field_name}'"):
            graph_of({"kind": "random_split", "split": split, field_name: value})


@pytest.mark.parametrize("split", [None, {}, {"version": 2}, "ab", []])
def test_a_split_that_cannot_be_read_is_refused(split):
    with pytest.raises(GraphError, match=r"^node 'it': a split"):
        graph_of({"kind": "random_split", "split": split})


names = st.text("abcdefgh -_.日é", min_size=1, max_size=8)
shares = st.one_of(st.integers(0, 1), st.floats(0, 1))
weights = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6), st.fractions(0, 10, max_denominator=99))


@st.composite
def nodes_over_models(draw):
    """Any valid node whose targets are the models, in any of the forms that an author may write."""
    kind = draw(st.sampled_from([*KINDS]))
    if kind == "random_split":
        arms = draw(st.fixed_dictionaries(dict.fromkeys(MODELS, weights)).filter(lambda w: any(w.values())))
        node = {"kind": kind, "weights": arms}
        node |= draw(st.fixed_dictionaries({}, optional={"salt": names.filter(lambda s: "/" not in s)}))
        node |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "control": st.sampled_from(MODELS),
                    "traffic": shares,
                    "split_key": names,
                    "layer": st.fixed_dictionaries(
                        {
                            "name": names,
                            "from": st.sampled_from([0, 0.1, "1/3"]),
                            "to": st.sampled_from([1, 0.7, "5/7"]),
                        }
                    ),
                },
            )
        )
        if "split_key" in node:
            node |= draw(
                st.fixed_dictionaries(
                    {}, optional={"force": st.dictionaries(st.text("ab1\0é", max_size=5), st.sampled_from(MODELS))}
                )
            )
        return node
    if kind == "key_split":
        cases = draw(st.dictionaries(st.text(max_size=5), st.sampled_from(MODELS)))
        return {"kind": kind, "field": draw(names), "cases": {**cases, "p": "a", "q": "b"}, "default": "c"}
    node = {"kind": kind, "champion": "b", "shadows": draw(st.permutations(["a", "c"]))}
    return node | draw(st.fixed_dictionaries({}, optional={"sample": shares, "tolerance": st.floats(0, 1e9)}))


@given(nodes_over_models())
def test_every_node_reads_back_as_itself_after_json(node):
    parsed = graph_of(node).nodes["it"]
    again = graph_of(json.loads(json.dumps(node_to_dict(parsed), allow_nan=False))).nodes["it"]
    assert again == parsed
    assert node_to_dict(again) == node_to_dict(parsed)


rubbish = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(["a", "b", "it", "random_split", "key_split", "shadow_deploy", 10**400, "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from("ab"), st.text()), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = ["weights", "split", "salt", "control", "traffic", "split_key", "force", "layer", "field", "cases", "default"]


@given(
    st.dictionaries(
        st.sampled_from(["it", "b", "c"]),
        st.one_of(
            rubbish,
            st.dictionaries(st.sampled_from([*FIELDS, "champion", "shadows", "sample", "tolerance"]), rubbish).flatmap(
                lambda fields: st.sampled_from([*KINDS]).map(lambda kind: {**fields, "kind": kind})
            ),
        ),
    ),
    rubbish,
)
def test_rubbish_is_read_or_refused_as_a_wrong_graph(nodes, route):
    with suppress(GraphError):
        parse_graph("bundle", nodes, route, ["a"])
