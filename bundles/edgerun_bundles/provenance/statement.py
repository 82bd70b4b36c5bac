"""The in-toto Statement that says how a bundle, or a model in it, came to be. PREDICATE.md is its contract.

It turns records into bytes and back and does no IO. A statement from outside is trusted in nothing: not in its size,
its depth, or the type of any field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.author import Author  # noqa: TC001 - records are read by their types
from edgerun_bundles.provenance.canonical import canonical, digest, parsed
from edgerun_bundles.provenance.data import Data  # noqa: TC001 - as above
from edgerun_bundles.provenance.documents import Record, from_document, to_document
from edgerun_bundles.provenance.environment import Environment  # noqa: TC001 - as above
from edgerun_bundles.provenance.metrics import Metrics
from edgerun_bundles.provenance.model_files import ModelFile  # noqa: TC001 - as above
from edgerun_bundles.provenance.notebooks import Notebook  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://edgerun.dev/provenance/v1"
_OUR_TYPES = "https://edgerun.dev/provenance/"
_SHA256 = re.compile("[0-9a-f]{64}")


class Subject(NamedTuple):
    """What a statement is about, or what something came from."""

    name: str
    digest: dict[str, str]
    """At least ``sha256``, in lower-case hex."""

    def check(self, place: str) -> None:
        """Refuse a digest that names nothing.

        Raises:
            ProvenanceError: there is no SHA-256, or it is not in lower-case hex.
        """
        if not _SHA256.fullmatch(self.digest.get("sha256", "")):
            raise ProvenanceError(f"{place}.digest.sha256 must be 64 digits of lower-case hex")


class Run(NamedTuple):
    """One run of a program: when, how, and how it ended."""

    id: str
    started: str
    """RFC 3339, in UTC."""
    status: str = "recorded"
    """``recorded``, ``running``, ``finished``, ``failed`` or ``interrupted``."""
    name: str | None = None
    author: Author | None = None
    ended: str | None = None
    argv: tuple[str, ...] = ()
    exit_status: int | None = None
    error: str | None = None
    """The traceback of what ended it."""
    problems: tuple[str, ...] = ()
    """What tracking could not keep, and why."""
    models: tuple[ModelFile, ...] = ()
    """What it wrote."""
    tags: dict[str, str] = {}  # noqa: RUF012 - never written to


class Provenance(NamedTuple):
    """How something came to be."""

    code: dict[str, Any] | None = None
    """A snapshot of code as `code_document` gives it."""
    notebooks: tuple[Notebook, ...] = ()
    data: tuple[Data, ...] = ()
    environment: Environment | None = None
    parameters: dict[str, Any] = {}  # noqa: RUF012 - never written to
    metrics: Metrics = Metrics()
    run: Run | None = None
    parents: tuple[Subject, ...] = ()
    models: dict[str, Provenance] = {}  # noqa: RUF012 - never written to
    """For a bundle: how each model came to be, by its name."""

    def check(self, place: str) -> None:
        """Refuse models of models, and blobs without a digest.

        Raises:
            ProvenanceError: a model has models; or a blob's digest is no SHA-256 in lower-case hex.
        """
        named_blobs(self._replace(models={}), place)
        for name, model in self.models.items():
            if model.models:
                raise ProvenanceError(f"{place}.models.{name} has models itself")


class Statement(NamedTuple):
    """A provenance and what it is about."""

    subject: tuple[Subject, ...]
    predicate: Provenance


def build_statement(subject: Mapping[str, str], provenance: Provenance, *, limits: Limits = LIMITS) -> bytes:
    """Return the statement as canonical JSON; the same facts give the same bytes.

    Args:
        subject: SHA-256 by name of what the provenance is about.
        provenance: how it came to be.
        limits: the limits in force.

    Raises:
        ProvenanceError: there is no subject, a digest or a value cannot be written, or it is too large.
    """
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in subject.items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": _without_empty(to_document(provenance)),
    }
    content = canonical(document)
    parse_statement(content, limits=limits)  # what this side cannot read back, nobody can
    return content


def parse_statement(content: bytes, *, limits: Limits = LIMITS) -> Statement:
    """Return what a statement says.

    Raises:
        ProvenanceError: it is too large or deep, no JSON, no Statement v1, of another predicate, or wrong in a field.
    """
    if len(content) > limits.statement_max_bytes:
        raise ProvenanceError(f"the statement is larger than {limits.statement_max_bytes} bytes (statement_max_bytes)")
    try:
        document = parsed(content)
    except ValueError as error:
        raise ProvenanceError(f"the statement is no JSON: {error}") from error
    _check_depth(document, limits)
    if not isinstance(document, dict) or document.get("_type") != STATEMENT_TYPE:
        raise ProvenanceError(f"no in-toto statement: its _type is not {STATEMENT_TYPE}")
    if document.get("predicateType") != PREDICATE_TYPE:
        kind = document.get("predicateType")
        raise ProvenanceError(f"the predicate is of type {kind!r:.100}, and not {PREDICATE_TYPE}; update edgerun")
    statement = from_document(Statement, document, "statement")
    if not statement.subject:
        raise ProvenanceError("statement.subject is empty")
    return statement


def is_of_another_kind(content: bytes) -> bool:
    """Whether a statement is one of other people's, with a predicate that is none of ours in any version."""
    try:
        document = parsed(content)
    except ValueError:
        return False
    kind = document.get("predicateType") if isinstance(document, dict) else None
    return isinstance(kind, str) and not kind.startswith(_OUR_TYPES)


def statement_digest(content: bytes) -> str:
    """Return the SHA-256 that names a statement."""
    return digest(content)


def code_document(snapshot: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a snapshot of code as a document, and the bytes that it names by digest.

    Args:
        snapshot: a `CodeSnapshot`, or any record; bytes in it become ``sha256`` and ``size``.
    """
    blobs: dict[str, bytes] = {}

    def named(value: Any) -> Any:
        if isinstance(value, bytes):
            blobs[digest(value)] = value
            return {"sha256": digest(value), "size": len(value)}
        if isinstance(value, dict):
            return {name: named(item) for name, item in value.items()}
        return [named(item) for item in value] if isinstance(value, list) else value

    return named(to_document(snapshot)), blobs


def code_snapshot(kind: type[Record], document: dict[str, Any], blob: Callable[[str], bytes]) -> Record:
    """Return the snapshot that `code_document` made a document of, such as restoring its code needs it.

    Args:
        kind: the record's type, `CodeSnapshot`.
        document: ``code`` of a provenance.
        blob: returns the bytes that a SHA-256 names.

    Raises:
        ProvenanceError: fields are missing, as after an import from another tool; or a blob is not what it should be.
    """

    def filled(snapshot: dict[str, Any]) -> dict[str, Any]:
        found = dict(snapshot)
        if snapshot.get("bundle") is not None:
            found["bundle"] = _content(from_document(_Blob, snapshot["bundle"], "code.bundle"), blob)
        nested = snapshot.get("nested") or []
        found["nested"] = [{**inner, "snapshot": filled(inner["snapshot"])} for inner in nested]
        return found

    for _ in _snapshots(document, "predicate"):
        pass  # every nested snapshot is an object, or it is refused here
    return from_document(kind, filled(document), "code")


def _content(named: _Blob, blob: Callable[[str], bytes]) -> bytes:
    content = blob(named.sha256)
    if len(content) != named.size or digest(content) != named.sha256:
        raise ProvenanceError(f"the git bundle {named.sha256:.100} is damaged: its content is not what its name says")
    return content


def named_blobs(provenance: Provenance, place: str = "predicate") -> dict[str, int]:
    """Return the blobs that a provenance names: git bundles and notebooks, size in bytes by SHA-256.

    Raises:
        ProvenanceError: a digest is no SHA-256 in lower-case hex, or a size is none.
    """
    found: dict[str, int] = {}
    for model in (provenance, *provenance.models.values()):
        found |= {notebook.sha256: notebook.size for notebook in model.notebooks}
        for snapshot in _snapshots(model.code, place):
            if snapshot.get("bundle") is not None:
                blob = from_document(_Blob, snapshot["bundle"], f"{place}.code.bundle")
                found[blob.sha256] = blob.size
    for sha256, size in found.items():
        if not _SHA256.fullmatch(sha256) or size < 0:
            raise ProvenanceError(f"{place} names a blob {sha256!r:.100} of {size} bytes, which can be none")
    return found


class _Blob(NamedTuple):
    sha256: str
    size: int


def _snapshots(code: dict[str, Any] | None, place: str) -> Iterator[dict[str, Any]]:
    """Yield a snapshot of code and those of the repositories inside it; the depth was checked before."""
    if code is None:
        return
    yield code
    nested = code.get("nested") or []
    if not isinstance(nested, list):
        raise ProvenanceError(f"{place}.code.nested must be a list")
    for inner in nested:
        if not isinstance(inner, dict) or not isinstance(inner.get("snapshot"), dict):
            raise ProvenanceError(f"{place}.code.nested must hold snapshots")
        yield from _snapshots(inner["snapshot"], place)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is absent at the top level of a predicate."""
    found = {name: value for name, value in document.items() if value not in ({}, [])}
    if "metrics" in found:
        found["metrics"] = {name: value for name, value in found["metrics"].items() if value not in ({}, 0)}
        if not found["metrics"]:
            del found["metrics"]
    if "models" in found:
        found["models"] = {name: _without_empty(model) for name, model in found["models"].items()}
    return found


def _check_depth(document: Any, limits: Limits) -> None:
    level = [document]
    for _ in range(limits.document_max_depth + 1):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [item for items in inner for item in items]
        if not level:
            return
    raise ProvenanceError(f"the statement is deeper than {limits.document_max_depth} (document_max_depth)")
