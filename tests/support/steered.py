"""A publisher who steers an experiment: a repository with a planned bundle, real keys, and the real command."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from click.testing import CliRunner

from edgerun import bundle
from edgerun.cli import main
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.repository import keys as keys_module
from support import models, truths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from edgerun_bundles.layout import Layout

PASSPHRASE = "correct horse"


class Publisher(NamedTuple):
    """Somebody with keys and a repository that this workstation trusts."""

    folder: Path
    place: str

    def run(self, *arguments: object, code: int = 0) -> Any:
        """Run the command; returns its JSON, or what it says where it must fail."""
        done = CliRunner().invoke(main, [*map(str, arguments), *(["--json"] if not code else [])])
        assert done.exit_code == code, done.output + repr(done.exception)
        return json.loads(done.stdout) if not code else done.output

    def says(self, *arguments: object) -> str:
        """Run the command, and return what it tells people."""
        done = CliRunner().invoke(main, [*map(str, arguments)])
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.output

    def experiment(self, *arguments: object, code: int = 0) -> Any:
        return self.run("experiment", *arguments, code=code)

    def channel(self, name: str = "stable", of: str = "cards") -> list[tuple[str, int, tuple[str, ...]]]:
        """What a channel gives to whom."""
        shown = self.run("bundle", "repository", "show", "--repository", self.place)
        return [
            (release["version"], release["share_ppm"], tuple(release["groups"]))
            for found in shown["channels"]
            if (found["channel"], found["bundle"]) == (name, of)
            for release in found["releases"]
        ]


def publisher(folder: Path, patch: pytest.MonkeyPatch, place: str | None = None) -> Publisher:
    """Make keys and a repository; `place` is where, a folder by default."""
    patch.setattr(keys_module, "SCRYPT_COST", 16)  # keys that cost nothing to open
    patch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
    patch.setenv("EDGERUN_KEY_PASSPHRASE", PASSPHRASE)
    found = Publisher(folder, place or str(folder / "repository"))
    found.run("bundle", "repository", "init", found.place, "--keys", folder / "keys")
    return found


def planned(
    folder: Path, version: str = "1.1.0", name: str = "cards", arms: Sequence[str] = truths.ARMS, **fields: Any
) -> Layout:
    """The layout of a bundle with the plan of `truths`, in halves."""
    place = folder / f"{name}-{version}"
    place.mkdir(parents=True)
    definition = tomllib.loads(truths.DEFINITION)
    paths = {arm: place / f"{arm}.onnx" for arm in arms}
    for number, path in enumerate(paths.values()):
        path.write_bytes(models.steady(2.0 + number))
    given = {
        "nodes": definition["nodes"],
        "route": "ab",
        "golden": [{"inputs": {"x": [[1.0, 0.5]]}}],
        "experiment": definition["experiment"],
        **fields,
    }
    bundle.write(place / "bundle", name=name, version=version, models=paths, **given)
    return write_layout(place / "bundle", place / "layout")


def pushed(one: Publisher, version: str = "1.1.0", *more: object, **fields: Any) -> Layout:
    """A bundle with the plan, published."""
    found = planned(one.folder, version, **fields)
    one.run("bundle", "push", found.folder, one.place, *more)
    return found
