"""The environment of a run: Python, machine, packages, frameworks, and the few variables that change numbers.

Variables are read by an allow-list only, since any other may hold a secret. PREDICATE.md section 6 is the contract.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import machine
from edgerun_bundles.provenance.locks import known_hashes
from edgerun_bundles.provenance.machine import Container, Memory, Processor, Python, System
from edgerun_bundles.provenance.packages import Package, installed_packages
from edgerun_bundles.provenance.redaction import without_secrets
from edgerun_bundles.provenance.values import cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FRAMEWORKS = {
    "catboost": ("catboost",),
    "jax": ("jax",),
    "keras": ("keras",),
    "lightgbm": ("lightgbm",),
    "numpy": ("numpy",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    "scipy": ("scipy",),
    "skl2onnx": ("skl2onnx",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "torch": ("torch",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
"""Import names of frameworks, and the distributions that bring them."""

VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "GOTO_NUM_THREADS",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "LANG",
    "LC_ALL",
    "MKL_CBWR",
    "MKL_DYNAMIC",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "ORT_DISABLE_TELEMETRY",
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TZ",
    "VECLIB_MAXIMUM_THREADS",
    "XLA_FLAGS",
)
"""The only environment variables that are ever read."""


class Framework(NamedTuple):
    """A framework that is installed."""

    version: str
    imported: bool
    """Whether the process had imported it."""


class Environment(NamedTuple):
    """Where a run ran."""

    python: Python
    system: System
    cpu: Processor = Processor()
    memory: Memory = Memory()
    container: Container | None = None
    packages: tuple[Package, ...] = ()
    frameworks: dict[str, Framework] = {}  # noqa: RUF012 - never written to
    variables: dict[str, str] = {}  # noqa: RUF012 - never written to


def describe_environment(
    *, project: Path | None = None, variables: Mapping[str, str] | None = None, limits: Limits = LIMITS
) -> Environment:
    """Return the environment of this process.

    Args:
        project: a folder whose lock file (uv.lock, pylock.toml, poetry.lock) may know the hashes of packages.
        variables: the environment's variables; else those of this process.
        limits: the limits in force.

    Raises:
        ProvenanceError: there are more packages than the limit.
    """
    hashes = known_hashes(project) if project is not None else {}
    packages = installed_packages(known_hashes=hashes, limits=limits)
    given = os.environ if variables is None else variables
    return Environment(
        python=machine.python(),
        system=machine.system(),
        cpu=machine.processor(),
        memory=machine.memory(),
        container=machine.container(),
        packages=packages,
        frameworks=frameworks_of(packages),
        variables={
            name: cut(without_secrets(given[name]), limits.text_max_bytes) for name in VARIABLES if name in given
        },
    )


def frameworks_of(packages: tuple[Package, ...]) -> dict[str, Framework]:
    """Return the frameworks among packages, by the name they are imported by."""
    versions = {package.name: package.version for package in packages}
    return {
        name: Framework(versions[distribution], name in sys.modules)
        for name, distributions in FRAMEWORKS.items()
        for distribution in distributions[::-1]  # the plainest name goes last, and wins
        if distribution in versions
    }
