"""What the version that is served now says of its training data, by the columns that drift is measured of.

The log tells outputs by arm and the profile by model: an arm has those of the one model that it leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgerun.errors import BundleError
from edgerun.graph import KeySplit, ShadowDeploy
from edgerun_bundles.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgerun.bundle import Bundle
    from edgerun.graph import Graph
    from edgerun.log.profiles import PortProfile
    from edgerun.log.training import TrainingProfile
    from edgerun_bundles.experiment.published import Published
    from edgerun_bundles.repository.storage import Source

Key: TypeAlias = tuple[bool, str, str]
"""Of a column's port: whether it is an output, its name, and of an output the arm."""


class Training(NamedTuple):
    """The training data of a bundle, as far as they are known."""

    ports: Mapping[Key, PortProfile]
    """What they were like."""

    says: str
    """Whose they are and how many, or why nothing is known of them, in one sentence."""


UNASKED = Training({}, "")
"""Nobody asked."""


def training_published(source: Source, version: Published) -> Training:
    """Return the training data of a published version. What cannot be had is said, and stops no report.

    Raises:
        BundleError: the graph cannot be read.
        GraphError: the graph is wrong.
    """
    from edgerun_bundles.experiment.published import profile_of  # noqa: PLC0415 - the TUF library is slow to load
    from edgerun_bundles.experiment.versions import graph_of  # noqa: PLC0415 - likewise

    return _told(version.name, graph_of(version.document), lambda: profile_of(source, version))


def training_in(bundle: Bundle) -> Training:
    """Return the training data of a bundle whose files are there. What cannot be read is said, and stops no report."""
    from edgerun_bundles.reference import read_profile  # noqa: PLC0415 - brings the models' library

    return _told(f"{bundle.name}@{bundle.version}", bundle.graph, lambda: read_profile(bundle))


def _told(name: str, graph: Graph, read: Callable[[], TrainingProfile | None]) -> Training:
    try:
        profile = read()
    except (BundleError, RepositoryError) as error:
        return Training({}, f"{name} is not compared with its training data: {error}.")
    if profile is None:
        return Training({}, f"{name} carries no profile of its training data, so drift is from the week before alone.")
    ports = {(False, port.name, ""): port for port in profile.inputs}
    for arm in (*graph.models, *graph.nodes):
        model = _model_of(graph, arm)
        ports |= {(True, port.name, arm): port for port in profile.outputs.get(model or "", ())}
    drawn = "" if profile.rows == profile.of else f" of {profile.of:,}"
    return Training(ports, f"The training data of {name} are {profile.rows:,}{drawn} rows, taken for independent.")


def _model_of(graph: Graph, arm: str) -> str | None:
    """The one model that answers for an arm; None where several may: what they answer together is not known."""
    node = graph.nodes.get(arm)
    if node is None:
        return arm
    if isinstance(node, ShadowDeploy):
        return _model_of(graph, node.champion)
    found = {_model_of(graph, target) for target in node.targets} if isinstance(node, KeySplit) else {None}
    return found.pop() if len(found) == 1 else None
