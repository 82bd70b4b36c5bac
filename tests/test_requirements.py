"""What a bundle needs of a machine: read strictly, compared exactly, and told in sentences."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgerun
from edgerun import bundle
from edgerun.errors import BundleError
from edgerun.requirements import (
    Allowance,
    Machine,
    Requires,
    parse_allowance,
    parse_requires,
    this_machine,
    unmet_requirements,
)
from support import models

MACHINE = Machine("1.4.2", "1.29.0", "x86_64", frozenset({"sse4_2", "avx2"}), 2**30)
RELEASES = st.lists(st.integers(0, 30), min_size=1, max_size=4)


def text(release):
    return ".".join(map(str, release))


# Versions.


@given(RELEASES, RELEASES)
def test_a_later_or_equal_version_will_do(found, least):
    width = max(len(found), len(least))
    reaches = found + [0] * (width - len(found)) >= least + [0] * (width - len(least))
    unmet = unmet_requirements(Requires(edgerun=text(least)), MACHINE._replace(edgerun=text(found)))
    assert (unmet == []) is reaches


@pytest.mark.parametrize(
    ("found", "least", "is_met"),
    [
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("1.2", "1.2.0", True),
        ("1.2.0", "1.2", True),
        ("1.2.0rc1", "1.2", False),
        ("1.2.0.dev7", "1.2", False),
        ("1.2b2", "1.2", False),
        ("1.2.post1", "1.2", True),
        ("1.2.0+cpu", "1.2", True),
        ("1.3rc1", "1.2", True),
        ("0!1.3", "1.2", True),
        ("unknown", "1.2", False),
        ("", "0", False),
        (None, "0", False),
    ],
)
def test_what_came_before_a_release_does_not_reach_it(found, least, is_met):
    unmet = unmet_requirements(Requires(onnxruntime=least), MACHINE._replace(onnxruntime=found))
    assert (unmet == []) is is_met


# Everything else.


def test_a_bundle_that_asks_for_nothing_may_be_served_anywhere():
    assert unmet_requirements(Requires(), Machine(None, None, "", frozenset(), 0)) == []


def test_a_machine_that_has_all_of_it_lacks_nothing():
    requires = Requires("1.4.2", "1.29", ("aarch64", "x86_64"), ("avx2",), 2**30)
    assert unmet_requirements(requires, MACHINE) == []


def test_everything_that_is_lacking_is_told_in_a_sentence():
    requires = Requires("2", "1.30", ("aarch64", "armv7l"), ("avx2", "avx512f", "amx"), 2**30 + 1)
    assert unmet_requirements(requires, MACHINE) == [
        "it needs edgerun 2 or later; here is 1.4.2",
        "it needs onnxruntime 1.30 or later; here is 1.29.0",
        "it needs a machine of aarch64 or armv7l; this is x86_64",
        "it needs a CPU with avx512f, amx",
        "it needs 1073741825 bytes of memory; here are 1073741824",
    ]


def test_this_machine_is_what_others_say_it_is():
    found = this_machine()
    assert found.onnxruntime == onnxruntime.__version__
    assert re.match(r"\d+\.\d+", found.edgerun)
    assert found.arch == platform.machine()
    total = int(re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024
    assert 0 < found.memory_bytes <= total * 1.1
    lscpu = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
    flags = re.search(r"Flags: +(.*)", lscpu.stdout)
    assert found.cpu == frozenset(flags[1].split() if flags else ())


def test_knowing_this_machine_loads_no_onnxruntime_module():
    program = (
        "import sys; from edgerun.requirements import this_machine; this_machine(); print('onnxruntime' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


# Reading.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("edgerun", 1),
        ("edgerun", ""),
        ("edgerun", "1.x"),
        ("edgerun", ">=1"),
        ("edgerun", "1.2\n"),
        ("edgerun", None),
        ("onnxruntime", "v1"),
        ("onnxruntime", "1" * 10),
        ("arch", "x86_64"),
        ("arch", [1]),
        ("arch", [""]),
        ("cpu", ["avx 2"]),
        ("cpu", {"avx2": True}),
        ("memory_bytes", 0),
        ("memory_bytes", 1.5),
        ("memory_bytes", True),
        ("memory_bytes", 2**50 + 1),
        ("gpu", True),
    ],
)
def test_a_wrong_requirement_is_refused_by_name(field, value):
    with pytest.raises(BundleError, match=rf"here: 'requires'.*'{field}'"):
        parse_requires({field: value}, "here")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latency_s", 0),
        ("latency_s", -1),
        ("latency_s", "1"),
        ("latency_s", True),
        ("latency_s", float("nan")),
        ("latency_s", float("inf")),
        ("latency_s", 3601),
        ("memory_bytes", 0),
        ("error_rate", -0.01),
        ("error_rate", 1.01),
        ("error_rate", True),
        ("error_rate", float("nan")),
        ("disk", 1),
    ],
)
def test_a_wrong_limit_is_refused_by_name(field, value):
    with pytest.raises(BundleError, match=rf"here: 'limits'.*'{field}'"):
        parse_allowance({field: value}, "here")


@pytest.mark.parametrize("share", [0, 0.01, 1])
def test_any_share_of_calls_may_be_allowed_to_go_wrong(share):
    assert parse_allowance({"error_rate": share}, "here").error_rate == share


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_requirements_and_limits_are_objects(value):
    for parse in (parse_requires, parse_allowance):
        with pytest.raises(BundleError, match="must be an object"):
            parse(value, "here")


# In a bundle.

REQUIRES = {
    "edgerun": "0.1",
    "onnxruntime": "1.24",
    "arch": ["x86_64", "aarch64"],
    "cpu": ["avx2"],
    "memory_bytes": 2**20,
}
LIMITS = {"latency_s": 0.5, "memory_bytes": 2**28, "error_rate": 0.25}


@pytest.fixture
def write(tmp_path):
    """Write a bundle of one model with further fields."""
    (tmp_path / "m.onnx").write_bytes(models.steady())

    def write(**fields):
        given = {"name": "toy", "version": "1", "models": {"m": tmp_path / "m.onnx"}, "nodes": {}, "route": "m"}
        return bundle.write(tmp_path / "bundle", **given, **fields)

    return write


def test_what_is_written_is_read(write):
    found = write(requires=REQUIRES, limits=LIMITS)
    assert found.requires == Requires("0.1", "1.24", ("x86_64", "aarch64"), ("avx2",), 2**20)
    assert found.limits == Allowance(0.5, 2**28, 0.25)
    with edgerun.EdgeRunner.open(found.folder) as runner:
        assert runner.bundle == found


def test_a_bundle_that_says_nothing_asks_for_nothing(write):
    found = write()
    assert (found.requires, found.limits) == (Requires(), Allowance())
    assert not {"requires", "limits"} & bundle.read_json(found.folder / "bundle.json").keys()


@pytest.mark.parametrize("fields", [{"requires": {"gpu": 1}}, {"limits": {"latency_s": 0}}])
def test_a_wrong_field_is_refused_before_anything_is_written(write, fields, tmp_path):
    with pytest.raises(BundleError, match=r"gpu|latency_s"):
        write(**fields)
    assert not (tmp_path / "bundle").exists()


def test_a_wrong_field_is_refused_when_it_is_read(write):
    path = write(requires=REQUIRES).folder / "bundle.json"
    path.write_text(path.read_text().replace('"0.1"', "0.1"))
    with pytest.raises(BundleError, match=r"bundle.json: 'requires': 'edgerun' must be a version"):
        bundle.read(path.parent)
