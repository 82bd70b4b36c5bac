"""Writing a bundle folder, so that a write that fails leaves the former bundle as it was.

The new bundle is laid out in a scratch folder within the folder, proven there as a device would open it, and put in
place by renaming, bundle.json last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from edgerun._shown import shown
from edgerun.bundle import FORMAT, open_sessions, read, read_json
from edgerun.enrolment import holdout_document
from edgerun.errors import BundleError, GraphError, ModelError
from edgerun.golden import check_golden, complete, parse_golden
from edgerun.graph import node_to_dict
from edgerun.limits import LIMITS
from edgerun.routing import compile_graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgerun.golden import Golden
    from edgerun.graph import Graph

SCRATCH = ".new-"
"""How the names of scratch folders begin; one that is left over was left by a process that was killed."""


def write_folder(
    target: Path,
    name: str,
    version: str,
    graph: Graph,
    models: Mapping[str, Path],
    golden: Iterable[Any],
    extra: Mapping[str, Any],
    profile: bytes | None,
) -> None:
    """Write a bundle whose names, graph and extra fields are known to be right.

    Raises:
        BundleError: an example is wrong, the profile is too large, a file is missing or cannot be written, or the
            folder holds something else.
        GraphError: models cannot stand in for each other, or there are too many ways through the graph.
        ModelError: a model cannot be loaded.
    """
    is_new = not target.exists()
    try:
        _check_place(target)
        target.mkdir(parents=True, exist_ok=True)
        former = _files_of(target)
        with TemporaryDirectory(prefix=SCRATCH, dir=target) as folder:
            scratch = Path(folder)
            places = {model: _copy_model(scratch, target, model, source) for model, source in models.items()}
            compile_graph(name, version, graph)
            examples = _prove(scratch, graph, places, models, golden)
            golden_place = _write_examples(scratch, target, examples) if examples else None
            profile_place = None if profile is None else _write_profile(scratch, target, profile)
            document = {
                "format": FORMAT,
                "name": name,
                "version": version,
                "models": places,
                "route": graph.route,
                "nodes": {node: node_to_dict(fields) for node, fields in graph.nodes.items()},
                "golden": golden_place,
                **({} if graph.holdout is None else {"holdout": holdout_document(graph.holdout)}),
                **({} if profile_place is None else {"profile": profile_place}),
                **extra,
            }
            _write_json(scratch / "bundle.json", document)
            read(scratch)
            files = [*places.values(), *(place for place in (golden_place, profile_place) if place is not None)]
            _put_in_place(scratch, target, files)
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error}") from error
    finally:
        if is_new:
            with suppress(OSError):
                target.rmdir()  # it is empty if the write failed
    _remove(former - {(target / file).resolve() for file in files})


def _check_place(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise BundleError(f"{target} is no folder; choose another name")
    if not target.exists() or (target / "bundle.json").is_file():
        return
    if any(not found.name.startswith(SCRATCH) for found in target.iterdir()):
        raise BundleError(f"{target} is not empty and holds no bundle; choose another folder")


def _files_of(folder: Path) -> set[Path]:
    """The files that a bundle refers to; none where it cannot be read."""
    try:
        bundle = read(folder)
    except (BundleError, GraphError):
        return set()
    golden = read_json(folder / "bundle.json").get("golden")
    single = (folder / golden if golden else None, bundle.profile)
    return {path.resolve() for path in (*bundle.models.values(), *single) if path is not None}


def _remove(files: Iterable[Path]) -> None:
    """Remove what the new bundle does not need; what cannot be removed does no harm."""
    for file in files:
        with suppress(OSError):
            file.unlink()


def _copy_model(scratch: Path, target: Path, model: str, source: Path) -> str:
    if not source.is_file():
        raise BundleError(f"model {model!r}: {source} is missing")
    (scratch / "models").mkdir(exist_ok=True)
    draft = scratch / "draft"
    shutil.copyfile(source, draft)
    place = _place(target, f"models/{model}.onnx", draft)
    draft.replace(scratch / place)
    return place


def _place(target: Path, name: str, content: Path) -> str:
    """Return where a file is to lie: at its name, unless other bytes lie there, which the former bundle may need."""
    digest = _digest(content)
    if not (target / name).exists() or _digest(target / name) == digest:
        return name
    stem, suffix = os.path.splitext(name)
    return f"{stem}-{digest}{suffix}"


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _prove(
    scratch: Path, graph: Graph, places: Mapping[str, str], sources: Mapping[str, Path], golden: Iterable[Any]
) -> list[Golden]:
    """Load the copies of the models and run every example through them; return the examples, with their outputs."""
    try:
        sessions = open_sessions({model: scratch / place for model, place in places.items()}, graph, threads=1)
    except ModelError as error:
        text = str(error)
        for model, place in places.items():  # the author knows the file that was copied, not the copy
            text = text.replace(os.fspath(scratch / place), os.fspath(sources[model]))
        raise ModelError(text) from error
    examples = [complete(sessions, index, parse_golden(index, given)) for index, given in enumerate(golden)]
    check_golden(sessions, examples)
    return examples


def _write_examples(scratch: Path, target: Path, examples: Iterable[Golden]) -> str:
    draft = scratch / "draft"
    _write_json(draft, [example._asdict() for example in examples])
    place = _place(target, "golden.json", draft)
    draft.replace(scratch / place)
    return place


def _write_profile(scratch: Path, target: Path, profile: bytes) -> str:
    most = LIMITS.profile_max_bytes
    if len(profile) > most:
        raise BundleError(f"the profile of the training data has {len(profile)} bytes; at most {most}")
    draft = scratch / "draft"
    draft.write_bytes(profile)
    place = _place(target, "profile.bin", draft)
    draft.replace(scratch / place)
    return place


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, allow_nan=False, default=_refuse) + "\n", "utf-8")


def _refuse(value: Any) -> Any:
    raise BundleError(f"a {type(value).__name__} cannot stand in a bundle: {shown(value)}")


def _put_in_place(scratch: Path, target: Path, files: Sequence[str]) -> None:
    """Rename every file into place; no name that the former bundle needs gets other bytes before bundle.json does."""
    models = target / "models"
    added = [target / file for file in files if not (target / file).exists()]
    try:
        models.mkdir(exist_ok=True)
        for file in files:
            (scratch / file).replace(target / file)
        (scratch / "bundle.json").replace(target / "bundle.json")
    finally:
        if (scratch / "bundle.json").exists():  # the new bundle did not come to be
            _remove(added)
            with suppress(OSError):
                models.rmdir()
