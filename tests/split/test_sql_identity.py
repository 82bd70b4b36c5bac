"""Anybody can audit a split with one SQL expression: Spark's xxhash64 on Sail gives the same points.

The server is Sail's Spark Connect server in this process, on a loopback port that it chooses itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from edgerun.split import Split

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    # pyspark-client 4.2.0 warns of every pandas from 3.0 on; nothing here goes through pandas.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]

LETTERS = "aZ09 _-éß日本🙂\0"

SALTS = ["checkout-button", "sält 日本 🙂", "it's"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pysail.spark import SparkConnectServer  # noqa: PLC0415 (only for this test: it is slow)
    from pyspark.sql import SparkSession  # noqa: PLC0415

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    with pytest.MonkeyPatch.context() as patch:
        # pyspark takes a main module without a file, as a worker of pytest-xdist has, for its own doctests.
        patch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
        session = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()
    yield session
    session.stop()
    server.stop()


def keys_of_every_length() -> list[str]:
    """Texts of 0 to 300 characters, plain and not, so that the bytes reach every branch of the hash."""
    plain = ["k" * length for length in range(301)]
    mixed = ["".join(LETTERS[(length + at * 7) % len(LETTERS)] for at in range(length)) for length in range(301)]
    return [*plain, *mixed]


@pytest.mark.parametrize("salt", SALTS)
def test_sql_gives_the_points_of_the_split(spark: Any, salt: str) -> None:
    split = Split(salt, {"a": 1, "b": 1})
    spark.createDataFrame(pa.table({"key": keys_of_every_length()})).createOrReplaceTempView("keys")
    rows = spark.sql(
        "SELECT key, shiftrightunsigned(xxhash64(:salt, key), 32) AS point FROM keys", args={"salt": salt}
    ).toArrow()
    assert len(rows) == 602
    assert rows["point"].to_pylist() == [split.explain(key).point for key in rows["key"].to_pylist()]
