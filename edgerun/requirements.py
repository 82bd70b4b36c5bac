"""What a bundle needs of the machine that serves it, and whether a machine has it. Only `this_machine` does IO."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgerun._shown import shown
from edgerun.errors import BundleError

# Texts, since compiling them would take a good part of the time that importing this takes, and few bundles need them.
_RELEASE = r"[0-9]{1,9}(\.[0-9]{1,9}){0,4}"
_INSTALLED = r"(?:[0-9]+!)?([0-9]+(?:\.[0-9]+)*)[._-]?([a-z]*)"
_BEFORE_RELEASE = frozenset({"a", "alpha", "b", "beta", "c", "rc", "pre", "preview", "dev"})
_WORD = r"[!-~]{1,64}"

MEMORY_MAX_BYTES = 2**50
LATENCY_MAX_S = 3600.0
ERROR_RATE_DEFAULT = 0.2
"""Where a bundle does not say: a challenger with the usual tenth of the calls may fail in all of them, as its breaker
and the control take care of that; a bundle that fails one call in five is worse than the one before it."""


class Requires(NamedTuple):
    """What a device must have; a field that says nothing asks for nothing."""

    edgerun: str | None = None
    """The least version of edgerun."""

    onnxruntime: str | None = None
    """The least version of onnxruntime."""

    arch: tuple[str, ...] = ()
    """Machines as ``uname -m`` names them, any of which will do."""

    cpu: tuple[str, ...] = ()
    """CPU flags as ``/proc/cpuinfo`` names them, all of which must be there."""

    memory_bytes: int | None = None
    """The least memory."""


class Allowance(NamedTuple):
    """What a bundle may take and do on a device before it is refused there; None is no limit of its own."""

    latency_s: float | None = None
    """The slowest golden example when it is activated, in seconds."""

    memory_bytes: int | None = None
    """The memory of the whole process that runs the examples, at its peak."""

    error_rate: float | None = None
    """The share of calls that may raise or fall back while it serves; ERROR_RATE_DEFAULT where it is None."""


class Machine(NamedTuple):
    """What a machine has."""

    edgerun: str | None
    """The version of edgerun that is installed; None where it is not known."""

    onnxruntime: str | None
    """The version of onnxruntime that is installed; None where it is not known."""

    arch: str
    """As ``uname -m`` names it."""

    cpu: frozenset[str]
    """CPU flags as ``/proc/cpuinfo`` names them."""

    memory_bytes: int
    """Memory, or as much of it as this process may have."""


def parse_requires(value: Any, where: str) -> Requires:
    """Read the field ``requires`` of a bundle.json.

    Raises:
        BundleError: a field is unknown or wrong; ``where`` names the file.
    """
    table = _table(value, f"{where}: 'requires'", Requires._fields)
    table = {name: tuple(item) if isinstance(item, list) else item for name, item in table.items()}
    found = Requires(**table)
    checks: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "edgerun": (_is_release, "a version such as '1.2'"),
        "onnxruntime": (_is_release, "a version such as '1.24'"),
        "arch": (_is_words, "a list of names such as 'x86_64'"),
        "cpu": (_is_words, "a list of CPU flags"),
        "memory_bytes": (_is_memory, f"bytes, from 1 to {MEMORY_MAX_BYTES}"),
    }
    _check(table, checks, f"{where}: 'requires'")
    return found


def parse_allowance(value: Any, where: str) -> Allowance:
    """Read the field ``limits`` of a bundle.json.

    Raises:
        BundleError: a field is unknown or wrong; ``where`` names the file.
    """
    table = _table(value, f"{where}: 'limits'", Allowance._fields)
    checks: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "latency_s": (_is_latency, f"seconds, more than 0 and at most {LATENCY_MAX_S:.0f}"),
        "memory_bytes": (_is_memory, f"bytes, from 1 to {MEMORY_MAX_BYTES}"),
        "error_rate": (_is_share, "a share of calls, from 0 to 1"),
    }
    _check(table, checks, f"{where}: 'limits'")
    return Allowance(**table)


def _table(value: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BundleError(f"{where} must be an object, got {shown(value)}")
    for field in value:
        if field not in known:
            raise BundleError(f"{where}: unknown field {shown(field)}; known: {', '.join(known)}")
    return dict(value)


def _check(table: Mapping[str, Any], checks: Mapping[str, tuple[Callable[[Any], bool], str]], where: str) -> None:
    for field, value in table.items():
        is_right, what = checks[field]
        if not is_right(value):
            raise BundleError(f"{where}: {field!r} must be {what}, got {shown(value)}")


def _is_release(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(_RELEASE, value) is not None


def _is_words(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) and re.fullmatch(_WORD, word) for word in value)


def _is_memory(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MEMORY_MAX_BYTES


def _is_latency(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LATENCY_MAX_S


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def unmet_requirements(requires: Requires, machine: Machine) -> list[str]:
    """Return a sentence for each thing that a machine lacks; none if the bundle may be served there."""
    unmet = []
    for package, least, found in (
        ("edgerun", requires.edgerun, machine.edgerun),
        ("onnxruntime", requires.onnxruntime, machine.onnxruntime),
    ):
        if least is not None and (found is None or not _reaches(found, least)):
            unmet.append(f"it needs {package} {least} or later; here is {found or 'none'}")
    if requires.arch and machine.arch not in requires.arch:
        unmet.append(f"it needs a machine of {' or '.join(requires.arch)}; this is {machine.arch}")
    lacking = [flag for flag in requires.cpu if flag not in machine.cpu]
    if lacking:
        unmet.append(f"it needs a CPU with {', '.join(lacking)}")
    if requires.memory_bytes is not None and machine.memory_bytes < requires.memory_bytes:
        unmet.append(f"it needs {requires.memory_bytes} bytes of memory; here are {machine.memory_bytes}")
    return unmet


def _reaches(found: str, least: str) -> bool:
    """Whether an installed version is a required one or later; what came before a release does not reach it."""
    match = re.match(_INSTALLED, found)
    if match is None:
        return False
    version, wanted = _numbers(match[1]), _numbers(least)
    return version > wanted or (version == wanted and match[2] not in _BEFORE_RELEASE)


def _numbers(release: str) -> tuple[int, ...]:
    """The parts of a release, without the zeros at its end: 1.2 and 1.2.0 are one release."""
    parts = [int(part[:18]) for part in release.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return (*parts,)


def this_machine() -> Machine:
    """Return what this machine has, as this process sees it."""
    return Machine(
        edgerun=_version_of("edgerun"),
        onnxruntime=_version_of("onnxruntime"),
        arch=os.uname().machine,
        cpu=frozenset(_cpu_flags(_text_of("/proc/cpuinfo"))),
        memory_bytes=_memory_bytes(),
    )


def _version_of(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - loads much, and rarely is asked

    loaded = sys.modules.get(package)
    try:
        return version(package)
    except PackageNotFoundError:
        return getattr(loaded, "__version__", None)


def _cpu_flags(cpuinfo: str) -> list[str]:
    """The flags that every CPU of the machine has; x86 calls them flags, ARM features."""
    lists = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))]
    return [flag for flag in lists[0] if all(flag in other for other in lists[1:])] if lists else []


def _memory_bytes() -> int:
    """The machine's memory, or the container's where that has less."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = _text_of("/sys/fs/cgroup/memory.max").strip()
    return min(installed, int(allowed)) if allowed.isdecimal() else installed


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
