"""From a publisher's shell to a serving device, with the command, a real collector and a real agent."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import chdir, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import requests
from click.testing import CliRunner

from edgerun import EdgeRunner
from edgerun.cli import main
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from edgerun_bundles.repository import keys as keys_module
from edgerun_bundles.repository.keys import KeyFolder, make_key
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.reading import read_state
from edgerun_bundles.repository.storage import open_source
from support.publishers import Hand, founded, laid, team

if TYPE_CHECKING:
    from collections.abc import Iterator

EDGERUN = Path(sys.executable).with_name("edgerun")
TIMEOUT_S = 120
LARGE_BYTES = 64 * 2**20
pytestmark = pytest.mark.slow


class Fleet(NamedTuple):
    """A collector that runs as a process, and what a shell needs to speak to it."""

    url: str
    admin: str
    process: subprocess.Popen
    folder: Path
    environment: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.url}/v1/repository"

    def run(self, *arguments: object, fails: bool = False) -> Any:
        """Run the command in this process, which is quicker; returns its JSON, or its line where it must fail."""
        environment = dict.fromkeys(os.environ) | self.environment
        with chdir(self.folder):
            done = CliRunner(env=environment).invoke(main, [*map(str, arguments)])
        assert (done.exit_code != 0) == fails, done.output
        return done.stdout + done.stderr if fails else json.loads(done.stdout)

    def push(self, bundle: Path, *more: object) -> Any:
        return self.run("bundle", "push", bundle, self.place, "--json", *more)

    def sync(self, store: Path, *, fails: bool = False) -> Any:
        return self.run("agent", "--store", store, "--once", "--json", fails=fails)

    def enroll(self, store: Path, *more: object) -> Any:
        token = self.run("collector", "token", "--data", self.folder / "data", "--role", "enroll", "--json")["token"]
        return self.run("device", "enroll", self.url, "--token", token, "--store", store, "--json", *more)


@contextmanager
def fleet_at(folder: Path, *more: object) -> Iterator[Fleet]:
    """Run a collector in a folder, with a publisher's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGERUN_")}
    environment |= {"XDG_CONFIG_HOME": str(folder / "settings"), "EDGERUN_KEY_PASSPHRASE": "correct horse"}
    command = [EDGERUN, "collector", "serve", "--data", folder / "data", "--listen", "127.0.0.1:0", "--no-commit"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
    try:
        assert process.stdout is not None
        lines = []
        while not lines or not lines[-1].startswith("collector at"):
            lines.append(process.stdout.readline())
            assert lines[-1], (folder / "log").read_text()
        admin = lines[0].split()[-1] if len(lines) > 1 else ""
        url = lines[-1].split()[2].rstrip(",")
        yield Fleet(url, admin, process, folder, {**environment, "EDGERUN_TOKEN": admin})
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
        process.stdout.close()


@pytest.fixture
def fleet(tmp_path):
    with fleet_at(tmp_path) as found:
        yield found


def served(store: Path) -> str:
    """The version that a store serves."""
    with EdgeRunner.open(store) as runner:
        runner.predict({"x": np.array([[1.0, 0.5]], np.float32)})
        return runner.bundle.version


def test_a_bundle_goes_from_a_publisher_over_a_collector_to_a_device_and_so_does_the_next_one(fleet, tmp_path):
    keys, first, second = tmp_path / "keys", laid(tmp_path), laid(tmp_path, "1.1.0", 3.0)
    fleet.run("bundle", "repository", "init", fleet.place, "--keys", keys, "--json")
    fleet.push(first.folder, "--channel", "stable")
    store, other = tmp_path / "store", tmp_path / "other"
    enrolled = fleet.enroll(store, "--bundle", "toy", "--group", "lab", "--name", "pump-7")
    assert (enrolled["device"], enrolled["repository"]) == ("pump-7", fleet.place)
    fleet.enroll(other, "--bundle", "toy", "--name", "pump-8")

    assert "1.0.0" in fleet.sync(store)["bundle"]
    assert served(store) == "1.0.0"
    fleet.sync(other)

    fleet.push(second.folder, "--channel", "stable", "--group", "lab")  # a rollout to some
    assert "1.1.0" in fleet.sync(store)["bundle"]
    assert served(store) == "1.1.0"
    assert fleet.sync(other)["bundle"] is None
    assert served(other) == "1.0.0"

    fleet.sync(store)  # which tells what it serves
    listed = requests.get(
        f"{fleet.url}/v1/devices", headers={"Authorization": f"Bearer {fleet.admin}"}, timeout=30
    ).json()["devices"]
    assert {entry["device"]: entry["last"]["bundle"]["version"] for entry in listed}["pump-7"] == "1.1.0"

    gone = requests.delete(
        f"{fleet.url}/v1/devices/pump-8", headers={"Authorization": f"Bearer {fleet.admin}"}, timeout=30
    )
    assert gone.status_code == 204
    fleet.run("bundle", "release", "toy@1.1.0", "--channel", "stable", "--repository", fleet.place, "--json")
    assert "token" in fleet.sync(other, fails=True)
    assert served(other) == "1.0.0"
    assert fleet.run("collector", "audit", "verify", "--data", tmp_path / "data", "--json")["problem"] is None
    assert fleet.admin not in (tmp_path / "log").read_text()


def memory_peak_kib(process: subprocess.Popen) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def test_a_publisher_that_is_killed_in_a_push_goes_on_where_it_was(fleet, tmp_path):
    fleet.run("bundle", "repository", "init", fleet.place, "--keys", tmp_path / "keys", "--json")
    (tmp_path / "large").write_bytes(os.urandom(LARGE_BYTES))
    (tmp_path / "statement").write_text("{}")
    more = [Attachment(PROVENANCE_TYPE, tmp_path / "statement"), Attachment("text/plain", tmp_path / "large")]
    layout = write_layout(laid(tmp_path).folder.parent / "bundle", tmp_path / "layout", more)
    before_kib = memory_peak_kib(fleet.process)
    parts = tmp_path / "data" / "uploads" / "parts"
    with subprocess.Popen(
        [EDGERUN, "bundle", "push", layout.folder, fleet.place], env=fleet.environment, cwd=tmp_path
    ) as publisher:
        while publisher.poll() is None and not (parts.is_dir() and len([*parts.iterdir()]) > 1):
            select.select([], [], [], 0.005)
        publisher.kill()
    kept = sum(path.stat().st_size for path in parts.iterdir())
    assert kept > 0
    assert fleet.push(layout.folder)["published"]
    assert [*parts.iterdir()] == []
    digest = hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest()
    url = f"{fleet.place}/blobs/sha256/{digest}"
    with requests.get(url, headers={"Authorization": f"Bearer {fleet.admin}"}, timeout=30, stream=True) as answer:
        found = hashlib.sha256()
        for piece in answer.iter_content(2**20):
            found.update(piece)
    assert found.hexdigest() == digest
    assert memory_peak_kib(fleet.process) - before_kib < LARGE_BYTES / 2**10 / 1.5


def test_a_collector_with_the_online_keys_signs_anew_what_is_about_to_expire(tmp_path, monkeypatch):
    monkeypatch.setattr(keys_module, "SCRYPT_COST", 16)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    made, offline = make_key(tmp_path / "keys", "online", b"correct horse"), team()
    online = KeyFolder(tmp_path / "keys", lambda _: b"correct horse")
    place = tmp_path / "data" / "repository"
    people = offline._replace(online=Hand(*online.signers([made.key.keyid])))
    workplace = founded(place, people, now=utc_now() - timedelta(days=10))
    with fleet_at(tmp_path, "--online-keys", tmp_path / "keys") as fleet:
        for _ in range(1000):
            state = read_state(open_source(str(place)), workplace.root)
            if state.versions["timestamp"] > 1:
                break
            select.select([], [], [], 0.05)
        assert state.versions["timestamp"] == 2
        assert state.expiries["snapshot"] - utc_now() > timedelta(days=13)
        assert fleet.process.poll() is None
    wrong = {**fleet.environment, "EDGERUN_KEY_PASSPHRASE": "wrong"}
    command = ["collector", "serve", "--data", tmp_path / "data", "--online-keys", tmp_path / "keys"]
    assert "wrong passphrase" in fleet._replace(environment=wrong).run(*command, fails=True)
