"""A collector that acts on ROLL BACK: real tables, a real repository, a channel's key, fleets whose truth is known."""

from __future__ import annotations

import json
import shutil
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
import requests
from click.testing import CliRunner

from edgerun import EdgeRunner
from edgerun.cli import main
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.experiment.published import all_running
from edgerun_bundles.repository.admission import read_published
from edgerun_bundles.repository.channels import read_channel
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.keys import KeyFolder
from edgerun_bundles.repository.pushing import utc_now
from edgerun_sync.collector import rollbacks
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.data import open_data, open_repository
from edgerun_sync.collector.rollbacks import ACTION, UNPREPARED, Hands
from edgerun_sync.collector.watching import Tables, excess, look
from support import steered, truths
from support.collection import commit_all, land_all
from support.collector_command import collector_running
from support.publishers import Hand, PowerCutError
from support.serve import wait_until

pytestmark = pytest.mark.slow
HARM, SEED = -0.2, 8


@pytest.fixture(scope="module", autouse=True)
def _fleets_lived_until_now():
    """Fleets whose last day is today, as a collector finds them."""
    with truths.said_once(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(truths, "START_US", int(time.time() * 1e6) - truths.DAYS * truths.DAY_US)
        yield


WRITES_MAX = 100
LOOKED = 'edgerun_collector_looks_total{outcome="rolled_back"} 1.0'


class Countdown:
    """So many writes, and then the power goes."""

    def __init__(self, writes):
        self.left = writes

    def step(self):
        self.left -= 1
        if self.left < 0:
            raise PowerCutError


class Mortal:
    """Something that writes, until the power goes."""

    def __init__(self, real, countdown):
        self._real, self._countdown = real, countdown

    def __getattr__(self, name):
        found = getattr(self._real, name)
        return self._counted(found) if name in {"create", "put_blob", "replace", "put_new", "append"} else found

    def _counted(self, function):
        def write(*arguments):
            self._countdown.step()
            return function(*arguments)

        return write


class Place:
    """A collector's data with a repository, a publisher, and what the collector acts with."""

    def __init__(self, folder, patch, *more):
        self.folder = folder
        self.data = folder / "data"
        self.publisher = steered.publisher(folder, patch, str(self.data / "repository"))
        steered.pushed(self.publisher, "1.0.0")
        channel_keys = folder / "channel-keys"
        self.publisher.run("bundle", "keys", "new", "collector", "--keys", channel_keys)
        self.publisher.experiment("start", "cards@1.0.0", "--channel", "stable", *more)
        for role in ("channel-stable", "online"):
            self.publisher.run("bundle", "keys", "add", role, channel_keys / "collector.pub.json")
        known = folder / "known"
        known.mkdir()
        (known / "truth.txt").write_text("\n".join(truths.KEYS))
        opened = open_data(str(self.data), lanes=1)
        self.audit = Audit(opened.objects)
        self.repository = open_repository(str(self.data), self.audit)
        keys = KeyFolder(channel_keys, lambda _: steered.PASSPHRASE.encode())
        self.hands = Hands(self.repository.storage, keys, opened.objects, self.audit)
        self.tables = Tables(str(self.data), known)
        self.opened = opened

    def lived(self, effect, fault="none", seed=SEED):
        land_all(self.opened, *truths.segments_of(truths.calls_of(seed, effect, fault)))
        commit_all(self.opened)

    def look(self, hands=None):
        (found,) = look(hands or self.hands, self.tables, utc_now())
        return found

    def acts(self, action=ACTION):
        return [entry for entry in self.audit.entries() if entry["action"] == action]

    def given(self):
        return [release[0] for release in self.publisher.channel()]


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


def test_harm_is_rolled_back_once_by_what_devices_take_and_written_down_with_its_reason_and_facts(place, tmp_path):
    store, root = tmp_path / "store", tmp_path / "root.json"
    root.write_text(place.publisher.says("bundle", "repository", "show", "--root"))
    joining = ("--root", root, "--bundle", "cards", "--channel", "stable", "--store", store)
    place.publisher.run("device", "join", place.publisher.place, *joining)
    place.publisher.run("device", "update", "--store", store)
    place.lived(HARM)
    found = place.look()
    assert (found.outcome, found.version) == ("rolled_back", "1.0.0"), found
    assert place.given() == ["1.0.0-control"]
    (entry,) = place.acts()
    assert entry["subject"] == "cards@1.0.0 in stable"
    assert "got worse" in entry["details"]["reason"]
    facts = place.data / "facts" / f"{entry['details']['facts']}.json"
    report = place.publisher.says("experiment", "report", "truth", "--facts", facts)
    assert "challenger: ROLL BACK" in report
    assert entry["details"]["reason"] in " ".join(report.split())
    assert place.audit.verify().problem is None
    assert look(place.hands, place.tables, utc_now()) == []
    assert len(place.acts()) == 1
    place.publisher.run("device", "update", "--store", store)
    with EdgeRunner.open(store) as runner:
        served = {runner.predict({"x": np.ones((1, 2), np.float32)}, key=key).model for key in truths.KEYS[:40]}
        assert (runner.bundle.version, served) == ("1.0.0-control", {"control"})


def test_where_arms_are_alike_nothing_is_rolled_back(place):
    place.lived(0.0, seed=3)
    assert place.look().outcome == "kept"
    assert place.given() == ["1.0.0"]
    assert place.acts() == []


@pytest.mark.parametrize("fault", [fault for fault in truths.FAULTS if fault != "none"])
def test_harm_in_a_fleet_with_a_fault_gets_no_verdict_and_no_act(place, fault):
    place.lived(HARM, fault, seed=1000)
    found = place.look()
    assert (found.outcome, place.given(), place.acts()) == ("kept", ["1.0.0"], [])
    assert "NO VERDICT" in found.says


def test_without_known_keys_nothing_is_audited_and_nothing_is_done(place):
    place.lived(HARM)
    (found,) = look(place.hands, place.tables._replace(known_keys=None), utc_now())
    assert found.outcome == "kept"
    assert "NO VERDICT" in found.says


def test_before_anything_was_recorded_there_is_nothing_to_look_at(place):
    assert place.look().outcome == "kept"


def test_where_nothing_is_prepared_it_says_so_and_does_nothing(place, caplog):
    place.publisher.run("bundle", "withdraw", "cards@1.0.0-control")
    for _ in range(2):
        assert rollbacks.roll_back(place.hands, *decided(place), utc_now()) == "unprepared"
    assert place.given() == ["1.0.0"]
    (entry,) = place.acts(UNPREPARED)
    assert entry["details"]["version"] == "1.0.0-control"
    assert place.acts() == []
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_another_bundle_under_the_name_of_the_way_back_is_never_chosen(tmp_path, monkeypatch):
    place = Place(tmp_path, monkeypatch, "--no-rollback")
    steered.pushed(place.publisher, "1.0.0-control", experiment=None)  # in halves still
    assert rollbacks.roll_back(place.hands, *decided(place), utc_now()) == "unprepared"
    assert place.given() == ["1.0.0"]


def test_whoever_releases_it_again_has_decided_and_is_left_alone(place):
    assert rollbacks.roll_back(place.hands, *decided(place), utc_now()) == "rolled_back"
    assert place.given() == ["1.0.0-control"]
    place.publisher.run("bundle", "release", "cards@1.0.0", "--channel", "stable")
    assert place.look().outcome == "left"
    assert place.given()[0] == "1.0.0"
    assert len(place.acts()) == 1


def test_the_collector_holds_no_key_of_publishers_and_says_where_it_does(place, tmp_path):
    state = read_published(place.hands.storage)
    assert excess(place.hands, state) == []
    everybody = KeyFolder(tmp_path / "keys", lambda _: steered.PASSPHRASE.encode())
    assert excess(place.hands._replace(keys=everybody), state) == ["bundle-cards", "root", "targets"]


def test_without_the_channels_key_nothing_is_begun(place):
    with pytest.raises(RepositoryError, match="channel-stable"):
        rollbacks.roll_back(place.hands._replace(keys=Hand()), *decided(place), utc_now())
    assert [*place.hands.objects.list(rollbacks.PREFIX)] == []


def decided(place):
    """What a look has decided, without its statistics."""
    state = read_published(place.hands.storage)
    (running,) = all_running(place.hands.storage, state)
    return state, running, rollbacks.noted(running, "challenger", "It got worse.", "0" * 64, utc_now())


def test_a_collector_that_dies_anywhere_leaves_what_the_next_one_completes_once(place, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(place.data, whole)
    for writes in range(WRITES_MAX):
        shutil.rmtree(place.data)
        shutil.copytree(whole, place.data)
        dying, audit = Countdown(writes), Audit(place.hands.objects)
        hands = Hands(
            Mortal(place.hands.storage, dying),
            place.hands.keys,
            Mortal(place.hands.objects, dying),
            Mortal(audit, dying),
        )
        try:
            rollbacks.roll_back(hands, *decided(place), utc_now())
        except PowerCutError:
            after, later = place.hands._replace(audit=audit), utc_now() + timedelta(seconds=rollbacks.PATIENCE_S + 1)
            if not is_open(place):
                rollbacks.roll_back(after, *decided(place), later)  # nothing was begun: the next look decides again
            for _ in range(2):
                rollbacks.complete(after, later)
        else:
            assert writes > 5
            break
        releases = read_channel(place.hands.storage, Draft(read_published(place.hands.storage)), "stable", "cards")
        assert [release.version for release in releases.releases] == ["1.0.0-control"], writes
        assert len([entry for entry in audit.entries() if entry["action"] == ACTION]) == 1, writes
        assert len([*place.hands.objects.list(rollbacks.PREFIX)]) == 2, writes
    else:
        pytest.fail("it never ends")


def is_open(place):
    return place.hands.objects.get(rollbacks.note_key("cards", "1.0.0", "stable")) is not None


def test_a_note_is_left_to_whoever_made_it_for_a_while(place):
    _, _, note = decided(place)
    assert place.hands.objects.put_new(note.key, json.dumps(note._asdict()).encode())
    assert rollbacks.complete(place.hands, utc_now() + timedelta(seconds=rollbacks.PATIENCE_S - 5)) == []
    assert place.given() == ["1.0.0"]
    assert rollbacks.complete(place.hands, utc_now() + timedelta(seconds=rollbacks.PATIENCE_S)) == [note]
    assert place.given() == ["1.0.0-control"]


def test_of_several_collectors_one_acts(place):
    barrier, found = threading.Barrier(2), []
    state, running, note = decided(place)

    def one(number):
        hands = place.hands._replace(audit=Audit(place.hands.objects))
        barrier.wait()
        found.append(rollbacks.roll_back(hands, state, running, note._replace(reason=f"by {number}"), utc_now()))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["left", "rolled_back"]
    assert place.given() == ["1.0.0-control"]
    assert len([entry for entry in Audit(place.hands.objects).entries() if entry["action"] == ACTION]) == 1


def test_a_ramp_while_a_rollback_is_under_way_is_somebodys_decision(place):
    _, _, note = decided(place)
    assert place.hands.objects.put_new(note.key, json.dumps(note._asdict()).encode())
    place.publisher.experiment("ramp", "truth", "--weights", "control=9,challenger=1")
    later = utc_now() + timedelta(seconds=rollbacks.PATIENCE_S + 1)
    assert rollbacks.complete(place.hands, later) == []
    assert place.given() == ["1.0.1", "1.0.0"]
    assert place.acts() == []
    assert rollbacks.roll_back(place.hands, *decided(place), utc_now()) == "rolled_back"  # its own phase has a way back
    assert place.given() == ["1.0.1-control"]


def test_a_note_that_is_damaged_is_told_and_stops_no_look(place, caplog):
    place.hands.objects.put_new(rollbacks.note_key("other", "1", "stable"), b"no JSON")
    assert place.look().outcome == "kept"
    assert any("damaged" in str(record.__dict__) for record in caplog.records)


def test_the_command_looks_and_acts_by_itself(place, tmp_path):
    place.lived(HARM)
    options = ("--no-commit", "--act-on-rollback", "--channel-keys", tmp_path / "channel-keys", "--known-keys")
    with collector_running(place.data, *map(str, options), str(tmp_path / "known")) as collector:
        wait_until(place.acts)
        wait_until(lambda: LOOKED in requests.get(f"{collector.url}/metrics", timeout=30).text)
    assert place.given() == ["1.0.0-control"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--act-on-rollback",), "go together"),
        (("--channel-keys", "."), "go together"),
        (("--act-on-rollback", "--channel-keys", "."), "holds no private key"),
    ],
)
def test_a_collector_that_could_not_act_says_so_at_the_start(options, said, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERUN_KEY_PASSPHRASE", steered.PASSPHRASE)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["collector", "serve", "--data", str(tmp_path / "data"), *options])
    assert (done.exit_code, said in done.output) == (2, True), done.output
