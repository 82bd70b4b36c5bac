"""The installed distributions: name, version, a hash of what was installed, and where from if not from an index.

It reads metadata and imports nothing, so a package that cannot be imported is listed like any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MADE_BY_INSTALLER = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "provenance_url.json", "uv_cache.json")
_NO_VERSION = "0"
_BEING_REMOVED = "~"
"""How pip renames what it uninstalls; where that was interrupted, the name inside is that of what replaced it."""
_SHA256 = re.compile("[0-9a-f]{64}")


class Source(NamedTuple):
    """Where a package came from, if not from an index."""

    url: str
    editable: bool = False
    commit: str | None = None
    """Of the repository at ``url``."""
    scheme: str | None = None
    """``git``, ``hg``, ``bzr`` or ``svn`` where ``url`` is a repository."""


class Package(NamedTuple):
    """One installed distribution."""

    name: str
    """Normalised: lower case, with single dashes."""
    version: str
    files_sha256: str | None = None
    """Of the files that its RECORD lists; None where it has no RECORD."""
    source: Source | None = None
    hashes: tuple[str, ...] = ()
    """SHA-256 of archives that it may be installed from."""


def installed_packages(
    path: Iterable[str] | None = None,
    *,
    known_hashes: Mapping[tuple[str, str], Iterable[str]] = {},
    limits: Limits = LIMITS,
) -> tuple[Package, ...]:
    """Return every installed distribution, sorted by name; of two with one name, the one that would be imported.

    Args:
        path: folders to look into; else those of this interpreter.
        known_hashes: hashes of archives by normalised name and version, such as a lock file gives.
        limits: the limits in force.

    Raises:
        ProvenanceError: there are more than the limit.
    """
    found: dict[str, Package] = {}
    distributions = metadata.distributions() if path is None else metadata.distributions(path=[*path])
    for distribution in distributions:
        if str(getattr(distribution, "_path", "")).rpartition(os.sep)[2].startswith(_BEING_REMOVED):
            continue
        facts = distribution.metadata
        name = facts["Name"] if facts is not None else None
        if not name:
            continue  # what an interrupted uninstall leaves: it can be neither imported nor named
        normal = normalised(name)
        if normal not in found:
            found[normal] = _package(normal, distribution, known_hashes)
        if len(found) > limits.packages_max:
            raise ProvenanceError(f"more than {limits.packages_max} packages are installed (packages_max)")
    return tuple(sorted(found.values()))


def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(
    name: str, distribution: metadata.Distribution, known_hashes: Mapping[tuple[str, str], Iterable[str]]
) -> Package:
    version = distribution.metadata["Version"] or _NO_VERSION
    url = _direct_url(distribution)
    hashes = {*known_hashes.get((name, version), ()), *_archive_hashes(url)}
    return Package(name, version, _files_digest(distribution), _source(url), tuple(sorted(hashes)))


def _files_digest(distribution: metadata.Distribution) -> str | None:
    """Hash what the wheel brought, and nothing that an installer adds: it must be equal on every machine."""
    record = _text(distribution, "RECORD")
    if record is None:
        return None
    lines = []
    for line in record.splitlines():
        entry, _, _ = line.rpartition(",")
        path, _, hashed = entry.rpartition(",")
        path = path.strip('"').replace('""', '"')
        if hashed and not path.startswith(("../", "/")) and not _is_of_installer(path):
            lines.append(f"{path} {hashed}\n")
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "backslashreplace")).hexdigest()


def _is_of_installer(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder.endswith(".dist-info") and name in _MADE_BY_INSTALLER


def _text(distribution: metadata.Distribution, name: str) -> str | None:
    try:
        return distribution.read_text(name)
    except (OSError, UnicodeDecodeError):
        return None


def _direct_url(distribution: metadata.Distribution) -> dict[str, Any]:
    for name in ("direct_url.json", "provenance_url.json"):
        try:
            found = json.loads(_text(distribution, name) or "null")
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("url"), str):
            return {**found, "from_index": name == "provenance_url.json"}
    return {}


def _source(url: dict[str, Any]) -> Source | None:
    if not url or url["from_index"]:
        return None
    folder, repository = _object(url.get("dir_info")), _object(url.get("vcs_info"))
    commit, scheme = repository.get("commit_id"), repository.get("vcs")
    return Source(
        url=without_secrets(url["url"]),
        editable=folder.get("editable") is True,
        commit=commit if isinstance(commit, str) else None,
        scheme=scheme if isinstance(scheme, str) else None,
    )


def _archive_hashes(url: dict[str, Any]) -> list[str]:
    archive = _object(url.get("archive_info"))
    found = _object(archive.get("hashes")).get("sha256")
    if found is None and isinstance(archive.get("hash"), str):
        kind, _, value = archive["hash"].partition("=")
        found = value if kind == "sha256" else None
    return [found] if isinstance(found, str) and _SHA256.fullmatch(found) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
