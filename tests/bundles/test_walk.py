"""The walk of docs/bundles.md does what the page says, in its order."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edgerun_bundles.definition import DEFINITION_FILE
from edgerun_bundles.provenance.declared import read_declared
from support.repositories import commit_all, git, new_repository, write

PAGE = (Path(__file__).parents[2] / "docs" / "bundles.md").read_text("utf-8")
(TRAIN,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
EXIT_CODES = {"check-env": (0, 3), "promote": (0, 3)}
"""Those of machines that change while a test runs: memory and frequency are no part of the page."""


@pytest.mark.slow
def test_the_walk_can_be_walked(home, invoke, tmp_path, monkeypatch):
    folder = new_repository(tmp_path / "digits")
    git(folder, "config", "user.name", "Ada")
    write(folder, "train.py", TRAIN.encode())
    write(folder, ".gitignore", b"*.csv\n*.onnx\n")
    commit_all(folder)
    monkeypatch.chdir(folder)
    said = {}
    for command in COMMANDS:
        if "0.2.0" in command and "build" in command:
            text = Path(DEFINITION_FILE).read_text("utf-8")
            Path(DEFINITION_FILE).write_text(text.replace("0.1.0", "0.2.0"), "utf-8")
        program, *arguments = shlex.split(command)
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            continue
        done = invoke(*arguments)
        assert done.exit_code in EXIT_CODES.get(arguments[1], (0,)), (command, done.output)
        said[command] = done.stdout
    assert "trained  champion by run " in said[COMMANDS[4]]
    shown = said["edgerun bundle show digits-0.1.0.tar"]
    assert re.search(
        r"data +digits: digits.csv, [\d,]+ bytes, 1,797 rows of 65 columns, \w+, source=scikit-learn", shown
    )
    assert "confusion matrix test" in shown
    compared = said["edgerun bundle diff digits-0.1.0.tar digits-0.2.0.tar"]
    assert re.search(r"parameter +~ C 1 -> 0\.001\n", compared)
    assert "~ bundle.toml  +1 -1" in compared
    assert (folder / "before/code/train.py").read_text("utf-8") == TRAIN
    assert json.loads((folder / "before/parameters.json").read_text("utf-8")) == {"C": 1}


def test_the_table_of_the_page_is_one_that_a_definition_takes(tmp_path):
    (table,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    write(tmp_path, "params.json", b'{"C": 1}')
    found = read_declared(tomllib.loads(table)["provenance"], tmp_path, "the page")
    assert (found.parameters, found.metrics.values) == ({"C": 1}, {"field_accuracy": 0.93})
    assert (found.data["test"].path, found.notebooks) == (tmp_path / "digits.csv", (tmp_path / "explore.ipynb",))
    assert found.models["champion"].run == "53adcbc2"
