"""Every call takes the way that DESIGN section 4 and native/SPLIT.md give it, as a second implementation says."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.errors import GraphError, InputError
from edgerun.graph import node_to_dict, parse_graph
from edgerun.limits import LIMITS
from edgerun.routing import compile_graph, event_id, follow, in_share
from edgerun.split import Split
from vectors.split import split_reference as reference

EPOCH = "00c0ffee00c0ffee"

# Upper 0.001 points of chi-square with 1, 2 and 5 degrees of freedom, from the NIST/SEMATECH e-Handbook of
# Statistical Methods, table 1.3.6.7.4. The keys are fixed, so the outcome is too.
CHI_SQUARE_1_DF, CHI_SQUARE_2_DF, CHI_SQUARE_5_DF = 10.828, 13.816, 20.515


# A graph, walked a second time: over its plain data, with the reference implementation of the split.


@dataclass
class Way:
    """What one call is to be, and which models are to watch it."""

    model: str
    path: tuple[str, ...]
    arm: str | None
    assignment: str | None
    control: Way | None
    watches: list[tuple[str, str]]


@dataclass
class Walk:
    """A call on its way through the nodes of a bundle."""

    bundle: str
    nodes: dict[str, Any]
    key: Any
    meta: dict[str, Any]
    event: str
    holdout: dict[str, Any] | None = None

    def to(self, name, so_far=None):
        """Go on to a node or model."""
        way = so_far or Way("", (), None, None, None, [])
        way = Way(name, (*way.path, name), way.arm, way.assignment, way.control, way.watches)
        if name not in self.nodes:
            while way.control is not None and way.control.model == name:  # a model cannot stand in for itself
                way.control = way.control.control
            way.watches = [(node, model) for node, model in way.watches if model != name]
            return way
        node = self.nodes[name]
        return {"random_split": self.draw, "key_split": self.pick, "shadow_deploy": self.watch}[node["kind"]](
            name, node, way
        )

    def draw(self, name, node, way):
        unit, outer = self.unit(node), replace(way)
        control = node.get("control", next(iter(self.arms(node))))
        if (held := self.held()) is not None:
            return self.draw_held(node, way, control, held)
        if unit is None:
            arm, way.arm, way.assignment = control, None, "unassigned"
        elif (forced := self.forced(node, unit)) is not None:
            arm, way.arm, way.assignment = forced, None, "forced"
        elif not self.in_slice(node, unit):
            arm = control
            if way.assignment not in {"assigned", "forced"}:
                way.arm, way.assignment = None, "other_slice"
        elif not self.enrolled(name, node, unit):
            arm, way.arm, way.assignment = control, None, "not_enrolled"
        else:
            arm = reference.arm_of(self.ranges(node), reference.point_of(self.salt(name, node), unit))
            way.arm, way.assignment = arm, "assigned"
        if arm != control:
            way.control = self.to(control, outer)
        return self.to(arm, way)

    def held(self):
        """Why nothing enrols this call; None where something may."""
        if self.holdout is None:
            return None
        unit = self.unit(self.holdout)
        if unit is None:
            return "unassigned"
        return (
            None if reference.lets_through("holdout", self.holdout["name"], unit, self.holdout["share"]) else "holdout"
        )

    def draw_held(self, node, way, control, why):
        unit = self.unit(node) if "split_key" in node else None
        arm = None if unit is None else self.forced(node, unit)
        outer = replace(way)
        way.arm, way.assignment = None, "forced" if arm or way.assignment == "forced" else why
        if arm not in {None, control}:
            way.control = self.to(control, outer)
        return self.to(arm or control, way)

    def in_slice(self, node, unit):
        layer = node.get("layer")
        return layer is None or reference.lets_through("layer", layer["name"], unit, layer["from"], layer["to"])

    def unit(self, node):
        field = node.get("split_key")
        if field is None:
            return self.event
        return self.key if self.meta.get(field) is None else self.meta[field]

    def forced(self, node, unit):
        matches = [
            arm for key, arm in node.get("force", {}).items() if reference.key_bytes(key) == reference.key_bytes(unit)
        ]
        return matches[0] if matches else None

    def enrolled(self, name, node, unit):
        point = reference.point_of(self.salt(name, node) + "/traffic", unit)
        return point < reference.enrolled_width(node.get("traffic", 1))

    def arms(self, node):
        return node["split"]["weights"] if "split" in node else node["weights"]

    def ranges(self, node):
        if "split" not in node:
            return reference.first_ranges(node["weights"])
        starts = [start for start, _ in node["split"]["ranges"]]
        arms = [arm for _, arm in node["split"]["ranges"]]
        return [*zip(starts, [*starts[1:], reference.POINTS], arms, strict=True)]

    def salt(self, name, node):
        return node["split"]["salt"] if "split" in node else node.get("salt", f"{self.bundle}/{name}")

    def pick(self, name, node, way):
        value = self.meta.get(node["field"])
        return self.to(node["default"] if value is None else node["cases"].get(str(value), node["default"]), way)

    def watch(self, name, node, way):
        way.watches = [*way.watches, *((name, model) for model in node["shadows"])]
        return self.to(node["champion"], way)


MODELS = ("m0", "m1", "m2", "m3")
KEYS = st.one_of(
    st.none(), st.integers(), st.text(max_size=6), st.binary(max_size=6), st.sampled_from(["qa", 7, b"qa"])
)
WEIGHTS = st.one_of(st.integers(0, 9), st.floats(0, 9), st.fractions(0, 9, max_denominator=9))
SHARES = st.one_of(st.just(1), st.floats(0, 1))
CUTS = (0, 0.25, 0.5, 0.8, 1)
HOLDOUTS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"name": st.sampled_from(["2026-h2", "ever"]), "share": SHARES, "split_key": st.sampled_from(["user", "card"])}
    ),
)


@st.composite
def random_splits(draw, targets):
    arms = draw(st.lists(st.sampled_from(targets), min_size=1, max_size=4, unique=True))
    weights = draw(st.fixed_dictionaries(dict.fromkeys(arms, WEIGHTS)).filter(lambda found: any(found.values())))
    node = {"kind": "random_split", "weights": weights}
    if draw(st.booleans()):
        new = draw(st.fixed_dictionaries(dict.fromkeys(arms, st.integers(1, 9))))
        ranges = reference.reweighted(reference.first_ranges(weights), new)
        salt = draw(st.text("xyz", min_size=3, max_size=9))
        starts = [[start, arm] for start, _, arm in ranges]
        node = {
            "kind": "random_split",
            "split": {"version": 1, "salt": salt, "weights": new, "ranges": starts},
        }
    if draw(st.booleans()):
        node["control"] = draw(st.sampled_from(arms))
    if draw(st.booleans()):
        node["traffic"] = draw(SHARES)
    if draw(st.integers(0, 2)):
        node["split_key"] = "user"
        if draw(st.booleans()):
            node["force"] = draw(st.dictionaries(st.sampled_from(["qa", "7", ""]), st.sampled_from(arms)))
        if draw(st.booleans()):
            start = draw(st.integers(0, len(CUTS) - 2))
            node["layer"] = {"name": "ranking", "from": CUTS[start], "to": CUTS[start + 1]}
    elif draw(st.booleans()):
        node["layer"] = {"name": "by request", "from": 0.25, "to": 1}
    return node


@st.composite
def key_splits(draw, targets):
    return {
        "kind": "key_split",
        "field": "card",
        "cases": draw(
            st.dictionaries(st.sampled_from(["qa", "7", "-1", "gold", ""]), st.sampled_from(targets), max_size=3)
        ),
        "default": draw(st.sampled_from(targets)),
    }


@st.composite
def shadow_deploys(draw, targets):
    champion = draw(st.sampled_from(targets))
    watchable = [name for name in targets if name in MODELS and name != champion]
    return {
        "kind": "shadow_deploy",
        "champion": champion,
        "shadows": draw(st.lists(st.sampled_from(watchable), min_size=1, max_size=2, unique=True)),
        "sample": draw(SHARES),
        "tolerance": draw(st.floats(0, 1)),
    }


def targets_of(node):
    match node["kind"]:
        case "random_split":
            return [*(node["split"]["weights"] if "split" in node else node["weights"])]
        case "key_split":
            return [*node["cases"].values(), node["default"]]
        case _:
            return [node["champion"], *node["shadows"]]


@st.composite
def graphs(draw):
    """The nodes and models of a valid graph, its first node the route."""
    names = [f"n{i}" for i in range(draw(st.integers(1, 5)))]
    nodes = {}
    for i, name in enumerate(names):
        kind = draw(st.sampled_from([random_splits, key_splits, shadow_deploys]))
        nodes[name] = draw(kind([*names[i + 1 :], *MODELS]))
    reached, waiting = set(), ["n0"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += targets_of(nodes[name]) if name in nodes else []
    salts = [node["split"]["salt"] for node in nodes.values() if "split" in node]
    if len({*salts}) < len(salts):
        for i, node in enumerate(nodes.values()):
            if "split" in node:
                node["split"]["salt"] += str(i)
    return {name: node for name, node in nodes.items() if name in reached}, [m for m in MODELS if m in reached]


CARDS_DRAWN = st.one_of(st.none(), st.integers(-2, 8), st.text(max_size=2), st.sampled_from(["qa", "7", "-1", "gold"]))
metas = st.fixed_dictionaries({}, optional={"user": KEYS, "card": CARDS_DRAWN})
calls = st.tuples(KEYS, st.one_of(st.none(), metas), st.integers(0, 2**40))


def compiled(nodes, route="n0", models=MODELS, bundle="bundle", holdout=None):
    graph = parse_graph(bundle, nodes, route, models, holdout)
    start, routes, watches = compile_graph(bundle, "1.2.3", graph)
    return (lambda key=None, meta=None, sequence=0: follow(start, key, meta, EPOCH, sequence)), routes, watches


def standby(route, *call):
    """The model that stands in for the one of a route; None where it is the only one."""
    control = route.control
    while control is not None:
        found = follow(control, *call[:2], EPOCH, call[2])
        if found.model != route.model:
            return found.model
        control = found.control
    return None


@settings(max_examples=300)
@given(graphs(), st.lists(calls, min_size=1, max_size=20), HOLDOUTS)
def test_every_call_takes_the_way_that_the_reference_walks(graph, some_calls, holdout):
    nodes, models = graph
    if not any(node["kind"] == "random_split" for node in nodes.values()):
        holdout = None
    decide, routes, watches = compiled(nodes, models=models, holdout=holdout)
    fields = {node.get("split_key") for node in [*nodes.values(), holdout or {}]} - {None}
    if len(fields) > 1:  # a bare key would be ambiguous
        some_calls = [(None, {**({} if k is None else {"user": k}), **(meta or {})}, i) for k, meta, i in some_calls]
    for key, meta, sequence in some_calls:
        route = decide(key, meta, sequence)
        way = Walk("bundle", nodes, key, meta or {}, f"{EPOCH}-{sequence}", holdout).to("n0")
        assert (route.model, route.path, route.arm, route.assignment) == (way.model, way.path, way.arm, way.assignment)
        assert [(watch.node, watch.model) for watch in route.watches] == way.watches
        assert standby(route, key, meta, sequence) == (way.control and way.control.model)
        assert route.version == "1.2.3"
        assert route in routes
        assert all(watches[watch.slot] is watch for watch in route.watches)


@given(graphs(), calls)
def test_a_graph_that_was_written_down_decides_alike(graph, call):
    nodes, models = graph
    parsed = parse_graph("bundle", nodes, "n0", models)
    written = json.loads(json.dumps({name: node_to_dict(node) for name, node in parsed.nodes.items()}))
    before, after = compiled(nodes, models=models)[0](*call), compiled(written, models=models)[0](*call)
    assert before._replace(control=None, watches=()) == after._replace(control=None, watches=())
    assert [watch._replace(sample=None) for watch in before.watches] == [
        watch._replace(sample=None) for watch in after.watches
    ]


@given(graphs(), calls)
def test_deciding_is_pure(graph, call):
    decide, _, _ = compiled(graph[0], models=graph[1])
    meta = None if call[1] is None else dict(call[1])
    first = decide(*call)
    assert decide(*call) is first
    assert call[1] == meta


# Random splits.

AB = {"kind": "random_split", "weights": {"m0": 80, "m1": 15, "m2": 5}, "split_key": "user"}


def ab(**fields):
    return compiled({"n0": {**AB, **fields}}, models=("m0", "m1", "m2"))[0]


def chi_square(observed, expected):
    return sum((found - due) ** 2 / due for found, due in zip(observed, expected, strict=True))


def counted(found, names):
    found = [*found]
    return [found.count(name) for name in names]


def test_arms_get_their_shares_of_keys():
    decide = ab(weights={"m0": 80, "m1": 15, "m2": 5})
    found = counted((decide(f"user-{i}").arm for i in range(20_000)), ["m0", "m1", "m2"])
    assert chi_square(found, [16_000, 3_000, 1_000]) < CHI_SQUARE_2_DF


def test_arms_get_their_shares_of_requests():
    decide = compiled({"n0": {"kind": "random_split", "weights": {"m0": 1, "m1": 3}}}, models=("m0", "m1"))[0]
    found = counted((decide(sequence=i).arm for i in range(20_000)), ["m0", "m1"])
    assert chi_square(found, [5_000, 15_000]) < CHI_SQUARE_1_DF


def test_a_key_keeps_its_arm_and_a_request_does_not():
    sticky = ab()
    assert len({sticky("user-7", None, i).arm for i in range(100)}) == 1
    by_request = compiled({"n0": {"kind": "random_split", "weights": {"m0": 1, "m1": 1}}}, models=("m0", "m1"))[0]
    assert len({by_request("user-7", {"user": "user-7"}, i).arm for i in range(100)}) == 2


@pytest.mark.parametrize("traffic", [1, 0.5])
def test_the_arm_of_a_request_can_be_replayed_from_its_events_id(traffic):
    node = {"kind": "random_split", "weights": {"m0": 1, "m1": 1}, "salt": "replay", "traffic": traffic}
    decide = compiled({"n0": node}, models=("m0", "m1"))[0]
    split = Split("replay", {"m0": 1, "m1": 1})
    for sequence in range(500):
        route, event = decide(sequence=sequence), event_id(EPOCH, sequence)
        assert event == f"{EPOCH}-{sequence}"
        if reference.point_of("replay/traffic", event) < reference.enrolled_width(traffic):
            assert (route.arm, route.assignment) == (split.assign(event), "assigned")
        else:
            assert (route.arm, route.assignment, route.model) == (None, "not_enrolled", "m0")


def test_another_stream_draws_anew():
    start, _, _ = compile_graph(
        "b", "1", parse_graph("b", {"n0": {"kind": "random_split", "weights": {"m0": 1, "m1": 1}}}, "n0", MODELS[:2])
    )
    arms = [[start(None, None, epoch, i).arm for i in range(64)] for epoch in ("aa", "bb")]
    assert arms[0] != arms[1]


@pytest.mark.parametrize("unit", ["42", 42, b"42", np.int64(42), np.uint8(42)], ids=["str", "int", "bytes", "i8", "u1"])
def test_one_unit_in_every_spelling_has_one_arm(unit):
    assert ab(salt="s")(unit).arm == reference.arm_of(
        reference.first_ranges(AB["weights"]), reference.point_of("s", "42")
    )
    assert ab()(None, {"user": unit}) == ab()("42")


@pytest.mark.parametrize(
    "unit",
    ["", "x" * LIMITS.key_max_bytes, b"", 0, -1, 10**4299],
    ids=["empty", "longest", "no bytes", "zero", "negative", "huge"],
)
def test_the_shortest_and_the_longest_key_have_an_arm(unit):
    assert ab()(unit).assignment == "assigned"


ODD_KEYS = {
    "bool": True,
    "numpy bool": np.True_,
    "float": 1.5,
    "NaN": float("nan"),
    "list": ["user"],
    "tuple": ("user",),
    "dict": {},
    "bytearray": bytearray(b"user"),
    "surrogate": "\ud800",
    "too long": "x" * (LIMITS.key_max_bytes + 1),
    "too many bytes": "é" * (LIMITS.key_max_bytes // 2 + 1),
    "too long bytes": b"x" * (LIMITS.key_max_bytes + 1),
    "too long int": 10**5000,
}


@pytest.mark.parametrize("fields", [{}, {"traffic": 0.5}, {"force": {"qa": "m1"}}], ids=["plain", "traffic", "force"])
@pytest.mark.parametrize("unit", ODD_KEYS.values(), ids=ODD_KEYS)
def test_what_is_no_key_is_refused(unit, fields):
    for key, meta in ((unit, None), (unit, {}), (None, {"user": unit}), ("user", {"user": unit})):
        with pytest.raises(InputError, match="key") as caught:
            ab(**fields)(key, meta)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("key", "meta"),
    [(None, None), (None, {}), (None, {"user": None}), (None, {"other": "user-7"}), (None, MappingProxyType({}))],
    ids=["nothing", "empty", "null", "other field", "proxy"],
)
def test_a_missing_key_is_never_hashed(key, meta):
    route = ab(control="m1", traffic=0.5, force={"": "m2", "None": "m2"})(key, meta)
    assert (route.model, route.arm, route.assignment) == ("m1", None, "unassigned")


def test_the_key_in_meta_wins():
    decide = ab()
    keys = [f"user-{i}" for i in range(50)]
    assert [decide("user-0", {"user": key}) for key in keys] == [decide(key) for key in keys]
    assert len({decide(key).arm for key in keys}) > 1


def test_a_null_in_meta_leaves_the_key():
    assert ab()("user-7", {"user": None}) == ab()("user-7")


# Several split keys.

TWO = {
    "n0": {"kind": "random_split", "weights": {"n1": 1, "m0": 1}, "split_key": "user"},
    "n1": {"kind": "random_split", "weights": {"m1": 1, "m2": 1}, "split_key": "device"},
}


def test_with_several_split_keys_each_comes_from_meta():
    decide = compiled(TWO, models=("m0", "m1", "m2"))[0]
    for i in range(100):
        meta = {"user": i, "device": f"d{i}"}
        way = Walk("bundle", TWO, None, meta, "").to("n0")
        assert decide(None, meta).path == way.path


def test_with_several_split_keys_a_bare_key_is_ambiguous():
    decide = compiled(TWO, models=("m0", "m1", "m2"))[0]
    for meta in (None, {}, {"device": "d"}, {"user": None}):
        with pytest.raises(InputError, match=r"^key= is ambiguous: .* give 'user' in meta$"):
            decide("user-7", meta)
    user = next(i for i in range(100) if decide(None, {"user": i, "device": 1}).path[1] == "n1")
    with pytest.raises(InputError, match=r"^key= is ambiguous: .* give 'device' in meta$"):
        decide("user-7", {"user": user})


def test_a_bare_key_is_no_matter_where_no_split_asks_for_it():
    nodes = {"in": {"kind": "key_split", "field": "card", "cases": {"gold": "m0"}, "default": "n0"}, **TWO}
    decide = compiled(nodes, "in", ("m0", "m1", "m2"))[0]
    assert decide("user-7", {"card": "gold"}).model == "m0"


def test_two_splits_may_share_a_split_key():
    nodes = {name: {**node, "split_key": "user"} for name, node in TWO.items()}
    decide = compiled(nodes, models=("m0", "m1", "m2"))[0]
    assert {decide(f"user-{i}").path for i in range(50)} == {("n0", "m0"), ("n0", "n1", "m1"), ("n0", "n1", "m2")}


# Traffic.


def test_the_enrolled_share_is_the_traffic():
    decide = ab(traffic=0.3)
    found = counted((decide(f"user-{i}").assignment for i in range(20_000)), ["assigned", "not_enrolled"])
    assert chi_square(found, [6_000, 14_000]) < CHI_SQUARE_1_DF


def test_enrolment_is_independent_of_the_arm():
    some, all_ = ab(traffic=0.5, weights={"m0": 1, "m1": 1, "m2": 1}), ab(weights={"m0": 1, "m1": 1, "m2": 1})
    pairs = [(all_(key).arm, some(key).assignment) for key in (f"user-{i}" for i in range(12_000))]
    cells = [(arm, enrolled) for arm in ("m0", "m1", "m2") for enrolled in ("assigned", "not_enrolled")]
    assert chi_square(counted(pairs, cells), [2_000] * 6) < CHI_SQUARE_5_DF


def test_who_is_enrolled_stays_so_with_the_same_arm_when_traffic_grows():
    shares = [0, 0.01, 0.25, 0.5, 0.99, 1]
    arms = {share: [ab(traffic=share)(f"user-{i}").arm for i in range(2_000)] for share in shares}
    for less, more in pairwise(shares):
        assert all(before in {None, after} for before, after in zip(arms[less], arms[more], strict=True))
    assert {*arms[0]} == {None}
    assert None not in arms[1]


def test_who_is_not_enrolled_gets_the_control_and_has_no_arm():
    route = ab(traffic=0, control="m2")("user-7")
    assert (route.model, route.arm, route.assignment, route.control) == ("m2", None, "not_enrolled", None)


@pytest.mark.parametrize("traffic", [0, 5e-324, 2**-33, 2**-32, 0.1, 1 / 3, 0.5, 1 - 2**-33, 1 - 2**-53, 1])
def test_the_enrolled_points_are_counted_exactly(traffic):
    widths = {
        range_.arm: range_.end - range_.start
        for range_ in Split("s", {"in": Fraction(traffic), "out": 1 - Fraction(traffic)}).ranges
    }
    assert widths.get("in", 0) == reference.enrolled_width(traffic)


# Force.


def test_a_forced_key_has_its_arm_and_is_never_counted_as_assigned():
    decide = ab(force={"qa-1": "m2", "7": "m1", "": "m1"}, traffic=0)
    for unit, model in (("qa-1", "m2"), (7, "m1"), (b"7", "m1"), ("", "m1")):
        for key, meta in ((unit, None), (None, {"user": unit}), ("other", {"user": unit})):
            route = decide(key, meta)
            assert (route.model, route.arm, route.assignment) == (model, None, "forced")
    assert decide("qa-2").assignment == "not_enrolled"


def test_a_forced_challenger_still_has_its_control():
    decide = ab(force={"qa-1": "m2", "qa-0": "m0"})
    assert decide("qa-1").control.model == "m0"
    assert decide("qa-0").control is None


def test_a_key_may_be_forced_to_an_arm_of_weight_zero():
    assert ab(weights={"m0": 1, "m1": 0, "m2": 0}, force={"qa": "m2"})("qa").model == "m2"


# Key splits.

CARDS = {
    "kind": "key_split",
    "field": "card",
    "cases": {"gold": "m0", "7": "m1", "": "m2", "True": "m2"},
    "default": "m3",
}


class Card(str, enum.Enum):  # noqa: UP042 - a StrEnum prints its text; this one does not
    GOLD = "gold"


class Number(int, enum.Enum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("value", "model"),
    [
        ("gold", "m0"),
        (np.str_("gold"), "m0"),
        (Card.GOLD, "m0"),
        ("7", "m1"),
        (7, "m1"),
        (np.int64(7), "m1"),
        (np.uint8(7), "m1"),
        (Number.SEVEN, "m1"),
        ("", "m2"),
        ("Gold", "m3"),
        (" gold", "m3"),
        ("07", "m3"),
        (8, "m3"),
        (-7, "m3"),
        ("\ud800", "m3"),
        (None, "m3"),
    ],
    ids=str,
)
def test_a_value_picks_its_case_and_any_other_the_default(value, model):
    decide = compiled({"n0": CARDS})[0]
    assert decide(None, {"card": value}).model == model
    assert decide("gold", {"card": value, "user": "gold"}).model == model


@pytest.mark.parametrize("meta", [None, {}, {"Card": "gold"}], ids=["none", "empty", "other"])
def test_a_missing_value_picks_the_default(meta):
    assert compiled({"n0": CARDS})[0]("gold", meta).model == "m3"


@pytest.mark.parametrize(
    "value",
    [True, np.True_, 7.0, np.float64(7), b"gold", ["gold"], {}, ("gold",), 10**5000],
    ids=["bool", "numpy bool", "float", "numpy float", "bytes", "list", "dict", "tuple", "huge"],
)
def test_a_value_that_is_neither_text_nor_integer_is_refused(value):
    with pytest.raises(InputError, match=r"^meta field 'card'") as caught:
        compiled({"n0": CARDS})[0](None, {"card": value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "meta", ["card=gold", ["card"], 7, True, {"card"}, object], ids=["text", "list", "int", "bool", "set", "class"]
)
@pytest.mark.parametrize(
    "node", [CARDS, {**AB, "weights": dict.fromkeys(MODELS, 1)}], ids=["key split", "random split"]
)
def test_a_meta_that_is_no_mapping_is_refused(node, meta):
    with pytest.raises(InputError, match=r"^meta must be a mapping of field to value, got "):
        compiled({"n0": node})[0](None, meta)


def test_any_mapping_is_a_meta():
    assert compiled({"n0": CARDS})[0](None, MappingProxyType({"card": "gold"})).model == "m0"


# Shadow deploys.


def test_watches_have_slots_of_their_own_in_the_order_of_the_graph():
    nodes = {
        "n0": {"kind": "key_split", "field": "card", "cases": {"x": "n1"}, "default": "n2"},
        "n1": {"kind": "shadow_deploy", "champion": "n2", "shadows": ["m1", "m2"], "tolerance": 0.5},
        "n2": {"kind": "shadow_deploy", "champion": "m0", "shadows": ["m1"], "sample": 0.25},
    }
    decide, _, watches = compiled(nodes, models=("m0", "m1", "m2"))
    assert [(watch.slot, watch.node, watch.model, watch.tolerance) for watch in watches] == [
        (0, "n1", "m1", 0.5),
        (1, "n1", "m2", 0.5),
        (2, "n2", "m1", LIMITS.shadow_tolerance),
    ]
    assert decide(None, {"card": "x"}).watches == watches
    assert decide().watches == watches[2:]


def test_a_model_does_not_watch_itself():
    nodes = {
        "n0": {"kind": "shadow_deploy", "champion": "n1", "shadows": ["m0", "m1"]},
        "n1": {**AB, "weights": {"m0": 1, "m1": 1}},
    }
    decide = compiled(nodes, models=("m0", "m1"))[0]
    for i in range(20):
        route = decide(f"user-{i}")
        assert [watch.model for watch in route.watches] == [{"m0": "m1", "m1": "m0"}[route.model]]


@pytest.mark.parametrize("sample", [0, 2**-33, 0.1, 0.5])
def test_a_sample_of_keys_is_watched_under_a_salt_of_its_own(sample):
    node = {"kind": "shadow_deploy", "champion": "m0", "shadows": ["m1"], "sample": sample}
    (watch,) = compiled({"n0": node}, models=("m0", "m1"))[2]
    for i in range(2_000):
        point = reference.point_of("bundle/n0/shadow", f"user-{i}")
        assert in_share(watch.sample, f"user-{i}".encode()) == (point < reference.enrolled_width(sample))


def test_every_key_is_watched_without_hashing_where_the_sample_is_all():
    node = {"kind": "shadow_deploy", "champion": "m0", "shadows": ["m1"]}
    assert compiled({"n0": node}, models=("m0", "m1"))[2][0].sample is None


# The control of nested splits.

NESTED = {
    "n0": {"kind": "random_split", "weights": {"m0": 1, "n1": 1}, "control": "m0", "split_key": "user"},
    "n1": {"kind": "random_split", "weights": {"m1": 1, "m2": 1}, "control": "m1", "split_key": "user"},
}


def test_a_failing_arm_falls_back_to_the_control_of_the_innermost_split_that_drew_it():
    decide = compiled(NESTED, models=("m0", "m1", "m2"))[0]
    controls = {}
    for i in range(50):
        route = decide(f"user-{i}")
        controls[route.path] = route.control and route.control.model
    assert controls == {("n0", "m0"): None, ("n0", "n1", "m1"): "m0", ("n0", "n1", "m2"): "m1"}


def test_the_innermost_split_says_how_a_key_was_assigned():
    decide = compiled({**NESTED, "n1": {**NESTED["n1"], "traffic": 0}}, models=("m0", "m1", "m2"))[0]
    found = {(route.path, route.arm, route.assignment) for route in (decide(f"user-{i}") for i in range(50))}
    assert found == {(("n0", "m0"), "m0", "assigned"), (("n0", "n1", "m1"), None, "not_enrolled")}


def test_a_way_without_a_random_split_has_no_arm_and_no_assignment():
    route = compiled({}, "m0", ("m0",))[0]("user-7", {"user": 7})
    assert (route.model, route.path, route.arm, route.assignment, route.control, route.watches) == (
        "m0",
        ("m0",),
        None,
        None,
        None,
        (),
    )


@given(st.floats(0, 1), st.text(max_size=8))
def test_a_reweighted_split_stays_what_it_was_in_every_bundle_that_carries_it(share, key):
    split = Split("carried", {"m0": 1, "m1": 1}).reweight({"m0": 1 - share or 1, "m1": share, "m2": 1})
    node = {"kind": "random_split", "split": split.to_dict(), "split_key": "user"}
    for bundle in ("one", "two"):
        graph = parse_graph(bundle, {"n0": node}, "n0", MODELS[:3])
        again = parse_graph(bundle, {"n0": node_to_dict(graph.nodes["n0"])}, "n0", MODELS[:3])
        for some in (graph, again):
            assert compile_graph(bundle, "1", some)[0](key, None, EPOCH, 0).arm == split.assign(key)


def test_too_many_ways_are_refused_whatever_makes_them():
    nodes = {
        f"n{i}": {"kind": "random_split", "weights": {f"n{i + 1}" if i < 12 else "m0": 1, "m1": 1}} for i in range(13)
    }
    with pytest.raises(GraphError, match=r"^node 'n0': the graph has more than 4096 ways"):
        compiled(nodes, models=("m0", "m1"))
