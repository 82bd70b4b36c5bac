"""Receivers of OTLP: one that decodes by the protocol's package and is as bad as it is told to be, and a real one."""

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, files
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from support.docker_registry import free_port, wait_until_it_listens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Numbers by name and sorted labels, named as Prometheus exposes them."""


class Received(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def metrics(self):
        message = ExportMetricsServiceRequest.FromString(self.body)
        return [metric for one in message.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]

    @property
    def resource(self) -> dict[str, str]:
        (one,) = ExportMetricsServiceRequest.FromString(self.body).resource_metrics
        return {attribute.key: attribute.value.string_value for attribute in one.resource.attributes}

    @property
    def series(self) -> Series:
        """All numbers; a histogram's as Prometheus has them."""
        found: Series = {}
        for metric in self.metrics:
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                labels = {one.key: one.value.string_value for one in point.attributes}
                if kind == "histogram":
                    upto = 0
                    for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
                        upto += count
                        found[key(f"{metric.name}_bucket", labels | {"le": bound_text(bound)})] = upto
                    found[key(f"{metric.name}_count", labels)] = point.count
                    found[key(f"{metric.name}_sum", labels)] = point.sum
                else:
                    found[key(metric.name, labels)] = point.as_double
        return found


def bound_text(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(float(bound))


def key(name: str, labels: dict[str, str]):
    return name, tuple(sorted((label, value) for label, value in labels.items() if value))


def exposed(text: str) -> Series:
    """What /metrics says, but for when counting began."""
    found: Series = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, number = re.fullmatch(r"(\w+)(?:{(.*)})? (\S+)", line).groups()
            if not name.endswith("_created"):
                found[key(name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))] = float(number)
    return found


class Receiver:
    """A receiver; `answer` decides on each request: a status and a body, or None to hang until the end."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[int], tuple[int, dict[str, str], bytes] | None] = lambda _: (200, {}, b"")
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers), body))
                answer = receiver.answer(len(receiver.received))
                if answer is None:
                    receiver.over.wait(60)
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def rejecting(count: int) -> bytes:
    """The answer of a receiver that takes all but some numbers."""
    message = ExportMetricsServiceResponse()
    message.partial_success.rejected_data_points = count
    return message.SerializeToString()


def rotel_program() -> str | None:
    """Where the real receiver is; None on machines that it was not built for."""
    try:
        found = [file for file in files("rotel") or [] if file.name == "rotel-agent"]
    except PackageNotFoundError:
        return None
    return str(found[0].locate()) if found else None


class Rotel(NamedTuple):
    """A receiver that others have written, in another language, which prints what it understood."""

    url: str
    output: Path

    def series(self) -> dict[str, list[tuple[dict[str, str], str]]]:
        """By name, each number's labels and text; of a histogram its count."""
        found: dict[str, list[tuple[dict[str, str], str]]] = {}
        name, labels = "", {}
        for line in self.output.read_text().splitlines():
            if metric := re.fullmatch(r" *-> Name: (.*)", line):
                name = metric[1]
            elif re.search(r"(DataPoints|ResourceMetrics) #\d+$", line):
                labels = {}
            elif label := re.fullmatch(r" *-> (\S+): Str\((.*)\)", line):
                labels[label[1]] = label[2]
            elif number := re.fullmatch(r"(?:Value|Count): (\S+)", line):
                found.setdefault(name, []).append((labels, number[1]))
        return found

    def said(self) -> str:
        return self.output.read_text()


@contextmanager
def rotel_receiving(folder: Path) -> Iterator[Rotel]:
    """Run the real receiver until the block ends."""
    program = rotel_program()
    assert program is not None
    http, grpc = free_port(), free_port()
    options = ["--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}",
               "--exporter", "blackhole", "--debug-log", "metrics", "--debug-log-verbosity", "detailed",
               "--pid-file", str(folder / "pid"), "--log-file", str(folder / "log")]  # fmt: skip
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([program, "start", *options], stdout=said, stderr=subprocess.STDOUT)
    try:
        wait_until_it_listens(http, process)
        yield Rotel(f"http://127.0.0.1:{http}", folder / "said")
    finally:
        process.terminate()
        process.wait(30)
