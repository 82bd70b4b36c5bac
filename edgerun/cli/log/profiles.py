"""The profiles of a log, merged: what the inputs and outputs of each arm were like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns
from edgerun.errors import LogError
from edgerun.log.merging import merge
from edgerun.log.profile_values import from_value
from edgerun.log.profiles import Numbers, PortProfile, Profile, Texts
from edgerun.log.sketch import distinct, frequent, quantile

if TYPE_CHECKING:
    from edgerun.log import Table

_QUANTILES = {"p1": 0.01, "p50": 0.5, "p99": 0.99}
_FREQUENT_MAX = 3
_NAMES = ("bundle", "version", "model", "arm", "node")


def profile_documents(table: Table) -> dict[str, Any]:
    """Return the profiles of a table, merged by bundle, version, model, arm and node, as JSON holds them.

    Those that say what no profile can are counted.
    """
    groups: dict[tuple[str | None, ...], list[Profile]] = {}
    unreadable = 0
    for value in table["profile"]:
        try:
            found = from_value(value)
        except LogError:
            unreadable += 1
        else:
            groups.setdefault(tuple(getattr(found, name) for name in _NAMES), []).append(found)
    keys = sorted(groups, key=lambda names: [name or "" for name in names])
    return {"profiles": [_document(merge(groups[key])) for key in keys], "profiles_unreadable": unreadable}


def profile_page(documents: list[dict[str, Any]]) -> list[str]:
    """Return a table for each profile."""
    pages = []
    for found in documents:
        names = [found[name] for name in _NAMES if found[name]]
        rows = [_HEADS, *(line for port in found["ports"] for line in _lines(port))]
        pages.append(f"{' '.join(names)}\n{columns(rows)}")
    return pages


def _document(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in _NAMES} | {"ports": [_port(port) for port in profile.ports]}


def _port(port: PortProfile) -> dict[str, Any]:
    what = port.what
    listed = [
        _numbers(port, what, i) if isinstance(what, Numbers) else _texts(port, what, i) for i in range(port.columns)
    ]
    return {"name": port.name, "is_output": port.is_output, "seen": port.seen, "columns": listed}


def _numbers(port: PortProfile, what: Numbers, column: int) -> dict[str, Any]:
    count = int(what.finite[column])
    found: dict[str, Any] = {"count": count, "missing": int(what.missing[column])}
    if count:
        found |= {
            "mean": float(what.mean[column]),
            "sd": math.sqrt(float(what.m2[column]) / (count - 1)) if count > 1 else 0.0,
            "min": float(what.min[column]),
            "max": float(what.max[column]),
        }
        found |= {name: float(quantile(port, column, q)) for name, q in _QUANTILES.items()}
    return {name: value for name, value in found.items() if isinstance(value, int) or math.isfinite(value)}


def _texts(port: PortProfile, what: Texts, column: int) -> dict[str, Any]:
    return {
        "count": int(what.total[column]),
        "missing": int(what.empty[column]),
        "distinct": round(distinct(port, column)),
        "frequent": {found.text: found.least for found in frequent(port, column)},
    }


_HEADS = ("", "", "count", "missing", "mean", "sd", *_QUANTILES)


def _lines(port: dict[str, Any]) -> list[tuple[str, ...]]:
    lines = []
    for i, column in enumerate(port["columns"]):
        role = "output" if port["is_output"] else "input"
        name = port["name"] if len(port["columns"]) == 1 else f"{port['name']}[{i}]"
        if "frequent" in column:
            most = sorted(column["frequent"].items(), key=lambda item: -item[1])[:_FREQUENT_MAX]
            rest = [f"{column['distinct']:,} distinct", *(f"{text} {weight:,}" for text, weight in most)]
        else:
            rest = [f"{column[key]:.6g}" if key in column else "" for key in ("mean", "sd", *_QUANTILES)]
        rest += [""] * (len(_HEADS) - 4 - len(rest))
        lines.append((role, name, f"{column['count']:,}", f"{column['missing']:,}", *rest))
    return lines
