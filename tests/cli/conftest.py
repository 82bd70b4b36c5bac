"""What the tests of the command share: bundles to run it on, and ways to run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgerun import EdgeRunner, bundle
from edgerun.cli import main
from edgerun.log import Capture, LogPolicy
from support import models

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = Path(sys.executable).parent
RECIPES = Path(__file__).parents[2] / "bundles" / "recipes"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Where ``edgerun`` is the installed command."""
    assert (SCRIPTS / "edgerun").exists(), "the command is missing; install the project: pip install -e '.[dev]'"
    return {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def shell(environment) -> Callable[[str], subprocess.CompletedProcess]:
    """Run a line as a user would type it."""

    def run(line: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", line], text=True, capture_output=True, timeout=300, check=False, env=environment
        )

    return run


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command in this process, which is quicker."""

    def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [*map(str, arguments)], input=stdin)

    return run


@pytest.fixture
def digits() -> Path:
    """The recipe of that name."""
    return RECIPES / "digits"


@pytest.fixture
def cards() -> Path:
    """The recipe of that name."""
    return RECIPES / "cards"


@pytest.fixture
def make_bundle(tmp_path) -> Callable[..., Path]:
    """Write a bundle of models made on the spot; without nodes it serves the first of them."""

    def make(route: str | None = None, nodes: dict | None = None, **files: bytes) -> Path:
        paths = {}
        for name, data in files.items():
            paths[name] = tmp_path / f"{name}.onnx"
            paths[name].write_bytes(data)
        folder = tmp_path / "toy"
        bundle.write(folder, name="toy", version="1", models=paths, nodes=nodes or {}, route=route or next(iter(files)))
        return folder

    return make


@pytest.fixture
def toy(make_bundle) -> Path:
    """A bundle whose one model doubles ``x`` float32 [batch, 2] into ``y``."""
    return make_bundle(double=models.steady())


@pytest.fixture
def broken(toy) -> Callable[[str, bytes], Path]:
    """Overwrite one file of a whole bundle."""

    def overwrite(path: str, data: bytes) -> Path:
        (toy / path).write_bytes(data)
        return toy

    return overwrite


@pytest.fixture
def copy_of(tmp_path) -> Callable[[Path], Path]:
    """Copy a folder, to be spoilt."""
    return lambda folder: Path(shutil.copytree(folder, tmp_path / folder.name))


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A log of the digits, and the predictions that it is of."""
    folder = tmp_path_factory.mktemp("served") / "log"
    digits = RECIPES / "digits"
    images = np.load(digits / "test.npz")["image"][:60]
    policy = LogPolicy(capture=Capture("sample", 1.0))
    with EdgeRunner.open(digits / "bundle", log=folder, log_policy=policy) as runner:
        predictions = [runner.predict({"image": image[None]}, key=f"user-{i}") for i, image in enumerate(images)]
        for prediction in predictions[:10]:
            runner.label(prediction.id, 3)
        runner.label("00000000000000aa-5", 3)
        runner.outcome("clicked", 1.0, id=predictions[0].id)
    return folder, predictions


@pytest.fixture
def log(served):
    return served[0]


@pytest.fixture
def documents(invoke):
    """Run a command with --json, and return what it printed."""

    def run(*arguments):
        result = invoke("log", *arguments, "--json")
        assert result.stderr == ""
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


@pytest.fixture
def terminal(environment):
    """Run a command on a terminal, and return what it printed there."""

    def run(*arguments):
        parent, child = os.openpty()
        with subprocess.Popen(["edgerun", *map(str, arguments)], env=environment, stdout=child) as process:
            os.close(child)
            found = b""
            while True:
                try:
                    part = os.read(parent, 65536)
                except OSError:  # Linux says so where the other end is closed
                    break
                if not part:
                    break
                found += part
            assert process.wait(60) == 0
        os.close(parent)
        return found.decode().replace("\r\n", "\n")

    return run
