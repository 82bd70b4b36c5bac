"""Counts, rates and quantiles per arm on DuckDB, beside pyarrow and pandas: ``pytest benchmarks/bench_queries.py``.

EDGERUN_BENCH_EVENTS=20000000 is the size that the project promises a time for; making it takes minutes.
"""

from __future__ import annotations

import os

import pyarrow.parquet as pq
import pytest
from side_by_side import side_by_side

from edgerun_sync.collector.data import open_data
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.serving import serving
from edgerun_sync.queries.tables import BY, ask
from support.recorded import Fleet, batches

EVENTS = int(os.environ.get("EDGERUN_BENCH_EVENTS", "1000000"))
COLUMNS = ["kind", "nonfinite", "latency_s", *BY]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> str:
    """Tables as a collector leaves them, compacted."""
    folder = str(tmp_path_factory.mktemp("fleet"))
    data = open_data(folder, lanes=1)
    fleet = Fleet(devices=max(20, EVENTS // 1000), events=EVENTS, days=10, batch_rows=2**19)
    for number, rows in enumerate(batches(fleet), 1):
        data.tables.append(0, number, rows)
    data.tables.compact("events")
    return folder


@pytest.mark.parametrize(("by", "every"), [(("arm",), None), (BY, None), (("arm",), "day")])
def test_serving(place, by, every):
    files = [*open_data(place).tables.snapshots()["events"].files]
    keys = [*by, *(["day"] if every else [])]

    def ours():
        with open_engine(place) as engine:
            return ask(engine, serving(by=by, every=every))

    def pandas():
        names = [*dict.fromkeys([*COLUMNS, *keys])]
        calls = pq.ParquetDataset(files).read(columns=names).to_pandas()
        grouped = calls.groupby(keys)
        return grouped.agg(calls=("kind", "size"), nonfinite=("nonfinite", "sum"), mean=("latency_s", "mean")).join(
            grouped.latency_s.quantile([0.5, 0.9, 0.99]).unstack()
        )

    title = f"{EVENTS / 1e6:g} M events by {', '.join(keys)}: opening and asking, against pyarrow and pandas"
    side_by_side(title, ours, pandas, rounds=3)
