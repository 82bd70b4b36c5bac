"""``edgerun experiment``: from a section to a plan to a bundle to a report, as a person types it."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from edgerun.cli import main
from edgerun_sync.experiments.facts_json import facts_document
from edgerun_sync.limits import LIMITS
from support import models
from support.scored import facts


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "cards"
    folder.mkdir()
    for name in ("champion", "challenger"):
        (folder / f"{name}.onnx").write_bytes(models.steady())
    (folder / "bundle.toml").write_text(
        'name = "cards"\nversion = "1.0.0"\nroute = "ab"\n'
        '[models]\nchampion = "champion.onnx"\nchallenger = "challenger.onnx"\n'
        '[nodes.ab]\nkind = "random_split"\nweights = { champion = 1, challenger = 1 }\nsplit_key = "user"\n'
    )
    return folder


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(facts_document(facts())))
    return path


def test_a_new_plan_is_computed_and_written_down(source):
    assert run("experiment", "new", source, "--name", "trial").exit_code == 0
    found = run("experiment", "plan", source, "--json")
    document = json.loads(found.output)
    assert document["traffic"] == {"at_once": 0.0, "per_day": 1000.0}
    text = run("experiment", "plan", source, "--per-day", 100).output
    assert "100 new ones a day" in text
    written = next(line for line in text.splitlines() if line.startswith("units = "))
    definition = source / "bundle.toml"
    definition.write_text(re.sub(r"# units = .*", written, definition.read_text()))
    assert "To be written" not in run("experiment", "plan", source).output
    again = json.loads(run("experiment", "plan", source, "--json").output)
    assert again["units"] == document["units"]


def test_the_traffic_of_a_plan_is_what_its_node_enrols(source):
    assert run("experiment", "new", source, "--name", "trial").exit_code == 0
    definition = source / "bundle.toml"
    whole = definition.read_text()
    assert "# docs/graph.md has both." in whole
    enrolled = 'traffic = 0.5\nlayer = { name = "search", from = 0, to = 0.4 }'
    narrowed = whole.replace('split_key = "user"\n', f'split_key = "user"\n{enrolled}\n', 1)
    definition.write_text(narrowed + '\n[holdout]\nname = "2026-h2"\nshare = 0.25\nsplit_key = "user"\n')
    document = json.loads(run("experiment", "plan", source, "--json").output)
    assert document["traffic"]["per_day"] == pytest.approx(1000 * 0.5 * 0.4 * 0.75, rel=1e-6)
    assert json.loads(run("experiment", "plan", source, "--json", "--per-day", 7).output)["traffic"]["per_day"] == 7


def test_a_definition_without_a_plan_says_how_to_get_one(source):
    found = run("experiment", "plan", source)
    assert found.exit_code == 1
    assert "edgerun experiment new" in found.output


def test_a_report_is_computed_again_from_a_former_one(kept, tmp_path):
    text = run("experiment", "report", "trial", "--facts", kept)
    assert text.exit_code == 0
    assert "challenger: SHIP" in text.output
    whole = run("experiment", "report", "trial", "--facts", kept, "--format", "json").output
    (tmp_path / "report.json").write_text(whole)
    assert run("experiment", "report", "trial", "--facts", tmp_path / "report.json").output == text.output
    assert run("experiment", "report", "trial", "--facts", kept, "--format", "html").output.startswith(
        "<!doctype html>"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("other", "--facts", "FACTS"), 1, "none of the name 'other'"),
        (("trial",), 2, "give --data or --facts"),
        (("trial", "--facts", "FACTS", "--data", "x"), 2, "give --data or --facts"),
        (("trial", "--facts", "FACTS", "--until", "soon"), 2, "is no time"),
        (("trial", "--facts", "TEXT"), 1, "cannot be read as JSON"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(arguments, code, said, kept, tmp_path):
    (tmp_path / "text").write_text("no JSON")
    places = {"FACTS": kept, "TEXT": tmp_path / "text"}
    found = run("experiment", "report", *(places.get(one, one) for one in arguments))
    assert found.exit_code == code
    assert said in found.output


def test_without_versions_a_repository_is_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGERUN_REPOSITORY", raising=False)
    found = run("experiment", "report", "trial", "--data", "x")
    assert found.exit_code == 1
    assert "--repository" in found.output


def test_a_former_report_may_have_as_many_bytes_as_the_limit_says_and_no_more(kept, monkeypatch):
    size = kept.stat().st_size
    for most, code in ((size, 0), (size - 1, 1)):
        monkeypatch.setattr("edgerun_sync.cli.experiment_phases.LIMITS", LIMITS._replace(facts_max_bytes=most))
        assert run("experiment", "report", "trial", "--facts", kept).exit_code == code


def test_off_policy_estimates_other_weights_and_refuses_a_broken_experiment(tmp_path):
    kept = {name: tmp_path / f"{name}.json" for name in ("fine", "broken")}
    for name, found in (("fine", facts()), ("broken", facts(misassigned=50))):
        kept[name].write_text(json.dumps(facts_document(found)))
    ask = lambda name, weights, *more: run(  # noqa: E731 - short
        "experiment", "off-policy", "trial", "--weights", weights, "--facts", kept[name], *more
    )
    said = ask("fine", "champion=20, challenger=80")
    assert "as good as" in said.output
    document = json.loads(ask("fine", "champion=1,challenger=1", "--json").output)
    accuracy = next(one for one in document["metrics"] if one["name"] == "accuracy")
    assert accuracy["proposed"] == accuracy["logged"]
    assert accuracy["proposed"]["effective_units"] == 4000
    broken = ask("broken", "challenger=1")
    assert broken.exit_code != 0
    assert "while a check is broken" in broken.output
    assert "not of the form ARM=NUMBER" in ask("fine", "challenger").output
