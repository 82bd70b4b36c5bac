from __future__ import annotations

import re
import threading
import time

import pytest

from edgerun.log import LogPolicy
from edgerun.log.handover import segment_files
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.agent.http import Http
from edgerun_sync.agent.policy import SyncPolicy
from edgerun_sync.agent.uplink import TRIES_MAX, Uplink
from edgerun_sync.errors import UnreachableError, WireError
from support.collector import collecting
from support.docker_registry import free_port
from support.proxy import proxying

NAME = "pump-7"


@pytest.fixture
def log(tmp_path):
    """A log of three sealed segments of three processes."""
    for process in range(3):
        writer = LogWriter(tmp_path / "log", policy=LogPolicy())
        notes = [Note(Kind.LABEL, number, {"id": f"{process:016x}-{number}", "value": number}) for number in range(20)]
        writer.write(None, notes)
        writer.close()
    return str(tmp_path / "log")


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


def uplink(url: str, log: str, *, pauses: list[float] | None = None, **policy) -> Uplink:
    def pause(seconds: float) -> bool:
        if pauses is not None:
            pauses.append(seconds)
        return True

    policy = SyncPolicy(**{"timeout_s": 5.0, **policy})
    http = Http(url, timeout_s=policy.timeout_s, bytes_per_s=policy.bytes_per_s)
    return Uplink(http, NAME, log, policy, pause)


def names(log: str) -> set[str]:
    return {file.name.removesuffix(".log") for file in segment_files(log)}


def stored(collector) -> dict[str, bytes]:
    prefix = f"segments/{NAME}/"
    return {key.removeprefix(prefix): value for key, value in collector.objects.found.items() if key.startswith(prefix)}


def test_all_that_is_sealed_is_handed_over_and_then_deleted(collector, log):
    before = names(log)
    done = uplink(collector.url, log).run(collector.device(NAME))
    assert (done.segments, done.problem, done.refused) == (3, None, ())
    assert {*stored(collector)} == before
    assert names(log) == set()


def test_nothing_is_deleted_that_was_not_acknowledged(collector, log):
    before = names(log)
    done = uplink(collector.url, log).run("er1_device_wrong")
    assert done.is_locked_out
    assert names(log) == before


def test_a_service_that_is_gone_costs_nothing(log):
    before, pauses = names(log), []
    done = uplink(f"http://127.0.0.1:{free_port()}", log, pauses=pauses).run("t")
    assert "does not answer" in done.problem
    assert len(pauses) == TRIES_MAX - 1
    assert names(log) == before


def test_a_segment_that_is_never_taken_is_put_aside_and_the_others_go(collector, log, tmp_path):
    token = collector.device(NAME)
    (taken, *others) = sorted(names(log))
    collector.objects.put_new(f"segments/{NAME}/{taken}", (tmp_path / "log" / f"{min(others)}.log").read_bytes())
    done = uplink(collector.url, log).run(token)
    assert (done.segments, done.refused, done.problem) == (2, (f"{taken}.log",), None)
    (why,) = done.refusals
    assert re.fullmatch(rf"{taken}\.log is refused for good, and kept in refused/ of the log: .+ \(409\)", why)
    assert (tmp_path / "log" / "refused" / f"{taken}.log").is_file()
    assert names(log) == set()


def test_a_reply_that_is_lost_stores_nothing_twice(collector, log):
    token = collector.device(NAME)
    with proxying(collector.url) as proxy:
        proxy.lose_replies(2)
        done = uplink(proxy.url, log).run(token)
    assert (done.segments, done.problem) == (3, None)
    assert len(stored(collector)) == 3
    assert names(log) == set()


@pytest.mark.parametrize("after", [0, 1, 100, 300])
def test_a_connection_that_breaks_off_is_taken_up_again(collector, log, after):
    token = collector.device(NAME)
    with proxying(collector.url) as proxy:
        proxy.break_after(after, times=2)
        done = uplink(proxy.url, log).run(token)
    assert (done.segments, done.problem) == (3, None)
    assert names(log) == set()


def test_a_redirect_is_followed_by_nobody(collector, log):
    token = collector.device(NAME)
    before = names(log)
    with proxying(collector.url) as proxy:
        proxy.answer(307, {"Location": "http://127.0.0.1:1/steal"})
        done = uplink(proxy.url, log).run(token)
    assert "307" in done.problem
    assert names(log) == before


def test_the_service_says_how_long_to_wait(collector, log):
    token, pauses = collector.device(NAME), []
    with proxying(collector.url) as proxy:
        proxy.answer(429, {"Retry-After": "7"}, times=1)
        done = uplink(proxy.url, log, pauses=pauses).run(token)
    assert done.problem is None
    assert len(pauses) == 1
    assert 7 <= pauses[0] <= 7 * 1.25


def test_the_network_is_taken_no_faster_than_it_may_be(collector, log):
    sizes = sum(file.size for file in segment_files(log))
    token, started = collector.device(NAME), time.monotonic()
    done = uplink(collector.url, log, bytes_per_s=sizes).run(token)
    assert done.segments == 3
    assert time.monotonic() - started > 0.5


def test_it_stops_when_it_is_told_to(collector, log):
    stop = threading.Event()
    stop.set()
    http = Http(f"http://127.0.0.1:{free_port()}", timeout_s=1)
    done = Uplink(http, NAME, log, SyncPolicy(), lambda seconds: not stop.wait(seconds)).run("t")
    assert done.problem


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://localhost", "https://user:secret@localhost", "localhost", "https://"]
)
def test_a_token_is_sent_to_no_place_that_is_not_safe(url):
    with pytest.raises(WireError, match="https"):
        Http(url)


def test_a_certificate_that_nobody_vouches_for_is_refused(log, self_signed):
    with collecting(tls=self_signed) as collector, pytest.raises(UnreachableError, match="certificate"):
        Http(collector.url).send("GET", "/healthz", token="t")


def test_a_certificate_that_was_pinned_is_trusted(log, self_signed):
    with collecting(tls=self_signed) as collector:
        assert Http(collector.url, ca_file=str(self_signed[0])).send("GET", "/healthz", token="t").status == 200


def test_a_backlog_gives_way_after_a_while_to_what_is_recorded_meanwhile(collector, log):
    token = collector.device(NAME)
    first = uplink(collector.url, log).run(token, time_s=0)
    assert (first.segments, first.left, first.problem) == (1, 2, None)
    second = uplink(collector.url, log).run(token, time_s=60)
    assert (second.segments, second.left) == (2, 0)
