"""edgerun: an embeddable inference runtime for CPU-only edge devices, with experiments on the device."""

from edgerun.errors import (
    BundleError,
    ClosedError,
    CoreError,
    DeadlineError,
    EdgerunError,
    GraphError,
    InputError,
    LogError,
    ModelError,
    SplitError,
    StoreError,
    UpdateError,
)
from edgerun.guard import BreakerPolicy
from edgerun.health import HealthPolicy
from edgerun.limits import LIMITS, Limits
from edgerun.prediction import BatchPrediction, Prediction
from edgerun.runner import EdgeRunner
from edgerun.shadow import ShadowCounts
from edgerun.split import Explanation, Range, Split
from edgerun.stats import ArmStats, LogStats, ModelStats, RunnerStats, ShadowResult, ShadowStats

__all__ = [
    "LIMITS",
    "ArmStats",
    "BatchPrediction",
    "BreakerPolicy",
    "BundleError",
    "ClosedError",
    "CoreError",
    "DeadlineError",
    "EdgeRunner",
    "EdgerunError",
    "Explanation",
    "GraphError",
    "HealthPolicy",
    "InputError",
    "Limits",
    "LogError",
    "LogStats",
    "ModelError",
    "ModelStats",
    "Prediction",
    "Range",
    "RunnerStats",
    "ShadowCounts",
    "ShadowResult",
    "ShadowStats",
    "Split",
    "SplitError",
    "StoreError",
    "UpdateError",
]
