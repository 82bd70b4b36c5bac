"""Layers and holdouts: exact slices, experiments that exclude each other, and keys that none of them gets."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import bundle
from edgerun.enrolment import (
    POINTS,
    Gate,
    Holdout,
    Layer,
    bound_of,
    enrolled_share,
    gates_of,
    holdout_document,
    holdout_gate,
    layer_document,
    layer_gate,
    parse_holdout,
    parse_layer,
)
from edgerun.errors import GraphError, InputError
from edgerun.graph import parse_graph
from edgerun.limits import LIMITS
from edgerun.routing import compile_graph, follow
from edgerun.split import Split
from support import models
from vectors.split import split_reference as reference

VECTORS = Path(__file__).parent / "vectors" / "split"
MODELS = ("m0", "m1", "m2", "m3")
USERS = [f"user-{i}" for i in range(20_000)]

# Upper 0.001 points of chi-square with 1 and 3 degrees of freedom, from the NIST/SEMATECH e-Handbook of Statistical
# Methods, table 1.3.6.7.4. The keys are fixed, so the outcome is too.
CHI_SQUARE_1_DF, CHI_SQUARE_3_DF = 10.828, 16.266


def ab(arms=("m0", "m1"), **fields):
    return {"kind": "random_split", "weights": dict.fromkeys(arms, 1), "split_key": "user", **fields}


def layer(start, end, name="search"):
    return {"name": name, "from": start, "to": end}


def decided(nodes, models_=MODELS, bundle_name="shop", holdout=None, route="n0"):
    start, routes, _ = compile_graph(bundle_name, "1", parse_graph(bundle_name, nodes, route, models_, holdout))

    def decide(key=None, meta=None, sequence=0):
        return follow(start, key, meta, "ee", sequence)

    decide.routes = routes
    return decide


CHAIN = {
    "n0": ab(("n1", "m1"), layer=layer(0, 0.5)),
    "n1": ab(("m0", "m2"), layer=layer(0.5, 1)),
}
"""Two experiments that exclude each other: the control of the first is the second."""


# The vectors, which an independent implementation made.


def share(text):
    """A share of the vectors as a bundle has it."""
    kind, _, value = text.partition(":")
    exact = Fraction(float.fromhex(value)) if kind == "float" else Fraction(value)
    return int(exact) if exact in {0, 1} else "{}/{}".format(*exact.as_integer_ratio())


def test_every_key_of_the_vectors_is_assigned_as_they_say():
    header, *lines = (VECTORS / "enrolment.tsv").read_text("utf-8").splitlines()
    assert len(lines) >= 1000
    seen = set()
    for line in lines:
        row = dict(zip(header.split("\t"), line.split("\t"), strict=True))
        weights = {name: int(weight[4:]) for name, _, weight in (w.partition("=") for w in row["weights"].split(";"))}
        node = {"kind": "random_split", "weights": weights, "salt": row["salt"], "split_key": "user"}
        node["traffic"] = float(Fraction(share(row["traffic"])))
        if row["layer"]:
            name, start, end = row["layer"].split(";")
            node["layer"] = layer(share(start), share(end), name)
        holdout = None
        if row["holdout"]:
            name, held = row["holdout"].split(";")
            holdout = {"name": name, "share": share(held), "split_key": "user"}
        route = decided({"n0": node}, tuple(weights), holdout=holdout)(row["key"])
        assert (route.assignment, route.arm or "") == (row["assignment"], row["arm"]), row
        seen.add(row["assignment"])
    assert seen == {"assigned", "holdout", "other_slice", "not_enrolled"}


# Bounds.


@given(st.one_of(st.floats(0, 1), st.fractions(0, 1), st.integers(0, 2**33).map(lambda n: Fraction(n, 2**33))))
def test_a_bound_is_the_width_of_a_split_of_those_within_and_those_without(share):
    widths = {
        range_.arm: range_.end - range_.start
        for range_ in Split("s", {"in": Fraction(share), "out": 1 - Fraction(share)}).ranges
    }
    assert bound_of(share) == widths.get("in", 0) == reference.enrolled_width(share)


@given(st.lists(st.fractions(0, 1), max_size=9, unique=True), st.integers(0, POINTS - 1))
def test_slices_that_meet_leave_no_point_out_and_share_none(cuts, point):
    gates = [layer_gate(Layer("l", start, end)) for start, end in pairwise(sorted({0, *cuts, 1}))]
    assert sum(gate.passes(point) for gate in gates) == 1
    assert sum(gate.end - gate.start for gate in gates) == POINTS


@given(st.fractions(0, 1), st.fractions(0, 1))
def test_who_is_held_out_stays_so_when_the_share_is_raised(one, other):
    small, large = sorted([one, other])
    assert holdout_gate(Holdout("h", small, "user")).start <= holdout_gate(Holdout("h", large, "user")).start


@given(st.integers(0, POINTS - 1), st.integers(1, POINTS), st.text(max_size=9))
def test_a_gate_as_a_split_lets_through_whom_the_gate_lets_through(start, width, key):
    gate = Gate("s", start, min(start + width, POINTS), "other_slice")
    assert (gate.as_split().assign(key) == "in") == gate.passes(reference.point_of("s", key))


@given(st.fractions(0, 1), st.fractions(0, 1), st.text("ab/é", min_size=1, max_size=9))
def test_layers_and_holdouts_read_back_as_themselves_after_json(one, other, name):
    start, end = sorted([one, other])
    holdout = Holdout(name, one, "user")
    assert parse_holdout(json.loads(json.dumps(holdout_document(holdout)))) == holdout
    if bound_of(start) < bound_of(end):
        found = Layer(name, start, end)
        assert parse_layer(json.loads(json.dumps(layer_document(found)))) == found


def test_a_third_is_written_as_a_third():
    assert layer_document(parse_layer(layer("1/3", 0.5))) == layer("1/3", 0.5)


# Exclusion and independence.


def chi_square(table):
    total = sum(map(sum, table))
    columns = [sum(column) for column in zip(*table, strict=True)]
    due = [[sum(row) * column / total for column in columns] for row in table]
    return sum((n - d) ** 2 / d for row, dues in zip(table, due, strict=True) for n, d in zip(row, dues, strict=True))


def crossed(one, other, arms=("m0", "m1")):
    found = [(one(user).arm, other(user).arm) for user in USERS]
    return [[found.count((mine, theirs)) for theirs in arms] for mine in arms]


def test_two_experiments_of_one_layer_never_share_a_unit_and_miss_none_between_them():
    one = decided({"n0": ab(layer=layer(0, "1/3"))}, MODELS[:2])
    other = decided({"n0": ab(layer=layer("1/3", 1))}, MODELS[:2], "another-bundle")
    found = [(one(user).assignment, other(user).assignment) for user in USERS]
    assert {*found} == {("assigned", "other_slice"), ("other_slice", "assigned")}
    in_one = found.count(("assigned", "other_slice"))
    assert chi_square([[in_one, len(USERS) - in_one], [10**9, 2 * 10**9]]) < CHI_SQUARE_1_DF


def test_two_experiments_of_one_bundle_that_exclude_each_other_both_have_all_their_arms():
    decide = decided(CHAIN, MODELS[:3])
    found = [decide(user) for user in USERS]
    counts = [sum(route.arm == arm for route in found) for arm in ("n1", "m1", "m0", "m2")]
    assert sum(counts) == len(USERS)
    assert sum((n - 5_000) ** 2 / 5_000 for n in counts) < CHI_SQUARE_3_DF
    assert {route.path for route in found if route.arm == "n1"} == {("n0", "n1", "m0")}


def test_the_arms_of_two_layers_are_independent_and_so_is_who_is_in_them():
    halves = [decided({"n0": ab(salt=name, layer=layer(0, 0.5, name))}, MODELS[:2]) for name in ("search", "ads")]
    assert chi_square(crossed(*halves)) < CHI_SQUARE_1_DF
    assert chi_square(crossed(*halves, ("m0", None))) < CHI_SQUARE_1_DF


def test_layer_traffic_arm_and_holdout_of_one_experiment_are_independent():
    slice_, traffic = decided({"n0": ab(layer=layer(0, 0.5))}, MODELS[:2]), decided({"n0": ab(traffic=0.5)}, MODELS[:2])
    plain = decided({"n0": ab()}, MODELS[:2])
    held = decided({"n0": ab()}, MODELS[:2], holdout={"name": "search", "share": 0.5, "split_key": "user"})
    enrolled = ("assigned", "other_slice", "not_enrolled", "holdout")
    for one, other in ((slice_, traffic), (slice_, held), (traffic, held)):
        found = [(one(user).assignment, other(user).assignment) for user in USERS]
        table = [[found.count((mine, theirs)) for theirs in enrolled] for mine in enrolled]
        table = [[n for n in row if n] for row in table if any(row)]
        assert chi_square(table) < CHI_SQUARE_1_DF
    for one in (slice_, traffic, held):
        found = [(one(user).assignment == "assigned", plain(user).arm) for user in USERS]
        assert chi_square([[found.count((e, arm)) for arm in ("m0", "m1")] for e in (True, False)]) < CHI_SQUARE_1_DF


def test_a_key_that_is_enrolled_has_the_arm_that_it_has_without_a_layer():
    inside, plain = decided({"n0": ab(layer=layer(0.2, 0.7))}, MODELS[:2]), decided({"n0": ab()}, MODELS[:2])
    for user in USERS[:2_000]:
        assert inside(user).arm in {None, plain(user).arm}


def test_requests_are_dealt_to_slices_by_their_ids():
    node = {"kind": "random_split", "weights": {"m0": 1, "m1": 1}, "salt": "r", "layer": layer(0, 0.25)}
    decide = decided({"n0": node}, MODELS[:2])
    for sequence in range(500):
        is_in = reference.point_of("search/layer", f"ee-{sequence}") < POINTS // 4
        assert decide(sequence=sequence).assignment == ("assigned" if is_in else "other_slice")


# What comes first.


def test_force_comes_before_holdout_and_layer_and_is_never_counted():
    none = {"traffic": 0, "layer": layer(0, 2**-32)}
    decide = decided({"n0": ab(force={"qa": "m1"}, **none)}, MODELS[:2])
    held = decided({"n0": ab(force={"qa": "m1"})}, MODELS[:2], holdout={"name": "h", "share": 1, "split_key": "user"})
    for route in (decide("qa"), held("qa"), held(None, {"user": "qa"})):
        assert (route.model, route.arm, route.assignment, route.control.model) == ("m1", None, "forced", "m0")
    assert (held("other").assignment, decide("other").assignment) == ("holdout", "other_slice")


def test_the_layer_comes_before_the_traffic():
    decide = decided({"n0": ab(traffic=0, layer=layer(0, 0.5))}, MODELS[:2])
    found = {user: decide(user).assignment for user in USERS[:500]}
    for user, assignment in found.items():
        is_in = reference.point_of("search/layer", user) < POINTS // 2
        assert assignment == ("not_enrolled" if is_in else "other_slice")


@pytest.mark.parametrize("unit", ["x" * (LIMITS.key_max_bytes + 1), True, 1.5, "\ud800"], ids=str)
@pytest.mark.parametrize("holdout", [None, {"name": "h", "share": 0.5, "split_key": "user"}], ids=["layer", "holdout"])
def test_what_is_no_key_is_refused_before_anybody_is_enrolled(unit, holdout):
    decide = decided({"n0": ab(layer=layer(0, 0.5))}, MODELS[:2], holdout=holdout)
    for key, meta in ((unit, None), (None, {"user": unit})):
        with pytest.raises(InputError, match="key"):
            decide(key, meta)


# Holdouts.

HELD = {"name": "2026-h2", "share": 0.2, "split_key": "user"}
MANY = {
    "n0": {"kind": "key_split", "field": "card", "cases": {"gold": "n1", "black": "n2"}, "default": "n3"},
    "n1": ab(("m0", "m1"), force={"qa": "m1"}),
    "n2": {"kind": "random_split", "weights": {"m0": 1, "n4": 1}},
    "n3": {"kind": "shadow_deploy", "champion": "n4", "shadows": ["m3"]},
    "n4": ab(("m0", "m2"), layer=layer(0, 0.5), traffic=0.5),
}


def is_held(user):
    return reference.point_of("2026-h2/holdout", user) < reference.enrolled_width(0.2)


def test_who_is_held_out_gets_the_control_of_every_node_and_the_same_keys_are_in_every_bundle():
    many = decided(MANY, holdout=HELD)
    other = decided({"n0": ab(layer=layer(0.5, 1))}, MODELS[:2], "another-bundle", HELD)
    for number, user in enumerate(USERS[:2_000]):
        found = [many(None, {"user": user, "card": card}, number) for card in ("gold", "black", "other")]
        for route in (*found, other(user)):
            assert (route.assignment == "holdout") == is_held(user)
            if is_held(user):
                assert (route.model, route.arm, route.control, route.unit) == ("m0", None, None, "user")
        assert [watch.model for watch in found[2].watches] == ["m3"]


def test_a_call_that_does_not_say_who_it_is_of_is_enrolled_nowhere():
    many = decided(MANY, holdout=HELD)
    for card in ("gold", "black", "other"):
        routes = {many(None, {"card": card}, number) for number in range(50)}
        assert {(route.model, route.arm, route.assignment) for route in routes} == {("m0", None, "unassigned")}


def test_a_request_split_is_held_out_by_the_key_of_the_holdout():
    node = {"kind": "random_split", "weights": {"m0": 1, "m1": 1}}
    decide = decided({"n0": node}, MODELS[:2], holdout=HELD)
    for user in USERS[:300]:
        assert {decide(user, None, i).assignment for i in range(5)} == {"holdout" if is_held(user) else "assigned"}
        assert decide(user).unit == "user"


def test_a_way_without_a_random_split_says_nothing_of_a_holdout():
    nodes = {"n0": {"kind": "key_split", "field": "card", "cases": {"gold": "n1"}, "default": "m2"}, "n1": ab()}
    decide = decided(nodes, MODELS[:3], holdout={**HELD, "share": 1})
    assert decide(None, {"user": "a", "card": "other"}).assignment is None
    assert decide(None, {"user": "a", "card": "gold"}).assignment == "holdout"


def test_a_deep_graph_with_a_holdout_has_few_ways_more():
    nodes = {
        f"n{i}": {"kind": "random_split", "weights": {f"n{i + 1}" if i < 7 else "m0": 1, "m1": 1}} for i in range(8)
    }
    plain, held = decided(nodes, MODELS[:2]), decided(nodes, MODELS[:2], holdout=HELD)
    assert len(held.routes) == len(plain.routes) + 2


# What is told of them.


def test_the_gates_of_a_node_are_those_that_stop_anybody_in_the_order_in_which_they_are_asked():
    node = parse_graph("b", {"n": ab(traffic=0.5, layer=layer(0, "1/3"))}, "n", MODELS[:2]).nodes["n"]
    holdout = parse_holdout(HELD)
    assert gates_of(node, holdout) == (
        Gate("2026-h2/holdout", bound_of(0.2), POINTS, "holdout"),
        Gate("search/layer", 0, 1431655765, "other_slice"),
        Gate("b/n/traffic", 0, POINTS // 2, "not_enrolled"),
    )
    assert gates_of(node, holdout._replace(split_key="device")) == gates_of(node)
    shares = (1 - Fraction(bound_of(0.2), POINTS)) * Fraction(1431655765, POINTS) / 2
    assert enrolled_share(node, holdout) == enrolled_share(node, holdout._replace(split_key="device")) == shares
    plain = node._replace(layer=None, traffic=1.0)
    assert (gates_of(plain), enrolled_share(plain)) == ((), 1)


# What is refused.


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("search", "'layer' must be a table of name, from, to, got 'search'"),
        ({"name": "l", "from": 0}, "'layer': 'to' is missing"),
        ({**layer(0, 1), "share": 1}, "'layer': unknown field 'share'; known: name, from, to"),
        (layer(0, 1, ""), "'layer': 'name' must be a text"),
        (layer(0, 1, 7), "'layer': 'name' must be a text"),
        (layer(0, 1, "\ud800"), "'layer': the name '\\ud800' has a lone surrogate"),
        (layer(0, 1, "é" * 65), "'layer': the name has 130 bytes; at most 128"),
        (layer(-0.1, 1), "'layer': 'from' must be a share from 0 to 1"),
        (layer(0, 1.5), "'layer': 'to' must be a share from 0 to 1"),
        (layer(True, 1), "'layer': 'from' must be a share"),
        (layer(float("nan"), 1), "'layer': 'from' must be a share"),
        (layer("1/0", 1), "'layer': 'from' must be a share"),
        (layer("3/2", 1), "'layer': 'from' must be a share"),
        (layer("0.5", 1), "'layer': 'from' must be a share"),
        (layer(0.5, 0.5), "'layer': no key lies in the slice from 0.5 to 0.5"),
        (layer(0.7, 0.5), "'layer': no key lies in the slice"),
        (layer(0.5, 0.5 + 2**-40), "'layer': no key lies in the slice"),
    ],
)
def test_a_slice_that_is_none_is_refused_with_the_nodes_name(value, words):
    with pytest.raises(GraphError) as caught:
        decided({"n0": ab(layer=value)}, MODELS[:2])
    assert str(caught.value).startswith(f"node 'n0': {words}")


def test_a_layers_name_may_have_as_many_bytes_as_an_arms():
    decided({"n0": ab(layer=layer(0, 1, "é" * (LIMITS.arm_name_max_bytes // 2)))}, MODELS[:2])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.05, "'holdout' must be a table of name, share, split_key"),
        ({"name": "h", "share": 0.1}, "'holdout': 'split_key' is missing"),
        ({**HELD, "from": 0}, "'holdout': unknown field 'from'"),
        ({**HELD, "share": 2}, "'holdout': 'share' must be a share from 0 to 1"),
        ({**HELD, "split_key": ""}, "'holdout': 'split_key' must be the name of a meta field"),
        ({**HELD, "name": None}, "'holdout': 'name' must be a text"),
    ],
)
def test_a_holdout_that_is_none_is_refused(value, words):
    with pytest.raises(GraphError) as caught:
        decided({"n0": ab()}, MODELS[:2], holdout=value)
    assert str(caught.value).startswith(words)


def test_a_holdout_of_a_graph_that_draws_nothing_is_refused():
    with pytest.raises(GraphError, match="'holdout': the graph has no random_split"):
        decided({}, MODELS[:1], holdout=HELD, route="m0")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (layer(0, 0.5), layer(0.4, 1), "its slice of the layer 'search' overlaps that of node 'n0'"),
        (layer(0, 0.5), layer(0, 0.25), "its slice of the layer 'search' overlaps that of node 'n0'"),
        (layer(0, 0.5), layer(0, 0.5), None),
        (layer(0, 0.5), layer(0.5, 1), None),
        (layer(0, "1/3"), layer("1/3", 1), None),
        (layer(0, 0.5), layer(0.4, 1, "ads"), None),
    ],
)
def test_slices_of_one_layer_that_overlap_are_refused_unless_they_are_the_same(one, other, words):
    nodes = {"n0": ab(("n1", "m0"), layer=one), "n1": ab(("m0", "m1"), layer=other)}
    if words is None:
        decided(nodes, MODELS[:2])
        return
    with pytest.raises(GraphError) as caught:
        decided(nodes, MODELS[:2])
    assert str(caught.value).startswith(f"node 'n1': {words}")


def test_slices_that_draw_by_different_keys_are_refused():
    nodes = {"n0": ab(("n1", "m0"), layer=layer(0, 0.5)), "n1": ab(layer=layer(0.5, 1), split_key="device")}
    with pytest.raises(GraphError, match=r"^node 'n1': .* is drawn by 'device' and that of node 'n0' by 'user'"):
        decided(nodes, MODELS[:2])


# In a bundle, and in a log.


def test_a_bundle_keeps_its_layers_and_its_holdout(tmp_path):
    paths = {}
    for name in ("m0", "m1"):
        paths[name] = tmp_path / f"{name}.onnx"
        paths[name].write_bytes(models.steady(2))
    nodes = {"n0": ab(layer=layer("1/3", 0.5))}
    common = {"name": "shop", "models": paths, "route": "n0", "nodes": nodes}
    written = bundle.write(tmp_path / "one", version="1", holdout=HELD, **common)
    assert bundle.read(tmp_path / "one").graph == written.graph
    assert written.graph.holdout == Holdout("2026-h2", Fraction(0.2), "user")
    document = json.loads((tmp_path / "one" / "bundle.json").read_text())
    assert (document["holdout"], document["nodes"]["n0"]["layer"]) == (HELD, layer("1/3", 0.5))
    bundle.write(tmp_path / "two", version="1", **common)
    assert "holdout" not in json.loads((tmp_path / "two" / "bundle.json").read_text())
