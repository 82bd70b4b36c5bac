"""The documents: what they show runs, what they point to is there, and what the command prints is in them."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import edgerun.log
from edgerun.cli import main
from edgerun.graph import parse_graph
from edgerun.log import Capture, LogPolicy
from edgerun.log.tables import NAMES
from edgerun.nodes import node_to_dict
from edgerun.store import Store
from edgerun_bundles.experiment.metrics import DIRECTIONS, DeclaredMetric
from edgerun_bundles.experiment.plan import ExpectedTraffic, Plan, check_plan, parse_plan
from edgerun_sync.collector.data import open_data
from edgerun_sync.report.view import RULE
from support import recorded
from support.tuf_repository import TufRepository

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "bundles" / "recipes" / "digits" / "bundle"
LOG = str(ROOT / "tests" / "vectors" / "log" / "v1")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *(found for folder in ("docs", "native", "bundles", "tests") for found in (ROOT / folder).rglob("*.md")),
    )
)


def read(document):
    return (ROOT / document).read_text("utf-8")


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", read(document), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)", read(document)):
        if not link.startswith("https://"):
            assert ((ROOT / document).parent / link).exists(), link


def test_every_decision_is_listed():
    files = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert files == set(re.findall(r"\]\((0[^)]+)\)", read("docs/decisions/README.md")))


def test_the_readme_opens_with_what_it_does_in_three_lines():
    title, blank, *lines = read("README.md").splitlines()[:6]
    assert (title, blank, lines[3]) == ("# edgerun", "", "")
    assert all(lines[:3])


def test_the_readme_has_one_command_for_the_main_job_and_one_for_the_tests():
    commands = [line for line in read("README.md").splitlines() if line.startswith("pip install")]
    assert commands == ["pip install -e . && edgerun demo", 'pip install -e ".[dev]" && pytest -n auto']


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    names: dict = {}
    serve, build, keep = blocks("README.md", "python")
    exec(serve, names)
    prediction = names["prediction"]
    said = dict(re.findall(r"^prediction(\S+)  # .*: (.+)$", serve, re.MULTILINE))
    assert said == {
        '["label"]': repr(prediction["label"]),
        ".arm": repr(prediction.arm),
        ".model": repr(prediction.model),
        ".path": repr(prediction.path),
    }
    exec(build, names)
    assert (tmp_path / "my-cards" / "bundle.json").exists()
    exec(keep, names)
    kept = edgerun.log.read(tmp_path / "digits-log")
    assert kept.labels["id"].tolist() == kept.calls["id"].tolist() == [names["prediction"].id]


def test_the_graph_of_the_documentation_is_that_of_the_cards():
    source, *_ = blocks("docs/graph.md", "toml")
    found = tomllib.loads(source)
    graph = parse_graph("cards", found["nodes"], found["route"], ["champion", "challenger"])
    written = json.loads((ROOT / "bundles" / "recipes" / "cards" / "bundle" / "bundle.json").read_text())
    assert {name: node_to_dict(node) for name, node in graph.nodes.items()} == written["nodes"]
    assert graph.route == written["route"]


def test_the_layers_and_the_holdout_of_the_documentation_are_a_graph():
    _, layers, holdout = blocks("docs/graph.md", "toml")
    found = tomllib.loads(layers + holdout)
    graph = parse_graph("shop", found["nodes"], found["route"], ["champion", "reranker", "speller"], found["holdout"])
    assert graph.nodes["ranking"].layer.end == graph.nodes["spelling"].layer.start
    assert graph.nodes["ranking"].control == "spelling"
    assert graph.holdout.name == "2026-h2"


def test_the_python_of_the_page_on_the_log_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    names: dict = {}
    for source in blocks("docs/log.md", "python"):
        exec(source, names)
    assert names["log"].calls.rows == 600
    assert names["late"].rows == 600
    assert names["by_arm"].index.tolist() == ["challenger", "control"]
    assert (tmp_path / "log").is_dir()


def test_the_page_on_queries_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = open_data("data", lanes=1)
    fleet = recorded.Fleet(events=400)
    for number, rows in enumerate([*recorded.batches(fleet), recorded.journals(fleet)], 1):
        data.tables.append(0, number, rows)
    names: dict = {}
    (source,) = blocks("docs/queries.md", "python")
    exec(source, names)
    assert names["by_arm"].num_rows == len(recorded.WEIGHTS)
    assert {arm: found.n for arm, found in names["by_unit"].items()}.keys() == recorded.WEIGHTS.keys()
    table = read("docs/queries.md").partition("| what one asks first")[2]
    for query in re.findall(r"`(SELECT [^`]+)`", table):
        result = CliRunner().invoke(main, ["query", query, "--data", "data", "--json"])
        assert result.exit_code == 0, result.output
        if "AS truth" in query:  # labels that are numbers are labels too
            assert {json.loads(line)["truth"] is None for line in result.stdout.splitlines()} == {False}


def test_the_page_on_devices_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgerun.rehearsal.rehearse", lambda path, limits: None)
    repository = TufRepository(tmp_path / "repository")
    digest = repository.release("1.0.0")
    (tmp_path / "root.json").write_bytes(repository.root_file.read_bytes())
    (source,) = blocks("docs/device.md", "console")
    for line in source.splitlines():
        _, _, *arguments = shlex.split(line)
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    (source,) = blocks("docs/device.md", "python")
    exec(source, {})
    assert capsys.readouterr().out == "current 1.0.0 cards@1.0.0 is active already\n"
    assert Store("store").state().candidate.digest == digest


def test_every_field_that_the_commands_of_a_device_print_is_documented(tmp_path, monkeypatch):
    monkeypatch.setattr("edgerun.rehearsal.rehearse", lambda path, limits: None)
    repository = TufRepository(tmp_path / "repository")
    folder = str(tmp_path / "store")
    join = ["join", str(repository.folder), "--root", str(repository.root_file), "--bundle", "cards"]
    table = read("docs/device.md").partition("## What `--json` prints")[2].partition("\n## ")[0]
    known = set(re.findall(r"`(\w+)`", table))
    for command in (join, ["update"], ["update"], ["rollback", "--reason", "x"], ["status"], ["history"], ["verify"]):
        if command == ["update"]:
            repository.release(f"1.{repository.roles['timestamp'].version}.0")
        result = CliRunner().invoke(main, ["device", *command, "--store", folder, "--json"])
        found = json.loads(result.stdout)
        rows = "".join(re.findall(rf"^\|.*\| `{command[0]}` \|.*$", table, re.MULTILINE))
        assert set(found) <= set(re.findall(r"`(\w+)`", rows)), command
        for inner in ("follows", "current", "bad", "history"):
            assert fields(found.get(inner) if command[0] != "rollback" else {}) <= known, command
        if command == ["update"]:
            Store(folder).start().confirm()


def test_every_column_of_a_log_is_documented():
    page = read("docs/log.md")
    tables = dict(re.findall(r"^\| `(\w+)` \| (.*)$", page.partition("## Tables")[2], re.MULTILINE))
    documented = set(re.findall(r"`(\w+)`", page.partition("## Tables")[2].partition("\n## ")[0]))
    for kind, columns in NAMES.items():
        assert set(columns) <= documented, kind
    assert {"calls", "shadows", "errors", "captures", "profiles", "labels", "outcomes", "losses", "lifecycle"} <= {
        *tables
    }


def test_every_field_of_the_policy_of_a_log_is_documented_with_its_default():
    page = read("docs/log.md")
    for record in (LogPolicy(), Capture()):
        for field in record._fields:
            assert f"`{field}`" in page, field


def fields(document):
    """Every name of a JSON object, but for those that are data."""
    if isinstance(document, list):
        return set().union(*map(fields, document))
    return set(document) if isinstance(document, dict) else set()


COMMANDS = {
    "predict": ["predict", str(DIGITS), "--input", "-", "--json"],
    "show": ["show", str(DIGITS), "--json"],
    "split explain": ["split", "explain", "salt", "key", "--weights", "a=1", "--json"],
    "demo": ["demo", "--repeat", "1", "--json"],
    "log ls": ["log", "ls", LOG, "--json"],
    "log stats": ["log", "stats", LOG, "--profiles", "--json"],
    "log verify": ["log", "verify", LOG, "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_that_the_command_prints_is_documented(command):
    result = CliRunner().invoke(main, COMMANDS[command], input=json.dumps(np.zeros((1, 64)).tolist()))
    found = json.loads(result.stdout)
    section = read("docs/command.md").partition(f"## `edgerun {command}")[2].partition("\n## ")[0]
    inner = {
        "show": [*found.get("inputs", []), *found.get("models", {}).values()],
        "demo": [*found.get("arms", {}).values(), found.get("shadows", []), found.get("all", {}).get("run_s")],
        "split explain": [found.get("range")],
        "log ls": found.get("segments", []),
        "log verify": [*found.get("damage", []), *found.get("gaps", [])],
        "log stats": [
            *found.get("groups", []),
            *found.get("shadows", []),
            found.get("labels"),
            *(group["latency_s"] for group in found.get("groups", []) if "latency_s" in group),
        ],
    }
    names = fields(found).union(*map(fields, inner.get(command, [])))
    assert names <= set(re.findall(r"`(\w+)`", section))


def test_the_plan_of_the_page_on_experiments_is_read_and_every_field_and_metric_is_on_it():
    (source,) = blocks("docs/experiments.md", "toml")
    plan = parse_plan(tomllib.loads(source)["experiment"], "docs/experiments.md")
    assert plan.success == ("kept",)
    nodes = {"ab": {"kind": "random_split", "weights": dict.fromkeys(plan.units, 1), "split_key": "user"}}
    check_plan(plan, parse_graph("cards", nodes, "ab", [*plan.units]), "docs/experiments.md")
    page = read("docs/experiments.md")
    first_cells = " ".join(re.findall(r"^\| (.+?) \|", page, re.MULTILINE))
    for field in (*Plan._fields, *DIRECTIONS):
        assert f"`{field}`" in first_cells, field
    for field in (*DeclaredMetric._fields, *ExpectedTraffic._fields):
        assert f"`{field}`" in page, field


def test_the_rule_of_a_report_is_that_of_the_page_on_the_verdict():
    kinds = re.findall(r"\*\*([A-Z ]+)\*\*", read("docs/verdict.md").partition("## What")[0])
    assert [*dict.fromkeys(kinds)] == ["NO VERDICT", "ROLL BACK", "KEEP RUNNING", "SHIP", "INCONCLUSIVE"]
    assert re.findall(r"is ([A-Z][A-Z ]+[A-Z])", RULE) == kinds
