"""What a collector measures, sent on by OTLP. The one module that knows OpenTelemetry's libraries.

It works beside whoever serves, in threads of its own: a receiver that is down, slow or refuses costs a line in the log
and a count. What the receiver is told in headers is a secret, so nothing that those libraries say is logged as it is.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from edgerun.errors import EdgerunError
from edgerun_sync.agent.http import WatchedSession
from edgerun_sync.collector.families import Buckets, Family, Point
from edgerun_sync.errors import TelemetryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

logger = logging.getLogger("edgerun.collector")

EVERY_S = 60.0
"""Between two attempts."""
STOP_S = 3.0
"""How long the last attempt may take before nobody waits for it."""
PATH = "/v1/metrics"
HEADERS = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Variables of the environment that have secrets."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_UNITS = {"_seconds": "s", "_bytes": "By", "_seconds_total": "s", "_bytes_total": "By"}
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_VERSION = version("edgerun")
_LIBRARY = logging.getLogger("opentelemetry")
_LIBRARY.propagate = False
_LIBRARY.addHandler(logging.NullHandler())  # or else what nobody handles is written to stderr


class Source(NamedTuple):
    """Something that is measured."""

    what: str
    """A word for it, in the log and the counters."""

    families: Callable[[], Iterable[Family]]
    """Measures it; an EdgerunError is a failure that is logged."""

    interrupt: Callable[[], object] = lambda: None
    """Lets it fail, where it takes long and the collector stops."""

    is_told_at_the_end: bool = False
    """Whether it is measured once more when the collector stops."""


class Exporter:
    """Sends families to one receiver; for one thread.

    What it needs besides is in the environment, as OpenTelemetry names it: ``OTEL_EXPORTER_OTLP_HEADERS``,
    ``_CERTIFICATE``, ``_CLIENT_CERTIFICATE``, ``_CLIENT_KEY``, ``_COMPRESSION``, ``_TIMEOUT``,
    ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME``.

    Args:
        url: of the receiver: ``http://`` or ``https://``; `PATH` is added where it does not end so.
        instance: what tells this collector from others.

    Raises:
        TelemetryError: the URL or the environment is not what it should be.
    """

    def __init__(self, url: str, instance: str) -> None:
        self.url = _checked(url)
        self._session = WatchedSession()
        said = _FirstSaid()
        _LIBRARY.addHandler(said)
        try:
            self._exporter = OTLPMetricExporter(self.url, session=self._session)
        except Exception as error:
            raise TelemetryError(f"the environment's OTEL_ variables cannot be used: {_plain(error)}") from error
        finally:
            _LIBRARY.removeHandler(said)
        if said.template is not None:
            raise TelemetryError(f"one of the environment's OTEL_ variables is wrong: {said.template}")
        own = {"service.name": "edgerun-collector", "service.instance.id": instance, "service.version": _VERSION}
        self._resource = Resource.create(own).merge(OTELResourceDetector().detect())

    def send(self, families: Iterable[Family]) -> None:
        """Send families, and return once the receiver has them.

        Raises:
            TelemetryError: it does not, or has not taken all.
        """
        now_ns = time.time_ns()
        metrics = [_metric(family, now_ns) for family in families if family.points]
        scope = ScopeMetrics(InstrumentationScope("edgerun", _VERSION), metrics, "")
        self._session.outcome = None
        try:
            result = self._exporter.export(MetricsData([ResourceMetrics(self._resource, [scope], "")]))
        except Exception as error:
            raise TelemetryError(f"{self.url} has no metrics: {_plain(error)}") from error
        problem = _problem(self._session.outcome)
        if problem is None and result is not MetricExportResult.SUCCESS:
            problem = "OpenTelemetry's library gave up"
        if problem is not None:
            raise TelemetryError(f"{self.url} has not taken all metrics: {problem}")

    def close(self) -> None:
        """Let what another thread sends end soon."""
        self._exporter.shutdown()


class Telemetry:
    """Sends what sources measure, each from a thread of its own, until it is stopped; a context manager.

    Args:
        url: of the receiver.
        sources: what is measured.
        instance: what tells this collector from others.
        every_s: between two attempts.
        done: is told of each attempt: what was measured, and ``sent`` or ``failed``.

    Raises:
        TelemetryError: the URL or the environment is not what it should be.
    """

    def __init__(
        self,
        url: str,
        sources: Sequence[Source],
        *,
        instance: str,
        every_s: float = EVERY_S,
        done: Callable[[str, str], object] = lambda *_: None,
    ) -> None:
        self._every_s, self._done = every_s, done
        self._stop = threading.Event()
        self._sources = [(source, Exporter(url, instance)) for source in sources]
        self._threads = [
            threading.Thread(target=self._work, args=pair, name=f"edgerun-otlp-{pair[0].what}", daemon=True)
            for pair in self._sources
        ]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, once the last numbers were sent; a receiver that hangs is left alone soon."""
        self._stop.set()
        for source, _exporter in self._sources:
            source.interrupt()
        end = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for _source, exporter in self._sources:
            exporter.close()

    def _work(self, source: Source, exporter: Exporter) -> None:
        failures, is_last = 0, False
        while not is_last:
            is_last = self._stop.wait(self._every_s)
            if is_last and not source.is_told_at_the_end:
                return
            try:
                exporter.send(source.families())
            except EdgerunError as error:
                failures += 1
                self._done(source.what, "failed")
                if failures & (failures - 1) == 0:  # the first, the second, the fourth …: it may be down for a week
                    told = {"what": source.what, "failures": failures, "problem": str(error)}
                    logger.warning("metrics could not be sent", extra=told)
            else:
                self._done(source.what, "sent")
                if failures:
                    logger.info("metrics are sent again", extra={"what": source.what, "failures": failures})
                failures = 0


class _FirstSaid(logging.Handler):
    """Keeps what OpenTelemetry's libraries say first, without what was filled in: that may be a header.

    Attributes:
        template: the text; None as long as they say nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.template: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if self.template is None:
            self.template = str(record.msg).partition("%")[0].strip(" :")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise TelemetryError("a receiver of OTLP is http://HOST[:PORT][/PATH] or https://…, without a query")
    if parts.username is not None or parts.password is not None:
        raise TelemetryError(f"a secret does not belong into the receiver's URL; set {HEADERS[1]}")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and any(os.environ.get(name) for name in HEADERS):
        raise TelemetryError(f"headers are secrets, and {parts.hostname} would get them without TLS; use https://")
    base = url.rstrip("/")
    return base if base.endswith(PATH) else base + PATH


def _plain(error: BaseException) -> str:
    """What lies at the bottom of an error, by its name: its text may have headers in it, but not the system's."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    said = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _problem(outcome: Any) -> str | None:
    """What is wrong with an answer: the library takes redirects, and what was rejected in part, for a success."""
    if isinstance(outcome, Exception):
        return _plain(outcome)
    if outcome is None or not 200 <= outcome.status_code < 300:
        return f"it answers {outcome.status_code}" if outcome is not None else None
    try:
        rejected = ExportMetricsServiceResponse.FromString(outcome.content).partial_success.rejected_data_points
    except Exception:  # noqa: BLE001 - it took them; whatever it says besides is not for us
        return None
    return f"it rejects {rejected} numbers" if rejected else None


def _metric(family: Family, now_ns: int) -> Metric:
    unit = next((unit for suffix, unit in _UNITS.items() if family.name.endswith(suffix)), "")
    points = [_number(point, now_ns) for point in family.points if isinstance(point, Point)]
    data: Sum | Gauge | Histogram
    if family.kind == "histogram":
        counted = [_counted(point, now_ns) for point in family.points if isinstance(point, Buckets)]
        data = Histogram(counted, _CUMULATIVE)
    elif family.kind == "counter":
        data = Sum(points, _CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(points)
    return Metric(family.name, family.text, unit, data)


def _number(point: Point, now_ns: int) -> NumberDataPoint:
    return NumberDataPoint(dict(point.labels), _since(point, now_ns), now_ns, float(point.value))


def _counted(point: Buckets, now_ns: int) -> HistogramDataPoint:
    nothing: Any = None  # the protocol need not have the least and the greatest number, and nobody has kept them
    return HistogramDataPoint(
        dict(point.labels), _since(point, now_ns), now_ns, sum(point.counts), point.total, point.counts, point.bounds,
        nothing, nothing,
    )  # fmt: skip


def _since(point: Point | Buckets, now_ns: int) -> int:
    return now_ns if point.since_s is None else min(now_ns, int(point.since_s * 1e9))
