"""What this workstation trusts and uses: repositories, the root of each, the folder of keys, the versions it has seen.

All of it lies in ``$XDG_CONFIG_HOME/edgerun``: `repositories.toml`, and beside it a folder for each repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import parse_json
from edgerun.errors import BundleError, InputError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import read_small
from edgerun_bundles.placing import file_placed
from edgerun_bundles.repository.storage import folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS_FILE = "repositories.toml"
SETTINGS_MAX_BYTES = 2**20
FILE_MODE = 0o600
ROOT_FILE = "root.json"
SEEN_FILE = "seen.json"
REPOSITORY_VARIABLE = "EDGERUN_REPOSITORY"
KEYS_VARIABLE = "EDGERUN_KEYS"
TOKEN_VARIABLE = "EDGERUN_TOKEN"  # noqa: S105 - the name of it

_HEAD = """\
# Repositories that this workstation knows; written by: edgerun bundle repository init, trust
# The root that is trusted of each lies in the folder roots, beside this file.
"""


class Trusted(NamedTuple):
    """A repository that this workstation trusts."""

    place: str
    """A URL or an absolute path."""

    root: bytes
    """The newest root that was verified, beginning with the one that was given."""

    keys: Path | None
    """The folder of one's keys; None where one only reads."""


def settings_folder() -> Path:
    """Return where this user's settings lie."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgerun"


def place_of(text: str) -> str:
    """Return a repository's place in the one way that it is written here.

    Raises:
        InputError: it cannot be written in one line.
    """
    if not text or not text.isprintable():
        raise InputError(f"{text!r} is no place of a repository")
    if "://" in text and not text.startswith("file://"):
        return text.rstrip("/")
    return str(folder_of(text).absolute())


def chosen_place(given: str | None) -> str:
    """Return the place that is meant: the one given, that of the environment, or the default.

    Raises:
        InputError: none of them is there.
    """
    text = given or os.environ.get(REPOSITORY_VARIABLE) or _settings().get("default")
    if not isinstance(text, str):
        raise InputError(
            f"no repository is chosen; give --repository, set {REPOSITORY_VARIABLE}, or make one: "
            "edgerun bundle repository init"
        )
    return place_of(text)


def trusted(place: str) -> Trusted:
    """Return what is trusted of a repository.

    Raises:
        RepositoryError: nothing is.
    """
    root = _folder(place) / ROOT_FILE
    if not root.is_file():
        raise RepositoryError(
            f"nothing is known of {place}; get its root from its owner, not from there, and trust it: "
            f"edgerun bundle repository trust {place} --root root.json"
        )
    keys = os.environ.get(KEYS_VARIABLE) or _settings().get("repositories", {}).get(place, {}).get("keys")
    try:
        content = read_small(root, DEVICE_LIMITS.metadata_max_bytes)
    except BundleError as error:
        raise RepositoryError(str(error)) from error
    return Trusted(place, content, Path(keys) if isinstance(keys, str) else None)


def trust(place: str, root: bytes, keys: Path | None) -> None:
    """Trust a root from now on; the first repository becomes the default.

    Raises:
        RepositoryError: the settings cannot be read or written.
    """
    settings = _settings()
    former = settings.get("repositories", {}).get(place, {})
    entry = {name: value for name, value in former.items() if name == "token"}
    entry |= {} if keys is None else {"keys": str(keys.absolute())}
    settings["repositories"] = {**settings.get("repositories", {}), place: entry}
    settings.setdefault("default", place)
    _write(_folder(place) / ROOT_FILE, root)
    (_folder(place) / SEEN_FILE).unlink(missing_ok=True)
    _write(settings_folder() / SETTINGS_FILE, _toml(settings).encode())


def token_of(place: str) -> str | None:
    """Return what one shows a service that serves a repository: of the environment, or of the settings.

    Raises:
        RepositoryError: the settings cannot be read.
    """
    token = os.environ.get(TOKEN_VARIABLE) or _settings().get("repositories", {}).get(place, {}).get("token")
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else None


def floors(place: str) -> dict[str, int]:
    """Return the versions of a repository's metadata that were seen before, by role."""
    try:
        found = parse_json(read_small(_folder(place) / SEEN_FILE, DEVICE_LIMITS.metadata_max_bytes), SEEN_FILE, 2**30)
    except BundleError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {role: version for role, version in found.items() if type(version) is int}


def remember(place: str, versions: Mapping[str, int], root: bytes) -> None:
    """Keep the versions that were seen, and the newest root, from which the next look goes on.

    Raises:
        RepositoryError: they cannot be written.
    """
    if root != trusted(place).root:
        _write(_folder(place) / ROOT_FILE, root)
    former = floors(place)
    latest = {role: max(version, former.get(role, 0)) for role, version in versions.items()}
    if latest != former:
        _write(_folder(place) / SEEN_FILE, json.dumps(latest).encode())


def _folder(place: str) -> Path:
    return settings_folder() / "roots" / hashlib.sha256(place.encode()).hexdigest()[:16]


def _settings() -> dict[str, Any]:
    path = settings_folder() / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        found = tomllib.loads(read_small(path, SETTINGS_MAX_BYTES).decode())
    except (BundleError, ValueError) as error:
        raise RepositoryError(f"{path} cannot be read: {error}") from error
    repositories = found.get("repositories", {})
    if not isinstance(repositories, dict) or not all(isinstance(entry, dict) for entry in repositories.values()):
        raise RepositoryError(f"{path}: 'repositories' must be a table of tables")
    return found


def _toml(settings: Mapping[str, object]) -> str:
    lines = [_HEAD]
    if isinstance(default := settings.get("default"), str):
        lines.append(f"default = {_text(default)}\n")
    repositories = settings.get("repositories", {})
    assert isinstance(repositories, dict)
    for place, entry in repositories.items():
        lines.append(f"\n[repositories.{_text(place)}]\n")
        lines += [f"{name} = {_text(value)}\n" for name, value in entry.items() if isinstance(value, str)]
    return "".join(lines)


def _text(value: str) -> str:
    """A text as TOML has it: JSON's, but for the one character that TOML escapes besides."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _write(path: Path, content: bytes) -> None:
    try:
        with file_placed(path) as draft:
            draft.touch(FILE_MODE)  # there may be a token within
            draft.write_bytes(content)
    except BundleError as error:
        raise RepositoryError(str(error)) from error
