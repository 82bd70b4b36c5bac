"""A bundle as a folder: bundle.json, models and golden examples. Reading trusts nothing; writing proves it all works.

``bundle.json`` (format 1) is one JSON object::

    {"format": 1, "name": "digits", "version": "1.0.0",
     "models": {"champion": "models/champion.onnx"},
     "route": "ab", "nodes": {"ab": {"kind": "random_split", ...}},
     "golden": "golden.json",
     "requires": {"onnxruntime": "1.24", "arch": ["x86_64", "aarch64"]},
     "limits": {"latency_s": 0.1},
     "experiment": {"name": "ab", ...},
     "profile": "profile.bin"}

``golden.json`` is a list of examples: inputs, the expected outputs of each model, and a tolerance. ``requires`` and
``limits`` are those of `edgerun.requirements`; like ``golden`` they may be left out. So may ``experiment``: the plan
that the statistics go by, and ``profile``: what the training data were like. A device keeps both as part of what is
signed, and does not read them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core.runtime import Model
from edgerun._names import NAME, VERSION
from edgerun._shown import shown
from edgerun._strict_json import strict_json
from edgerun.errors import BundleError, GraphError
from edgerun.golden import Golden, parse_golden
from edgerun.graph import Graph, check_signatures, parse_graph
from edgerun.guard import DEFAULT_POLICY, BreakerPolicy
from edgerun.limits import LIMITS
from edgerun.requirements import Allowance, Requires, parse_allowance, parse_requires
from edgerun.session import Session
from edgerun.signature import Signature

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

FORMAT = 1

_NEEDED = ("format", "name", "version", "models", "route", "nodes")
_FIELDS = (*_NEEDED, "golden", "requires", "limits", "holdout", "experiment", "profile")


class Bundle(NamedTuple):
    """A bundle that was read: well-formed and with a valid graph; its models are not loaded yet.

    Attributes:
        folder: where it was read from: its folder, or the blob of its manifest.
        name: its name.
        version: its version.
        models: model name to ONNX file.
        graph: how calls are routed.
        golden: its examples.
        requires: what a device must have.
        limits: what it may take there.
        experiment: the plan of its experiment, unread; empty where there is none.
        profile: the file that says what its training data were like, unread; None where there is none.
    """

    folder: Path
    name: str
    version: str
    models: Mapping[str, Path]
    graph: Graph
    golden: tuple[Golden, ...]
    requires: Requires = Requires()
    limits: Allowance = Allowance()
    experiment: Mapping[str, Any] = MappingProxyType({})
    profile: Path | None = None


def read(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle.

    Args:
        path: its folder; or the blob of its manifest, with its other blobs beside it, as a store holds them.

    Raises:
        BundleError: a file is missing or malformed, a field is unknown or of another format, a path leaves the
            folder, or the manifest is not the one that its name promises.
        GraphError: the routing graph is wrong.
    """
    place = Path(path)
    if os.path.isfile(place):  # unlike Path.is_file(), it answers for every path
        return _read(place, _beside(place))
    return _read(place, _within(place))


def _read(place: Path, where: Callable[[Any], Path]) -> Bundle:
    source = where("bundle.json")
    document = read_json(source)
    if not isinstance(document, dict):
        raise BundleError(f"{source} must hold one JSON object")
    return _parse(place, source, document, where)


def write(
    folder: str | os.PathLike[str],
    *,
    name: str,
    version: str,
    models: Mapping[str, str | os.PathLike[str]],
    nodes: Mapping[str, Any],
    route: str,
    golden: Sequence[Mapping[str, Any]] | None = None,
    requires: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    experiment: Mapping[str, Any] | None = None,
    holdout: Mapping[str, Any] | None = None,
    profile: bytes | None = None,
) -> Bundle:
    """Write a bundle folder, after proving that it serves.

    Every model is copied and the copy loaded, the graph is checked against their signatures, and each golden example
    is run. Only then does the new bundle take the place of a former one, by one rename: a write that fails or is
    interrupted leaves the former as it was, and a folder that has a ``bundle.json`` is whole.

    Args:
        folder: a new or empty folder, or one that holds a bundle, which is replaced.
        name: of lower-case letters, digits, dots, hyphens and underscores; at most 64.
        version: likewise, with capitals and plus signs.
        models: model name to the path of its ONNX file, which is copied: to ``models/NAME.onnx``, or where the former
            bundle has another file of that name, to ``models/NAME-SHA256.onnx``.
        nodes: node name to its fields; see docs/graph.md. May be empty when ``route`` is a model.
        route: the node or model where every request starts.
        golden: examples, each a mapping with "inputs", and optionally "outputs" (by model; by default what each
            model answers now) and "tolerance" (1e-5).
        requires: what a device must have: the fields of `edgerun.requirements.Requires`.
        limits: what the bundle may take and do on a device: those of `edgerun.requirements.Allowance`.
        experiment: the plan of its experiment (docs/experiments.md); it is not checked here.
        holdout: the keys that no random split enrols: "name", "share" and "split_key" (docs/graph.md).
        profile: what the training data were like, as `edgerun.log.training` packs it; it is not read here.

    Raises:
        BundleError: a name, version, requirement, limit or example is wrong, the profile is too large, a file is
            missing or cannot be written, or the folder holds something else.
        GraphError: the graph is wrong, or its models cannot stand in for each other.
        ModelError: a model cannot be loaded.
    """
    from edgerun._bundle_write import write_folder  # noqa: PLC0415 - devices read bundles and never write them

    target, paths = Path(folder), {model: Path(path) for model, path in models.items()}
    _check_text("name", name, NAME)
    _check_text("version", version, VERSION)
    _check_models({model: str(path) for model, path in paths.items()})
    parse_requires(requires or {}, "the bundle")
    parse_allowance(limits or {}, "the bundle")
    further = (("requires", requires), ("limits", limits), ("experiment", experiment))
    extra = {field: dict(value) for field, value in further if value}
    graph = parse_graph(name, nodes, route, models, holdout)
    write_folder(target, name, version, graph, paths, golden or (), extra, profile)
    return read(target)


def open_sessions(
    models: Mapping[str, Path], graph: Graph, *, threads: int, policy: BreakerPolicy = DEFAULT_POLICY
) -> dict[str, Session]:
    """Load every model and check that those a node leads to can stand in for each other.

    Raises:
        BundleError: a file is missing.
        ModelError: a model cannot be loaded.
        GraphError: signatures disagree; the node is named.
    """
    loaded: dict[str, Model] = {}
    for name, path in models.items():
        if not os.path.isfile(path):  # unlike Path.is_file(), it answers for every path
            raise BundleError(f"model {name!r}: {path} is missing")
        loaded[name] = Model(name, os.fspath(path), threads)
    signature = check_signatures(graph, {name: Signature.of(name, model) for name, model in loaded.items()})
    return {name: Session(name, model, signature, policy) for name, model in loaded.items()}


def read_json(path: Path) -> Any:
    """Read a JSON file of a bundle.

    Raises:
        BundleError: it is no regular file, cannot be read, is too large or not strictly JSON in UTF-8.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BundleError(f"{path} is no regular file; is {path.parent} a bundle folder?")
        with open(path, "rb") as file:
            content = file.read(LIMITS.bundle_json_max_bytes + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{path} cannot be read: {why}; is {path.parent} a bundle folder?") from error
    if len(content) > LIMITS.bundle_json_max_bytes:
        raise BundleError(f"{path} is larger than {LIMITS.bundle_json_max_bytes} bytes")
    try:
        return strict_json(content)
    except ValueError as error:
        raise BundleError(f"{path} is not valid JSON: {error}") from error


def _parse(place: Path, source: Path, document: dict[str, Any], where: Callable[[Any], Path]) -> Bundle:
    found = document.get("format")
    if type(found) is not int or found != FORMAT:
        raise BundleError(f"{source}: format {shown(found)}; this edgerun reads format {FORMAT}")
    for field in document:
        if field not in _FIELDS:
            raise BundleError(f"{source}: unknown field {shown(field)}; known: {', '.join(_FIELDS)}")
    for field in _NEEDED:
        if field not in document:
            raise BundleError(f"{source}: the field {field!r} is missing")
    name = _check_text("name", document["name"], NAME, source)
    version = _check_text("version", document["version"], VERSION, source)
    models = _check_models(document["models"], source)
    if not isinstance(document["nodes"], dict) or not isinstance(document["route"], str):
        raise BundleError(f"{source}: 'nodes' must be an object and 'route' a text")
    try:
        graph = parse_graph(name, document["nodes"], document["route"], models, document.get("holdout"))
    except GraphError as error:
        raise GraphError(f"{error} (in {source})") from error
    paths = {model: where(path) for model, path in models.items()}
    golden = document.get("golden")
    examples = () if golden is None else _read_golden(where(golden))
    requires = parse_requires(document.get("requires", {}), str(source))
    limits = parse_allowance(document.get("limits", {}), str(source))
    experiment = document.get("experiment", {})
    if not isinstance(experiment, dict):
        raise BundleError(f"{source}: 'experiment' must be an object")
    profile = None if document.get("profile") is None else where(document["profile"])
    return Bundle(place, name, version, paths, graph, examples, requires, limits, experiment, profile)


def _check_text(field: str, value: Any, pattern: re.Pattern[str], source: Path | None = None) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        where = f"{source}: " if source else ""
        raise BundleError(f"{where}{field!r} must match {pattern.pattern}, got {shown(value)}")
    return value


def _check_models(models: Any, source: Path | None = None) -> dict[str, str]:
    where = f"{source}: " if source else ""
    if not isinstance(models, dict) or not models or not all(isinstance(path, str) for path in models.values()):
        raise BundleError(f"{where}'models' must map at least one name to a path")
    if len(models) > LIMITS.models_max:
        raise BundleError(f"{where}{len(models)} models are more than {LIMITS.models_max}")
    for model in models:
        _check_text("model name", model, NAME, source)
    return models


def _within(folder: Path) -> Callable[[Any], Path]:
    """Where the files of a bundle's folder lie: in it, behind no symbolic link that leads out."""
    source = folder / "bundle.json"

    def where(path: Any) -> Path:
        if not isinstance(path, str) or os.path.isabs(path):
            raise BundleError(f"{source}: {path!r:.200} must be a path within the bundle")
        try:
            found = (folder / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL, a lone surrogate, a loop of links
            raise BundleError(f"{source}: the path {path!r:.200} cannot be followed: {error}") from error
        if not found.is_relative_to(folder.resolve()):
            raise BundleError(f"{source}: the path {path!r:.200} leaves the bundle")
        return folder / path

    return where


def _beside(manifest: Path) -> Callable[[Any], Path]:
    """Where the blobs of a manifest lie: beside it, each under its digest."""
    from edgerun.artifact import digest_of, hex_of, parse_manifest  # noqa: PLC0415 - a folder needs none of it

    try:
        raw = manifest.read_bytes()
    except OSError as error:
        raise BundleError(f"{manifest} cannot be read: {error.strerror}") from error
    if hex_of(digest_of(raw)) != manifest.name:
        raise BundleError(
            f"{manifest} is not the manifest that its name promises; a bundle is a folder, or a blob: of a tar, "
            "'edgerun bundle show' tells"
        )
    blobs = {layer.path: manifest.parent / hex_of(layer.digest) for layer in parse_manifest(raw).layers}

    def where(path: Any) -> Path:
        if not isinstance(path, str) or path not in blobs:
            raise BundleError(f"{manifest}: {path!r:.200} is none of the bundle's files")
        return blobs[path]

    return where


def _read_golden(path: Path) -> tuple[Golden, ...]:
    examples = read_json(path)
    if not isinstance(examples, list):
        raise BundleError(f"{path} must hold a list of examples")
    golden = tuple(parse_golden(index, example) for index, example in enumerate(examples))
    for index, example in enumerate(golden):
        if not example.outputs:
            raise BundleError(f"{path}: golden example {index} expects no output of any model")
    return golden
