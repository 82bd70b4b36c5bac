"""How ``edgerun bundle diff`` tells what differs between where two bundles come from, in JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns, printable, short_text
from edgerun_bundles.cli.opened import of_model
from edgerun_bundles.cli.provenance_text import HASH_SHOWN, code_text
from edgerun_bundles.comparing_provenance import changes_document, compare_provenance, is_same_code
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.code_diff import FileChange, changed_files, patch
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.snapshot import CodeSnapshot
from edgerun_bundles.provenance.statement import Provenance, code_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgerun_bundles.attached import Attached
    from edgerun_bundles.comparing_provenance import Changes

FILES_SHOWN = 30
PACKAGES_SHOWN = 20
CLASSES_SHOWN = 10
CodeDiffs = dict[str, list[FileChange] | str]
"""For the bundle (an empty name) and each model whose code differs: its files, or why they are not known."""


def code_diffs(before: Attached | None, after: Attached | None, clones: Sequence[Path]) -> CodeDiffs:
    """Return which files of the code differ, for each pair of trees that do."""
    found: CodeDiffs = {}
    if before is None or after is None:
        return found
    for name, (old, new) in _code_pairs(before, after).items():
        try:
            found[name] = changed_files(_snapshot(before, old), _snapshot(after, new), clones)
        except ProvenanceError as error:
            found[name] = f"the files cannot be compared: {error}"
    return found


def code_patch(before: Attached | None, after: Attached | None, model: str | None, clones: Sequence[Path]) -> bytes:
    """Return the patch between the code of two bundles, or of what trained a model of both.

    Raises:
        ProvenanceError: one of the bundles has no provenance or no code, or a tree cannot be had.
    """
    if before is None or after is None:
        raise ProvenanceError("one of the bundles has no provenance, and so no code to compare")
    pair = [of_model(_name(found), found.provenance, model).code for found in (before, after)]
    if pair[0] is None or pair[1] is None:
        raise ProvenanceError("one of both does not say from what code it was made")
    return patch(_snapshot(before, pair[0]), _snapshot(after, pair[1]), clones)


def _name(attached: Attached) -> str:
    return attached.statement.subject[0].name


def _code_pairs(before: Attached, after: Attached) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    old, new = before.provenance, after.provenance
    pairs = {"": (old.code, new.code)}
    pairs |= {name: (old.models[name].code, new.models[name].code) for name in new.models if name in old.models}
    return {
        name: (one, other)
        for name, (one, other) in pairs.items()
        if one is not None and other is not None and not is_same_code(one, other)
    }


def _snapshot(attached: Attached, code: dict[str, Any]) -> CodeSnapshot:
    return code_snapshot(CodeSnapshot, code, attached.blob)


def provenance_document(
    before: Attached | None, after: Attached | None, code: CodeDiffs
) -> dict[str, dict[str, Any]] | None:
    """Return what differs as JSON holds it; None where one of both has no provenance."""
    if before is None or after is None:
        return None
    document = {}
    for name, found in compare_provenance(before.provenance, after.provenance).items():
        told = changes_document(found)
        files = code.get(name)
        if isinstance(files, str):
            told["code"] = {**(told["code"] or {}), "problem": files}
        elif files is not None:
            told["code"] = {**(told["code"] or {}), "files": to_document(files)}
        document[name] = told
    return {"bundle": document.pop(""), "models": document}


def provenance_page(before: Attached | None, after: Attached | None, code: CodeDiffs) -> Iterator[str]:
    """Yield what differs for people."""
    if before is None or after is None:
        lacking = [side for side, found in (("the first", before), ("the second", after)) if found is None]
        yield from ("", f"provenance: {' and '.join(lacking)} has none, so code, parameters and metrics are not known")
        return
    for name, found in compare_provenance(before.provenance, after.provenance).items():
        pair = (_of(before.provenance, name), _of(after.provenance, name))
        lines = [*_lines(found, pair, code.get(name))]
        title = f"model {printable(name)}, how it was trained" if name else "provenance"
        yield from ("", title, *(lines or ["no difference"]))


def _of(provenance: Provenance, name: str) -> Provenance:
    return provenance.models.get(name, Provenance()) if name else provenance


def _lines(found: Changes, pair: tuple[Provenance, Provenance], files: list[FileChange] | str | None) -> Iterator[str]:
    rows = [*_rows(found, pair)]
    if rows:
        yield columns(rows)
    yield from _class_lines(found.per_class)
    if isinstance(files, str):
        yield printable(files)
    elif files:
        yield from _file_lines(files)


def _rows(found: Changes, pair: tuple[Provenance, Provenance]) -> Iterator[tuple[str, str]]:
    for side, provenance in zip(("before", "after"), pair, strict=True):
        if provenance == Provenance():
            yield side, "nothing is known"
    if found.code is not None:
        yield "code", f"{code_text(pair[0].code)} -> {code_text(pair[1].code)}"
    yield from _table("parameter", found.parameters)
    yield from _table("metric", found.metrics, _step)
    packages = [item for item in found.environment if item.area == "package"]
    yield from (("package", f"{item.name} {item.expected} -> {item.found}") for item in packages[:PACKAGES_SHOWN])
    if more := len(packages) - PACKAGES_SHOWN:
        yield from [("package", f"and {more} more; see --json")] * (more > 0)
    others = [item for item in found.environment if item.area != "package"]
    yield from ((item.area, f"{item.name} {item.expected} -> {item.found}") for item in others)
    yield from _table("data", found.data)
    yield from _table("notebook", found.notebooks)


def _no_step(_: Any, __: Any) -> str:
    return ""


def _table(
    what: str, table: Mapping[str, Any], step: Callable[[Any, Any], str] = _no_step
) -> Iterator[tuple[str, str]]:
    for name, (before, after) in table["changed"].items():
        yield what, f"~ {name} {_value(before)} -> {_value(after)}{step(before, after)}"
    yield from ((what, f"+ {name} {_value(value)}") for name, value in table["added"].items())
    yield from ((what, f"- {name} {_value(value)}") for name, value in table["removed"].items())


def _value(value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:
        rows = "" if value["rows"] is None else f", {value['rows']:,} rows"
        tags = "".join(f", {name}={tag}" for name, tag in value["tags"].items())
        return f"{value['sha256'][:HASH_SHOWN]} ({value['bytes']:,} bytes{rows}{tags})"
    if isinstance(value, str) and len(value) == 64:
        return value[:HASH_SHOWN]
    return short_text(value)


def _step(before: Any, after: Any) -> str:
    """The change of a number."""
    if isinstance(before, int | float) and isinstance(after, int | float) and not isinstance(before, bool):
        return f"  ({after - before:+.6g})"
    return ""


def _class_lines(table: Mapping[str, Any]) -> Iterator[str]:
    """Say which classes are recognised worse or better, the worst change first."""
    changed = [(_change(*pair), name, *pair) for name, pair in table["changed"].items()]
    changed.sort(key=lambda row: row[0])
    rows = [
        (f"  {name}", f"{_value(before)} -> {_value(after)}", f"{change:+.4g}")
        for change, name, before, after in changed[:CLASSES_SHOWN]
    ]
    if rows:
        yield from ("per class, the worst change first", columns(rows))
    if (more := len(changed) - len(rows)) > 0:
        yield f"  and {more} more; see --json"
    known = [f"{len(table[side])} {side}" for side in ("added", "removed") if table[side]]
    if known:
        yield f"numbers per class: {', '.join(known)}"


def _change(before: Any, after: Any) -> float:
    is_known = isinstance(before, int | float) and isinstance(after, int | float)
    return after - before if is_known else 0.0


def _file_lines(files: list[FileChange]) -> Iterator[str]:
    """Say which files differ, as ``git diff --stat`` does."""
    marks = {"added": "+", "deleted": "-", "changed": "~", "retyped": "!"}
    rows = [(f"  {marks[file.change]} {file.path}", _counts(file)) for file in files[:FILES_SHOWN]]
    yield columns(rows)
    if len(files) > FILES_SHOWN:
        yield f"  and {len(files) - FILES_SHOWN:,} more"
    added, removed = (sum(getattr(file, side) or 0 for file in files) for side in ("added", "removed"))
    yield f"  {len(files):,} file{'' if len(files) == 1 else 's'}, +{added:,} -{removed:,} lines; see --patch"


def _counts(file: FileChange) -> str:
    return "binary" if file.added is None or file.removed is None else f"+{file.added:,} -{file.removed:,}"
