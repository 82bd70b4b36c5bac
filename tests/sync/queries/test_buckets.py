"""Tables in a bucket of a real S3 service answer as those in a folder do: in the process, and behind Spark Connect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from edgerun.cli import main
from edgerun_sync.collector.data import open_data, open_to_read
from edgerun_sync.errors import CollectorError
from edgerun_sync.queries.devices import device_states
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.features import profile_rows
from edgerun_sync.queries.labelled import confusion, label_rates, labelled, unit_cells
from edgerun_sync.queries.serving import serving, shadows
from edgerun_sync.queries.tables import BY, EVENTS, ask
from edgerun_sync.queries.units import exposures, moment_sums, several_arms, unit_outcomes, unit_sums
from support.recorded import START_US, Fleet, batches, journals

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
SMALL = Fleet(devices=6, events=600, days=2, batch_rows=200)
URL = "s3://bundles/fleet-of-queries"
CALLS = unit_sums({"calls": lambda row: row.latency_s.notnull()})
QUESTIONS = {
    "serving by day": (serving(by=BY, every="day"), [*BY, "begin"]),
    "shadows": (shadows(by=["arm"]), ["arm"]),
    "label rates": (label_rates(by=["arm"]), ["arm"]),
    "confusion": (confusion(by=["arm"]), ["arm", "truth", "predicted"]),
    "labelled": (labelled().select("id", "truth"), ["id"]),
    "cells": (unit_cells(["0", "1"]), ["arm", "unit"]),
    "exposures": (exposures(), ["unit", "arm"]),
    "several arms": (several_arms(), None),
    "outcomes": (unit_outcomes("visit", window=timedelta(days=1)), ["unit"]),
    "moments": (moment_sums(CALLS, ["calls"]), ["arm"]),
    "profiles": (profile_rows().drop("profile"), None),
    "devices": (device_states(datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(days=3)), ["device"]),
    "maps": (EVENTS.select("id", score=EVENTS.outputs.get("y.confidence")), ["id"]),
}


@pytest.fixture(scope="module")
def bucket(object_server):
    """A fleet's tables in a bucket. What reaches it is told as an operator tells it, Sail included."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (object_server.environment() | {"AWS_ALLOW_HTTP": "true"}).items():
            patch.setenv(name, value)
        data = open_data(URL, lanes=1)
        number = 0
        for number, rows in enumerate(batches(SMALL), 1):
            data.tables.append(0, number, rows)
        data.tables.append(0, number + 1, journals(SMALL))
        yield URL


@pytest.fixture(scope="module")
def both(bucket, sail_url):
    with open_engine(bucket) as duck, open_engine(bucket, sail_url) as sail:
        yield duck, sail


@pytest.fixture(scope="module")
def in_a_folder(tmp_path_factory):
    """The same rows in a folder."""
    folder = str(tmp_path_factory.mktemp("fleet") / "data")
    data = open_data(folder, lanes=1)
    for number, rows in enumerate([*batches(SMALL), journals(SMALL)], 1):
        data.tables.append(0, number, rows)
    with open_engine(folder) as duck:
        yield duck


def answer(engine, question, keys):
    rows = ask(engine, question).to_pandas()
    rows = rows.sort_values([*(keys or rows.columns)], na_position="last", ignore_index=True)
    return repr(rows.to_dict("list")), len(rows)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_has_one_answer_whichever_engine_is_asked_and_wherever_the_tables_are(both, in_a_folder, name):
    found = {answer(engine, *QUESTIONS[name]) for engine in (*both, in_a_folder)}
    assert len(found) == 1
    assert found.pop()[1] > 0 or name == "several arms"


def test_the_command_asks_an_engine_about_a_bucket(bucket, sail_url):
    sql = "SELECT arm, count(*) AS n FROM events WHERE arm IS NOT NULL GROUP BY arm ORDER BY arm"
    answers = [
        CliRunner().invoke(main, ["query", sql, "--data", bucket, "--csv", *engine])
        for engine in ([], ["--engine", sail_url])
    ]
    assert [answer.exit_code for answer in answers] == [0, 0], answers[1].output
    assert answers[0].output == answers[1].output
    assert "control" in answers[0].output


def test_a_bucket_without_data_is_said(bucket):
    with pytest.raises(CollectorError, match="no data"):
        open_to_read("s3://bundles/nothing")


def test_an_engine_answers_from_the_version_of_a_bucket_that_it_opened(bucket, sail_url):
    place = "s3://bundles/growing"
    data = open_data(place, lanes=1)
    first, *later = batches(SMALL)
    data.tables.append(0, 1, first)
    count = "SELECT count(*) AS n FROM events"
    with open_engine(place) as duck, open_engine(place, sail_url) as sail:
        for number, rows in enumerate(later, 2):
            data.tables.append(0, number, rows)
        assert [engine.rows(count)["n"][0].as_py() for engine in (duck, sail)] == [200, 200]
    with open_engine(place, sail_url) as sail:
        assert sail.rows(count)["n"][0].as_py() == 600
