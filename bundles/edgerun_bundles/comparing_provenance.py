"""What differs between two provenances: code, parameters, metrics, packages, machine, data and notebooks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.comparing import tables
from edgerun_bundles.provenance.comparison import compare as compare_environments
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.statement import Provenance
from edgerun_bundles.provenance.values import json_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.provenance.comparison import Difference
    from edgerun_bundles.provenance.metrics import Metrics

_CODE = ("commit", "branch", "tree", "is_dirty")


class Changes(NamedTuple):
    """What differs between two provenances of one thing; each table has what was added, removed and changed."""

    code: Mapping[str, Any] | None
    """``before`` and ``after``: commit, branch, tree, is_dirty; None where both are the same tree."""
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    """Numbers by name; the accuracy of a confusion matrix is ``MATRIX/accuracy``."""
    per_class: dict[str, Any]
    """Numbers of one class, ``METRIC/CLASS``; what follows from a confusion matrix is ``MATRIX/F1/CLASS``."""
    environment: tuple[Difference, ...]
    data: dict[str, Any]
    notebooks: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs but times and people."""
        tables_of_all = (self.parameters, self.metrics, self.per_class, self.data, self.notebooks)
        return not (self.code or self.environment or any(any(table.values()) for table in tables_of_all))


def compare_provenance(before: Provenance, after: Provenance) -> dict[str, Changes]:
    """Return what differs: under an empty name for the bundles themselves, under its name for each model of either."""
    pairs = {"": (before, after)}
    for name in {**before.models, **after.models}:
        pairs[name] = (before.models.get(name, Provenance()), after.models.get(name, Provenance()))
    return {name: changes(*pair) for name, pair in pairs.items()}


def changes(before: Provenance, after: Provenance) -> Changes:
    """Return what differs between two provenances of one thing."""
    differences = (
        compare_environments(before.environment, after.environment)
        if before.environment is not None and after.environment is not None
        else []
    )
    return Changes(
        _code(before.code, after.code),
        tables(before.parameters, after.parameters),
        tables(_metrics(before.metrics), _metrics(after.metrics)),
        tables(_per_class(before.metrics), _per_class(after.metrics)),
        tuple(differences),
        tables(_data(before), _data(after)),
        tables(_notebooks(before), _notebooks(after)),
    )


def changes_document(found: Changes) -> dict[str, Any]:
    """Return what differs as JSON holds it."""
    return {
        "code": found.code,
        "parameters": found.parameters,
        "metrics": found.metrics,
        "per_class": found.per_class,
        "packages": to_document([item for item in found.environment if item.area == "package"]),
        "environment": to_document([item for item in found.environment if item.area != "package"]),
        "data": found.data,
        "notebooks": found.notebooks,
    }


def _metrics(metrics: Metrics) -> dict[str, float | int | str]:
    accuracies = {f"{name}/accuracy": matrix.accuracy for name, matrix in metrics.confusion_matrices.items()}
    return {name: json_number(value) for name, value in {**accuracies, **metrics.values}.items()}


def _per_class(metrics: Metrics) -> dict[str, float | int | str]:
    numbers = {
        f"{metric}/{label}": value
        for metric, by_class in metrics.per_class.items()
        for label, value in by_class.items()
    }
    for name, matrix in metrics.confusion_matrices.items():
        numbers |= {f"{name}/F1/{label}": found.f1 for label, found in matrix.per_class().items()}
    return {name: json_number(value) for name, value in numbers.items()}


def _code(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any] | None:
    first, second = before or {}, after or {}
    if is_same_code(first, second):
        return None
    return {
        "before": {name: first[name] for name in _CODE if first.get(name) is not None},
        "after": {name: second[name] for name in _CODE if second.get(name) is not None},
    }


def is_same_code(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two snapshots are of the same files, those of repositories inside them included."""
    return before == after or (before.get("tree") is not None and _trees(before) == _trees(after))


def _trees(code: Mapping[str, Any]) -> tuple[Any, ...]:
    inner = ((each.get("path"), _trees(each["snapshot"])) for each in code.get("nested") or [])
    return (code.get("tree"), *sorted(inner, key=str))


def _data(provenance: Provenance) -> dict[str, Any]:
    return {
        data.name: {
            "sha256": data.sha256,
            "bytes": data.size,
            "rows": sum(table.rows for table in data.tables) if data.tables else None,
            "tags": dict(data.tags),
        }
        for data in provenance.data
    }


def _notebooks(provenance: Provenance) -> dict[str, Any]:
    """Their sources: a notebook that was merely run again is the same."""
    return {notebook.path: notebook.source_sha256 for notebook in provenance.notebooks}
