"""The plan of an experiment: read strictly, checked against its graph, kept in the bundle, refused by name."""

from __future__ import annotations

import copy
import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun import bundle
from edgerun.errors import BundleError
from edgerun.graph import parse_graph
from edgerun_bundles.building import build
from edgerun_bundles.comparing import compare
from edgerun_bundles.definition import read_definition
from edgerun_bundles.experiment.metrics import DIRECTIONS, OF_A_CLASS
from edgerun_bundles.experiment.plan import DAYS_MAX, check_plan, parse_plan, plan_document, require_sample
from edgerun_bundles.experiment.section import add_section
from edgerun_bundles.layout_write import manifest_of_folder
from edgerun_bundles.limits import LIMITS
from support import models

PLAN = {
    "name": "trial",
    "node": "ab",
    "control": "champion",
    "null": "no more are right",
    "alternative": "more are right",
    "primary": "accuracy",
    "guardrails": {"slow": {"relative_margin": 0.1}},
    "metrics": {
        "accuracy": {"kind": "accuracy", "deviation": 0.1},
        "slow": {"kind": "latency_quantile", "share": 0.9, "baseline": 0.01, "deviation": 0.004},
    },
    "minimum_effect": 0.01,
    "maximum_days": 28,
    "units": {"champion": 100, "challenger": 50},
}
NODES = {"ab": {"kind": "random_split", "weights": {"champion": 2, "challenger": 1}, "split_key": "user"}}


def changed(path, value):
    """The plan with another value at a path of names; `...` takes the field away."""
    document = copy.deepcopy(PLAN)
    table = document
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = value
    if value is ...:
        del table[path[-1]]
    return document


def graph(nodes=NODES, route="ab"):
    return parse_graph("cards", nodes, route, ["champion", "challenger"])


@pytest.fixture
def definition(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("champion", "challenger"):
        (folder / f"{name}.onnx").write_bytes(models.steady())
    (folder / "bundle.toml").write_text(
        'name = "cards"\nversion = "1.0.0"\nroute = "ab"\n'
        '[models]\nchampion = "champion.onnx"\nchallenger = "challenger.onnx"\n'
        '[nodes.ab]\nkind = "random_split"\nweights = { champion = 2, challenger = 1 }\nsplit_key = "user"\n'
    )
    return folder


def test_a_plan_reads_back_the_same():
    plan = parse_plan(PLAN, "here")
    assert parse_plan(json.loads(json.dumps(plan_document(plan))), "here") == plan
    assert plan.guardrails["slow"].is_relative
    assert (plan.alpha, plan.power, plan.analysis, plan.unit, plan.minimum_days) == (
        0.05,
        0.8,
        "sequential",
        "split_key",
        7,
    )


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_every_kind_of_metric_can_be_declared(kind):
    fields = {"kind": kind}
    if DIRECTIONS[kind] is None:
        fields |= {"direction": "down", "outcome": "paid", "window_days": 7}
    if kind in OF_A_CLASS:
        fields["positive"] = "1"
    if kind == "outcome_ratio":
        fields["per"] = "seen"
    if kind == "latency_quantile":
        fields["share"] = 0.5
    plan = parse_plan(changed(["metrics", "accuracy"], fields), "here")
    assert plan.metrics["accuracy"].direction == (DIRECTIONS[kind] or "down")
    assert parse_plan(plan_document(plan), "here") == plan


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["hypothesis"], "x", "unknown field 'hypothesis'"),
        (["primary"], ..., "'primary' is missing"),
        (["primary"], "speed", "'speed' is no metric"),
        (["success"], ["accuracy"], "two parts"),
        (["success"], ["a", "a"], "twice"),
        (["metrics", "idle"], {"kind": "fallback_rate"}, "'idle' has no part"),
        (["metrics", "accuracy", "share"], 0.5, "unknown field 'share'"),
        (["metrics", "accuracy", "kind"], "speed", "'kind' must be one of"),
        (["metrics", "slow", "share"], 1, "'share' must be a number above 0 and below 1"),
        (["metrics", "slow", "share"], True, "'share' must be"),
        (["metrics", "slow", "share"], float("nan"), "'share' must be"),
        (["metrics", "accuracy"], {"kind": "conversion", "outcome": "paid"}, "'direction' is missing"),
        (["metrics"], {}, "1 to 64 tables"),
        (["guardrails", "slow"], {"margin": 1, "relative_margin": 1}, "not both"),
        (["guardrails", "slow"], {}, "not both"),
        (["guardrails", "slow"], {"margin": -1}, "'margin' must be a number from 0"),
        (["alpha"], 0.5, "'alpha' must be"),
        (["alpha"], 0, "'alpha' must be"),
        (["power"], 0.01, "above alpha"),
        (["minimum_effect"], 0, "'minimum_effect' must be"),
        (["maximum_days"], 6, "at least the minimum of 7"),
        (["maximum_days"], DAYS_MAX + 1, "'maximum_days' must be"),
        (["units"], {"champion": 1}, "from 2"),
        (["units"], {"challenger": 10}, "with the control"),
        (["unit"], "user", "'unit' must be one of"),
        (["analysis"], "bayes", "'analysis' must be one of"),
        (["name"], "No Name", "name"),
        (["null"], "", "'null' must be a text"),
        (["null"], "x" * (LIMITS.experiment_text_max + 1), "'null' must be a text"),
        (["traffic"], {"icc": 1.5}, "'icc' must be"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_by_the_name_of_the_field(path, value, said):
    with pytest.raises(BundleError) as error:
        parse_plan(changed(path, value), "cards/bundle.toml")
    assert said in str(error.value)


def test_limits_hold_to_the_last_character_and_metric():
    assert parse_plan(changed(["null"], "x" * LIMITS.experiment_text_max), "here")
    many = {f"m{number}": {"kind": "accuracy"} for number in range(LIMITS.experiment_metrics_max - 2)}
    document = {**PLAN, "metrics": PLAN["metrics"] | many, "success": [*many]}
    assert len(parse_plan(document, "here").metrics) == LIMITS.experiment_metrics_max
    document["metrics"]["more"] = {"kind": "accuracy"}
    with pytest.raises(BundleError, match="1 to 64"):
        parse_plan({**document, "success": [*document["success"], "more"]}, "here")
    assert parse_plan(changed(["maximum_days"], DAYS_MAX), "here").maximum_days == DAYS_MAX


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_stands_there_a_plan_is_read_or_refused(value):
    for field in (*PLAN, "success", "traffic"):
        try:
            parse_plan({**PLAN, field: value}, "here")
        except BundleError:
            continue


@pytest.mark.parametrize(
    ("document", "nodes", "said"),
    [
        (changed(["node"], "champion"), NODES, "no random_split"),
        (changed(["control"], "challenger") | {"units": {}}, NODES, "the control of 'ab' is 'champion'"),
        (changed(["units", "third"], 10), NODES, "'third', which is no arm"),
        (PLAN | {"unit": "request"}, NODES, "draws by 'user'"),
        (PLAN, {"ab": {"kind": "random_split", "weights": NODES["ab"]["weights"]}}, "draws every request"),
    ],
)
def test_a_plan_that_its_graph_does_not_bear_is_refused(document, nodes, said):
    with pytest.raises(BundleError, match=said):
        check_plan(parse_plan(document, "here"), graph(nodes), "here")


def test_every_arm_that_has_a_share_needs_a_sample():
    plan = parse_plan(changed(["units"], {"champion": 100}), "here")
    require_sample(plan, {"champion": 1.0, "challenger": 0.0}, "here")
    with pytest.raises(BundleError, match="the planned sample of 'challenger' is missing"):
        require_sample(plan, {"champion": 0.5, "challenger": 0.5}, "here")


def test_a_new_section_explains_itself_and_stands_as_it_is(definition):
    assert add_section(definition, "trial") == "ab"
    source = (definition / "bundle.toml").read_text()
    check_plan(parse_plan(tomllib.loads(source)["experiment"], "here"), graph(), "here")
    assert source.count("#") > 10
    with pytest.raises(BundleError, match="has an \\[experiment\\] already"):
        add_section(definition, "again")


def test_a_node_that_is_no_split_gets_no_section(definition):
    before = (definition / "bundle.toml").read_bytes()
    with pytest.raises(BundleError, match="'champion' is no random_split"):
        add_section(definition, "trial", "champion")
    assert (definition / "bundle.toml").read_bytes() == before


def test_a_bundle_that_splits_nothing_is_told_so(definition):
    source = definition / "bundle.toml"
    head, _, rest = source.read_text().partition("[nodes.")
    assert rest
    source.write_text(
        head.replace('route = "ab"', 'route = "champion"').replace('challenger = "challenger.onnx"\n', "")
    )
    with pytest.raises(BundleError, match="has no random_split"):
        add_section(definition, "trial")


def test_a_bundle_keeps_its_plan_and_a_diff_shows_what_changed_of_it(definition, tmp_path):
    add_section(definition, "trial")
    source = definition / "bundle.toml"
    with pytest.raises(BundleError, match="the planned sample of 'champion' is missing"):
        build(read_definition(definition), tmp_path / "never")
    text = source.read_text().replace("# units = ", "units = ")
    source.write_text(text)
    first = build(read_definition(definition), tmp_path / "first").bundle
    assert parse_plan(dict(first.experiment), "here").units == {"champion": 10_000, "challenger": 10_000}
    source.write_text(text.replace("alpha = 0.05", "alpha = 0.1").replace("1.0.0", "1.0.1"))
    second = build(read_definition(definition), tmp_path / "second").bundle
    sides = [(found, manifest_of_folder(found.folder)) for found in (first, second)]
    assert compare(*sides)["experiment"]["changed"] == {"alpha": [0.05, 0.1]}
    assert sides[0][1].digest != sides[1][1].digest


def test_a_device_keeps_whatever_plan_a_bundle_has_and_refuses_what_is_none(definition, tmp_path):
    found = build(read_definition(definition), tmp_path / "bundle").bundle
    assert dict(found.experiment) == {}
    document = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    for value, is_right in (({"from": "a later edgerun"}, True), ([], False), ("x", False), (None, False)):
        (tmp_path / "bundle" / "bundle.json").write_text(json.dumps({**document, "experiment": value}))
        if is_right:
            assert dict(bundle.read(tmp_path / "bundle").experiment) == value
        else:
            with pytest.raises(BundleError, match="'experiment' must be an object"):
                bundle.read(tmp_path / "bundle")
