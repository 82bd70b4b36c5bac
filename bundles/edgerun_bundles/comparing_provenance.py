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
    """Numbers; those of a class are ``METRIC/CLASS``, those that follow from a confusion matrix ``MATRIX/F1/CLASS``."""
    environment: tuple[Difference, ...]
    data: dict[str, Any]
    notebooks: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs but times and people."""
        tables_of_all = (self.parameters, self.metrics, self.data, self.notebooks)
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
        tables(metric_numbers(before.metrics), metric_numbers(after.metrics)),
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
        "packages": to_document([item for item in found.environment if item.area == "package"]),
        "environment": to_document([item for item in found.environment if item.area != "package"]),
        "data": found.data,
        "notebooks": found.notebooks,
    }


def metric_numbers(metrics: Metrics) -> dict[str, float | int | str]:
    """Return every number of metrics by a name, those per class included, as JSON holds them."""
    numbers = dict(metrics.values)
    for metric, by_class in metrics.per_class.items():
        numbers |= {f"{metric}/{label}": value for label, value in by_class.items()}
    for name, matrix in metrics.confusion_matrices.items():
        numbers[f"{name}/accuracy"] = matrix.accuracy
        numbers |= {f"{name}/F1/{label}": found.f1 for label, found in matrix.per_class().items()}
    return {name: json_number(value) for name, value in numbers.items()}


def _code(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any] | None:
    first, second = before or {}, after or {}
    if first == second or (first.get("tree") is not None and first.get("tree") == second.get("tree")):
        return None
    return {
        "before": {name: first[name] for name in _CODE if first.get(name) is not None},
        "after": {name: second[name] for name in _CODE if second.get(name) is not None},
    }


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
