"""The profile of a bundle's training data, as a file and back; bundles/FORMAT.md, The profile.

It is made of the log's own profiles, so that what devices logged can be compared with it. What a file says is not
believed: parse_training() raises a LogError on whatever the format does not allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.errors import LogError
from edgerun.limits import LIMITS
from edgerun.log.payload import compress_densely, decompress, pack, unpack
from edgerun.log.profile_values import as_value, from_value
from edgerun.log.profiles import COUNT_MAX, Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.log.profiles import PortProfile

FORMAT = 1

_KEYS = ("format", "rows", "of", "profiles")
_NOTHING = Profile(None, None, None, None, None, 0, 0, ())


class TrainingProfile(NamedTuple):
    """What training data were like, as the models see and answer them.

    Attributes:
        rows: that were run.
        of: how many there were to draw them from.
        inputs: profiles of the inputs, each a port that is no output.
        outputs: model name to profiles of its outputs.
    """

    rows: int
    of: int
    inputs: tuple[PortProfile, ...]
    outputs: Mapping[str, tuple[PortProfile, ...]]


def pack_training(found: TrainingProfile) -> bytes:
    """Return the file: the same for the same profile and the same zstd.

    Raises:
        LogError: it would be larger than a bundle may have.
    """
    profiles = [_NOTHING._replace(ports=found.inputs)]
    profiles += [_NOTHING._replace(model=model, ports=found.outputs[model]) for model in sorted(found.outputs)]
    value = {"format": FORMAT, "rows": found.rows, "of": found.of, "profiles": [*map(as_value, profiles)]}
    raw = pack(value)
    packed = compress_densely([raw])
    if len(raw) > LIMITS.log_frame_max_bytes or len(packed) > LIMITS.profile_max_bytes:
        most = LIMITS.profile_max_bytes
        raise LogError(f"the profile of the rows has {len(packed)} bytes; at most {most}: give fewer rows or columns")
    return packed


def parse_training(raw: bytes) -> TrainingProfile:
    """Return the profile that a file holds.

    Raises:
        LogError: it holds what the format does not allow, or is larger than a bundle may have.
    """
    if len(raw) > LIMITS.profile_max_bytes:
        raise LogError(f"a profile of training data has at most {LIMITS.profile_max_bytes} bytes, not {len(raw)}")
    value = unpack(decompress(raw, LIMITS.log_frame_max_bytes))
    if type(value) is not dict or value.get("format") != FORMAT or type(value["format"]) is not int:
        raise LogError(f"no profile of training data of format {FORMAT}, the one that this edgerun reads")
    if value.keys() != {*_KEYS}:
        raise LogError(f"a profile of training data has other fields than {', '.join(_KEYS)}")
    rows, of, profiles = value["rows"], value["of"], value["profiles"]
    if type(rows) is not int or type(of) is not int or not 1 <= rows <= of < COUNT_MAX:
        raise LogError("a profile of training data says no number of rows")
    if type(profiles) is not list or not 2 <= len(profiles) <= 1 + LIMITS.models_max:
        raise LogError(f"a profile of training data is of the inputs and of 1 to {LIMITS.models_max} models")
    inputs, *others = map(from_value, profiles)
    _check_nothing_else(inputs, None, is_output=False)
    for profile in others:
        _check_nothing_else(profile, profile.model, is_output=True)
    models = [str(profile.model) for profile in others if profile.model is not None]
    if len(models) < len(others) or models != sorted({*models}):
        raise LogError("a profile of training data has no name of a model, or names are twice or not in order")
    outputs = {model: one.ports for model, one in zip(models, others, strict=True)}
    return TrainingProfile(rows, of, inputs.ports, outputs)


def _check_nothing_else(profile: Profile, model: str | None, *, is_output: bool) -> None:
    kind: Any = "outputs" if is_output else "inputs"
    if profile != _NOTHING._replace(model=model, ports=profile.ports):
        raise LogError("a profile of training data is of no bundle, arm, node or time, and of the inputs has no model")
    if any(port.is_output is not is_output for port in profile.ports):
        raise LogError(f"a profile of training data has other ports than the {kind} where these are told of")
