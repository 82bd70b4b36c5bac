"""``edgerun experiment start``, ``ramp``, ``stop``, ``promote`` and ``status``, on a real repository with real keys."""

from __future__ import annotations

import pytest

from edgerun.split import Split
from edgerun_bundles.experiment.published import read_version
from edgerun_bundles.repository.workplace import Workplace
from support import steered

HALVES = ("--weights", "control=1,challenger=1")
FEW = ("--weights", "control=95,challenger=5")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    found = steered.publisher(tmp_path, monkeypatch)
    steered.pushed(found)
    return found


def published(shop, version):
    place = Workplace.open(shop.place)
    return read_version(place.source, place.read(), "cards", version)


def split_of(shop, version):
    return Split.from_dict(published(shop, version).document["nodes"]["ab"]["split"])


def test_an_experiment_starts_at_its_weights_and_sends_no_model(shop):
    done = shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW, "--traffic", "20%")
    assert (done["version"], done["rollback"], done["published"]) == ("1.1.1", "1.1.1-control", True)
    assert shop.channel() == [("1.1.1", 1_000_000, ())]
    former, found = published(shop, "1.1.0"), published(shop, "1.1.1")
    assert {**found.document, "version": 0, "nodes": 0} == {**former.document, "version": 0, "nodes": 0}
    assert found.document["nodes"]["ab"]["traffic"] == 0.2
    assert split_of(shop, "1.1.1") == split_of(shop, "1.1.0").reweight({"control": 95, "challenger": 5})
    models = [layer for layer in found.manifest.layers if layer.path.startswith("models/")]
    assert models == [layer for layer in former.manifest.layers if layer.path.startswith("models/")]
    assert done["sent_bytes"] < 60_000


def test_one_that_starts_as_it_was_built_needs_no_other_version(shop):
    done = shop.experiment("start", "cards@1.1.0", "--channel", "stable")
    assert (done["version"], [*done["made"]], done["moved"]) == ("1.1.0", ["1.1.0-control"], 0)
    assert shop.channel() == [("1.1.0", 1_000_000, ())]


def test_a_ramp_moves_as_few_keys_as_can_be_and_says_how_many(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    done = shop.experiment("ramp", "truth", *HALVES)
    assert done["version"] == "1.1.2"
    assert done["moved"] == pytest.approx(0.45, abs=1e-9) == done["least"]
    assert split_of(shop, "1.1.2") == split_of(shop, "1.1.1").reweight({"control": 1, "challenger": 1})
    assert [release[0] for release in shop.channel()] == ["1.1.2", "1.1.1"]
    compared = shop.run("bundle", "diff", "cards@1.1.1", "cards@1.1.2")
    assert compared["nodes"]["changed"]["ab"]["moved"] == done["moved"]


def test_what_a_step_did_and_what_it_came_from_is_in_the_provenance(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    found, back = (shop.run("bundle", "log", f"cards@{version}") for version in ("1.1.1", "1.1.1-control"))
    assert [parent["name"] for parent in found["parents"]] == ["cards@1.1.0"]
    assert found["parameters"]["experiment"] == {
        "name": "truth", "action": "start", "traffic": 1, "weights": {"control": "95", "challenger": "5"},
    }  # fmt: skip
    assert [parent["name"] for parent in back["parents"]] == ["cards@1.1.1"]
