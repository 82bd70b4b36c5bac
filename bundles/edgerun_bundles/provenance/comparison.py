"""Names every difference between two environments, so that "it worked on my machine" has an answer.

Development and staging must match one to one: nothing is called harmless here. Each difference has an area, so that
whoever asks can leave out what they know to differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_bundles.provenance.environment import Environment
    from edgerun_bundles.provenance.packages import Package

AREAS = ("python", "system", "cpu", "memory", "container", "package", "variable")
_NONE = "none"


class Difference(NamedTuple):
    """One thing that is not the same."""

    area: str
    """One of `AREAS`."""
    name: str
    """What differs, such as ``kernel`` or a package's name."""
    expected: str
    found: str


def compare(expected: Environment, found: Environment) -> list[Difference]:
    """Return every difference of an environment from the one that was expected; empty if they match one to one."""
    return [
        *_fields("python", expected.python, found.python),
        *_fields("system", expected.system, found.system),
        *_cpu(expected, found),
        *_fields("memory", expected.memory, found.memory),
        *_container(expected, found),
        *_packages(expected, found),
        *_mappings("variable", expected.variables, found.variables),
    ]


def _fields(area: str, expected: NamedTuple, found: NamedTuple) -> Iterator[Difference]:
    for name in expected._fields:
        if getattr(expected, name) != getattr(found, name):
            yield Difference(area, name, _text(getattr(expected, name)), _text(getattr(found, name)))


def _cpu(expected: Environment, found: Environment) -> Iterator[Difference]:
    yield from _fields("cpu", expected.cpu._replace(flags=()), found.cpu._replace(flags=()))
    there, here = {*expected.cpu.flags}, {*found.cpu.flags}
    for flag in sorted(there ^ here):
        yield Difference("cpu", flag, *(("has it", "lacks it") if flag in there else ("lacks it", "has it")))


def _container(expected: Environment, found: Environment) -> Iterator[Difference]:
    if expected.container != found.container:
        texts = ["/".join(filter(None, one)) if (one := env.container) else None for env in (expected, found)]
        yield Difference("container", "container", *map(_text, texts))


def _packages(expected: Environment, found: Environment) -> Iterator[Difference]:
    there = {package.name: package for package in expected.packages}
    here = {package.name: package for package in found.packages}
    for name in sorted({*there, *here}):
        one, other = there.get(name), here.get(name)
        if one is None or other is None or one.version != other.version:
            yield Difference("package", name, _version(one), _version(other))
        elif one.source != other.source:
            yield Difference("package", name, _origin(one), _origin(other))
        elif one.files_sha256 != other.files_sha256:
            texts = (f"{p.version}, files {p.files_sha256[:12] if p.files_sha256 else 'unknown'}" for p in (one, other))
            yield Difference("package", name, *texts)


def _version(package: Package | None) -> str:
    return _NONE if package is None else package.version


def _origin(package: Package) -> str:
    if package.source is None:
        return f"{package.version} from an index"
    editable = ", editable" if package.source.editable else ""
    commit = f" at {package.source.commit}" if package.source.commit else ""
    return f"{package.version} from {package.source.url}{commit}{editable}"


def _mappings(area: str, expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            yield Difference(area, name, _text(expected.get(name)), _text(found.get(name)))


def _text(value: object) -> str:
    return _NONE if value is None else f"{value:,}" if isinstance(value, int) else str(value)
