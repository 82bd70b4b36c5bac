"""What the tests of packaging share: bundles made on the spot, a registry to send them to, and the command."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from edgerun import bundle
from edgerun.cli import main
from edgerun_bundles.layout_write import write_layout
from support import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

AB = {"ab": {"kind": "random_split", "weights": {"champion": 90, "challenger": 10}, "split_key": "user"}}
START_S = 30


@pytest.fixture
def make_bundle(tmp_path) -> Callable[..., Path]:
    """Write a bundle's folder: two models under a split, or what is told."""

    def make(place: str = "bundle", *, contents: tuple[bytes, bytes] | None = None, **fields) -> Path:
        outside = tmp_path / f"{place}-models"
        outside.mkdir()
        files = {}
        for name, content in zip(
            ("champion", "challenger"), contents or (models.steady(2), models.steady(3)), strict=True
        ):
            files[name] = outside / f"{name}.onnx"
            files[name].write_bytes(content)
        given = {"name": "toy", "version": "1.0.0", "models": files, "nodes": AB, "route": "ab"}
        given |= {"golden": [{"inputs": {"x": [[1.0, 0.5]]}}], **fields}
        bundle.write(tmp_path / place, **given)
        return tmp_path / place

    return make


@pytest.fixture
def layout(make_bundle, tmp_path):
    """The layout of such a bundle."""
    return write_layout(make_bundle(), tmp_path / "layout")


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [*map(str, arguments)])

    return run


class Listening(NamedTuple):
    """A registry that runs on this machine."""

    host: str
    storage: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Listening]:
    """Debian's docker-registry on a port of its own."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: apt-get install docker-registry"
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/v2/", process)
        yield Listening(f"127.0.0.1:{port}", folder / "storage")
    finally:
        process.terminate()
        process.wait(START_S)


def wait_until_it_answers(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the registry ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            threading.Event().wait(0.02)
    pytest.fail("the registry does not answer")


@pytest.fixture
def skopeo() -> Callable[..., str]:
    """Run skopeo, and return what it prints."""
    program = shutil.which("skopeo")
    assert program, "skopeo is missing: apt-get install skopeo"

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [program, "--insecure-policy", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def one_line(result: Result) -> str:
    """What a command that failed said: one line."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert re.match(r"edgerun: ", line)
    return line
