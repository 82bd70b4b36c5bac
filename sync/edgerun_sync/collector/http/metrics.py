"""What the collector tells Prometheus about itself. The one module that knows its client library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edgerun_sync.collector.families import Buckets, Family, Point

if TYPE_CHECKING:
    from prometheus_client import Metric

    from edgerun_sync.collector.committing import Committed
    from edgerun_sync.collector.reports import Compacted
    from edgerun_sync.collector.watching import Looked

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The counters of one collector process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "edgerun_collector_request_seconds",
            "Time to answer a request, its body included.",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._segments = Counter(
            "edgerun_collector_segments", "Segments that devices sent.", ("outcome",), registry=self._registry
        )
        self._bytes = Counter("edgerun_collector_segment_bytes", "Bytes of new segments.", registry=self._registry)
        self._rows = Counter("edgerun_collector_landed_rows", "Rows of new segments.", registry=self._registry)
        self._committed = Counter(
            "edgerun_collector_committed_rows", "Rows committed to the tables.", ("lane",), registry=self._registry
        )
        self._committed_at = Gauge(
            "edgerun_collector_committed_timestamp_seconds", "When the last batch was committed.", ("lane",),
            registry=self._registry,
        )  # fmt: skip
        self._quarantined = Counter(
            "edgerun_collector_quarantined_segments", "Segments and check-ins that cannot become rows.",
            registry=self._registry,
        )  # fmt: skip
        self._waiting = Gauge(
            "edgerun_collector_waiting_segments", "Landed segments that no batch has yet.", ("lane",),
            registry=self._registry,
        )  # fmt: skip
        self._damaged = Counter(
            "edgerun_collector_damaged_bytes", "Bytes of segments that no row could be read from.",
            registry=self._registry,
        )  # fmt: skip
        self._compacted = Counter(
            "edgerun_collector_compacted_files", "Small files that were put together.", ("table",),
            registry=self._registry,
        )  # fmt: skip
        self._removed = Counter(
            "edgerun_collector_removed_files", "Old files that were removed.", ("table",), registry=self._registry
        )
        self._looks = Counter(
            "edgerun_collector_looks", "Looks at experiments that run.", ("outcome",), registry=self._registry
        )
        self._exports = Counter(
            "edgerun_collector_exports", "Attempts to send metrics by OTLP.", ("what", "outcome"),
            registry=self._registry,
        )  # fmt: skip

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def landed(self, size: int, rows: int, *, is_new: bool) -> None:
        """Count a segment of so many bytes and rows."""
        self._segments.labels("stored" if is_new else "known").inc()
        if is_new:
            self._bytes.inc(size)
            self._rows.inc(rows)

    def committed(self, done: Committed) -> None:
        """Count a batch."""
        lane = str(done.lane)
        self._committed.labels(lane).inc(sum(done.rows.values()))
        self._committed_at.labels(lane).set_to_current_time()
        self._damaged.inc(done.damaged)
        self._quarantined.inc(len(done.aside))

    def waiting(self, lane: int, segments: int) -> None:
        """Say how many segments of a lane no batch has yet."""
        self._waiting.labels(str(lane)).set(segments)

    def compacted(self, done: Compacted) -> None:
        """Count a round of compaction."""
        for name in done.compacted:
            self._compacted.labels(name).inc(done.compacted[name])
            self._removed.labels(name).inc(done.removed[name])

    def looked(self, found: Looked) -> None:
        """Count a look at an experiment."""
        self._looks.labels(found.outcome).inc()

    def exported(self, what: str, outcome: str) -> None:
        """Count an attempt to send metrics on."""
        self._exports.labels(what, outcome).inc()

    def families(self) -> list[Family]:
        """Return all counters, for whoever sends them on."""
        return [_family(metric) for metric in self._registry.collect()]

    def text(self) -> tuple[bytes, str]:
        """Return all counters as Prometheus reads them, and the media type of that."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def _family(metric: Metric) -> Family:
    """A family of the client library's, whose samples are named by what follows the family's name."""
    found: dict[tuple[tuple[str, str], ...], tuple[dict[str, float], list[tuple[float, float]]]] = {}
    for sample in metric.samples:
        labels = tuple(pair for pair in sample.labels.items() if pair[0] != "le")
        numbers, upto = found.setdefault(labels, ({}, []))
        if "le" in sample.labels:
            upto.append((float(sample.labels["le"]), sample.value))
        else:
            numbers[sample.name.removeprefix(metric.name)] = sample.value
    if metric.type == "histogram":
        buckets = (_buckets(dict(labels), numbers, upto) for labels, (numbers, upto) in found.items())
        return Family(metric.name, metric.documentation, "histogram", tuple(buckets))
    suffix, is_count = ("_total", True) if metric.type == "counter" else ("", False)
    points = (Point(dict(labels), numbers[suffix], numbers.get("_created")) for labels, (numbers, _) in found.items())
    return Family(metric.name + suffix, metric.documentation, "counter" if is_count else "gauge", tuple(points))


def _buckets(labels: dict[str, str], numbers: dict[str, float], upto: list[tuple[float, float]]) -> Buckets:
    counts = [int(count) for _, count in upto]
    apart = tuple(count - before for count, before in zip(counts, [0, *counts], strict=False))
    bounds = tuple(bound for bound, _ in upto[:-1])
    return Buckets(labels, bounds, apart, numbers["_sum"], numbers.get("_created"))
