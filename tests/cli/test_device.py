"""``edgerun device``: the whole way of a device, in the order in which one goes it, and every mistake on the way."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgerun.cli.device.update import progress_bar
from edgerun.store import Store
from support.tuf_repository import OWNER, TufRepository
from support.wire import listening


@pytest.fixture
def repository(tmp_path):
    found = TufRepository(tmp_path / "repository")
    found.release("1.0.0")
    return found


@pytest.fixture
def joined(tmp_path, repository, invoke):
    """The folder of a store that follows a repository."""
    folder = tmp_path / "store"
    options = ["--root", repository.root_file, "--bundle", "cards", "--store", folder]
    result = invoke("device", "join", repository.folder, *options, "--device", "device-1", "--group", "lab")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def ran(invoke, joined):
    """Run a command on the store; returns what it printed."""

    def run(*arguments):
        result = invoke("device", *arguments, "--store", joined)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def believed(path, limits):
    """Believe that a bundle serves: to run it takes a second, and other tests do."""


@pytest.fixture
def unrehearsed(monkeypatch):
    monkeypatch.setattr("edgerun.rehearsal.rehearse", believed)


def test_joining_says_what_is_followed(joined, invoke, repository):
    options = ["--root", repository.root_file, "--bundle", "cards", "--channel", "canary", "--store", joined]
    result = invoke("device", "join", repository.folder, *options, "--json")
    assert json.loads(result.stdout) == {
        "device": "device-1",
        "store": str(joined),
        "repository": str(repository.folder),
        "bundle": "cards",
        "channel": "canary",
        "groups": [],
    }
    assert Store(joined).subscription().channel == "canary"


def test_a_path_is_followed_from_wherever_one_is_later(invoke, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--root", repository.root_file, "--bundle", "cards", "--store", "here"]
    assert invoke("device", "join", "repository", *options).exit_code == 0
    assert Store(tmp_path / "here").subscription().repository == str(repository.folder)


@pytest.mark.slow
def test_the_whole_way_of_a_device(ran, joined, repository):
    assert ran("update") == "activated: cards@1.0.0 was fetched and activated\n"
    status = json.loads(ran("status", "--json"))
    assert (status["current"], status["candidate"]["version"], status["starts_left"]) == (None, "1.0.0", 3)
    assert (status["device"], status["follows"]["groups"]) == ("device-1", ["lab"])
    with Store(joined).start() as start:
        start.confirm()
    assert ran("update") == "current: cards@1.0.0 is active already\n"
    repository.release("1.1.0", factor=3.0)
    assert json.loads(ran("update", "--json"))["what"] == "activated"
    with Store(joined).start() as start:
        start.confirm()
    lines = ran("status").splitlines()
    assert any(re.fullmatch(r"current +cards@1.1.0  [0-9a-f]{12}", line) for line in lines)
    assert any(re.fullmatch(r"previous +cards@1.0.0  [0-9a-f]{12}", line) for line in lines)
    assert ran("rollback", "--reason", "it is wrong").startswith("cards@1.0.0 is current again, and ")
    assert "it is wrong" in ran("status")
    assert [line.split()[1] for line in ran("history").splitlines()] == [
        *("activated", "confirmed", "activated", "confirmed", "rolled_back")
    ]
    assert ran("update").startswith("none: ")
    assert ran("verify").endswith(" bytes: whole\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_fetch_is_a_bar_where_somebody_watches_and_silent_where_nobody_does(monkeypatch):
    with progress_bar() as show:
        assert show is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar() as show:
        assert sys.stderr.getvalue() == "", "nothing is missing yet"
        show(50, 100)
        show(100, 100)
    assert "100%" in sys.stderr.getvalue()


def test_a_store_in_which_nothing_has_happened(ran):
    assert ran("history") == "nothing has happened yet\n"
    assert json.loads(ran("history", "--json")) == {"history": []}
    assert json.loads(ran("verify", "--json")) == {"blobs": 0, "bytes": 0, "damaged": []}
    assert "none yet" in ran("status")
    assert json.loads(ran("status", "--json"))["fresh"] is None


def test_damage_is_told_and_is_the_exit_code(joined, invoke, ran, unrehearsed):
    ran("update")
    model = max((joined / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    model.write_bytes(b"x" + model.read_bytes()[1:])
    result = invoke("device", "verify", "--store", joined)
    assert result.exit_code == 1
    assert model.name in result.stdout
    assert "1 damaged" in result.stdout
    result = invoke("device", "verify", "--store", joined, "--json")
    assert (result.exit_code, len(json.loads(result.stdout)["damaged"])) == (1, 1)


def test_a_repository_that_is_gone_is_one_line_on_stderr_and_an_event_in_the_log(joined, invoke, repository):
    shutil.rmtree(repository.folder)
    result = invoke("device", "update", "--store", joined)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("edgerun: ")
    assert result.stderr.count("\n") == 1
    events = invoke("log", "dump", joined / "log", "--json").stdout
    assert '"update_failed"' in events


def test_a_repository_that_expired_says_so(joined, invoke, repository):
    repository.roles["timestamp"].expires = repository.expires["timestamp"].replace(year=2020)
    repository.renew()
    result = invoke("device", "update", "--store", joined)
    assert result.exit_code == 1
    assert "expired" in result.stderr
    assert "renewed" in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bundle", "Cards"], "bundle of a subscription"),
        (["--channel", "../x"], "channel of a subscription"),
        (["--group", "a", "--group", "a"], "twice"),
        (["--device", "a b"], "id of a device"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_made(tmp_path, invoke, repository, options, told):
    given = ["--root", repository.root_file, "--store", tmp_path / "none"]
    given += [] if "--bundle" in options else ["--bundle", "cards"]
    result = invoke("device", "join", repository.folder, *given, *options)
    assert result.exit_code == 1
    assert told in result.stderr
    assert not (tmp_path / "none" / "subscription.json").exists()


def test_a_file_that_is_no_root_is_told(tmp_path, invoke, repository):
    for name, content in (("json", b"{}"), ("role", repository.path(OWNER).read_bytes()), ("zeros", bytes(99))):
        (tmp_path / name).write_bytes(content)
        options = ["--root", tmp_path / name, "--bundle", "cards", "--store", tmp_path / "none"]
        result = invoke("device", "join", repository.folder, *options)
        assert (result.exit_code, "no root of a repository" in result.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


def test_a_device_trusts_one_root(joined, tmp_path, invoke):
    other = TufRepository(tmp_path / "other")
    options = ["--root", other.root_file, "--bundle", "cards", "--store", joined]
    result = invoke("device", "join", other.folder, *options)
    assert result.exit_code == 1
    assert "one root" in result.stderr


def test_a_place_that_no_device_can_follow_is_told(tmp_path, invoke, repository):
    options = ["--root", repository.root_file, "--bundle", "cards", "--store", tmp_path / "none"]
    assert "a device follows http://" in invoke("device", "join", "s3://bucket/x", *options).stderr


@pytest.mark.parametrize("command", ["update", "status", "history", "verify"])
def test_a_folder_without_a_store_is_told(tmp_path, invoke, command):
    result = invoke("device", command, "--store", tmp_path / "none")
    assert result.exit_code == 1
    assert result.stderr.startswith("edgerun: ")
    assert invoke("device", command).exit_code == 2


def test_the_store_may_be_named_by_the_environment(joined, invoke, monkeypatch):
    monkeypatch.setenv("EDGERUN_STORE", str(joined))
    assert "device-1" in invoke("device", "status").stdout


def test_going_back_without_a_bundle_before_is_told(joined, invoke):
    result = invoke("device", "rollback", "--reason", "x", "--store", joined)
    assert (result.exit_code, "no previous bundle" in result.stderr) == (1, True)


@pytest.mark.slow
def test_ctrl_c_while_a_server_says_nothing_ends_the_command_and_leaves_the_store_as_it_was(joined, environment):
    before = Store(joined).state()

    def answer(connection, path):
        process.send_signal(signal.SIGINT)
        connection.recv(1)

    with listening(answer) as url:
        Store(joined).subscribe(Store(joined).subscription()._replace(repository=url))
        command = [Path(sys.executable).parent / "edgerun", "device", "update", "--store", joined]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "edgerun: interrupted\n")
    assert Store(joined).state() == before
