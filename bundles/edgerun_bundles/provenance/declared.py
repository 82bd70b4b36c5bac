"""What a person says of how a bundle came to be: in ``bundle.toml`` under ``[provenance]``, and on the command line.

Paths are read here and data is only named: hashing it comes later. What is named and not there is an error, unlike what
is captured unasked.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.errors import BundleError, InputError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.capture import DataSource
from edgerun_bundles.provenance.metrics import (
    Metrics,
    confusion_matrices_of,
    metric_values,
    per_class_numbers,
)
from edgerun_bundles.provenance.values import parameters_of
from edgerun_bundles.provenance.yaml_files import read_yaml

if TYPE_CHECKING:
    from pathlib import Path

_OF_A_MODEL = ("parameters", "metrics", "data", "notebooks", "run")
_OF_A_BUNDLE = ("parameters", "metrics", "data", "notebooks", "models")
_OF_DATA = ("path", "uri", "tags")
_MATRICES, _PER_CLASS = "confusion_matrices", "per_class"


class Declared(NamedTuple):
    """What was said of a bundle, or of one of its models."""

    parameters: dict[str, Any] = {}  # noqa: RUF012 - a record's default; records are never written to
    metrics: Metrics = Metrics()
    data: dict[str, DataSource] = {}  # noqa: RUF012 - as above
    notebooks: tuple[Path, ...] = ()
    run: str | None = None
    """Of a model: the tracked run that made it, or the folder of an MLflow run."""
    models: dict[str, Declared] = {}  # noqa: RUF012 - as above
    """Of a bundle: what was said of each model."""


def read_declared(table: Mapping[str, Any], folder: Path, where: str, limits: Limits = LIMITS) -> Declared:
    """Return what a table ``[provenance]`` says.

    Args:
        table: from ``bundle.toml``.
        folder: what paths in it are relative to.
        where: the table's place, for messages.
        limits: the limits in force.

    Raises:
        BundleError: a field is unknown or of another type, or a file that it names cannot be read.
        InputError: a parameter or a metric is no value of its kind.
    """
    models = _table(table.get("models", {}), f"{where}.models")
    found = _read(table, folder, where, _OF_A_BUNDLE, limits)
    inner = {
        name: _read(_table(model, f"{where}.models.{name}"), folder, f"{where}.models.{name}", _OF_A_MODEL, limits)
        for name, model in models.items()
    }
    return found._replace(models=inner)


def merged(first: Declared, second: Declared) -> Declared:
    """Return what two said together; where both name one thing, the second one holds."""
    models = {
        name: merged(first.models.get(name, Declared()), second.models.get(name, Declared()))
        for name in {**first.models, **second.models}
    }
    return Declared(
        {**first.parameters, **second.parameters},
        merged_metrics(first.metrics, second.metrics),
        {**first.data, **second.data},
        tuple(dict.fromkeys((*first.notebooks, *second.notebooks))),
        second.run or first.run,
        models,
    )


def merged_metrics(first: Metrics, second: Metrics) -> Metrics:
    """Return the metrics of both; where both name one, the second one holds."""
    return Metrics(
        {**first.values, **second.values},
        {**first.series, **second.series},
        {**first.per_class, **second.per_class},
        {**first.confusion_matrices, **second.confusion_matrices},
        first.dropped + second.dropped,
    )


def read_parameters(path: Path, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return the parameters in a JSON, TOML or YAML file.

    Raises:
        BundleError: it cannot be read, or holds no object.
        InputError: a value has no JSON form.
        ProvenanceError: it is no YAML that is taken.
    """
    return parameters_of(_document(path, limits), limits)


def read_metrics(path: Path, limits: Limits = LIMITS) -> Metrics:
    """Return the metrics in a JSON, TOML or YAML file.

    Numbers by name, nested as one likes; ``confusion_matrices`` holds, by name, ``labels`` and ``counts`` or counts
    alone, and ``per_class`` numbers by metric and class.

    Raises:
        BundleError: it cannot be read, or holds no object.
        InputError: a value is no number, or something is no confusion matrix.
        ProvenanceError: it is no YAML that is taken.
    """
    return _metrics(_document(path, limits), limits)


def _read(table: Mapping[str, Any], folder: Path, where: str, known: tuple[str, ...], limits: Limits) -> Declared:
    for field in table:
        if field not in known:
            raise BundleError(f"{where}: unknown field {field!r}; known: {', '.join(known)}")
    run = table.get("run")
    if run is not None and not isinstance(run, str):
        raise BundleError(f"{where}.run must be the id of a tracked run, or an MLflow run's folder")
    parameters = _table_or_file(table.get("parameters", {}), folder, f"{where}.parameters", limits)
    metrics = _table_or_file(table.get("metrics", {}), folder, f"{where}.metrics", limits)
    return Declared(
        parameters_of(parameters, limits),
        _metrics(metrics, limits),
        _data(table.get("data", {}), folder, f"{where}.data"),
        tuple(folder / path for path in _texts(table.get("notebooks", []), f"{where}.notebooks")),
        run,
    )


def _metrics(document: Mapping[str, Any], limits: Limits) -> Metrics:
    numbers = {name: value for name, value in document.items() if name not in (_MATRICES, _PER_CLASS)}
    matrices = document.get(_MATRICES, {})
    if not isinstance(matrices, Mapping):
        raise InputError(f"{_MATRICES} must be a mapping of name to labels and counts")
    return Metrics(
        metric_values(numbers),
        per_class=per_class_numbers(document.get(_PER_CLASS), limits),
        confusion_matrices=confusion_matrices_of(
            {name: _labelled(matrix) for name, matrix in matrices.items()} or None, limits
        ),
    )


def _labelled(matrix: Any) -> Any:
    if isinstance(matrix, Mapping) and {*matrix} == {"labels", "counts"} and isinstance(matrix["labels"], list):
        return (matrix["labels"], matrix["counts"])
    return matrix


def _data(value: Any, folder: Path, where: str) -> dict[str, DataSource]:
    found = {}
    for name, source in _table(value, where).items():
        table = {"path": source} if isinstance(source, str) else _table(source, f"{where}.{name}")
        for field in table:
            if field not in _OF_DATA:
                raise BundleError(f"{where}.{name}: unknown field {field!r}; known: {', '.join(_OF_DATA)}")
        path, uri, tags = table.get("path"), table.get("uri"), _table(table.get("tags", {}), f"{where}.{name}.tags")
        if not isinstance(path, str) or not isinstance(uri, str | None):
            raise BundleError(f"{where}.{name} must be a path, or have 'path' and perhaps 'uri' and 'tags'")
        found[name] = DataSource(folder / path, {str(key): str(tag) for key, tag in tags.items()}, uri)
    return found


def _table_or_file(value: Any, folder: Path, where: str, limits: Limits) -> Mapping[str, Any]:
    return _document(folder / value, limits) if isinstance(value, str) else _table(value, where)


def _document(path: Path, limits: Limits) -> dict[str, Any]:
    """Return what a file says: TOML or YAML by its name, else JSON."""
    found = read_yaml(path, limits) if path.suffix in {".yaml", ".yml"} else _parsed(path, limits)
    if not isinstance(found, dict):
        raise BundleError(f"{path} must hold an object of names and values")
    return found


def _parsed(path: Path, limits: Limits) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(limits.parameters_max_bytes + 1)
        if len(content) > limits.parameters_max_bytes:
            raise BundleError(f"{path} is larger than {limits.parameters_max_bytes} bytes (parameters_max_bytes)")
        return tomllib.loads(content.decode()) if path.suffix == ".toml" else json.loads(content)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is neither JSON nor, by its name, TOML or YAML: {error}") from error


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{where} must be a table")
    return value


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BundleError(f"{where} must be a list of texts")
    return value
