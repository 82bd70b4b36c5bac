"""What machine this is: Python, operating system, processor, memory and container, as far as the system tells.

Each fact is read where the system keeps it; one that cannot be read is absent and stops nothing.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import NamedTuple

_READ_BYTES = 2**20  # of a file of /proc or /etc, which are small where they are honest


class Python(NamedTuple):
    """The interpreter."""

    version: str
    implementation: str
    compiler: str | None = None
    prefix: str | None = None
    """``venv``, ``conda`` or ``system``."""


class System(NamedTuple):
    """The operating system."""

    os: str
    machine: str
    kernel: str | None = None
    distribution: str | None = None
    libc: str | None = None


class Processor(NamedTuple):
    """The processor; one model, as the first one tells."""

    model: str | None = None
    logical: int | None = None
    usable: int | None = None
    """By this process."""
    flags: tuple[str, ...] = ()
    """Sorted."""


class Memory(NamedTuple):
    """Memory in bytes."""

    size: int | None = None
    limit: int | None = None
    """What the control group allows, where it sets a limit below the size."""


class Container(NamedTuple):
    """The container that the process runs in."""

    runtime: str
    image: str | None = None


def python() -> Python:
    """Return what interpreter runs."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        prefix = "conda"
    else:
        prefix = "venv" if sys.prefix != sys.base_prefix else "system"
    return Python(platform.python_version(), platform.python_implementation(), platform.python_compiler(), prefix)


def system() -> System:
    """Return what operating system runs."""
    return System(
        os=platform.system(),
        machine=platform.machine(),
        kernel=platform.release() or None,
        distribution=_distribution(),
        libc=_libc(),
    )


def processor(root: Path = Path("/")) -> Processor:
    """Return what processor runs this process."""
    facts = _cpuinfo(_read(root / "proc/cpuinfo"))
    affinity = getattr(os, "sched_getaffinity", None)
    return Processor(
        model=facts.get("model name") or facts.get("hardware") or _processor_of_platform(),
        logical=os.cpu_count(),
        usable=len(affinity(0)) if affinity else os.cpu_count(),
        flags=tuple(sorted({*(facts.get("flags") or facts.get("features") or "").split()})),
    )


def memory(root: Path = Path("/")) -> Memory:
    """Return how much memory there is."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Memory()
    limits = [_control_group_limit(root / file) for file in _LIMIT_FILES]
    limit = min((limit for limit in limits if limit is not None), default=None)
    return Memory(size, limit if limit is not None and limit < size else None)


_LIMIT_FILES = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


def container(root: Path = Path("/")) -> Container | None:
    """Return what container this process runs in, or None.

    The files that each runtime leaves are looked for, then the names of control groups; ``root`` is for tests.
    """
    if (root / "var/run/secrets/kubernetes.io").exists() or (root / "run/secrets/kubernetes.io").exists():
        return Container("kubernetes")
    if (root / "run/.containerenv").exists():
        return Container("podman", _assigned(_read(root / "run/.containerenv"), "image"))
    if (root / ".dockerenv").exists():
        return Container("docker")
    groups = _read(root / "proc/1/cgroup") + _read(root / "proc/self/cgroup")
    marks = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc", "containerd": "container"}
    return next((Container(runtime) for mark, runtime in marks.items() if mark in groups), None)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _cpuinfo(text: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip().lower(), value.strip())
    return facts


def _processor_of_platform() -> str | None:
    found = platform.processor()
    return found if found and found != platform.machine() else None


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return " ".join(filter(None, [*platform.mac_ver()[:1], platform.win32_ver()[1]])) or None


def _libc() -> str | None:
    try:
        found = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        found = " ".join(filter(None, platform.libc_ver()))
    return found or None


def _control_group_limit(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _assigned(text: str, name: str) -> str | None:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == name:
            return value.strip().strip('"') or None
    return None
