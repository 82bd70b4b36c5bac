"""``edgerun experiment start``, ``ramp``, ``stop``, ``promote`` and ``status``, on a real repository with real keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edgerun.split import Split
from edgerun_bundles.errors import PublishedMeanwhileError
from edgerun_bundles.experiment.carrying_out import carry_out
from edgerun_bundles.experiment.published import phases_so_far, read_version
from edgerun_bundles.experiment.steering import Terms, decide_ramp
from edgerun_bundles.repository.workplace import Workplace
from edgerun_sync.collector.credentials import Role
from edgerun_sync.experiments.facts_json import facts_document
from support import scored, steered
from support.collector import collecting

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
    assert back["parameters"]["experiment"]["weights"] == {"control": "1", "challenger": "0"}


def test_stopping_gives_what_was_prepared_and_sends_nothing(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    shop.experiment("ramp", "truth", *HALVES)
    done = shop.experiment("stop", "truth")
    assert (done["version"], done["made"], done["sent_bytes"]) == ("1.1.2-control", {}, 0)
    assert shop.channel() == [("1.1.2-control", 1_000_000, ())]  # and no former phase to fall back to
    found = published(shop, "1.1.2-control")
    assert found.experiment == ""
    assert {range_.arm for range_ in split_of(shop, "1.1.2-control").ranges} == {"control"}
    assert "no experiment" in shop.experiment("stop", "truth", code=1)


def test_stopping_makes_the_version_where_none_was_prepared(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", "--no-rollback")
    done = shop.experiment("stop", "truth", "--version", "1.1.1")
    assert ([*done["made"]], shop.channel()) == (["1.1.1"], [("1.1.1", 1_000_000, ())])


def test_what_only_a_share_has_is_taken_from_it_and_its_devices_go_back(shop):
    steered.pushed(shop, "1.0.0", "--channel", "stable", experiment=None)
    done = shop.experiment("start", "cards@1.1.0", "--channel", "stable", "--share", "10%")
    assert shop.channel() == [("1.1.0", 100_000, ()), ("1.0.0", 1_000_000, ())]
    done = shop.experiment("stop", "truth")
    assert (shop.channel(), done["made"]) == ([("1.0.0", 1_000_000, ())], {})


def test_an_arm_is_promoted_against_the_verdict_with_a_reason_that_stays(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", "--traffic", "20%")
    done = shop.experiment("promote", "truth", "challenger", "--force", "the champion has a bug")
    node = published(shop, done["version"]).document["nodes"]["ab"]
    assert node["control"] == done["control"] == "challenger"
    assert {range_.arm for range_ in split_of(shop, done["version"]).ranges} == {"challenger"}
    assert done["moved"] == pytest.approx(0.9)  # all but a half of the 20 %
    said = shop.run("bundle", "log", f"cards@{done['version']}")["parameters"]["experiment"]
    assert (said["arm"], said["action"]) == ("challenger", "promote")
    assert "the champion has a bug" in said["reason"]
    assert shop.channel() == [("1.1.2", 1_000_000, ())]


def test_what_was_steered_is_looked_up_by_name(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    shop.experiment("ramp", "truth", "--traffic", "50%")
    found = shop.experiment("status", "truth")
    assert [phase["version"] for phase in found["phases"]] == ["1.1.0", "1.1.1", "1.1.2"]
    assert [[one["channel"] for one in phase["channels"]] for phase in found["phases"]] == [[], [], ["stable"]]
    assert found["phases"][2]["traffic"] == 0.5
    running = shop.experiment("status")["running"]
    assert running == [
        {"experiment": "truth", "bundle": "cards", "channel": "stable", "version": "1.1.2", "versions": ["1.1.2"]}
    ]
    text = shop.says("experiment", "status", "truth")
    assert "control 95 %, challenger 5 %" in text
    assert "stable gives 1.1.2-control to all devices" in shop.says("experiment", "stop", "truth")
    assert shop.says("experiment", "status") == "no experiment runs\n"


def test_a_ramp_stays_behind_what_goes_first_for_some(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", "--share", "50%")
    steered.pushed(shop, "2.0.0", "--channel", "stable", "--group", "lab", experiment=None)
    shop.experiment("ramp", "truth", *FEW)
    assert shop.channel() == [
        ("2.0.0", 1_000_000, ("lab",)),
        ("1.1.1", 500_000, ()),  # as many devices as before, and others
        ("1.1.0", 500_000, ()),
    ]


def test_a_version_that_was_published_later_and_runs_nowhere_is_a_draft(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    steered.pushed(shop, "2.0.0")
    place = Workplace.open(shop.place)
    found = phases_so_far(place.source, place.read(), "truth")
    assert [phase.listed.version for phase in found] == ["1.1.0", "1.1.1"]
    shop.experiment("stop", "truth")
    found = phases_so_far(place.source, place.read(), "truth")
    assert [phase.listed.version for phase in found] == ["1.1.0", "1.1.1", "2.0.0"]


def test_a_dry_run_tells_all_and_publishes_nothing(shop):
    text = shop.says("experiment", "start", "cards@1.1.0", "--channel", "stable", *FEW, "--dry-run")
    assert "control 50 %, challenger 50 % -> control 95 %, challenger 5 %" in text
    assert "45 % of the keys" in text
    assert text.endswith("nothing was published\n")
    assert shop.channel() == []


def test_two_bundles_may_have_an_experiment_of_one_name(shop):
    other = steered.planned(shop.folder, "2.0.0", "shoes")
    shop.run("bundle", "push", other.folder, shop.place)
    shop.experiment("start", "cards@1.1.0", "--channel", "stable")
    shop.experiment("start", "shoes@2.0.0", "--channel", "stable")
    assert "cards/truth, shoes/truth" in shop.experiment("ramp", "truth", "--traffic", "10%", code=1)
    assert shop.experiment("ramp", "shoes/truth", "--traffic", "10%")["version"] == "2.0.1"
    assert shop.channel(of="cards") == [("1.1.0", 1_000_000, ())]


def test_a_number_that_was_withdrawn_is_never_taken_again(shop):
    steered.pushed(shop, "1.1.1", experiment=None)
    shop.run("bundle", "withdraw", "cards@1.1.1")
    assert shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)["version"] == "1.1.2"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("start", "cards@9.9.9", "--channel", "stable"), 1, "9.9.9 is not published"),
        (("start", "cards@1.1.0", "--channel", "Stable"), 1, "must match"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control=1"), 1, "challenger is missing"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control=1,other=1"), 1, "'other' is no arm"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control=1,challenger=0"), 1, "at another arm"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control=0,challenger=1"), 1, "at another arm"),
        (("start", "cards@1.1.0", "--channel", "stable", "--traffic", "0"), 1, "at another arm"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control"), 2, "ARM=NUMBER"),
        (("start", "cards@1.1.0", "--channel", "stable", "--weights", "control=-1,challenger=1"), 2, "0 or more"),
        (("start", "cards@1.1.0", "--channel", "stable", "--traffic", "110%"), 2, "from 0% to 100%"),
        (("start", "cards@1.1.0", "--channel", "stable", "--version", "1.1.0", *FEW), 1, "1.1.0 is taken"),
        (("start", "cards@1.0.0", "--channel", "stable"), 1, "has no [experiment]"),
        (("ramp", "truth", "--traffic", "10%"), 1, "no experiment 'truth' runs in any channel"),
        (("ramp", "truth"), 2, "--weights or --traffic"),
        (("promote", "truth", "challenger"), 2, "--data or --facts, or --force"),
        (("status", "other"), 1, "no published version has an experiment 'other'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line_and_nothing_is_published(arguments, code, said, whole_shop):
    assert said in whole_shop.experiment(*arguments, code=code)
    assert whole_shop.channel() == []


@pytest.fixture(scope="module")
def whole_shop(tmp_path_factory):
    """A repository that no test changes."""
    with pytest.MonkeyPatch.context() as patch:
        found = steered.publisher(tmp_path_factory.mktemp("shop"), patch)
        steered.pushed(found)
        steered.pushed(found, "1.0.0", experiment=None)
        yield found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "cards@1.1.0", "--channel", "stable"), "'truth' runs in the channel stable, in cards@1.1.1"),
        (("ramp", "truth", *FEW), "has these weights and this traffic already"),
        (("ramp", "truth", *HALVES, "--channel", "canary"), "runs in the channel canary; there runs: truth in stable"),
        (("promote", "truth", "control", "--force", "x"), "'control' is no treatment of 'truth'; there is: challenger"),
    ],
)
def test_what_does_not_fit_what_runs_is_refused(arguments, said, shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    assert said in shop.experiment(*arguments, code=1)


def report_of(version="1.1.0", age=timedelta(), **known):
    """A report whose truth is known."""
    found = scored.facts(phases=[scored.phase(np.random.default_rng(1), version, known.pop("effect", 0.1))], **known)
    return facts_document(found._replace(looked_at=(datetime.now(UTC) - age).isoformat()))


@pytest.fixture
def trial(shop):
    """Another bundle, of whose plan there are made-up reports."""
    nodes = {"ab": {"kind": "random_split", "weights": dict.fromkeys(scored.ARMS, 1), "split_key": "user"}}
    found = steered.planned(shop.folder, "1.1.0", "trials", scored.ARMS, nodes=nodes, experiment=scored.DOCUMENT)
    shop.run("bundle", "push", found.folder, shop.place)
    shop.experiment("start", "trials@1.1.0", "--channel", "stable")
    return shop


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ({"effect": -0.2}, 3, "CLOSED  challenger: ROLL BACK"),
        ({"misassigned": 500}, 3, "CLOSED  challenger: NO VERDICT"),
        ({"days": 2.0}, 3, "CLOSED  challenger: KEEP RUNNING"),
        ({"age": timedelta(days=2)}, 1, "2 days ago"),
        ({"version": "7.7.7"}, 1, "'7.7.7', which is no published phase"),
        ({"plan": scored.PLAN._replace(minimum_effect=0.5)}, 1, "another plan"),
    ],
)
def test_a_report_that_does_not_say_ship_of_what_is_published_promotes_nobody(report, code, said, trial, tmp_path):
    document = report_of(**report)
    document["bundle"] = "trials"
    (tmp_path / "report.json").write_text(json.dumps(document))
    assert said in trial.experiment("promote", "trial", "challenger", "--facts", tmp_path / "report.json", code=code)
    assert trial.channel(of="trials") == [("1.1.0", 1_000_000, ())]


def test_a_closed_gate_is_a_line_of_json_too(trial, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({**report_of(effect=-0.2), "bundle": "trials"}))
    asked = ("promote", "trial", "challenger", "--facts", tmp_path / "report.json", "--json")
    found = json.loads(trial.experiment(*asked, code=3))
    assert ([gate["passed"] for gate in found["gates"]], found["published"]) == ([False], False)


def test_a_report_that_says_ship_promotes(trial, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({**report_of(), "bundle": "trials"}))
    done = trial.experiment("promote", "trial", "challenger", "--facts", tmp_path / "report.json")
    assert done["gates"][0]["says"].startswith("challenger: SHIP: accuracy got better")
    assert trial.channel(of="trials") == [("1.1.1", 1_000_000, ())]


def test_of_two_people_who_ramp_at_once_one_is_told_to_do_it_again(shop):
    shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
    place = Workplace.open(shop.place, shop.folder / "keys", lambda _: steered.PASSPHRASE.encode())
    step = decide_ramp(place.source, place.read(), "truth", None, Terms(traffic=0.5))
    shop.experiment("ramp", "truth", *HALVES)
    with pytest.raises(PublishedMeanwhileError, match="again"):
        carry_out(place, step)
    assert [release[0] for release in shop.channel()] == ["1.1.2", "1.1.1"]


def test_a_publisher_without_the_channels_key_publishes_nothing(shop, tmp_path):
    shop.run("bundle", "keys", "new", "bob", "--keys", tmp_path / "bob")
    for role in ("bundle-cards", "online"):
        shop.run("bundle", "keys", "add", role, tmp_path / "bob/bob.pub.json")
    said = shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW, "--keys", tmp_path / "bob", code=1)
    assert "targets" in said  # who admits a channel that is not there yet
    assert shop.experiment("status", "truth")["phases"][0]["version"] == "1.1.0"


@pytest.mark.slow
def test_an_experiment_is_steered_over_http_and_only_the_new_bytes_travel(tmp_path, monkeypatch):
    with collecting(folder=tmp_path / "data") as collector:
        monkeypatch.setenv("EDGERUN_TOKEN", collector.token(Role.PUBLISH))
        shop = steered.publisher(tmp_path, monkeypatch, f"{collector.url}/v1/repository")
        steered.pushed(shop)
        shop.experiment("start", "cards@1.1.0", "--channel", "stable", *FEW)
        done = shop.experiment("ramp", "truth", *HALVES)
        assert (done["version"], done["published"]) == ("1.1.2", True)
        shop.experiment("stop", "truth")
        assert shop.channel() == [("1.1.2-control", 1_000_000, ())]
        models = [
            layer.digest.removeprefix("sha256:")
            for layer in published(shop, "1.1.2").manifest.layers
            if layer.path.startswith("models/")
        ]
        assert all((tmp_path / "data/repository/blobs/sha256" / name).exists() for name in models)
        published_by = [entry for entry in collector.service.audit.entries() if entry["action"] == "repository.publish"]
        assert len(published_by) == 4 + 1  # init, push, start, ramp, stop
