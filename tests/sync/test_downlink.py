"""What comes down to an enrolled device: its store is made, its token shown to its service alone, and rotated."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from edgerun.cli import main
from edgerun.store import Store
from edgerun_bundles.repository.workplace import Offer
from edgerun_sync.agent import Agent, SyncPolicy
from edgerun_sync.agent.downlink import is_of_service, served_bundle
from edgerun_sync.agent.enrolment import read_enrolment, write_enrolment
from edgerun_sync.agent.following import follow
from edgerun_sync.collector.credentials import Role
from edgerun_sync.errors import AgentError, WireError
from support.collector import collecting
from support.publishers import founded, laid, team

FAST = SyncPolicy(interval_s=1, timeout_s=5)


@pytest.fixture
def collector(tmp_path, monkeypatch, self_signed):
    """A collector with TLS that serves toy 1.0.0 to all."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    workplace = founded(tmp_path / "data" / "repository", team())
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    with collecting(tls=self_signed, folder=tmp_path / "data") as found:
        yield found


@pytest.fixture
def enroll(collector, self_signed, tmp_path):
    """Enrol by the command; returns what it printed, or said where it failed."""

    def run(*more: str, folder: str = "store"):
        token = collector.service.credentials.issue(Role.ENROLL)[0]
        line = ["device", "enroll", collector.url, "--token", token, "--ca", str(self_signed[0])]
        done = CliRunner().invoke(main, [*line, "--store", str(tmp_path / folder), "--json", *more])
        return json.loads(done.stdout) if done.exit_code == 0 else done.stderr

    return run


def test_a_device_takes_its_bundle_over_tls_and_the_token_may_rotate_meanwhile(collector, enroll, tmp_path):
    assert enroll("--bundle", "toy", "--name", "pump-7")["repository"] == f"{collector.url}/v1/repository"
    store = tmp_path / "store"
    assert Store(store).device == "pump-7"
    first = read_enrolment(str(store))
    write_enrolment(str(store), first._replace(rotated_s=0.0))
    synced = Agent(store, FAST).sync()
    assert (synced.problems, synced.bundle) == ((), "toy@1.0.0 was fetched and activated")
    second = read_enrolment(str(store))
    assert second.token != first.token
    assert served_bundle(str(store))["state"] == "candidate"
    assert (Agent(store, FAST).sync().problems, collector.service.credentials.authenticate(first.token)) == ((), None)
    assert collector.service.devices.find("pump-7").last["bundle"]["version"] == "1.0.0"


def test_the_status_of_a_device_without_a_bundle_says_why_the_last_was_given_up(enroll, tmp_path):
    enroll("--bundle", "toy", "--name", "pump-7")
    store = tmp_path / "store"
    status = lambda: CliRunner().invoke(main, ["agent", "status", "--store", str(store)]).output  # noqa: E731 - short
    assert status().endswith("no bundle\n")
    Agent(store, FAST).sync()
    assert "toy 1.0.0 (candidate)" in status()
    start = Store(store).start()
    start.reject("80% of 100 calls went wrong")
    start.close()
    assert "no bundle: the last was given up, 80% of 100 calls went wrong" in status()


def test_what_went_wrong_is_told_at_the_next_check_in_by_another_process_too(collector, enroll, tmp_path):
    enroll("--bundle", "toy", "--channel", "none", "--name", "pump-7")
    (problem,) = Agent(tmp_path / "store", FAST).sync().problems
    assert "channel-none" in problem
    Agent(tmp_path / "store", FAST).sync()
    assert collector.service.devices.find("pump-7").last["errors"] == [problem]


def test_a_store_keeps_its_name_its_root_and_what_it_holds_when_it_is_enrolled_again(collector, enroll, tmp_path):
    enroll("--bundle", "toy", "--name", "pump-7")
    assert "is the store of pump-7" in enroll("--name", "pump-8")
    collector.service.credentials.revoke_device("pump-7")
    again = enroll("--bundle", "toy", "--group", "lab")
    assert (again["device"], Store(tmp_path / "store").subscription().groups) == ("pump-7", ("lab",))


def test_a_wish_that_cannot_be_costs_no_token(collector, enroll):
    before = len([*collector.objects.list("credentials/used/")])
    assert "must match" in enroll("--bundle", "No Bundle")
    assert len([*collector.objects.list("credentials/used/")]) == before


def test_without_a_bundle_a_device_only_hands_over(enroll, tmp_path):
    assert {*enroll()} == {"device", "store"}
    assert Agent(tmp_path / "store", FAST).sync().bundle is None


@pytest.fixture
def enrolment(enroll, tmp_path):
    enroll()
    return read_enrolment(str(tmp_path / "store"))


def test_a_service_without_a_repository_is_told_apart(enrolment, tmp_path):
    with pytest.raises(AgentError, match="has no repository yet"):
        follow(str(tmp_path / "store"), enrolment, None, "toy", "stable", ())
    assert Store(tmp_path / "store").device == enrolment.device  # so whoever joins later is the device of that name


@pytest.mark.parametrize("offer", [[], "x", {}, {"url": "x"}, {"url": 1, "root": {}}, {"url": "x", "root": "y"}])
def test_an_offer_that_makes_no_sense_is_refused(enrolment, tmp_path, offer):
    with pytest.raises(WireError):
        follow(str(tmp_path / "store"), enrolment, offer, "toy", "stable", ())


@pytest.mark.parametrize(
    ("repository", "service", "is_its"),
    [
        ("https://a/v1/repository", "https://a", True),
        ("https://a/x/v1/repository", "https://a/x", True),
        ("http://a/v1/repository", "https://a", False),
        ("https://b/v1/repository", "https://a", False),
        ("https://a:444/v1/repository", "https://a", False),
        ("https://a/y/repository", "https://a/x", False),
        ("https://a.evil/v1", "https://a", False),
        ("/srv/repository", "https://a", False),
    ],
)
def test_a_token_is_for_the_service_alone(repository, service, is_its):
    assert is_of_service(repository, service) is is_its


def test_the_age_of_a_token_is_by_the_clock(enrolment):
    assert abs(time.time() - enrolment.rotated_s) < 600
