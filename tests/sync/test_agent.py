from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import edgerun_sync
from edgerun.cli import main
from edgerun.log import LogPolicy
from edgerun.log.handover import segment_files
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.agent import Agent, SyncPolicy
from edgerun_sync.agent.agent import ROTATION_S
from edgerun_sync.agent.enrolment import enrol, read_enrolment, write_enrolment
from edgerun_sync.agent.http import Answer, Http
from edgerun_sync.agent.status import FILE, read_status
from edgerun_sync.collector.credentials import Role
from edgerun_sync.errors import AgentError, WireError
from support import full_store
from support.collector import collecting
from support.proxy import proxying

FAST = SyncPolicy(interval_s=1, timeout_s=5)


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def store(collector, tmp_path):
    """A store that was enrolled, with a sealed segment."""
    path = str(tmp_path / "store")
    enrolment, _ = enrol(
        Http(collector.url), collector.token(Role.ENROLL), device="pump-7", edgerun="0.1.0", now_s=time.time()
    )
    write_enrolment(path, enrolment)
    log_into(path)
    return path


def log_into(store: str) -> None:
    writer = LogWriter(f"{store}/log", policy=LogPolicy())
    writer.write(None, [Note(Kind.LABEL, number, {"id": f"{number:016x}-1", "value": number}) for number in range(9)])
    writer.close()


def known(collector):
    return collector.service.devices.find("pump-7")


def test_the_package_has_the_agent_and_loads_it_when_asked():
    code = "import edgerun_sync, sys; assert 'requests' not in sys.modules; print(edgerun_sync.Agent)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"{Agent}\n"
    with pytest.raises(AttributeError, match="no attribute 'Agents'"):
        _ = edgerun_sync.Agents


def test_a_sync_checks_in_and_hands_over(collector, store):
    synced = Agent(store, FAST).sync()
    assert (synced.uplink.segments, synced.problems, synced.flags) == (1, (), ())
    assert known(collector).last["backlog"]["segments"] == 1
    assert segment_files(f"{store}/log") == []
    assert abs(synced.clock_offset_s) < 5


def test_only_its_owner_reads_the_credential(store):
    assert stat.S_IMODE(Path(store, "credential.json").stat().st_mode) == 0o600


def test_a_store_that_is_not_enrolled_says_what_to_do(tmp_path):
    with pytest.raises(AgentError, match="edgerun device enroll"):
        Agent(tmp_path, FAST).sync()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format":1}', b'{"format":2,"url":"x"}'])
def test_a_damaged_credential_says_so(store, damage):
    Path(store, "credential.json").write_bytes(damage)
    with pytest.raises(AgentError, match=r"credential\.json"):
        Agent(store, FAST).sync()


def test_check_ins_are_counted_over_restarts(collector, store):
    for _ in range(3):
        Agent(store, FAST).sync()
    assert known(collector).last["count"] == 3
    assert known(collector).flags == ()


def test_a_restored_disk_is_flagged(collector, store):
    Agent(store, FAST).sync()
    saved = read_enrolment(store)
    Agent(store, FAST).sync()
    write_enrolment(store, saved)
    assert Agent(store, FAST).sync().flags == ("restored",)


def test_a_store_that_was_copied_to_another_machine_is_flagged(collector, store, tmp_path, monkeypatch):
    Agent(store, FAST).sync()
    copy = str(tmp_path / "copy")
    write_enrolment(copy, read_enrolment(store))
    monkeypatch.setattr("edgerun_sync.agent.agent.machine_hash", lambda: "cd" * 32)
    assert Agent(copy, FAST).sync().flags == ("moved",)
    monkeypatch.undo()
    assert Agent(store, FAST).sync().flags == ("cloned",)


def test_an_old_token_is_changed_and_the_new_one_kept(collector, store):
    first = read_enrolment(store)
    write_enrolment(store, first._replace(rotated_s=time.time() - ROTATION_S - 1))
    assert Agent(store, FAST).sync().problems == ()
    second = read_enrolment(store)
    assert second.token != first.token
    assert Agent(store, FAST).sync().problems == ()
    assert collector.service.credentials.authenticate(first.token) is None


def test_a_rotation_whose_answer_is_lost_locks_nobody_out(collector, store):
    enrolment = read_enrolment(store)
    write_enrolment(store, enrolment._replace(rotated_s=0.0))
    collector.service.credentials.rotate_device("pump-7")
    assert Agent(store, FAST).sync().problems == ()


def test_a_service_that_is_gone_is_a_problem_and_no_crash(collector, store):
    with proxying(collector.url) as proxy:
        gone = proxy.url
    write_enrolment(store, read_enrolment(store)._replace(url=gone))
    synced = Agent(store, FAST).sync()
    assert "does not answer" in synced.problems[0]
    assert len(segment_files(f"{store}/log")) == 1
    assert read_status(store).synced_s is None


def test_what_went_wrong_is_told_at_the_next_check_in(collector, store):
    agent = Agent(store, FAST)
    enrolment = read_enrolment(store)
    with proxying(collector.url) as proxy:
        gone = proxy.url
    write_enrolment(store, enrolment._replace(url=gone))
    agent.sync()
    write_enrolment(store, read_enrolment(store)._replace(url=collector.url))
    agent.sync()
    assert "does not answer" in known(collector).last["errors"][0]


def test_the_operator_hears_why_a_segment_is_never_taken(collector, store):
    (file,) = segment_files(f"{store}/log")
    collector.objects.put_new(f"segments/pump-7/{file.name.removesuffix('.log')}", b"other bytes")
    agent = Agent(store, FAST)
    assert file.name in agent.sync().problems[0]
    agent.sync()
    (error,) = known(collector).last["errors"]
    assert f"{file.name} is refused for good" in error
    said = CliRunner().invoke(main, ["agent", "status", "--store", store])
    assert "1 refused for good, in log/refused" in said.output, said.output


def test_a_device_that_was_revoked_keeps_what_it_has(collector, store):
    collector.service.credentials.revoke_device("pump-7")
    synced = Agent(store, FAST).sync()
    assert synced.uplink.is_locked_out
    assert len(segment_files(f"{store}/log")) == 1


def test_the_agent_in_a_thread_hands_over_and_stops_at_once(collector, store):
    arrived = threading.Event()
    put_new = collector.objects.put_new

    def watch(key, data):
        made = put_new(key, data)
        if key.startswith("segments/"):
            arrived.set()
        return made

    collector.objects.put_new = watch
    with Agent(store, SyncPolicy(interval_s=3600)):
        assert arrived.wait(20)
        started = time.monotonic()
    assert time.monotonic() - started < 10


def test_the_status_tells_of_the_last_sync(collector, store):
    Agent(store, FAST).sync()
    found = read_status(store)
    assert (found.segments, found.problems, found.refused) == (1, (), ())
    assert found.synced_s == found.time_s


def test_a_backlog_that_takes_longer_than_the_interval_is_gone_on_with_at_once(collector, store, monkeypatch):
    log_into(store)
    log_into(store)
    agent, seen = Agent(store, SyncPolicy(interval_s=3600)), []

    def told(synced):
        seen.append((synced.uplink.segments, synced.uplink.left))
        if not synced.uplink.left:
            agent.ask_to_stop()

    sync = agent.sync
    monkeypatch.setattr(agent, "sync", lambda **_: sync(time_s=0))
    agent.run(told)
    assert seen == [(1, 2), (1, 1), (1, 0)]


def test_a_full_disk_hinders_no_uplink_which_makes_room(collector, tmp_path):
    token = collector.device("pump-7")
    (tmp_path / "store").mkdir()
    program = [sys.executable, str(Path(full_store.__file__)), str(tmp_path / "store"), collector.url, token]
    spaces = ["unshare", "--map-root-user", "--mount"]
    if (refused := subprocess.run([*spaces, "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"the kernel gives no mount namespace: {refused.stderr.strip()}")
    found = subprocess.run([*spaces, *program], capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, found.stderr
    first, second = map(json.loads, found.stdout.splitlines())
    assert first["segments"] == second["before"] + 1 == 1
    assert any("No space left" in problem for problem in first["problems"])
    assert second["problems"] == []
    assert known(collector).last["count"] == 1


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_status_is_none(store, damage):
    Path(store, FILE).write_bytes(damage)
    assert read_status(store) is None


@pytest.mark.parametrize(
    "policy",
    [{"interval_s": 0.5}, {"interval_s": 1e9}, {"bytes_per_s": 99}, {"timeout_s": 0}, {"backlog_max": 0}],
)
def test_a_policy_out_of_range_is_refused(tmp_path, policy):
    with pytest.raises(WireError):
        Agent(tmp_path, SyncPolicy(**policy))


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{", b'{"device":1,"token":"x"}', b'{"device":"a/b","token":"x"}', b"\xff"]
)
def test_an_answer_to_the_enrolment_that_makes_no_sense_is_refused(collector, answer, monkeypatch):
    http = Http(collector.url)
    monkeypatch.setattr(http, "send", lambda *_, **__: Answer(201, {}, answer))
    with pytest.raises((WireError, AgentError)):
        enrol(http, "t", device=None, edgerun="0.1.0", now_s=0.0)


def test_an_enrolment_that_is_refused_says_why(collector):
    with pytest.raises(AgentError, match="valid token"):
        enrol(Http(collector.url), "er1_enroll_x", device=None, edgerun="0.1.0", now_s=0.0)


def test_the_document_is_what_the_protocol_names(collector, store):
    Agent(store, FAST).sync()
    said = known(collector).last
    assert said["machine"] == read_enrolment(store).machine
    assert json.loads(json.dumps(said))["bundle"] is None
