"""Metrics sent on by OTLP: what arrives is what /metrics says, and no receiver, however bad, is anybody's trouble."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from functools import partial

import pytest
import requests
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.cli import main
from edgerun_sync.cli.collector import serve
from edgerun_sync.collector.committing import Committed
from edgerun_sync.collector.compaction import Compacted
from edgerun_sync.collector.credentials import Credentials, Role
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.files import Files
from edgerun_sync.collector.http.metrics import Metrics
from edgerun_sync.collector.telemetry import STOP_S, Exporter, Source, Telemetry
from edgerun_sync.errors import QueryError, TelemetryError
from edgerun_sync.names import SEGMENT_TYPE
from edgerun_sync.queries.engines import open_engine
from support import recorded
from support.collector_command import CollectorProcess, collector_running, enrolled
from support.fleet import made
from support.otlp import exposed, key, receiving, rejecting, rotel_program, rotel_receiving
from support.served import until
from sync.test_service_http import digest_of

SECRET = "s3cr3t-of-the-receiver"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in (HEADERS, "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


def put(url, segment, token):
    path = f"/v1/devices/{segment.landed.device}/segments/{segment.landed.segment}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": SEGMENT_TYPE, "If-None-Match": "*",
               "Content-Digest": digest_of(segment.body)}  # fmt: skip
    assert requests.put(url + path, data=segment.body, headers=headers, timeout=30).status_code == 201


# What arrives.

SECONDS = st.floats(0, 1e4, allow_nan=False) | st.sampled_from([0.001, 0.25, 60.0])
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='\\"\n', exclude_categories=["C", "Z"]), min_size=1)


@pytest.fixture(scope="module")
def listening():
    with receiving() as found:
        yield found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(NAMES, SECONDS)), st.integers(0, 2**40), st.integers(0, 10**6), st.booleans())
def test_whatever_was_counted_arrives_as_prometheus_sees_it(listening, answers, size, rows, is_new):
    metrics = Metrics()
    for route, seconds in answers:
        metrics.answered("GET", route, 200, seconds)
    metrics.landed(size, rows, is_new=is_new)
    metrics.compacted(Compacted({"events": rows}, {"events": 2}))
    exporter = Exporter(listening.url, "here:1")
    exporter.send(metrics.families())
    exporter.close()
    assert listening.received[-1].series == exposed(metrics.text()[0].decode())


def test_the_kinds_and_units_of_numbers_are_told(receiver):
    metrics = Metrics()
    began = time.time()
    metrics.answered("GET", "/x", 200, 0.3)
    metrics.landed(7, 9, is_new=True)
    metrics.committed(Committed(1, 5, 3, {"events": 4}, 2))
    Exporter(receiver.url, "here:1").send(metrics.families())
    (request,) = receiver.received
    assert request.path == "/v1/metrics"
    found = {metric.name: metric for metric in request.metrics}
    landed, answered = found["edgerun_collector_landed_rows_total"], found["edgerun_collector_request_seconds"]
    assert (landed.sum.is_monotonic, landed.sum.aggregation_temporality) == (True, 2)
    assert answered.histogram.aggregation_temporality == 2
    assert (answered.unit, landed.unit, found["edgerun_collector_segment_bytes_total"].unit) == ("s", "", "By")
    assert found["edgerun_collector_committed_timestamp_seconds"].gauge.data_points[0].as_double >= began - 1
    (point,) = landed.sum.data_points
    assert began - 1 <= point.start_time_unix_nano / 1e9 <= point.time_unix_nano / 1e9 <= time.time() + 1
    assert all(metric.description for metric in found.values())


def test_the_receiver_is_told_which_collector_it_is_and_what_the_operator_calls_it(receiver, monkeypatch):
    Exporter(receiver.url, "here:1").send([])
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fleet-north")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    Exporter(f"{receiver.url}/api/v1/otlp/", "here:2").send([])
    first, second = (request.resource for request in receiver.received)
    assert (first["service.name"], first["service.instance.id"]) == ("edgerun-collector", "here:1")
    assert (second["service.name"], second["deployment.environment"]) == ("fleet-north", "test")
    assert receiver.received[1].path == "/api/v1/otlp/v1/metrics"


@pytest.mark.slow
@pytest.mark.skipif(rotel_program() is None, reason="the receiver was not built for this machine")
def test_a_receiver_of_others_understands_a_collector_that_serves(tmp_path):
    with rotel_receiving(tmp_path) as rotel:
        options = ("--otlp", rotel.url, "--otlp-every", "0.2", "--otlp-arms")
        with collector_running(data := tmp_path / "data", *options) as served:
            devices = {name: enrolled(data, name) for name in ("pump-7", "pump-8")}
            for name, token in devices.items():
                for segment in made(name, 2)[:2]:
                    put(served.url, segment, token)
            wanted = ("edgerun_collector_segments_total", "edgerun_collector_landed_rows_total",
                      "edgerun_collector_committed_rows_total", "edgerun_collector_segment_bytes_total")  # fmt: skip

            def agree() -> bool:
                says = exposed(requests.get(f"{served.url}/metrics", timeout=10).text)
                told = {key(name, labels): float(text) for name, points in rotel.series().items()
                        for labels, text in points if name in wanted}  # fmt: skip
                own = {one: number for one, number in says.items() if one[0] in wanted}
                rows = [sum(n for (name, _), n in own.items() if name == wanted[at]) for at in (1, 2)]
                return own == told and rows[0] == rows[1] > 0

            until(agree)
            until(lambda: "edgerun_arm_window_seconds" in rotel.series())
        counted = rotel.series()["edgerun_collector_request_seconds"]
        assert [text for labels, text in counted if "segments" in labels["route"]][-1] == "4"
        assert rotel.series()["edgerun_arm_window_seconds"][-1] == ({}, "900")


@pytest.mark.slow
def test_how_each_arm_does_arrives_as_a_query_has_it(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(recorded, "DAY_US", 60 * 10**6)
    monkeypatch.setattr(recorded, "START_US", start := int((time.time() - 600) * 1e6))
    monkeypatch.setattr(recorded, "_TIMELINE", recorded.timeline(*(recorded.np.array([n]) for n in (0, start))))
    data = open_data(str(tmp_path / "data"), lanes=1)
    for number, rows in enumerate(recorded.batches(recorded.Fleet(devices=12, events=600)), 1):
        data.tables.append(0, number, rows)
    with collector_running(tmp_path / "data", "--otlp", receiver.url, "--otlp-every", "0.1", "--otlp-arms"):
        until(lambda: any("edgerun_arms" in str(request.metrics) for request in [*receiver.received]))
    told = next(one.series for one in reversed(receiver.received) if key("edgerun_arms", {}) in one.series)
    with open_engine(str(tmp_path / "data")) as engine:
        truth = engine.rows(
            "SELECT bundle, version, arm, count(*) AS calls, count(*) FILTER (kind = 'fallback') AS fallbacks, "
            "quantile_disc(latency_s, 0.5) AS p50, quantile_disc(latency_s, 0.95) AS p95, "
            "quantile_disc(latency_s, 0.99) AS p99 FROM events WHERE kind IN ('inference', 'fallback') GROUP BY ALL"
        ).to_pylist()
    assert told[key("edgerun_arms", {})] == len(truth) > 3
    for row in truth:
        labels = {name: row[name] for name in ("bundle", "version", "arm")}
        assert told[key("edgerun_arm_calls", labels)] == row["calls"]
        assert told[key("edgerun_arm_fallbacks", labels)] == row["fallbacks"]
        for name, share in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")):
            assert told[key("edgerun_arm_latency_seconds", {**labels, "quantile": share})] == row[name]


# Receivers that are none.

BAD = {
    "refuses the secret": (lambda _: (401, {}, SECRET.encode()), "it answers 401"),
    "has no time": (lambda _: (503, {}, b""), "it answers 503"),
    "asks to wait for long": (lambda _: (429, {"Retry-After": "3600"}, b""), "it answers 429"),
    "sends elsewhere": (lambda _: (307, {"Location": "http://127.0.0.1:1/"}, b""), "it answers 307"),
    "hangs": (lambda _: None, "TimeoutError"),
    "takes a part": (lambda _: (200, {}, rejecting(3)), "it rejects 3 numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_receiver_that_does_not_take_them_is_told_in_a_line_without_the_secret(receiver, name, monkeypatch):
    monkeypatch.setenv(HEADERS, f"authorization=Bearer {SECRET}")
    receiver.answer, problem = BAD[name]
    exporter = Exporter(receiver.url, "here:1")
    began = time.monotonic()
    with pytest.raises(TelemetryError) as caught:
        exporter.send(Metrics().families())
    assert time.monotonic() - began < 10
    assert problem in str(caught.value)
    assert SECRET not in str(caught.value)
    assert receiver.received[0].headers["authorization"] == f"Bearer {SECRET}"
    assert len({request.path for request in receiver.received}) == 1
    receiver.answer = lambda _: (200, {}, b"")
    if name != "hangs":
        exporter.send(Metrics().families())


def test_a_receiver_that_is_down_is_told_as_such():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TelemetryError, match="ConnectionRefusedError: Connection refused"):
            Exporter(f"http://127.0.0.1:{closed.getsockname()[1]}", "here:1").send([])


def test_a_receiver_that_answers_something_else_is_believed(receiver):
    receiver.answer = lambda _: (200, {}, b"\xff<html>ok</html>")
    Exporter(receiver.url, "here:1").send([])
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("headers", "said"),
    [(f"Bearer {SECRET}", "Header format invalid"), (f"authorization=Bearer%0A{SECRET}", "InvalidHeader")],
)
def test_headers_that_are_none_are_refused_without_repeating_them(receiver, monkeypatch, capfd, headers, said):
    monkeypatch.setenv(HEADERS, headers)
    with pytest.raises(TelemetryError, match=said) as caught:
        Exporter(receiver.url, "here:1").send([])
    assert SECRET not in str(caught.value) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "url",
    [f"http://user:{SECRET}@127.0.0.1:1", f"https://otlp.example/?api_key={SECRET}", "otlp.example:4318", "grpc://x:1",
     "http://otlp.example:4318"],
)  # fmt: skip
def test_a_url_that_has_a_secret_or_would_tell_one_is_refused_before_anything_is_made(tmp_path, monkeypatch, url):
    monkeypatch.setenv(HEADERS, f"authorization={SECRET}")
    found = CliRunner().invoke(serve, ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--otlp", url])
    assert isinstance(found.exception, TelemetryError)
    assert SECRET not in str(found.exception)
    assert [credential.role for credential in Credentials(Files(tmp_path / "data")).list()] == [], (
        "told at the next start"
    )


def test_arms_are_sent_to_a_receiver_only(tmp_path):
    found = CliRunner().invoke(serve, ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--otlp-arms"])
    assert (found.exit_code, "--otlp-arms needs a receiver" in found.output) == (2, True)


def test_without_the_library_whoever_wants_it_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "edgerun_sync.collector.telemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    options = ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--otlp", "http://127.0.0.1:1"]
    found = CliRunner().invoke(main, ["collector", "serve", *options])
    assert (found.exit_code, "Traceback" in found.output) == (1, False)
    assert "--otlp needs the module 'opentelemetry" in found.output
    assert 'pip install "edgerun[collector]"' in found.output


# Beside whoever serves.


def counted(metrics, what, outcome):
    return exposed(metrics.text()[0].decode()).get(
        key("edgerun_collector_exports_total", {"what": what, "outcome": outcome}), 0
    )


def test_a_receiver_that_comes_back_is_sent_to_again_and_the_log_has_few_lines(receiver, caplog):
    receiver.answer = lambda number: (400, {}, b"") if number <= 9 else (200, {}, b"")
    metrics = Metrics()
    sources = [Source("collector", metrics.families)]
    caplog.set_level(logging.INFO, "edgerun.collector")
    with Telemetry(receiver.url, sources, instance="here:1", every_s=0.01, done=metrics.exported):
        until(lambda: counted(metrics, "collector", "sent") >= 2)
    assert counted(metrics, "collector", "failed") == 9
    said = [(record.message, record.failures) for record in caplog.records if record.name == "edgerun.collector"]
    failed = [("metrics could not be sent", number) for number in (1, 2, 4, 8)]
    assert said == [*failed, ("metrics are sent again", 9)]


def test_a_source_that_fails_keeps_no_other_one_from_being_sent(receiver):
    metrics = Metrics()

    def fail():
        raise QueryError("there is no such table")

    sources = [Source("collector", metrics.families), Source("arms", fail)]
    with Telemetry(receiver.url, sources, instance="here:1", every_s=0.01, done=metrics.exported):
        until(lambda: counted(metrics, "collector", "sent") >= 3 and counted(metrics, "arms", "failed") >= 3)
    assert counted(metrics, "arms", "sent") == counted(metrics, "collector", "failed") == 0


def test_the_last_numbers_are_sent_when_it_stops(receiver):
    metrics = Metrics()
    sources = [Source("collector", metrics.families, is_told_at_the_end=True), Source("arms", list)]
    with Telemetry(receiver.url, sources, instance="here:1", every_s=3600):
        metrics.landed(1, 7, is_new=True)
    (last,) = receiver.received
    assert last.series[key("edgerun_collector_landed_rows_total", {})] == 7


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_collector_whose_receiver_hangs_serves_and_stops_within_seconds(tmp_path, receiver, monkeypatch, number):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    monkeypatch.setenv(HEADERS, f"authorization=Bearer {SECRET}")
    receiver.answer = lambda _: None
    options = ("--otlp", receiver.url, "--otlp-every", "0.05", "--otlp-arms")
    served = CollectorProcess(data := tmp_path / "data", *options)
    try:
        until(lambda: len(receiver.received) == 2)
        token = Credentials(Files(data)).issue(Role.READ)[0]
        answer = partial(requests.get, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer(f"{served.url}/v1/devices").status_code == 200
        began = time.monotonic()
        assert served.end(number) == 0
        assert time.monotonic() - began < STOP_S + 5
    finally:
        served.kill()
    log = (tmp_path / "data.log").read_text()
    assert SECRET not in log
    assert "Traceback" not in log
