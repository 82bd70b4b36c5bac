"""``bundle.toml``: what a person writes down, from which a bundle is built. Reading it touches no model."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import check_name, check_version
from edgerun.errors import BundleError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFINITION_FILE = "bundle.toml"
_NEEDED = ("name", "version", "models")
_CHECKED_LATER = ("requires", "limits", "budget", "holdout", "experiment", "provenance")
_FIELDS = (*_NEEDED, "route", "nodes", "golden", "reference", *_CHECKED_LATER)


class Definition(NamedTuple):
    """What a bundle is to be; models and the graph are not checked yet."""

    name: str
    """The bundle's name."""

    version: str
    """The bundle's version."""

    route: str
    """Where every request starts."""

    models: Mapping[str, Path]
    """Model name to its ONNX file."""

    nodes: Mapping[str, Any]
    """The routing graph."""

    golden: tuple[Any, ...]
    """Golden examples; those without outputs get them from the build."""

    requires: Mapping[str, Any]
    """What a device must have."""

    limits: Mapping[str, Any]
    """What the bundle may take and do on a device."""

    experiment: Mapping[str, Any]
    """The plan of its experiment; empty where there is none."""

    size_bytes: int | None
    """The size that the bundle must not pass."""

    holdout: Mapping[str, Any] | None
    """The keys that no random split enrols; None holds out nobody."""

    provenance: Mapping[str, Any]
    """What is said of how it came to be; it is not checked here and does not enter the bundle."""

    reference: Path | None = None
    """The training data, an npz, whose profile the bundle gets; None for none."""


def read_definition(folder: Path) -> Definition:
    """Read the ``bundle.toml`` of a folder, and the golden examples if they are in a file of their own.

    Raises:
        BundleError: a file is missing or malformed, a field is unknown, missing or of another type.
    """
    source = folder / DEFINITION_FILE
    document = _read_toml(source)
    for field in document:
        if field not in _FIELDS:
            raise BundleError(f"{source}: unknown field {field!r}; known: {', '.join(_FIELDS)}")
    for field in _NEEDED:
        if field not in document:
            raise BundleError(f"{source}: the field {field!r} is missing")
    models = _table(source, document, "models")
    if not models or not all(isinstance(path, str) for path in models.values()):
        raise BundleError(f"{source}: 'models' must map at least one name to a path")
    route = document.get("route", next(iter(models)))
    if not isinstance(route, str):
        raise BundleError(f"{source}: 'route' must be the name of a node or model")
    try:
        check_name(document["name"]), check_version(document["version"])
    except BundleError as error:
        raise BundleError(f"{source}: {error}") from error
    return Definition(
        name=document["name"],
        version=document["version"],
        route=route,
        models={name: folder / path for name, path in models.items()},
        nodes=_table(source, document, "nodes"),
        golden=_golden(source, document.get("golden", [])),
        requires=_table(source, document, "requires"),
        limits=_table(source, document, "limits"),
        experiment=_table(source, document, "experiment"),
        size_bytes=_size(source, _table(source, document, "budget")),
        holdout=_table(source, document, "holdout") if "holdout" in document else None,
        provenance=_table(source, document, "provenance"),
        reference=_reference(source, document.get("reference")),
    )


def _read_toml(source: Path) -> dict[str, Any]:
    try:
        if source.stat().st_size > LIMITS.bundle_json_max_bytes:
            raise BundleError(f"{source} is larger than {LIMITS.bundle_json_max_bytes} bytes")
        return tomllib.loads(source.read_text("utf-8"))
    except FileNotFoundError as error:
        hint = f"edgerun bundle init {source.parent} --name NAME --model champion=PATH"
        raise BundleError(f"{source} is missing; write one with: {hint}") from error
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{source} is not valid TOML: {error}") from error


def _table(source: Path, document: Mapping[str, Any], field: str) -> dict[str, Any]:
    found = document.get(field, {})
    if not isinstance(found, dict):
        raise BundleError(f"{source}: {field!r} must be a table")
    return found


def _golden(source: Path, value: Any) -> tuple[Any, ...]:
    """The examples: a list of tables, or the name of a JSON file that holds one."""
    if isinstance(value, str):
        file = source.parent / value
        try:
            value = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise BundleError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(value, list):
        raise BundleError(f"{source}: 'golden' must be a list of examples, or the name of a JSON file with one")
    return tuple(value)


def _reference(source: Path, value: Any) -> Path | None:
    if value is not None and not isinstance(value, str):
        raise BundleError(f"{source}: 'reference' must be the path of an npz file, got {value!r:.100}")
    return None if value is None else source.parent / value


def _size(source: Path, budget: dict[str, Any]) -> int | None:
    size = budget.pop("size_bytes", None)
    if budget:
        raise BundleError(f"{source}: 'budget': unknown field {next(iter(budget))!r}; known: size_bytes")
    if size is not None and (type(size) is not int or size < 1):
        raise BundleError(f"{source}: 'budget': 'size_bytes' must be a number of bytes, got {size!r}")
    return size
