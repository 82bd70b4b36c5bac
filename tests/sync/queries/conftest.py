"""A fleet's tables, and both engines over the same version of them: DuckDB here, and Sail behind Spark Connect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pytest

from edgerun_sync.collector.data import open_data
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.tables import ask
from support.recorded import Fleet, batches, journals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_sync.queries.engines import Engine

FLEET = Fleet()


class Engines(NamedTuple):
    """Both engines over the same tables."""

    duck: Engine
    sail: Engine

    def ask(self, question: Any, *keys: str, exactly: bool = True) -> Any:
        """The rows that both give, sorted by some columns, as pandas has them."""
        found = [ask(engine, question).to_pandas() for engine in self]
        if keys:
            found = [rows.sort_values([*keys], na_position="last", ignore_index=True) for rows in found]
        if exactly:
            assert found[0].to_dict("list").__repr__() == found[1].to_dict("list").__repr__()
        return found[0]


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> str:
    """Where the tables of a fleet are; nobody changes them."""
    folder = str(tmp_path_factory.mktemp("fleet") / "data")
    data = open_data(folder, lanes=1)
    number = 0
    for number, rows in enumerate(batches(FLEET), 1):
        data.tables.append(0, number, rows)
    data.tables.append(0, number + 1, journals(FLEET))
    return folder


@pytest.fixture(scope="session")
def duck(place) -> Iterator[Engine]:
    with open_engine(place) as engine:
        yield engine


@pytest.fixture(scope="session")
def sail_url() -> Iterator[str]:
    from pysail.spark import SparkConnectServer  # noqa: PLC0415 - slow, and not every test needs it

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    with pytest.MonkeyPatch.context() as patch:
        # pyspark takes a main module without a file, as a worker of pytest-xdist has, for its own doctests.
        patch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
        yield f"sc://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def engines(place, duck, sail_url) -> Iterator[Engines]:
    with open_engine(place, sail_url) as sail:
        yield Engines(duck, sail)


@pytest.fixture(scope="session")
def frames(place) -> dict[str, Any]:
    """The tables as pandas has them, read without an engine: the oracle's view."""
    tables = open_data(place).tables
    found = {name: tables.rows(name) for name in ("events", "labels", "profiles")}
    frames = {name: rows.to_pandas() for name, rows in found.items()}
    for name in ("events", "labels"):  # 64 bits, which a float has not
        frames[name]["unit"] = pd.array(found[name]["unit"].to_pylist(), "Int64")
    return frames
