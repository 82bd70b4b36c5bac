"""What the tests of the command share: bundles to run it on, and ways to run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from edgerun import bundle
from edgerun.cli import main
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
