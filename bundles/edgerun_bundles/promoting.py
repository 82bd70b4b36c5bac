"""Looks at a bundle with all gates that it must pass to reach another channel; `gates` decides what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun.rehearsal import rehearse
from edgerun_bundles.gates import Gate, environment_gate, golden_gate, trial_gate
from edgerun_bundles.provenance.comparison import compare
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.trial import try_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edgerun.artifact import Manifest
    from edgerun.bundle import Bundle
    from edgerun_bundles.provenance.environment import Environment


def gates_of(
    bundle: Bundle,
    manifest: Manifest,
    environment: Environment | None,
    areas: Collection[str],
    command: str | None,
    timeout_s: float,
) -> Iterator[Gate]:
    """Yield each gate once it was looked at, the quick ones first; the command runs only if the others are passed.

    Args:
        bundle: the bundle, in a folder.
        manifest: its manifest.
        environment: the one that it was made in, if that is known.
        areas: which areas of the environment must match.
        command: the user's own test; it finds the bundle by ``EDGERUN_BUNDLE`` (a folder that `EdgeRunner.open` takes),
            ``EDGERUN_BUNDLE_NAME``, ``EDGERUN_BUNDLE_VERSION`` and ``EDGERUN_BUNDLE_DIGEST``.
        timeout_s: seconds that the command may take.
    """
    looked_at = [_golden(bundle), _environment(environment, areas)]
    yield from looked_at
    if command is None:
        return
    if not all(gate.passed for gate in looked_at):
        yield Gate("test", False, "the command was not run, since another gate is closed")
        return
    variables = {
        "EDGERUN_BUNDLE": str(bundle.folder),
        "EDGERUN_BUNDLE_NAME": manifest.name,
        "EDGERUN_BUNDLE_VERSION": manifest.version,
        "EDGERUN_BUNDLE_DIGEST": manifest.digest,
    }
    yield trial_gate(try_out(command, variables, timeout_s))


def _golden(bundle: Bundle) -> Gate:
    try:
        return golden_gate(len(bundle.golden), rehearse(bundle.folder, bundle.limits))
    except EdgerunError as error:
        return golden_gate(len(bundle.golden), str(error))


def _environment(environment: Environment | None, areas: Collection[str]) -> Gate:
    if environment is None:
        return environment_gate(None)
    differences = compare(environment, describe_environment())
    return environment_gate([difference for difference in differences if difference.area in areas])
