"""How far the collector goes: from what one core was measured to do to fleets of 10^4 to 10^7 devices, and a simulation
of lanes and commits at 10^6. ``python benchmarks/capacity.py`` prints what docs/capacity.md quotes; chance is seeded.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from edgerun_sync.limits import LIMITS

SEED = 8
DEVICES = 10**6
LANES = (16, 64, 256)
SIMULATED_S = 180.0
MONTH_S = 30 * 86_400.0


class Measured(NamedTuple):
    """What one core of the machine in docs/capacity.md took."""

    land_cpu_s: float = 2.0e-3
    """A segment of some events from the first byte to its acknowledgement, on a disk."""
    segment_cpu_s: float = 0.7e-3
    """What a segment costs to commit, whatever it holds."""
    row_cpu_s: float = 1.4e-6
    """What an event costs to commit besides."""
    row_sent_bytes: float = 5.0
    """On the wire, headers included, where a segment has 3,000 events."""
    row_stored_bytes: float = 13.9
    """In the table."""
    query_rows_per_s: float = 2.5e6
    """Rows that one core counts by arm, with quantiles: not measured here, but what queries must reach."""


class Prices(NamedTuple):
    """Of an object store, US dollars; list prices of a large provider, without what leaves its network."""

    put: float = 5e-6
    get: float = 4e-7
    gigabyte_month: float = 0.023


class Device(NamedTuple):
    """A device of these fleets."""

    events_per_s: float = 1.0
    interval_s: float = 300.0
    """Between two syncs, each a check-in and one segment."""


class Store(NamedTuple):
    """An object store as the simulation has it."""

    request_s: float = 0.03
    """Until one request is answered."""
    at_once: int = 1
    """Requests of one committer that are under way together."""
    lost_commit_s: float = 0.03
    """To read a commit that another lane was quicker with."""


PUTS, GETS = 4, 6
"""For each sync: inbox, segment, tombstone, check-in; credential twice, segment twice, device, lists and batches."""


class Fleet(NamedTuple):
    """What a fleet needs, in the long run and without peaks."""

    devices: int
    segments_per_s: float
    land_cores: float
    commit_cores: float
    puts_per_s: float
    gets_per_s: float
    requests_bill: float
    stored_day_bytes: float
    storage_bill: float


def fleet(devices: int, device: Device, measured: Measured, prices: Prices) -> Fleet:
    """Return what a fleet needs; the storage's bill is that of 30 days' rows, kept for a month."""
    syncs = devices / device.interval_s
    rows = devices * device.events_per_s
    puts, gets, stored = PUTS * syncs, GETS * syncs, rows * 86_400 * measured.row_stored_bytes
    return Fleet(
        devices,
        syncs,
        2 * syncs * measured.land_cpu_s,
        syncs * measured.segment_cpu_s + rows * measured.row_cpu_s,
        puts,
        gets,
        MONTH_S * (puts * prices.put + gets * prices.get),
        stored,
        30 * stored / 1e9 * prices.gigabyte_month,
    )


BATCH_SEGMENTS, BATCH_ROWS = LIMITS.batch_segments_max, LIMITS.batch_rows_max
IDLE_S = 1.0
"""Between two looks at an empty inbox."""


class Lanes(NamedTuple):
    """What a simulation of lanes found."""

    lanes: int
    at_once: int
    commits_per_s: float
    lost: float
    """Attempts to commit for each that won, besides it."""
    segments_a_batch: float
    median_s: float
    """From landing to the table."""
    late_s: float
    """The same, of 99 %."""
    waiting: int
    """Segments that waited at the end; more than a batch a lane means that it does not keep up."""


BATCH_SEGMENTS, BATCH_ROWS = 4096, 2**19
IDLE_S = 1.0


def simulate(lanes: int, per_s: float, rows: float, measured: Measured, store: Store) -> Lanes:
    """Lanes that share one table: each reads a batch, tries to be the next commit, and leaves tombstones.

    A commit wins where nobody committed since its lane's last look; else the lane reads what was committed, and tries
    again. Devices fall to lanes by chance, as by their hash; each lane has a core of its own, and a request takes as
    long as chance says, with the store's time as its median.
    """
    chance = np.random.default_rng([SEED, lanes, store.at_once])
    shares = chance.multinomial(DEVICES, np.full(lanes, 1 / lanes)) / DEVICES * per_s
    room = min(BATCH_SEGMENTS, BATCH_ROWS / rows)
    segment_s = measured.segment_cpu_s + rows * measured.row_cpu_s
    served_to, version, lost, batches = np.zeros(lanes), 0, 0, []
    looks = [(float(chance.uniform(0, IDLE_S)), lane, "look", 0, 0.0) for lane in range(lanes)]
    heapq.heapify(looks)

    def requests_s(count: float) -> float:
        return float(count * store.request_s * chance.lognormal(0, 0.3))

    while looks[0][0] < SIMULATED_S:
        now, lane, step, seen, count = heapq.heappop(looks)
        if step == "look":
            count = min(shares[lane] * (now - served_to[lane]), room)
            if count < 1:
                heapq.heappush(looks, (now + IDLE_S, lane, "look", 0, 0.0))
                continue
            ready = now + count * segment_s + requests_s(count / store.at_once + 2)
            heapq.heappush(looks, (ready, lane, "begin", 0, count))
        elif step == "begin":
            heapq.heappush(looks, (now + requests_s(1), lane, "end", version, count))
        elif version > seen:
            lost += 1
            heapq.heappush(looks, (now + (version - seen) * store.lost_commit_s, lane, "begin", 0, count))
        else:
            version += 1
            until = served_to[lane] + count / shares[lane]
            batches.append((now - until, now - served_to[lane], count))
            served_to[lane] = until
            heapq.heappush(looks, (now + requests_s(count / store.at_once + 1), lane, "look", 0, 0.0))
    least, most, counts = (np.array(column) for column in zip(*batches, strict=True))
    delays = least[:, None] + np.linspace(0.05, 0.95, 10) * (most - least)[:, None]
    median_s, late_s = _quantiles(delays.ravel(), np.repeat(counts, 10), (0.5, 0.99))
    waiting = float(np.sum(shares * (SIMULATED_S - served_to)))
    return Lanes(
        lanes, store.at_once, version / SIMULATED_S, lost / version, float(np.mean(counts)), median_s, late_s, waiting
    )


def _quantiles(values: np.ndarray, weights: np.ndarray, wanted: tuple[float, float]) -> tuple[float, float]:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / np.sum(weights)
    low, high = (float(values[order][np.searchsorted(share, quantile)]) for quantile in wanted)
    return low, high


FLEET_COLUMNS = (
    "devices",
    "syncs a second",
    "cores that land",
    "cores that commit",
    "puts a second",
    "gets a second",
    "requests, $ a month",
    "rows a day",
    "kept 30 days, $ a month",
    "a query over a day, core s",
)
LANE_COLUMNS = (
    "lanes",
    "requests at once",
    "commits a second",
    "lost attempts for each",
    "segments a batch",
    "in the table after, median",
    "99 %",
    "waiting after 3 min",
)


def fleets_table() -> list[str]:
    """The lines of what fleets need."""
    lines = [
        f"| {' | '.join(FLEET_COLUMNS)} |",
        "|---" * len(FLEET_COLUMNS) + "|",
    ]
    for devices in (10**4, 10**5, 10**6, 10**7):
        found = fleet(devices, Device(), Measured(), Prices())
        rows = devices * Device().events_per_s * 86_400
        lines.append(
            f"| {devices:,} | {found.segments_per_s:,.0f} | {found.land_cores:,.1f} | {found.commit_cores:,.1f} | "
            f"{found.puts_per_s:,.0f} | {found.gets_per_s:,.0f} | {found.requests_bill:,.0f} | "
            f"{rows / 1e9:,.1f} G, {found.stored_day_bytes / 1e9:,.0f} GB | {found.storage_bill:,.0f} | "
            f"{rows / Measured().query_rows_per_s:,.0f} |"
        )
    return lines


def lanes_table() -> list[str]:
    """The lines of what lanes do at 10^6 devices."""
    per_s, rows = DEVICES / Device().interval_s, Device().events_per_s * Device().interval_s
    lines = [
        f"| {' | '.join(LANE_COLUMNS)} |",
        "|---" * len(LANE_COLUMNS) + "|",
    ]
    for at_once in (1, 16):
        for lanes in LANES:
            found = simulate(lanes, per_s, rows, Measured(), Store(at_once=at_once))
            lines.append(
                f"| {lanes} | {at_once} | {found.commits_per_s:.1f} | {found.lost:.1f} | {found.segments_a_batch:,.0f} "
                f"| {found.median_s:.0f} s | {found.late_s:.0f} s | {found.waiting:,.0f} |"
            )
    return lines


if __name__ == "__main__":
    print("\n".join([*fleets_table(), "", *lanes_table()]))
