"""The house keeps its order: its folders, who may import whom, what an import costs, and what every module promises."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
import typing
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import edgerun
from edgerun import LIMITS, errors
from edgerun_bundles import errors as bundles_errors
from edgerun_sync import errors as sync_errors

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "edgerun": ROOT / "edgerun",
    "edgerun_bundles": ROOT / "bundles" / "edgerun_bundles",
    "edgerun_sync": ROOT / "sync" / "edgerun_sync",
}
BELOW = {"edgerun": set(), "edgerun_bundles": {"edgerun"}, "edgerun_sync": {"edgerun", "edgerun_bundles"}}
"""Which packages each may import: imports go one way."""

EVERYWHERE = {
    "numpy": "arrays are what every module hands to the next",
}
"""Third-party libraries that more than one module of a package may import, and why."""

OWNERS = {
    ("edgerun", "click"): "edgerun.cli",  # a command is declared with click, and each has a module of its own
    ("edgerun_bundles", "click"): "edgerun_bundles.cli",  # likewise
    ("edgerun_bundles", "tuf"): "edgerun_bundles.repository",  # its records are what the modules there work on
    ("edgerun_bundles", "securesystemslib"): "edgerun_bundles.repository",  # likewise, of keys
    ("edgerun_sync", "click"): "edgerun_sync.cli",  # likewise
    ("edgerun_sync", "ibis"): "edgerun_sync.queries",  # questions are written in it, a module for each subject
    ("edgerun_sync", "pyarrow"): "edgerun_sync.collector.arrow",  # columns of many kinds, a module each
    ("edgerun_sync", "starlette"): "edgerun_sync.collector.http",  # what a request is read from and answered with
}
"""Third-party libraries that belong to a subpackage rather than one module."""

LINES_MAX = 400
"""A file has one job: 300 lines are long, and more than these are too many."""


parsed = cache(ast.parse)


class Module(NamedTuple):
    """One module of a package, read but not imported."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return parsed(self.source)

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


class Import(NamedTuple):
    """One import, wherever in a module it stands."""

    importer: str
    imported: str

    @property
    def root(self) -> str:
        return self.imported.partition(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.read_text("utf-8")))
    return tuple(found)


def imports_of(module: Module) -> list[Import]:
    """Every import of a module: at its top, within functions, for types only, and by name through importlib."""
    found = []
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names]
            case ast.ImportFrom(module=str(origin), names=names, level=0):
                found += [f"{origin}.{name.name}" for name in names]
            case ast.ImportFrom():
                pytest.fail(f"{module.name}: a relative import; write it out")
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                match node.args:
                    case [ast.Constant(value=str(name)), *_]:
                        found.append(name)
    return [Import(module.name, name) for name in found]


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for module in modules() for found in imports_of(module))


def is_foreign(found: Import) -> bool:
    return found.root not in PACKAGES and found.root not in sys.stdlib_module_names


def is_within(module: str, owner: str) -> bool:
    return module == owner or module.startswith(f"{owner}.")


# The folders.


@pytest.mark.parametrize(
    "path",
    [
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/decisions",
        "edgerun/__init__.py",
        "edgerun/py.typed",
        "native/CMakeLists.txt",
        "native/SPLIT.md",
        "native/edgerun_all.c",
        "native/include/edgerun.h",
        "native/src",
        "native/ffi",
        "native/tests",
        "native/fuzz",
        "bundles/edgerun_bundles/__init__.py",
        "bundles/recipes",
        "sync/edgerun_sync/__init__.py",
        "tests",
        "benchmarks",
        ".ci/run",
    ],
)
def test_every_room_is_where_it_should_be(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("folder", ["bundles", "sync", "native", "bundles/recipes"])
def test_a_source_root_is_no_package(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_wheel_holds_the_three_packages_and_no_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["scikit-build"]["wheel"]["packages"] == [
        path.relative_to(ROOT).as_posix() for path in PACKAGES.values()
    ]


def test_the_licence_is_apaches():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"


# Who imports whom.


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    up = [
        found
        for found in imports()
        if is_within(found.importer, package) and found.root in PACKAGES.keys() - {package} - BELOW[package]
    ]
    assert up == []


def test_the_order_of_the_packages_has_no_cycle():
    for package, below in BELOW.items():
        assert all(package not in BELOW[other] for other in below)


def test_the_core_knows_nothing_of_python():
    sources = [*(ROOT / "native" / "src").iterdir(), *(ROOT / "native" / "include").iterdir()]
    assert len(sources) > 10
    assert [path.name for path in sources if "Python.h" in path.read_text("utf-8")] == []


def test_each_third_party_library_is_imported_in_one_module_of_a_package():
    users: dict[tuple[str, str], set[str]] = {}
    for found in filter(is_foreign, imports()):
        package = found.importer.partition(".")[0]
        owner = OWNERS.get((package, found.root), "")
        user = owner if owner and is_within(found.importer, owner) else found.importer
        users.setdefault((package, found.root), set()).add(user)
    shared = {library: sorted(names) for library, names in users.items() if len(names) > 1}
    assert {library for _, library in shared} <= EVERYWHERE.keys(), shared


def test_no_exception_is_made_for_a_library_that_is_not_shared():
    used = {(found.importer.partition(".")[0], found.root) for found in filter(is_foreign, imports())}
    assert EVERYWHERE.keys() <= {library for _, library in used}
    assert OWNERS.keys() <= used


def test_the_device_needs_only_what_the_base_installation_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    needed = {found.root for found in imports() if is_foreign(found) and is_within(found.importer, "edgerun")}
    assert needed <= base


def test_only_the_bindings_touch_the_core():
    users = {found.importer for found in imports() if is_within(found.imported, "edgerun._edgerun")}
    assert users
    assert all(is_within(user, "edgerun._core") for user in users)


def test_a_private_module_is_imported_only_by_its_own_package():
    outside = []
    for found in imports():
        parts = found.imported.split(".")
        private = next((i for i, part in enumerate(parts) if part.startswith("_") and part != "__version__"), None)
        if found.root in PACKAGES and private is not None:
            outside += [found] if not is_within(found.importer, ".".join(parts[:private])) else []
    assert outside == []


def test_the_errors_import_nothing():
    assert [found for found in imports() if found.importer == "edgerun.errors"] == []


def test_lazy_imports_are_seen_too():
    lazy = Module("m", "def f():\n    import a.b\n    from c import d\n    importlib.import_module('e')\n")
    assert [found.imported for found in imports_of(lazy)] == ["a.b", "c.d", "e"]


# What an import costs.

HEAVY = {
    "click": "only the command needs it",
    "asyncio": "only apredict() needs it",
    "concurrent.futures": "only deadlines and apredict() need it",
    "onnxruntime": "the core loads its library, never its Python module",
    "onnxruntime.capi": "as above",
    "pyarrow": "whoever passes Arrow arrays has imported it",
    "pandas": "whoever passes its columns has imported it",
    "dataclasses": "it compiles code at every start: docs/decisions/0005",
    "requests": "only a device that looks into a repository needs it",
    "urllib3": "as above",
    "tuf": "as above",
    "edgerun.update": "as above",
    "edgerun.cli": "only the command needs it",
    "edgerun.log.reading": "whoever serves reads no log",
    "edgerun.log.tables": "as above",
    "edgerun._bundle_write": "a device never writes a bundle",
    "edgerun_bundles": "the device knows nothing of the workstation",
    "edgerun_sync": "nor of the fleet",
}

SERVE = """
import json, sys
{program}
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(program: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a program."""
    command = [sys.executable, "-c", SERVE.format(program=program)]
    return {*json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)}


def test_importing_edgerun_loads_nothing_heavy():
    assert {name: HEAVY[name] for name in HEAVY.keys() & loaded_by("import edgerun")} == {}


def test_serving_loads_nothing_heavy_either():
    program = """
import numpy
from edgerun import EdgeRunner
with EdgeRunner.open("bundles/recipes/digits/bundle") as runner:
    runner.predict(numpy.zeros((1, 64), numpy.float32), key="user-7")
"""
    assert {name: HEAVY[name] for name in HEAVY.keys() & loaded_by(program)} == {}


# What every public name promises.

CLASSES = [name for name in edgerun.__all__ if inspect.isclass(getattr(edgerun, name))]


def public_members(found):
    """The functions and properties that a class defines for its users, with their names."""
    for name, member in vars(found).items():
        if name.startswith("_"):
            continue
        inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(inner):
            yield name, inner


def test_the_public_names_are_sorted_and_there():
    assert edgerun.__all__ == sorted(edgerun.__all__, key=lambda name: (not name.isupper(), name))
    assert len({*edgerun.__all__}) == len(edgerun.__all__)
    assert all(hasattr(edgerun, name) for name in edgerun.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_is_documented_with_all_its_members(name):
    found = getattr(edgerun, name)
    assert inspect.cleandoc(vars(found).get("__doc__") or "")
    assert not found.__doc__.startswith(f"{name}("), "that is what NamedTuple writes itself"
    for member, function in public_members(found):
        assert function.__doc__, f"{name}.{member}"


def definition_of(name: str) -> ast.ClassDef:
    """Where a public class is defined; there is one such place."""
    trees = [module.tree for module in modules() if module.package == "edgerun"]
    (found,) = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_of_a_public_record_is_documented(name):
    body = definition_of(name).body
    listed = getattr(edgerun, name).__doc__
    for field, after in pairwise([*body, None]):
        if isinstance(field, ast.AnnAssign) and not field.target.id.startswith("_"):
            beside = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert beside or re.search(rf"\b{field.target.id}\b", listed), field.target.id


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_function_is_typed(name):
    for member, function in public_members(getattr(edgerun, name)):
        signature = inspect.signature(function)
        untyped = [
            parameter
            for parameter in [*signature.parameters.values()][1:]
            if parameter.annotation is inspect.Parameter.empty
        ]
        assert untyped == [], f"{name}.{member}"
        assert signature.return_annotation is not inspect.Signature.empty, f"{name}.{member}"


@pytest.mark.parametrize("name", edgerun.__all__)
def test_a_public_name_shows_no_private_module(name):
    found = getattr(edgerun, name)
    home = found.__module__ if inspect.isclass(found) else type(found).__module__
    assert not any(part.startswith("_") for part in home.split(".")), home


def test_the_annotations_of_the_runner_can_be_resolved_by_tools():
    assert (ROOT / "edgerun" / "py.typed").read_bytes() == b""
    assert typing.get_type_hints(edgerun.BreakerPolicy) == {"failures": int, "retry_after_s": float, "trials": int}


# Errors: one root, and none of another library.

COMMANDS = ("edgerun.cli", "edgerun_bundles.cli", "edgerun_sync.cli")
LIBRARY = [module for module in modules() if not any(is_within(module.name, command) for command in COMMANDS)]
"""Every module but the commands', which end in the errors of click."""

ERRORS = [found for found in vars(errors).values() if inspect.isclass(found)]

OTHER_ERRORS = [
    found
    for module in (bundles_errors, sync_errors)
    for found in vars(module).values()
    if inspect.isclass(found) and found.__module__ == module.__name__
]


@pytest.mark.parametrize("error", OTHER_ERRORS, ids=[error.__name__ for error in OTHER_ERRORS])
def test_every_error_of_the_workstation_and_the_fleet_has_the_one_root_and_says_what_to_do(error):
    assert issubclass(error, edgerun.EdgerunError)
    assert len(error.__doc__.split()) > 5


@pytest.mark.parametrize("error", ERRORS, ids=[error.__name__ for error in ERRORS])
def test_every_error_has_the_one_root_is_public_and_says_what_to_do(error):
    assert issubclass(error, edgerun.EdgerunError)
    assert error.__name__ in edgerun.__all__
    assert error.__module__ == "edgerun.errors"
    assert len(error.__doc__.split()) > 5


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(edgerun.InputError, ValueError), (edgerun.SplitError, ValueError), (edgerun.DeadlineError, TimeoutError)],
    ids=["input", "split", "deadline"],
)
def test_an_error_is_also_the_builtin_one_that_a_caller_may_expect(error, builtin):
    assert issubclass(error, builtin)


def raised_names(module: Module) -> set[str]:
    """The names of the exceptions that a module makes and raises."""
    calls = [
        node.exc.func
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    return {call.id if isinstance(call, ast.Name) else ast.unparse(call) for call in calls}


RAISED_WITHIN = {
    "AttributeError": "what Python asks of the __getattr__ of a module",
    "KeyError": "what a Mapping raises for a key that it does not have",
    "MemoryError": "what Python itself raises there",
    "ValueError": "by a function that another one of the module calls, and maps",
    "OSError": "by a disk or the writer of a run, whose caller maps it: what the system itself would raise",
    "FileExistsError": "as above",
    "FileNotFoundError": "as above",
    "ModuleNotFoundError": "what Python asks of a finder of modules",
    "DownloadHTTPError": "what python-tuf asks of whoever fetches for it, and catches",
}
"""What else is raised than our errors, and why it is right."""
OURS = {error.__name__ for error in [*ERRORS, *OTHER_ERRORS]} | {
    *("errors.CoreError", "self.error", "self._failed", "table.error", "reader.error"),
    *("self.wrong", "fields.wrong", "table.wrong", "_wrong", "_refused", "_too_large", "_nothing_at"),
}
"""Our errors, and the functions that return one."""


@pytest.mark.parametrize("module", LIBRARY, ids=[module.name for module in LIBRARY])
def test_a_module_raises_errors_of_ours(module):
    assert raised_names(module) - OURS - RAISED_WITHIN.keys() == set()


# Every module.


@pytest.mark.parametrize("module", modules(), ids=[module.name for module in modules()])
def test_a_module_has_one_job_and_opens_by_saying_which(module):
    assert module.source.count("\n") <= LINES_MAX
    assert ast.get_docstring(module.tree) or not module.source


@pytest.mark.parametrize("module", modules(), ids=[module.name for module in modules()])
def test_every_ignored_warning_has_its_reason_beside_it(module):
    for number, line in enumerate(module.source.splitlines(), 1):
        if re.search(r"#\s*(noqa|type: ignore|pragma)", line):
            assert re.search(r"(noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*(- |# |\()\w", line), f"line {number}"


@pytest.mark.parametrize("module", modules(), ids=[module.name for module in modules()])
def test_no_module_is_named_after_nothing(module):
    assert not {*module.name.split(".")} & {"utils", "util", "helpers", "manager", "common", "misc"}


# Limits.

HEADERS = "".join(path.read_text() for path in sorted((ROOT / "native").rglob("*.[ch]")) if "build" not in path.parts)


@pytest.mark.parametrize(
    ("constant", "limit"),
    [
        ("ER_SPLIT_MAX_RANGES", LIMITS.ranges_max),
        ("ER_RANK_MAX", LIMITS.rank_max),
        ("ER_PORTS_MAX", LIMITS.ports_max),
        ("ER_PY_KEY_MAX_BYTES", LIMITS.key_max_bytes),
        ("ER_WATCHES_MAX", LIMITS.watches_max + 1),  # one place is for a trial
    ],
)
def test_the_limits_of_the_package_are_those_of_the_core(constant, limit):
    (value,) = re.findall(rf"^#define {constant} (\d+)", HEADERS, re.MULTILINE)
    assert int(value) == limit


@pytest.mark.parametrize("limit", LIMITS._fields)
def test_every_limit_is_tested(limit):
    tests = [path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")) if path != Path(__file__)]
    assert any(re.search(rf"\b{limit}\b", text) for text in tests)
