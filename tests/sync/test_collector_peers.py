"""The collector among those it meets: nginx with TLS in front, Prometheus, SeaweedFS as its store, signals, systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from edgerun_sync.agent import Agent, SyncPolicy
from edgerun_sync.collector.credentials import Credentials
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.files import Files
from edgerun_sync.collector.http.metrics import Metrics
from edgerun_sync.errors import UnreachableError
from edgerun_sync.names import SEGMENT_TYPE
from edgerun_sync.queries.arms import WINDOW_S, families_of
from support.collection import commit_all
from support.docker_registry import free_port, wait_until_it_listens
from support.fleet import made
from support.nginx import nginx_as_documented
from support.seaweedfs import BUCKET
from support.served import LABELS, device_with_labels, serving, until
from sync.test_service_http import digest_of

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "sync" / "grafana" / "collector.json"
UNITS = sorted((ROOT / "sync" / "systemd").glob("*.service"))
FAST = SyncPolicy(interval_s=1, timeout_s=10)
SEGMENT = made("pump-7", 1)[0]

pytestmark = pytest.mark.slow


@contextmanager
def prometheus_scraping(url, folder):
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: apt-get install prometheus"
    port = free_port()
    targets = f"static_configs: [{{targets: ['{url.removeprefix('http://')}']}}]"
    (folder / "prometheus.yml").write_text(
        f"scrape_configs:\n- job_name: edgerun\n  scrape_interval: 200ms\n  {targets}\n"
    )
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        wait_until_it_listens(port, process)
        until(lambda: requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=10).ok)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(30)


def queried(prometheus, expression):
    answer = requests.get(f"{prometheus}/api/v1/query", params={"query": expression}, timeout=30).json()
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_a_device_syncs_through_nginx_with_tls_and_prometheus_sees_it(tmp_path, self_signed):
    certificate, _ = self_signed
    (work := tmp_path / "nginx").mkdir()
    with serving(str(tmp_path / "data"), tmp_path / "log") as served:
        with nginx_as_documented(served.url, work, self_signed) as front:
            with pytest.raises(UnreachableError, match="certificate"):
                device_with_labels(front.url, served.token("enroll"), tmp_path, "pump-6")
            store = device_with_labels(front.url, served.token("enroll"), tmp_path, "pump-7", str(certificate))
            assert Agent(store, FAST).sync().uplink.segments == 1
        until(lambda: re.search(r"committed_rows_total{[^}]*} [1-9]", requests.get(f"{served.url}/metrics").text))
        until(lambda: re.search(r"waiting_segments{[^}]*} 0", requests.get(f"{served.url}/metrics").text))
        with prometheus_scraping(served.url, tmp_path) as prometheus:
            until(lambda: queried(prometheus, "sum(edgerun_collector_committed_rows_total) > 0"))
            assert queried(prometheus, "up")[0]["value"][1] == "1"
            (stored,) = queried(prometheus, 'edgerun_collector_segments_total{outcome="stored"}')
            assert stored["value"][1] == "1"
            (landed,) = queried(prometheus, "edgerun_collector_landed_rows_total")
            assert int(landed["value"][1]) >= LABELS
            for expression in expressions():
                queried(prometheus, expression.replace("$__rate_interval", "1m"))
        assert served.stop() == 0
    commit_all(data := open_data(str(tmp_path / "data")))  # check-ins wait for each other for some seconds
    tables = data.tables
    assert tables.rows("labels").num_rows == LABELS
    assert tables.rows("devices")["device"].to_pylist() == ["pump-7"]


def test_a_device_syncs_into_a_bucket(object_server, tmp_path, monkeypatch):
    url = f"s3://{BUCKET}/fleet-of-a-collector"
    with serving(url, tmp_path / "log", object_server.environment()) as served:
        store = device_with_labels(served.url, served.token("enroll"), tmp_path, "pump-7")
        assert Agent(store, FAST).sync().uplink.segments == 1
        until(lambda: re.search(r"committed_rows_total{[^}]*} [1-9]", requests.get(f"{served.url}/metrics").text))
        assert served.stop() == 0
    for name, value in object_server.environment().items():
        monkeypatch.setenv(name, value)
    commit_all(data := open_data(url))
    tables = data.tables
    assert tables.rows("labels").num_rows == LABELS
    assert tables.rows("devices")["device"].to_pylist() == ["pump-7"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_is_under_way_is_answered_before_it_stops(tmp_path, number):
    with serving(str(tmp_path / "data"), tmp_path / "log") as served:
        token = Credentials(Files(tmp_path / "data")).issue_device("pump-7")
        host, port = served.url.removeprefix("http://").split(":")
        head = [f"PUT /v1/devices/pump-7/segments/{SEGMENT.landed.segment} HTTP/1.1", "Host: x",
                f"Authorization: Bearer {token}", f"Content-Type: {SEGMENT_TYPE}", "If-None-Match: *",
                f"Content-Digest: {digest_of(SEGMENT.body)}",
                f"Content-Length: {len(SEGMENT.body)}", "", ""]  # fmt: skip
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall("\r\n".join(head).encode() + SEGMENT.body[:10])
            until(lambda: "answered" in served.log() or requests.get(f"{served.url}/readyz", timeout=10).ok)
            began = time.monotonic()
            served.process.send_signal(number)
            until(lambda: not listens(host, int(port)))
            connection.sendall(SEGMENT.body[10:])
            assert connection.recv(100).startswith(b"HTTP/1.1 201")
        assert served.process.wait(30) == 0
        assert time.monotonic() - began < 10
        assert served.admin not in served.log()
        assert "Traceback" not in served.log()
    claims = [json.loads(path.read_text()) for path in (tmp_path / "data" / "lanes").glob("*.json")]
    assert [claim["until"] for claim in claims] == [0.0] * len(claims), "others may take its lanes at once"


def listens(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_dashboard_asks_for_counters_that_are_there():
    exposed = re.findall(r"^# TYPE (\S+) (\S+)$", Metrics().text()[0].decode(), re.MULTILINE)
    families = {name: kind for name, kind in exposed if not name.endswith("_created")}
    families |= {family.name: family.kind for family in families_of([], WINDOW_S)}
    asked = {name for expression in expressions() for name in re.findall(r"edgerun_\w+", expression)}
    of_histograms = {name: name.rpartition("_")[0] for name in asked if name.endswith(("_bucket", "_count", "_sum"))}
    assert all(families[name] == "histogram" for name in of_histograms.values())
    assert {of_histograms.get(name, name) for name in asked} == {*families}, "and none of them is left out"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit, tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("this machine has no systemd")
    (tmp_path / "bin").mkdir()
    (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/edgerun", "/bin/true"))
    found = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / unit.name)], check=False, capture_output=True, text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    own = [line for line in found.stderr.splitlines() if unit.name in line]
    assert own == []
