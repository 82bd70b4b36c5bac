"""The lock that an environment can be recreated from: a requirements file for pip and uv, every version pinned.

A lock is made from the packages of an environment and stored nowhere. What no lock can bring back is said by name.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.packages import Package, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgerun_bundles.provenance.environment import Environment

LOCK_NAME = "requirements.lock.txt"
_LOCK_FILES = ("uv.lock", "pylock.toml", "poetry.lock")
_LOCK_FILE_MAX_BYTES = 64 * 2**20
_HASH = re.compile(r"sha256[:=]([0-9a-f]{64})")
_NAME = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile("[A-Za-z0-9.!+_-]+")
_SHA256 = re.compile("[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"\\`;#]+")
_INSTALLERS = {"pip", "uv"}
"""They recreate the environment, and are brought by whoever does."""


class Lock(NamedTuple):
    """A requirements file, and what it cannot bring back."""

    text: str
    is_hashed: bool
    """Whether every requirement carries hashes, so that the installer checks what it gets."""
    problems: tuple[str, ...]
    """One sentence for each thing that is not brought back, or not for certain."""


class RestoredEnvironment(NamedTuple):
    """A lock that was written."""

    path: Path
    """Where it is."""
    commands: tuple[str, ...]
    """What recreates the environment, to be run in the lock's folder, in this order."""
    problems: tuple[str, ...]
    """One sentence for each thing that cannot be restored."""


def lock_of(environment: Environment) -> Lock:
    """Return the lock of an environment.

    Hashes are written only where all are known: pip takes all or none. Else they stand in comments.
    """
    lines, problems = [], []
    packages = [package for package in environment.packages if package.name not in _INSTALLERS]
    is_hashed = bool(packages) and all(map(_is_hashed, packages))
    for package in packages:
        requirement, problem = _requirement(package)
        if problem:
            problems.append(problem)
        lines.append(requirement + _hash_lines(package, is_hashed=is_hashed))
    return Lock(_head(environment) + "".join(f"{line}\n" for line in lines), is_hashed, tuple(problems))


def restore_environment(environment: Environment, dest: Path) -> RestoredEnvironment:
    """Write the lock of an environment into a folder, and say how to recreate it from there.

    Raises:
        ProvenanceError: the folder cannot be written, or there is a lock in it.
    """
    lock = lock_of(environment)
    path = dest / LOCK_NAME
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(lock.text)
    except OSError as error:
        raise ProvenanceError(f"{path}: the lock cannot be written: {error.strerror or error}") from error
    return RestoredEnvironment(path, _commands(environment), (*lock.problems, *_not_in_a_lock(environment)))


def known_hashes(project: Path) -> dict[tuple[str, str], set[str]]:
    """Return the hashes of archives, by normalised name and version, that the lock files of a folder hold.

    A file that is missing or broken gives none: hashes are a gain, and their lack shows in the lock.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for name in _LOCK_FILES:
        for package in _packages_of_lock(project / name):
            key = (normalised(str(package.get("name", ""))), str(package.get("version", "")))
            if hashes := {*_HASH.findall(_archives(package))}:
                found.setdefault(key, set()).update(hashes)
    return found


def _packages_of_lock(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.stat().st_size > _LOCK_FILE_MAX_BYTES:
            return
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    listed = document.get("package") or document.get("packages") or []
    yield from (package for package in listed if isinstance(package, dict)) if isinstance(listed, list) else ()


def _archives(package: Mapping[str, Any]) -> str:
    """Return all that a lock says of a package's archives, as one text in which hashes can be found."""
    archives = [package.get(name) for name in ("wheels", "sdist", "files", "archive")]
    return re.sub(r"'sha256': '", "'sha256:", repr(archives))  # pylock.toml has a table of hashes by their kind


def _requirement(package: Package) -> tuple[str, str]:
    pin = f"{package.name}=={package.version}"
    if not _NAME.fullmatch(package.name) or not _VERSION.fullmatch(package.version):
        told = _line(ascii(pin))
        return f"# {told}", f"{told} is no name and version that an index can have"
    source = package.source
    if source is None:
        if "+" in package.version:
            return (
                pin,
                f"{pin} is a local version, which the usual index does not have; give pip the index it came from",
            )
        return pin, ""
    url = source.url if _URL.fullmatch(source.url) else None
    if source.editable:
        return f"# {pin}", f"{pin} was installed as editable from {_line(source.url)}; install it from its code"
    if url and source.scheme and source.commit and _COMMIT.fullmatch(source.commit):
        return f"{package.name} @ {source.scheme}+{url}@{source.commit}", ""
    if url and not url.startswith("file:"):
        return f"{package.name} @ {url}", ""
    return (
        pin,
        f"{pin} was installed from {_line(source.url)}; the index may have another build of that version",
    )


def _is_hashed(package: Package) -> bool:
    return package.source is None and any(map(_SHA256.fullmatch, package.hashes))


def _hash_lines(package: Package, *, is_hashed: bool) -> str:
    joint = " \\\n    --hash=sha256:" if is_hashed else "\n# sha256:"
    return "".join(f"{joint}{found}" for found in package.hashes if _SHA256.fullmatch(found))


def _head(environment: Environment) -> str:
    python, system = environment.python, environment.system
    told = f"{python.implementation} {python.version} on {system.os} {system.machine}"
    return f"# Every package of the environment, so install without dependencies.\n# {_line(told)}\n"


def _commands(environment: Environment) -> tuple[str, ...]:
    version = environment.python.version
    short = ".".join(version.split(".")[:2])
    if shutil.which("uv"):
        return (
            shlex.join(["uv", "venv", "--python", version, ".venv"]),
            shlex.join(["uv", "pip", "sync", "--python", ".venv", LOCK_NAME]),
        )
    return (
        shlex.join([f"python{short}", "-m", "venv", ".venv"]),
        shlex.join([".venv/bin/python", "-m", "pip", "install", "--no-deps", "-r", LOCK_NAME]),
    )


def _not_in_a_lock(environment: Environment) -> Iterator[str]:
    system, cpu = environment.system, environment.cpu
    told = ", ".join(filter(None, [system.distribution, system.kernel, system.libc, system.machine, cpu.model]))
    yield _line(f"the machine is not restored; it was {told}")
    if environment.container:
        image = environment.container.image or "unknown"
        yield _line(f"the container is not restored; it was {environment.container.runtime}, image {image}")
    if environment.python.prefix == "conda":
        yield "packages that conda installed and pip does not know are not restored"
    if environment.variables:
        told = shlex.join(f"{name}={value}" for name, value in environment.variables.items())
        yield _line(f"variables are not set; they were: {told}")


def _line(text: str) -> str:
    return " ".join(text.split())
