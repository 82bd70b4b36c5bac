"""A first ``bundle.toml`` for models that somebody has, which builds as it stands and explains itself."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun import bundle
from edgerun.artifact import check_name, check_version
from edgerun.errors import BundleError, EdgerunError
from edgerun_bundles.building import build
from edgerun_bundles.definition import DEFINITION_FILE, read_definition
from edgerun_bundles.placing import file_placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.bundle import Bundle

GOLDEN_FILE = "golden.json"
_VALUES_MAX = 4096
"""Numbers in the golden example that is made up."""

_TEMPLATE = """\
# What `edgerun bundle build` makes a bundle of. Paths are relative to this file.

name = {name}
version = {version}          # a bundle never changes: another one has another version
route = {route}            # the node or model where every request starts

# Training data: an array for each input (np.savez), the first axis the row. What they were like is kept in the bundle,
# so that a report tells when what devices see is no longer like them.
# reference = "train.npz"

[models]
{models}
{nodes}
# An experiment: keys are split by weight; one session always has the same arm. Name it in `route` or in another node.
# [nodes.ab]
# kind = "random_split"
# weights = {{ {weights} }}
# split_key = "session_id"

# What a device must have; what is not said is not asked for.
# [requires]
# onnxruntime = "1.24"
# arch = ["x86_64", "aarch64"]
# cpu = ["avx2"]
# memory_bytes = 268_435_456

# What the golden examples may take when a device activates the bundle, and the share of calls that may raise or fall
# back before the device goes back to the bundle it had.
# [limits]
# latency_s = 0.1
# memory_bytes = 268_435_456
# error_rate = 0.2

# What the build refuses to pass.
# [budget]
# size_bytes = 52_428_800

# How it came to be, as far as nobody can capture it: code, environment and training runs are kept without a word here.
# [provenance]
# metrics = {{ field_accuracy = 0.93 }}
"""

_GOLDEN = """
# Chosen inputs that every model must answer on a device as it does here: [{"inputs": {...}, "tolerance": 1e-5}, ...].
# Replace the example that was made up by some of yours. "outputs" may be left to the build.
"""

_SHADOW = """
# The champion answers; the others are only watched. See docs/graph.md for every field of every node.
[nodes.{node}]
kind = "shadow_deploy"
champion = {champion}
shadows = [{shadows}]
"""


def scaffold(folder: Path, name: str, version: str, models: Mapping[str, Path]) -> bool:
    """Write a ``bundle.toml`` and, if the models take made-up inputs, a golden example; prove that it builds.

    Args:
        folder: where; a ``bundle.toml`` that is there stays, and is an error.
        name: the bundle's.
        version: of the first bundle.
        models: model name to its ONNX file; the first one is the champion.

    Returns:
        Whether there is a golden example.

    Raises:
        BundleError: a name or version is wrong, a file is missing, or there is a definition already.
        GraphError: the models cannot stand in for each other.
        ModelError: a model cannot be loaded.
    """
    check_name(name), check_version(version)
    if (folder / DEFINITION_FILE).exists() or (folder / GOLDEN_FILE).exists():
        raise BundleError(
            f"{folder} has a {DEFINITION_FILE} or {GOLDEN_FILE} already; edit it, or choose another folder"
        )
    champion, *others = models
    nodes = ""
    if others:
        shadows = ", ".join(map(_text, others))
        nodes = _SHADOW.format(node=_watch(models), champion=_text(champion), shadows=shadows)
    with TemporaryDirectory() as scratch:
        example = _made_up_example(Path(scratch), name, version, models)
    text = _TEMPLATE.format(
        name=_text(name),
        version=_text(version),
        route=_text(_watch(models) if others else champion),
        models="\n".join(f"{_key(model)} = {_text(_relative(path, folder))}" for model, path in models.items()),
        nodes=nodes,
        weights=", ".join(f"{_key(model)} = {90 if model == champion else 10}" for model in models),
    )
    if example:
        text = text.replace("\n[models]", f'{_GOLDEN}golden = "{GOLDEN_FILE}"\n\n[models]', 1)
        _write(folder / GOLDEN_FILE, json.dumps(example, indent=1) + "\n")
    _write(folder / DEFINITION_FILE, text)
    with TemporaryDirectory() as scratch:
        build(read_definition(folder), Path(scratch) / "bundle")
    return bool(example)


def _write(path: Path, text: str) -> None:
    with file_placed(path) as draft:
        draft.write_text(text, "utf-8")


def _text(value: str) -> str:
    """A TOML text, which is a JSON text without escaped surrogates.

    Raises:
        BundleError: it has a character that no editor shows.
    """
    if not value.isprintable():
        raise BundleError(f"{value!r} has a character that cannot stand in {DEFINITION_FILE}; rename it")
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _made_up_example(scratch: Path, name: str, version: str, models: Mapping[str, Path]) -> list[dict[str, Any]]:
    """One example of zeros, if the models take them and answer with something that can be compared."""
    route, nodes = _shadow_graph(models)
    plain = _written(scratch / "plain", name, version, models, route, nodes, None)
    sessions = bundle.open_sessions(plain.models, plain.graph, threads=1)
    inputs = {}
    for port in next(iter(sessions.values())).signature.inputs:
        dims = [size if isinstance(size, int) else 1 for size in port.dims or ()]
        if port.dims is None or port.dtype is None or port.dtype.kind not in "biuf" or np.prod(dims) > _VALUES_MAX:
            return []
        inputs[port.name] = np.zeros(dims, port.dtype).tolist()
    example = [{"inputs": inputs, "tolerance": 1e-5}]
    try:
        _written(scratch / "golden", name, version, models, route, nodes, example)
    except EdgerunError:  # zeros are nothing that these models answer; the user will know better inputs
        return []
    return example


def _shadow_graph(models: Mapping[str, Path]) -> tuple[str, dict[str, Any]]:
    champion, *others = models
    if not others:
        return champion, {}
    return _watch(models), {_watch(models): {"kind": "shadow_deploy", "champion": champion, "shadows": others}}


def _watch(models: Mapping[str, Path]) -> str:
    """A name for the node, which no model has."""
    return next(name for name in ("watch", *(f"watch-{i}" for i in range(len(models)))) if name not in models)


def _written(
    folder: Path,
    name: str,
    version: str,
    models: Mapping[str, Path],
    route: str,
    nodes: Mapping[str, Any],
    golden: list[dict[str, Any]] | None,
) -> Bundle:
    return bundle.write(folder, name=name, version=version, models=models, route=route, nodes=nodes, golden=golden)
