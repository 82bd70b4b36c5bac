"""`edgerun query` and `edgerun collector export`: what they print, write and refuse."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from edgerun.cli import main
from edgerun_sync.limits import LIMITS

pytestmark = pytest.mark.slow
BY_ARM = (
    "SELECT arm, count(*) AS n, min(day) AS day, max(outputs) AS o, NULL AS x FROM events GROUP BY arm ORDER BY arm"
)


def run(*arguments):
    return CliRunner().invoke(main, [*arguments])


def test_a_query_is_shown_in_columns(place):
    found = run("query", BY_ARM, "--data", place)
    assert found.exit_code == 0, found.output
    first, *rows = found.stdout.splitlines()
    assert first.split() == ["arm", "n", "day", "o", "x"]
    assert [row.split()[0] for row in rows][:2] == ["challenger", "control"]


def test_json_has_a_line_for_each_row(place):
    rows = [json.loads(line) for line in run("query", BY_ARM, "--data", place, "--json").stdout.splitlines()]
    assert rows[0]["arm"] == "challenger"
    assert rows[0]["day"] == "2023-11-14"
    assert {*rows[0]["o"]} == {"y.class", "y.confidence"}
    assert rows[0]["x"] is None


def test_csv_can_be_read_back(place):
    text = run("query", BY_ARM, "--data", place, "--csv").stdout
    rows = [*csv.DictReader(io.StringIO(text))]
    assert [row["arm"] for row in rows][:2] == ["challenger", "control"]
    assert {*json.loads(rows[0]["o"])} == {"y.class", "y.confidence"}


def test_people_see_so_many_rows_and_are_told_of_the_others(place):
    assert LIMITS.query_rows_shown_max == 1000
    whole = run("query", "SELECT row FROM events LIMIT 1000", "--data", place)
    assert (len(whole.stdout.splitlines()), whole.stderr) == (1001, "")
    cut = run("query", "SELECT row FROM events LIMIT 1001", "--data", place)
    assert len(cut.stdout.splitlines()) == 1001
    assert "1 more rows" in cut.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SELECT nothing FROM events"], "nothing"),
        (["DELETE FROM events"], "one SELECT"),
        (["SELECT 1", "--json", "--csv"], "choose one"),
        (["SELECT 1", "--engine", "sc://127.0.0.1:1"], "no engine answers"),
    ],
)
def test_what_cannot_be_answered_is_said(place, arguments, message):
    found = run("query", *arguments, "--data", place)
    assert found.exit_code != 0
    assert message in found.stderr


def test_a_table_is_exported_as_parquet_and_csv(place, tmp_path):
    for name in ("events.parquet", "events.csv"):
        found = run("collector", "export", "--data", place, "events", "-o", str(tmp_path / name), "--json")
        assert json.loads(found.stdout)["rows"] == 8080
    assert pq.read_table(tmp_path / "events.parquet").num_rows == 8080
    assert sum(1 for _ in csv.reader((tmp_path / "events.csv").read_text().splitlines())) == 8081
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.csv", "events.parquet"]


def test_rows_of_some_time_are_exported(place, tmp_path):
    file = tmp_path / "x.parquet"
    span = ["--since", "2023-11-15", "--until", "2023-11-16"]
    assert run("collector", "export", "--data", place, "events", "-o", str(file), *span).exit_code == 0
    assert {str(time)[:10] for time in pq.read_table(file)["time"].to_pylist()} == {"2023-11-15"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["events", "-o", "x.xlsx"], "neither"),
        (["colours", "-o", "x.csv"], "colours"),
        (["devices", "-o", "x.csv", "--since", "1d"], "of no time"),
    ],
)
def test_what_cannot_be_exported_is_said(place, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    found = run("collector", "export", "--data", place, *arguments)
    assert (found.exit_code, [*tmp_path.iterdir()]) == (2, [])
    assert message in found.stderr
