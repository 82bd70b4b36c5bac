"""The command as a whole: help, exit codes, signals, pipes, and commands of other packages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from importlib.metadata import version

import click
import pytest

from edgerun.cli import main
from support import models

COMMANDS = [
    ("demo",),
    ("device",),
    *[("device", name) for name in ("history", "join", "rollback", "status", "update", "verify")],
    *[("log", *rest) for rest in ((), ("dump",), ("ls",), ("stats",), ("verify",))],
    ("predict",),
    ("show",),
    ("split",),
    ("split", "explain"),
]

HEEDING_CTRL_C = ("env", "--default-signal=INT")  # a job in a shell's background would ignore it


def test_it_tells_its_version(shell):
    assert shell("edgerun --version").stdout == f"edgerun {version('edgerun')}\n"


def test_python_can_run_the_package_too(shell):
    assert shell("python -m edgerun --version").stdout == f"edgerun {version('edgerun')}\n"


def test_help_lists_every_command(shell):
    listed = shell("edgerun --help").stdout.partition("Commands:\n")[2].splitlines()
    commands = ["agent", "bundle", "collector", "demo", "device", "log", "predict", "show", "split"]
    assert [line.split()[0] for line in listed if line.strip()][: len(commands)] == commands


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(invoke, names):
    result = invoke(*names, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(names)}")
    if names not in {("split",), ("log",), ("device",)}:
        assert f"    edgerun {' '.join(names)}" in result.stdout.partition("Examples:")[2]


def test_no_line_of_help_is_wider_than_a_terminal(invoke):
    for names in COMMANDS:
        assert max(map(len, invoke(*names, "--help").stdout.splitlines())) <= 80


def test_a_command_that_is_misspelt_is_wrong_usage(shell):
    run = shell("edgerun shwo")
    assert (run.returncode, run.stdout) == (2, "")
    assert "No such command 'shwo'" in run.stderr


def test_ctrl_c_ends_with_one_line_and_130(environment, toy):
    line = [*HEEDING_CTRL_C, "edgerun", "predict", str(toy), "--input", "-", "--format", "jsonl", "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, env=environment, text=True, **pipes) as process:
        process.stdin.write('{"inputs": [[1, 2]]}\n')
        process.stdin.flush()
        assert process.stdout.readline()  # it serves, and waits for the next line
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().strip() == "edgerun: interrupted"


def test_ctrl_c_stops_a_run_that_has_a_deadline(environment, make_bundle):
    line = [*HEEDING_CTRL_C, "edgerun", "predict", str(make_bundle(stalls=models.stalls(steps=10**7))), "--input", "-"]
    options = ["--format", "jsonl", "--deadline-s", "10000"]  # it would stall for hours
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line + options, env=environment, text=True, **pipes) as process:
        process.stdin.write('{"inputs": [[1, 2]]}\n{"inputs": [[-1, 2]]}\n')
        process.stdin.flush()
        assert process.stdout.readline()  # the first call is answered, and the second one stalls
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().strip() == "edgerun: interrupted"


def test_a_reader_that_has_enough_is_no_error(shell, cards):
    run = shell(f"edgerun predict {cards}/bundle --input {cards}/test.jsonl | head -n 1")
    assert run.stderr == ""
    assert run.stdout.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")  # noqa: PTH110
def test_a_full_disk_is_told(shell, toy):
    run = shell(f"edgerun show {toy} > /dev/full")
    assert (run.returncode, run.stderr) == (1, "edgerun: No space left on device\n")


def test_a_closed_stdout_is_no_error(shell, toy):
    assert shell(f"edgerun show {toy} >&-").stderr == ""


FAILS = """\
import click
from edgerun.cli.group import Commands

@click.command()
def fail():
    raise PermissionError(13, "Permission denied", "/some/file")

Commands("test", commands={"fail": fail})()
"""


def test_an_error_of_the_system_names_the_file(shell, tmp_path):
    (tmp_path / "program.py").write_text(FAILS)
    run = shell(f"python {tmp_path}/program.py fail")
    assert (run.returncode, run.stderr) == (1, "edgerun: /some/file: Permission denied\n")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a distribution that adds commands, as a folder on the path."""

    def install(points: str, **modules: str) -> None:
        folder = tmp_path / "site"
        info = folder / "plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[edgerun.commands]\n{points}\n")
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(folder)

    return install


HELLO = "import click\n@click.command(short_help='Say hello.')\ndef hello():\n    click.echo('hello')\n"
NEEDS = "import a_module_that_nobody_has\n"


def test_an_installed_package_can_add_a_command(installed, invoke):
    installed("hello = plugin_hello:hello", plugin_hello=HELLO)
    assert invoke("hello").stdout == "hello\n"
    assert re.search(r"^  hello +Say hello\.$", invoke("--help").stdout, re.MULTILINE)


def test_a_command_of_ours_cannot_be_replaced(installed, invoke, toy):
    installed("show = plugin_show:hello", plugin_show=HELLO)
    assert invoke("show", toy).stdout.startswith("bundle  toy")


@pytest.mark.parametrize("rest", [(), ("--help",), ("serve", "--port", "80")], ids=["bare", "help", "with arguments"])
def test_a_missing_extra_is_named_in_one_line(installed, invoke, rest):
    installed("collector = plugin_needs:collector [collector]", plugin_needs=NEEDS)
    result = invoke("collector", *rest)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "edgerun: 'collector' needs the module 'a_module_that_nobody_has', which is not installed; "
        'try: pip install "plugin[collector]"\n'
    )


def test_a_missing_extra_leaves_the_other_commands_alone(installed, invoke, toy):
    installed("collector = plugin_lacks:collector [collector]", plugin_lacks=NEEDS)
    assert invoke("show", toy).exit_code == 0
    listed = invoke("--help").stdout
    assert '  collector  (not installed; try: pip install "plugin[collector]")' in listed


@pytest.mark.parametrize(
    ("points", "source", "words"),
    [
        ("bad = plugin_bad1:bad", NEEDS, "cannot be loaded: No module named 'a_module_that_nobody_has'"),
        ("bad = plugin_bad2:bad", "", "cannot be loaded: module 'plugin_bad2' has no attribute 'bad'"),
        ("bad = plugin_bad3:bad", "bad = 1", "cannot be loaded: plugin_bad3:bad is no click command"),
    ],
    ids=["no extra to name", "no such name", "no command"],
)
def test_a_command_that_cannot_be_loaded_says_why(installed, invoke, points, source, words):
    installed(points, **{points.split()[2].partition(":")[0]: source})
    result = invoke("bad")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"edgerun: 'bad' {words}; try: reinstall plugin\n"
    assert invoke("--help").exit_code == 0


def test_edgerun_itself_imports_no_other_package_of_the_house(shell):
    run = shell("python -c 'import sys, edgerun.cli; print([n for n in sys.modules if n.startswith(\"edgerun_\")])'")
    assert run.stdout == "[]\n"


def test_the_library_does_not_import_its_command(shell):
    run = shell('python -c \'import sys, edgerun; print({"click", "edgerun.cli"} & {*sys.modules})\'')
    assert run.stdout == "set()\n"


def test_main_is_a_click_command_for_those_who_document_or_complete_it():
    assert isinstance(main, click.Group)
