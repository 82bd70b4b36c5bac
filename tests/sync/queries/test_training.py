"""Drift from the training data: against scipy on the raw rows, and from a build over devices to the report's alarm."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy import stats

from edgerun import EdgeRunner
from edgerun.bundle import read, write
from edgerun.log.training import TrainingProfile, pack_training
from edgerun_bundles.experiment.published import phases_of
from edgerun_bundles.repository.admission import read_published
from edgerun_bundles.repository.storage import open_source
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.keys import Landed
from edgerun_sync.experiments.drift import INDEPENDENT, design_effect, psi_borders
from edgerun_sync.experiments.drift_cards import drift_cards
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.experiments.scorecard import scorecard
from edgerun_sync.queries.drift import drift_facts
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.training import Training, training_in, training_published
from edgerun_sync.report.text import text_report
from support import models, scored, steered, truths, watched
from support.collection import commit_all, land_all
from support.fleet import Made
from support.profiled import of_numbers, of_texts
from support.watched import ARMS, UNTIL

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(9)
AMOUNTS = RNG.normal(3.2, 1, (4000, 1))
"""What amounts were like in training: now they are greater by about 2."""
HOURS = RNG.uniform(1, 25, (4000, 1))
MERCHANTS = [("a", "b", "c")[at] for at in RNG.integers(0, 3, 4000)]
PORTS = {
    (False, "amount", ""): of_numbers(AMOUNTS).ports[0],
    (False, "hour", ""): of_numbers(HOURS).ports[0],
    (False, "merchant", ""): of_texts(MERCHANTS).ports[0],
    (True, "y", "control"): of_numbers(HOURS).ports[0],
}


@pytest.fixture(scope="module")
def place_of_watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched") / "data"
    watched.write(folder, watched.calls_of())
    return str(folder)


def asked(place, ports=PORTS):
    with open_engine(place) as engine:
        return drift_facts(engine, "cards", ["1.0.0"], ARMS, UNTIL, Training(ports, "as in these tests"))


@pytest.fixture(scope="module")
def found(place_of_watched):
    return {one.name: one for one in asked(place_of_watched)}


def raw(values):
    """What all devices saw of a column in the last week."""
    return np.concatenate([values(device, 1) for device in range(watched.DEVICES)])[:, 0]


def cards_of(columns):
    return {card.name: card for card in drift_cards(scored.facts()._replace(drift=tuple(columns)))}


def test_each_column_stands_beside_both_references(found):
    columns = ["amount", "hour", "merchant", "y of control"]
    assert [*found] == [f"{name}, since {when}" for name in columns for when in ("the week before", "training")]


@pytest.mark.parametrize(
    ("name", "before", "values"), [("amount", AMOUNTS, watched.amounts), ("hour", HOURS, watched.hours)]
)
def test_distances_from_training_are_those_of_scipy_on_the_raw_rows(found, name, before, values):
    card = cards_of(found.values())[f"{name}, since training"]
    measures = {one.measure: one for one in card.measures}
    now, then = raw(values), before[:, 0]
    assert measures["ks"].statistic == pytest.approx(stats.ks_2samp(then, now).statistic, abs=0.02)
    distance = stats.wasserstein_distance(then, now) / then.std()
    assert measures["wasserstein"].statistic == pytest.approx(distance, abs=0.02)
    borders = np.quantile(then, np.arange(1, 10) / 10)
    shares = [np.bincount(np.searchsorted(borders, side), minlength=10) / len(side) for side in (then, now)]
    held = shares[1] > 0
    index = ((shares[1] - shares[0])[held] * np.log(shares[1][held] / shares[0][held])).sum()
    if held.all():
        assert measures["psi"].statistic == pytest.approx(index, rel=0.1, abs=0.02)
    else:  # an empty bin is infinitely far by the plain formula
        assert measures["psi"].statistic > index
    assert {one.drifted for one in card.measures} == {name == "amount"}


def test_rows_of_training_are_independent_and_those_of_devices_are_not(found):
    one = found["amount, since training"]
    assert one.design_effects[0] == INDEPENDENT
    borders = psi_borders(one.reference)
    rows = [np.searchsorted(borders, watched.amounts(device, 1)[:, 0]) for device in range(watched.DEVICES)]
    counts = np.array([np.bincount(row, minlength=len(borders) + 1) for row in rows])
    assert one.design_effects[1].mean == pytest.approx(design_effect(counts).mean, rel=0.15)
    assert one.current.weights.sum() == found["amount, since the week before"].current.weights.sum()


def test_the_week_before_is_as_it_was_without_training_data(found, place_of_watched):
    with open_engine(place_of_watched) as engine:
        alone = drift_facts(engine, "cards", ["1.0.0"], ARMS, UNTIL)
    for one in alone:
        other = found[one.name]
        assert one.design_effects == other.design_effects
        assert one.current.weights.tolist() == other.current.weights.tolist()


def test_texts_are_compared_with_those_of_training(found):
    one = found["merchant, since training"]
    counts = dict(zip(one.reference.values.tolist(), one.reference.weights.tolist(), strict=True))
    assert [counts[number] for number in (1.0, 2.0, 3.0)] == [MERCHANTS.count(text) for text in "abc"]


def test_a_column_that_training_had_not_or_had_otherwise_cannot_be_told(place_of_watched):
    ports = {
        (False, "amount", ""): of_numbers(np.ones((3, 2))).ports[0],
        (False, "hour", ""): of_texts(["a"]).ports[0],
    }
    cards = cards_of(asked(place_of_watched, ports))
    for name in ("amount", "hour", "merchant", "y of control"):
        assert cards[f"{name}, since training"].why == "there are no rows that it could be compared with"


# From a build to the report.

ROWS = RNG.normal(3, 1, (3000, 2)).astype(np.float32)


def pushed(shop, tmp_path):
    """Build a bundle with a plan and training data, publish it, and start its experiment."""
    folder = tmp_path / "cards"
    folder.mkdir()
    (folder / "bundle.toml").write_text('reference = "train.npz"\n' + truths.DEFINITION)
    np.savez(folder / "train.npz", x=ROWS)
    for number, arm in enumerate(ARMS):
        (folder / f"{arm}.onnx").write_bytes(models.steady(2.0 + number))
    shop.run("bundle", "build", folder, "-o", tmp_path / "cards.tar", "--no-provenance")
    shop.run("bundle", "push", tmp_path / "cards.tar", shop.place)
    return shop.experiment("start", "cards@1.0.0", "--channel", "stable", "--weights", "control=2,challenger=1")


def taken(shop, tmp_path):
    """The bundle that a device of the channel takes, as its store holds it."""
    store, root = tmp_path / "store", tmp_path / "root.json"
    root.write_text(shop.says("bundle", "repository", "show", "--root"))
    joined = ("--root", root, "--bundle", "cards", "--channel", "stable", "--store", store)
    shop.run("device", "join", shop.place, *joined)
    shop.run("device", "update", "--store", store)
    with EdgeRunner.open(store) as runner:
        return runner.bundle.folder


def served(bundle, place, shift):
    """A fleet that serves a bundle and logs what it sees; returns the folder of its tables."""
    data = open_data(str(place), lanes=1)
    for device in range(4):
        folder = place.with_name(f"{place.name}-{device}")
        with EdgeRunner.open(bundle, log=folder) as runner:
            for number, row in enumerate(np.random.default_rng([device]).normal(3 + shift, 1, (400, 2))):
                runner.predict({"x": row[None].astype(np.float32)}, meta={"session": f"{device}-{number}"})
        for path in sorted(folder.rglob("*.log")):
            land_all(data, Made(Landed(f"device-{device}", path.stem), path.read_bytes(), frozenset()))
    commit_all(data)
    return place


def drift_of(shop, data):
    """What a report says of the drift: the alarms by column, and the facts."""
    report = json.loads(shop.says("experiment", "report", "truth", "--data", data, "--format", "json"))
    alarms = {card["name"]: any(one["drifted"] for one in card["measures"]) for card in report["drift"]}
    facts = parse_facts(report["facts"], "the test")
    assert facts_document(facts) == report["facts"]
    return alarms, facts


def test_a_fleet_that_sees_other_data_than_the_models_were_trained_on_is_told_of(tmp_path, monkeypatch):
    shop = steered.publisher(tmp_path, monkeypatch)
    assert pushed(shop, tmp_path)["version"] == "1.0.1"  # a version that was made of the one that was built
    bundle = taken(shop, tmp_path)
    moved, facts = drift_of(shop, served(bundle, tmp_path / "moved", 0.8))
    still, _ = drift_of(shop, served(bundle, tmp_path / "still", 0.0))
    columns = ["x[0]", "x[1]", *(f"y[{at}] of {arm}" for arm in ("challenger", "control") for at in (0, 1))]
    for alarms, expected in ((moved, True), (still, False)):
        assert {name: alarms[f"{name}, since training"] for name in columns} == dict.fromkeys(columns, expected)
    assert facts.training == "The training data of cards@1.0.1 are 3,000 rows, taken for independent."
    said = " ".join(text_report(scorecard(facts)).split())
    assert "drift x[0] moved since training: PSI" in said
    assert f"drift {facts.training}" in said


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, r"cards@1\.0\.0 carries no profile of its training data, so drift is from the week before alone\."),
        (
            {"profile": b"damaged"},
            r"cards@1\.0\.0 is not compared with its training data: .*profile\.bin.*: not a zstd .*",
        ),
    ],
    ids=["none", "a damaged one"],
)
def test_a_bundle_whose_training_data_are_not_known_is_told_of_in_a_sentence(tmp_path, monkeypatch, fields, says):
    shop = steered.publisher(tmp_path, monkeypatch)
    layout = steered.pushed(shop, "1.0.0", **fields)
    source = open_source(shop.place)
    (phase,) = phases_of(source, read_published(source), "truth")
    for found in (training_published(source, phase), training_in(read(layout.folder.parent / "bundle"))):
        assert not found.ports
        assert re.fullmatch(says, found.says)


def test_an_arm_has_the_outputs_of_the_one_model_that_it_leads_to(tmp_path):
    nodes = {
        "ab": {
            "kind": "random_split",
            "weights": dict.fromkeys(("one", "watch", "cases", "same"), 1),
            "split_key": "u",
        },
        "watch": {"kind": "shadow_deploy", "champion": "two", "shadows": ["one"]},
        "cases": {"kind": "key_split", "field": "f", "cases": {"a": "one"}, "default": "two"},
        "same": {"kind": "key_split", "field": "f", "cases": {"a": "two"}, "default": "watch"},
    }
    paths = {name: tmp_path / f"{name}.onnx" for name in ("one", "two")}
    for path in paths.values():
        path.write_bytes(models.steady())
    ports = {name: of_numbers(np.full((3, 1), at)).ports[0] for at, name in enumerate(paths)}
    raw = pack_training(TrainingProfile(3, 3, (), {name: (_output(port),) for name, port in ports.items()}))
    found = training_in(
        write(tmp_path / "b", name="b", version="1", models=paths, nodes=nodes, route="ab", profile=raw)
    )
    means = {arm: float(port.what.mean[0]) for (_, _, arm), port in found.ports.items()}
    assert means == {"one": 0, "two": 1, "watch": 1, "same": 1}


def _output(port):
    return port._replace(name="y", is_output=True)
