"""``edgerun collector rebuild``, ``compact`` and ``erase``, and the compaction that a collector does by itself."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from itertools import takewhile
from pathlib import Path

import pytest
import xxhash
from click.testing import CliRunner
from deltalake import DeltaTable

from edgerun.cli import main
from edgerun_sync.collector import compaction
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.claims import Claims
from edgerun_sync.collector.compaction import Compaction, compact_all
from edgerun_sync.collector.data import open_data
from edgerun_sync.errors import StorageError
from support.collection import ONE_SEGMENT, commit_all, content, land_all
from support.fleet import made


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("committed") / "data"
    data = open_data(str(folder), lanes=2)
    for device in ("oven-7", "mill-1"):
        land_all(data, *made(device, 3))
    commit_all(data, ONE_SEGMENT)
    return folder


@pytest.fixture
def data(committed, tmp_path):
    return open_data(str(shutil.copytree(committed, tmp_path / "data")))


@pytest.fixture
def run(tmp_path):
    def run(command, *options, code=0, **more):
        result = CliRunner().invoke(main, ["collector", command, "--data", str(tmp_path / "data"), *options], **more)
        assert result.exit_code == code, result.output
        return result.output

    return run


def all_content(data):
    return {name: content(data.tables.another(), name) for name in SCHEMAS}


def files(data, name):
    return len(DeltaTable(data.tables.url(name)).file_uris())


def test_a_rebuild_of_tables_that_are_whole_adds_nothing(data, run):
    before = all_content(data)
    assert json.loads(run("rebuild", "--json"))["rows"] == {}
    assert all_content(data) == before


def test_a_rebuild_makes_tables_again_that_were_discarded(data, run):
    before = all_content(data)
    said = json.loads(run("rebuild", "--discard", "--json"))
    assert said["rows"] == {name: len(rows) for name, rows in before.items() if rows}
    assert said["batches"] == said["segments"] == 6 + 2
    assert all_content(data) == before


def test_a_rebuild_beside_a_collector_is_refused_and_discards_nothing(data, run):
    before, claims = all_content(data), Claims(data.objects)
    assert claims.holds(1)
    assert "a collector commits here (lane 1); stop all of them" in run("rebuild", "--discard", code=1)
    assert all_content(data) == before
    claims.let_go()
    run("rebuild", "--discard")
    assert all_content(data) == before


def test_a_rebuild_says_for_people_what_it_made(data, run):
    assert "events rows" in run("rebuild", "--discard")


def test_a_rebuild_of_a_place_without_data_discards_nothing(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine").write_text("keep")
    result = CliRunner().invoke(main, ["collector", "rebuild", "--discard", "--data", str(tmp_path)])
    assert result.exit_code != 0
    assert "config.json" in result.output
    assert (tmp_path / "tables" / "mine").read_text() == "keep"


def test_compacting_leaves_every_row_in_fewer_files(data, run):
    before, count = all_content(data), files(data, "events")
    said = json.loads(run("compact", "--json"))
    assert said["compacted"]["events"] == count > 1
    assert said["removed"]["events"] == 0, "readers of older versions have seven days"
    assert files(data, "events") == 1
    assert all_content(data) == before


def test_an_erasure_says_what_went(data, run):
    said = json.loads(run("erase", "--device", "oven-7", "--yes", "--at-once", "--json"))
    assert said["rows"]["events"] == 15
    assert said["segments"] > 0
    assert {row["device"] for row in data.tables.another().rows("events").to_pylist()} == {"mill-1"}


@pytest.mark.parametrize("given", [["--unit", "a"], ["--unit-hash", str(2**63 + 3)], ["--unit-hash", str(3 - 2**63)]])
def test_a_unit_is_given_by_its_key_or_by_its_hash(data, run, given):
    said = json.loads(run("erase", *given, "--yes", "--json"))
    assert (said["rows"]["events"] > 0) == (given[0] == "--unit-hash")


def test_a_key_is_hashed_as_a_device_hashes_it(data, run):
    run("erase", "--unit", "alice", "--yes")
    (entry,) = [entry for entry in Audit(data.objects).entries() if entry["action"] == "erase"]
    signed = int.from_bytes(xxhash.xxh64_digest(b"alice", 42), "big", signed=True)
    assert entry["subject"] == f"unit:{hashlib.sha256(str(signed).encode()).hexdigest()}"


def test_an_erasure_asks_first(data, run):
    before = all_content(data)
    assert "Aborted" in run("erase", "--device", "oven-7", code=1, input="n\n")
    assert all_content(data) == before


@pytest.mark.parametrize("given", [[], ["--unit", "a", "--device", "b"], ["--unit", "a", "--unit-hash", "1"]])
def test_an_erasure_is_of_one_thing(data, run, given):
    assert "give one of" in run("erase", *given, code=2)


@pytest.mark.parametrize("name", ["../etc", "", "a/b", ".x", "x" * 65])
def test_a_name_that_no_device_has_is_refused_before_anything_is_done(data, run, name):
    assert "device's name" in run("erase", "--device", name, "--yes", code=1)


# Compaction.


def test_compaction_goes_round_until_it_is_stopped_and_goes_on_after_a_failure(data, monkeypatch):
    rounds, seen = [], threading.Event()

    def fail_first(tables):
        rounds.append(tables)
        if len(rounds) == 1:
            raise StorageError("no network")
        return compact_all(tables)

    monkeypatch.setattr(compaction, "compact_all", fail_first)
    before = all_content(data)
    with Compaction(data.tables.another(), every_s=0.01, done=lambda _: seen.set()):
        assert seen.wait(30)
    assert files(data, "events") == 1
    assert all_content(data) == before


def test_a_reader_that_is_under_way_reads_on_through_compaction(data):
    reader = DeltaTable(data.tables.url("events"))
    before = reader.to_pyarrow_table().num_rows
    compact_all(data.tables.another())
    assert reader.to_pyarrow_table().num_rows == before


# The document.


def test_every_command_that_the_document_shows_is_one():
    text = (Path(__file__).parents[2] / "docs" / "collector.md").read_text("utf-8")
    shown = re.findall(r"^\$ edgerun (collector .+)$", text, re.MULTILINE)
    commands = {"serve", "token", "compact", "rebuild", "erase", "audit", "quarantine"}
    assert {line.split()[1] for line in shown} == commands
    for line in shown:
        words = line.split()
        names = list(takewhile(lambda word: not word.startswith("-"), words))
        helped = CliRunner().invoke(main, [*names, "--help"])
        assert helped.exit_code == 0, line
        assert [word for word in words if word.startswith("--") and word not in helped.output] == [], line
