"""``edgerun log stats``: what each arm did, from the rows of a log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from edgerun.cli.log import asked
from edgerun.cli.log.profiles import profile_documents, profile_page
from edgerun.cli.log.verify import document as recovery_document
from edgerun.cli.log.verify import losses
from edgerun.cli.output import columns, duration_text, examples, json_line, share_text
from edgerun.log import Kind, Log, Source, Table, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Key = tuple[str | None, ...]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_READ = (Kind.CALL, Kind.SHADOW, Kind.ERROR, Kind.LABEL, Kind.OUTCOME, Kind.LOSS)


@click.command(
    short_help="Sum a log up by version, model and arm.",
    epilog=examples("edgerun log stats log/", "edgerun log stats log/ --since 2h --profiles"),
)
@asked.folder
@asked.times
@asked.arm
@click.option("--profiles", is_flag=True, help="Sum up the profiles of inputs and outputs too.")
@asked.as_json
def stats(
    folder: str, since: float | None, until: float | None, arm: str | None, profiles: bool, as_json: bool
) -> None:
    """Sum up the log in DIR: calls, latencies, fallbacks, errors and labels, shadows, and what was lost."""
    kinds = [*_READ, Kind.PROFILE] if profiles else _READ
    log = read(folder, kinds=kinds, since=since, until=until, arm=arm)
    found = _document(log)
    if profiles:
        found |= profile_documents(log.profiles)
    click.echo(json_line(found) if as_json else _page(found))


def _document(log: Log) -> dict[str, Any]:
    labelled, elsewhere = _labelled(log)
    groups: dict[Key, dict[str, Any]] = {}
    for key, rows in _grouped(log.calls, _served_by):
        groups[key] = _calls(log.calls, rows) | {"errors": 0, "labels": int(labelled[rows].sum())}
    for key, rows in _grouped(log.errors, _led_to):
        groups.setdefault(key, _calls(log.calls, rows[:0]) | {"labels": 0, "errors": 0})["errors"] = len(rows)
    outcomes: dict[str, int] = {}
    for name in log.outcomes["name"]:
        outcomes[str(name)] = outcomes.get(str(name), 0) + 1
    return {
        "groups": [_named(("bundle", "version", "model", "arm"), key) | group for key, group in groups.items()],
        "shadows": [
            _named(("bundle", "version", "node", "model"), key) | _shadows(log.shadows, rows)
            for key, rows in _grouped(log.shadows, _watched_by)
        ],
        "labels": {"of_calls_here": int(labelled.sum()), "of_calls_elsewhere": elsewhere},
        "outcomes": outcomes,
        "losses": losses(log.losses),
        "lost": recovery_document(log.recovery),
    }


def _named(names: tuple[str, ...], key: Key) -> dict[str, Any]:
    return dict(zip(names, key, strict=True))


def _served_by(source: Source) -> Key:
    return source.bundle, source.version, source.model, source.arm


def _led_to(source: Source) -> Key:
    """An error has no model that answered: it counts for the one that should have."""
    return source.bundle, source.version, source.route, source.arm


def _watched_by(source: Source) -> Key:
    return source.bundle, source.version, source.node, source.model


def _grouped(table: Table, key: Callable[[Source], Key]) -> Iterator[tuple[Key, Any]]:
    """The rows of a table by what their sources have in common, sorted."""
    codes = table.source
    groups: dict[Key, list[int]] = {}
    for code in np.unique(codes).tolist():
        source = table.sources[code]
        groups.setdefault((None,) * 4 if source is None else key(source), []).append(code)
    for name in sorted(groups, key=lambda names: tuple(text or "" for text in names)):
        yield name, np.flatnonzero(np.isin(codes, groups[name]))


def _calls(calls: Table, rows: Any) -> dict[str, Any]:
    latency = calls["latency_s"][rows]
    fallbacks = [code for code, source in enumerate(calls.sources) if source and source.fallback]
    return {
        "calls": len(rows),
        "latency_s": None if not len(rows) else {"mean": float(latency.mean())} | _quantiles(latency),
        "fallbacks": int(np.isin(calls.source[rows], fallbacks).sum()),
        "nonfinite": int(calls["nonfinite"][rows].sum()),
    }


def _quantiles(latency: Any) -> dict[str, float]:
    return {name: float(np.quantile(latency, q)) for name, q in QUANTILES.items()}


def _shadows(shadows: Table, rows: Any) -> dict[str, Any]:
    return {
        "watched": len(rows),
        "disagreed": int(shadows["disagrees"][rows].sum()),
        "failed": int(shadows["failed"][rows].sum()),
        "latency_s": {"mean": float(shadows["latency_s"][rows].mean())} | _quantiles(shadows["latency_s"][rows]),
    }


def _labelled(log: Log) -> tuple[Any, int]:
    """How many labels each call has, and how many labels are of calls that are not here."""
    counts, elsewhere = np.zeros(log.calls.rows, np.int64), 0
    of_epoch: dict[int, list[int]] = {}
    for event in log.labels["id"]:
        epoch, _, sequence = str(event).partition("-")
        try:
            of_epoch.setdefault(int(epoch, 16), []).append(int(sequence))
        except ValueError:
            elsewhere += 1
    for number, sequences in of_epoch.items():
        rows = np.flatnonzero(log.calls["epoch"] == np.uint64(number % 2**64))
        order = rows[np.argsort(log.calls["sequence"][rows], kind="stable")]
        sought = np.array([sequence % 2**64 for sequence in sequences], np.uint64)
        known = log.calls["sequence"][order]
        place = np.searchsorted(known, sought)
        here = place < len(known)
        here[here] = known[place[here]] == sought[here]
        np.add.at(counts, order[place[here]], 1)
        elsewhere += int((~here).sum())
    return counts, elsewhere


def _page(found: dict[str, Any]) -> str:
    parts = [columns([_HEADS, *map(_group_line, found["groups"])])]
    if found["shadows"]:
        parts.append(columns([_SHADOW_HEADS, *map(_shadow_line, found["shadows"])]))
    rows = [(f"outcome {name}", f"{count:,}") for name, count in found["outcomes"].items()]
    if found["labels"]["of_calls_elsewhere"]:
        rows.append(("labels of calls elsewhere", f"{found['labels']['of_calls_elsewhere']:,}"))
    for reason, counts in found["losses"].items():
        rows += [(f"lost ({reason})", f"{count:,} {kind}") for kind, count in counts.items()]
    if found["lost"]["rows_lost"] or found["lost"]["bytes_dropped"]:
        rows.append(("damaged", f"{found['lost']['bytes_dropped']:,} bytes, {found['lost']['rows_lost']:,} rows lost"))
    if found.get("profiles_unreadable"):
        rows.append(("profiles that cannot be read", f"{found['profiles_unreadable']:,}"))
    if rows:
        parts.append(columns(rows))
    if "profiles" in found:
        parts += profile_page(found["profiles"])
    return "\n\n".join(parts)


_HEADS = ("version", "model", "arm", "calls", "mean", "p50", "p90", "p99", "fallbacks", "errors", "labels")
_SHADOW_HEADS = ("in the shadow", "model", "watched", "disagreed", "failed", "mean", "p50", "p90", "p99")


def _latencies(latency: dict[str, float] | None) -> list[str]:
    return [""] * 4 if latency is None else [duration_text(latency[name]) for name in ("mean", *QUANTILES)]


def _group_line(group: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{group['bundle'] or 'unknown'} {group['version'] or ''}",
        group["model"] or "none",
        group["arm"] or "none",
        f"{group['calls']:,}",
        *_latencies(group["latency_s"]),
        f"{group['fallbacks']:,}",
        f"{group['errors']:,}",
        f"{group['labels']:,}",
    )


def _shadow_line(group: dict[str, Any]) -> tuple[str, ...]:
    compared = group["watched"] - group["failed"]
    share = f" ({share_text(group['disagreed'] / compared)})" if compared else ""
    return (
        group["node"] or "on trial",
        group["model"] or "unknown",
        f"{group['watched']:,}",
        f"{group['disagreed']:,}{share}",
        f"{group['failed']:,}",
        *_latencies(group["latency_s"]),
    )
