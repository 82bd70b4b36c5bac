"""docs/repository.md: its commands do what it says, in its order, and every field that they print is in it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from edgerun_bundles.repository import keys as keys_module

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "repository.md").read_text("utf-8")
LINES = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_its_order_and_their_fields_are_documented(
    invoke, settings, monkeypatch, tmp_path
):
    monkeypatch.setattr(keys_module, "SCRYPT_COST", 16)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    documented = {*re.findall(r"`(\w+)`", PAGE.partition("## What `--json` prints")[2])}
    ran = 0
    for line in LINES:
        command, _, output = line.partition(" > ")
        first, *arguments = shlex.split(command)
        if first == "export":
            name, _, value = arguments[0].partition("=")
            monkeypatch.setenv(name, value)
            continue
        is_ours = arguments[0] == "bundle" and not output
        done = invoke(*arguments, *(["--json"] if is_ours else []))
        assert done.exit_code == 0, (line, done.output)
        ran += 1
        if output:
            (tmp_path / output).write_bytes(done.stdout_bytes)
        if is_ours and arguments[1] != "pull":
            found = json.loads(done.stdout)
            assert found.keys() <= documented, line
    assert ran == len(LINES) - 1 > 15
    assert (tmp_path / "cards-1.0.0.tar").is_file()
    assert (tmp_path / "mirror/metadata/timestamp.json").is_file()
