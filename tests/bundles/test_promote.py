"""A bundle moves to another channel only when every gate is passed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edgerun.cli.group import Commands
from edgerun.rehearsal import Rehearsal
from edgerun_bundles.archive import write_archive
from edgerun_bundles.attached import attachments
from edgerun_bundles.cli.promote import promote_command
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.gates import Gate, environment_gate, golden_gate, may_move, trial_gate
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.provenance.comparison import Difference
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.provenance.statement import Provenance
from edgerun_bundles.repository import keys
from edgerun_bundles.trial import Trial, try_out
from support.pipes import Pipe

TAKEN = Rehearsal(0.001, 10**7)
EDGERUN = Path(sys.executable).with_name("edgerun")
PYTHON = shlex.quote(sys.executable)


# The gates, which are pure.


@given(st.lists(st.builds(Gate, st.sampled_from(["golden", "environment", "test"]), st.booleans(), st.text())))
def test_one_closed_gate_is_enough_and_no_gate_proves_nothing(gates):
    assert may_move(gates) == (bool(gates) and not any(not gate.passed for gate in gates))


@pytest.mark.parametrize(
    ("gate", "passed", "said"),
    [
        (golden_gate(2, TAKEN), True, "2 golden examples reproduced"),
        (golden_gate(1, TAKEN), True, "1 golden example reproduced"),
        (golden_gate(0, TAKEN), False, "there are no golden examples"),
        (golden_gate(2, "output 'y' differs"), False, "output 'y' differs"),
        (environment_gate(None), False, "does not say in what environment"),
        (environment_gate([]), True, "one to one"),
        (environment_gate([Difference("package", "numpy", "1", "2")]), False, "1 difference: package numpy: 1, here 2"),
        (environment_gate([Difference("cpu", str(i), "1", "2") for i in range(9)]), False, "and 4 more"),
        (trial_gate(Trial(0, 1.5)), True, "passed in 1.5 s"),
        (trial_gate(Trial(7, 1.0)), False, "exit code 7"),
        (trial_gate(Trial(-9, 1.0)), False, "signal 9"),
        (trial_gate(Trial(None, 60.0)), False, "did not end within 60 s"),
        (trial_gate(Trial(None, 0.0, "it is missing")), False, "it is missing"),
    ],
)
def test_a_gate_says_what_was_found(gate, passed, said):
    assert gate.passed == passed
    assert said in gate.says


# The user's own command.


def test_what_a_command_writes_is_shown_and_its_exit_code_told(capfd):
    script = "import os, sys; print('out', os.environ['EDGERUN_X']); print('err', file=sys.stderr); sys.exit(3)"
    assert try_out(f"{PYTHON} -c {shlex.quote(script)}", {"EDGERUN_X": "7"}, 60).status == 3
    shown = capfd.readouterr()
    assert shown.out == ""
    assert {*shown.err.split("\n")} == {"out 7", "err", ""}


@pytest.mark.parametrize("command", ["/nowhere/at-all", "'", ""])
def test_a_command_that_cannot_be_started_says_so(command):
    assert "cannot be started" in try_out(command, {}, 60).problem


def test_a_command_that_takes_too_long_ends_with_all_its_children(tmp_path):
    with Pipe(tmp_path / "alive") as alive:
        script = f"(trap '' TERM; echo x; exec sleep 600) >{tmp_path / 'alive'} & exec sleep 600"
        assert try_out(f"sh -c {shlex.quote(script)}", {}, 0.5) == Trial(None, 0.5)
        alive.wait_for_end()


# The command.


@pytest.fixture(scope="module")
def environment():
    return describe_environment()


@pytest.fixture
def archive(make_bundle, tmp_path, environment, monkeypatch):
    monkeypatch.setattr("edgerun_bundles.promoting.describe_environment", lambda: environment)

    def archive(provenance=None, **fields):
        folder = make_bundle(**fields)
        provenance = Provenance(environment=environment) if provenance is None else provenance
        kept = attachments(manifest_of_folder(folder), provenance, {}, tmp_path / "kept")
        return write_archive(write_layout(folder, tmp_path / "layout", kept), tmp_path / "toy.tar")

    return archive


@pytest.fixture
def moved():
    """What was moved, as name, version, and both channels."""
    return []


@pytest.fixture
def promote(moved):
    """Run the command with a channel that only takes notes."""

    def move(manifest, step):
        moved.append((manifest.name, manifest.version, step.source, step.target))
        return f"{manifest.name}@{manifest.version} is in {step.target} now"

    def promote(bundle, *options, move=move):
        group = Commands("bundle", commands=[promote_command(move)])
        arguments = ["promote", str(bundle), "--from", "staging", "--to", "canary", *map(str, options)]
        return CliRunner().invoke(group, arguments)

    return promote


def test_a_bundle_that_passes_every_gate_moves(archive, promote, moved):
    done = promote(archive(), "--test", f"{PYTHON} -c 'import os; os.environ[\"EDGERUN_BUNDLE\"]'")
    assert done.exit_code == 0, done.output
    assert moved == [("toy", "1.0.0", "staging", "canary")]
    assert [line.split()[:2] for line in done.stdout.splitlines()[:3]] == [
        ["golden", "passed"],
        ["environment", "passed"],
        ["test", "passed"],
    ]
    assert done.stdout.splitlines()[-1] == "toy@1.0.0 is in canary now"


def test_the_test_finds_the_bundle_where_a_runner_opens_it(archive, promote, moved):
    script = (
        "import os; from edgerun import EdgeRunner\n"
        "with EdgeRunner.open(os.environ['EDGERUN_BUNDLE']) as runner: runner.predict([[1, 2]], meta={'user': 'u'})\n"
        "assert os.environ['EDGERUN_BUNDLE_DIGEST'].startswith('sha256:')\n"
        "assert (os.environ['EDGERUN_BUNDLE_NAME'], os.environ['EDGERUN_BUNDLE_VERSION']) == ('toy', '1.0.0')"
    )
    assert promote(archive(), "--test", f"{PYTHON} -c {shlex.quote(script)}").exit_code == 0
    assert moved


def test_a_closed_gate_moves_nothing_and_has_an_exit_code(archive, promote, moved, environment, tmp_path):
    other = Provenance(environment=environment._replace(variables={"OMP_NUM_THREADS": "7"}))
    path, ran = archive(other), tmp_path / "ran"
    done = promote(path, "--test", f"touch {ran}", "--json")
    assert done.exit_code == 3
    document = json.loads(done.stdout)
    assert (document["passed"], document["moved"]) == (False, False)
    assert [(gate["name"], gate["passed"]) for gate in document["gates"]] == [
        ("golden", True),
        ("environment", False),
        ("test", False),
    ]
    assert not ran.exists(), "the command must not run once another gate is closed"
    assert moved == []
    assert promote(path, "--only", "package", "--test", "false").exit_code == 3
    assert promote(path, "--only", "package").exit_code == 0
    assert len(moved) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"golden": []}, "there are no golden examples"),
        ({"provenance": Provenance(parameters={"a": 1})}, "does not say"),
    ],
)
def test_what_cannot_be_looked_at_is_not_passed(archive, promote, moved, fields, said):
    done = promote(archive(**fields))
    assert done.exit_code == 3
    assert said in done.stdout
    assert moved == []


def test_a_dry_run_moves_nothing(archive, promote, moved):
    done = promote(archive(), "--dry-run")
    assert (done.exit_code, moved) == (0, [])
    assert done.stdout.splitlines()[-1] == "toy@1.0.0 may move, and was left where it is"


def test_a_move_that_fails_is_told(archive, promote):
    def fails(*_):
        raise RepositoryError("the channel canary is not there")

    done = promote(archive(), move=fails)
    assert done.exit_code == 1
    assert "the channel canary is not there" in done.stderr


@pytest.fixture
def shop(invoke, settings, monkeypatch, tmp_path, archive):
    """A repository whose channel ``staging`` has the bundle, and the command where it must succeed."""
    monkeypatch.setattr(keys, "SCRYPT_COST", 16)
    monkeypatch.setenv("EDGERUN_KEY_PASSPHRASE", "correct horse")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = invoke("bundle", *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout.splitlines()[-1])

    run("repository", "init", "repository", "--keys", "keys")
    run("push", archive(), "repository", "--channel", "staging")
    return run


def test_a_version_of_a_repository_moves_between_its_channels(shop, invoke):
    moved = shop("promote", "toy@1.0.0", "--from", "staging", "--to", "canary", "--share", "10%", "--group", "lab")
    assert (moved["passed"], moved["moved"]) == (True, True)
    channels = {found["channel"]: found["releases"] for found in shop("repository", "show")["channels"]}
    assert [found["version"] for found in channels["staging"]] == ["1.0.0"]
    assert channels["canary"] == [{"version": "1.0.0", "share_ppm": 100_000, "groups": ["lab"]}]
    done = invoke("bundle", "promote", "toy@1.0.0", "--from", "nowhere", "--to", "canary")
    assert done.exit_code == 1
    assert "the channel nowhere does not give toy 1.0.0 to anybody" in done.stderr


def test_other_bytes_than_the_repositorys_do_not_move_it(shop, invoke, make_bundle, tmp_path, environment):
    folder = make_bundle("other", golden=[{"inputs": {"x": [[2.0, 2.0]]}}])
    kept = attachments(manifest_of_folder(folder), Provenance(environment=environment), {}, tmp_path / "more")
    write_archive(write_layout(folder, tmp_path / "other-layout", kept), tmp_path / "other.tar")
    done = invoke("bundle", "promote", tmp_path / "other.tar", "--from", "staging", "--to", "canary")
    assert done.exit_code == 1
    assert "passed" in done.stderr.splitlines()[-1]
    assert [found["channel"] for found in shop("repository", "show")["channels"]] == ["staging"]


def test_log_lists_the_versions_of_a_repository_by_name(shop, invoke):
    row = shop("log", "toy")
    assert (row["name"], row["version"], row["parameters"]) == ("toy", "1.0.0", {})
    assert row["published"]
    assert "published" in invoke("bundle", "log", "toy").stdout
    done = invoke("bundle", "log", "other")
    assert done.exit_code == 1
    assert "has no bundle 'other'" in done.stderr
    assert shop("restore", "toy@1.0.0", "back")["bundle"] == "toy@1.0.0"


@pytest.mark.parametrize("options", [("--to", "staging"), ("--timeout", "0"), ("--only", "weather")])
def test_wrong_usage_is_told_before_anything_is_looked_at(archive, promote, options):
    assert promote(archive(), *options).exit_code == 2


def test_ctrl_c_ends_the_users_test_too(archive, tmp_path):
    script = f"import time; f = open({str(tmp_path / 'alive')!r}, 'w'); print('x', file=f, flush=True); time.sleep(600)"
    gates = [
        "--from",
        "a",
        "--to",
        "b",
        "--dry-run",
        "--only",
        "python",
        "--test",
        f"{PYTHON} -c {shlex.quote(script)}",
    ]
    with Pipe(tmp_path / "alive") as alive:
        process = subprocess.Popen(
            [EDGERUN, "bundle", "promote", archive(), *gates],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a background job ignores it
        )
        alive.wait_for_word()
        process.send_signal(signal.SIGINT)
        alive.wait_for_end()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.strip()) == (130, "edgerun: interrupted")
