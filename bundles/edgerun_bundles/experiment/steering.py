"""The steps of an experiment in a repository, decided by reading it: start, ramp, stop, promote. Nothing is written.

`carrying_out` publishes a step, and only if the state that it was decided on is still the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from edgerun.artifact import check_version
from edgerun.errors import UpdateError
from edgerun.update.channel import check_group
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.experiment.published import (
    read_version,
    release_of,
    running,
    running_in,
    taken_versions,
)
from edgerun_bundles.experiment.releases import ahead_of, replaced, stopped
from edgerun_bundles.experiment.versions import (
    Change,
    control_only,
    control_version,
    is_same,
    next_version,
    plan_of,
    promoted,
    reweighted,
)
from edgerun_bundles.repository.catalogue import versions
from edgerun_bundles.repository.channels import with_release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from edgerun.update.channel import Channel, Release
    from edgerun_bundles.experiment.published import Published
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Source

Action: TypeAlias = Literal["start", "ramp", "stop", "promote"]


class Terms(NamedTuple):
    """What somebody wants of a version; what is None stays as it is."""

    weights: Mapping[str, Fraction] | None = None
    """Of every arm."""

    traffic: float | None = None
    """The share of keys that take part, 0 to 1."""

    version: str | None = None
    """The new version; the next free number by default."""

    share_ppm: int | None = None
    """The share of the channel's devices, in millionths."""

    groups: Sequence[str] | None = None
    """The groups of devices; none is all."""

    with_rollback: bool = True
    """Whether the version that has the control alone is published, too."""


class Step(NamedTuple):
    """A step that was decided, and the state that it was decided on."""

    state: State
    """The repository as it was read."""

    action: Action
    """What is done."""

    experiment: str
    """The name of the experiment."""

    parent: Published
    """The version that it begins with."""

    change: Change
    """What becomes of the split."""

    version: str
    """The version that the channel gets: a new one, or one that is published already."""

    made: tuple[Mapping[str, Any], ...]
    """The descriptions that are new: that of the version, and that of its way back."""

    rollback: str | None
    """The version that has the control alone; None where there is none."""

    channel: Channel
    """The channel's document as it will be."""

    said: Mapping[str, Any]
    """What the provenance says of it."""


def decide_start(source: Source, state: State, bundle: str, version: str, channel: str, terms: Terms) -> Step:
    """Decide how an experiment starts.

    Args:
        source: where the repository lies.
        state: of the repository.
        bundle: name of the bundle.
        version: a published version with a plan.
        channel: that gets it; one that is not there is made.
        terms: weights, traffic, version and devices to start with.

    Raises:
        RepositoryError: the version is not published, or an experiment runs in the channel.
        BundleError: the plan or the weights are wrong.
        GraphError: the graph is wrong.
        SplitError: the weights cannot be had.
    """
    parent = read_version(source, state, bundle, version)
    plan = plan_of(parent.document)
    former, runs = running_in(source, state, _channel(channel), bundle)
    if runs:
        raise RepositoryError(
            f"the experiment {runs[0].newest.experiment!r} runs in the channel {channel}, in {runs[0].newest.name}; "
            "ramp it, or end it with: edgerun experiment stop, or promote"
        )
    number = terms.version or next_version(version, taken_versions(state, bundle))
    change = reweighted(parent.document, _free(state, bundle, number), terms.weights, terms.traffic)
    if terms.version is None and is_same(change.before, change.after):
        change = change._replace(document=parent.document)
    release = _release(change, terms, release_of(parent.document))
    return _step(source, state, "start", plan.name, parent, change, with_release(former, release), terms)


def decide_ramp(source: Source, state: State, experiment: str, channel: str | None, terms: Terms) -> Step:
    """Decide how an experiment goes on with other weights or another share of keys.

    Raises:
        RepositoryError: it runs nowhere, or in several channels and none is named, or nothing would change.
        BundleError: the weights are wrong.
        GraphError: the graph is wrong.
        SplitError: the weights cannot be had.
    """
    found = running(source, state, experiment, channel)
    parent, bundle = found.newest, found.channel.bundle
    number = terms.version or next_version(parent.listed.version, taken_versions(state, bundle))
    change = reweighted(parent.document, _free(state, bundle, number), terms.weights, terms.traffic)
    if is_same(change.before, change.after):
        raise RepositoryError(
            f"{parent.name} has these weights and this traffic already; give --weights or --traffic that change it, "
            "or the devices with: edgerun bundle release"
        )
    release = _release(change, terms, found.release)
    document = ahead_of(found.channel, parent.listed.version, release)
    return _step(source, state, "ramp", parent.experiment, parent, change, document, terms)


def decide_stop(source: Source, state: State, experiment: str, channel: str | None, version: str | None = None) -> Step:
    """Decide how an experiment ends with the control.

    Args:
        source: where the repository lies.
        state: of the repository.
        experiment: its name, or BUNDLE/NAME.
        channel: in which it runs; None where that is only one.
        version: that has the control alone; by default that of the running version with ``-control``, which may
            be published already.

    Raises:
        RepositoryError: it runs nowhere, or in several channels and none is named, or the version has other content.
        BundleError: the plan is wrong.
        GraphError: the graph is wrong.
    """
    found = running(source, state, experiment, channel)
    parent = found.newest
    number = version or control_version(parent.listed.version)
    change = control_only(parent.document, number)
    is_there = _prepared(source, state, parent, change)
    document = stopped(found.channel, found.versions, release_of(change.document))
    step = _step(source, state, "stop", parent.experiment, parent, change, document, Terms(with_rollback=False))
    is_needed = not is_there and any(release.version == number for release in document.releases)
    return step._replace(made=step.made if is_needed else (), rollback=number)


def decide_promote(
    source: Source, state: State, experiment: str, arm: str, channel: str | None, version: str | None, why: str
) -> Step:
    """Decide how an experiment ends with a treatment.

    Args:
        source: where the repository lies.
        state: of the repository.
        experiment: its name, or BUNDLE/NAME.
        arm: that gets all keys, and is the control from then on.
        channel: in which it runs; None where that is only one.
        version: the new version; None is the next free number.
        why: the reason, which the provenance keeps.

    Raises:
        RepositoryError: it runs nowhere, or in several channels and none is named.
        BundleError: the arm is no treatment.
        GraphError: the graph is wrong.
    """
    found = running(source, state, experiment, channel)
    parent, bundle = found.newest, found.channel.bundle
    number = version or next_version(parent.listed.version, taken_versions(state, bundle))
    change = promoted(parent.document, _free(state, bundle, number), arm)
    document = replaced(found.channel, found.versions, release_of(change.document))
    step = _step(source, state, "promote", parent.experiment, parent, change, document, Terms(with_rollback=False))
    return step._replace(said={**step.said, "arm": arm, "reason": why})


def prepared(source: Source, state: State, running_version: Published) -> Published | None:
    """Return the published version that has the control alone instead of an experiment, if it is exactly that.

    Args:
        source: where the repository lies.
        state: of the repository.
        running_version: in which the experiment runs.

    Returns:
        None where there is none, or it is not what `stop` makes of that version.

    Raises:
        RepositoryError: something cannot be read.
        BundleError: the plan is wrong.
        GraphError: the graph is wrong.
    """
    change = control_only(running_version.document, control_version(running_version.listed.version))
    bundle, version = running_version.listed.name, str(change.document["version"])
    if version not in {listed.version for listed in versions(state, bundle)}:
        return None
    found = read_version(source, state, bundle, version)
    return found if _is(found, running_version, change) else None


def _prepared(source: Source, state: State, parent: Published, change: Change) -> bool:
    """Whether a version is published already, as it is to be."""
    bundle, version = parent.listed.name, str(change.document["version"])
    if version not in taken_versions(state, bundle):
        return False
    found = read_version(source, state, bundle, version)
    if not _is(found, parent, change):
        raise RepositoryError(
            f"{bundle} {version} is published, and is something else than {parent.name} with the control alone; give "
            "another --version"
        )
    return True


def _is(found: Published, parent: Published, change: Change) -> bool:
    """Whether a published version is a change of another one, to the byte of every other file."""
    files = [{layer.path: layer.digest for layer in one.manifest.layers} for one in (found, parent)]
    for layers in files:
        layers.pop("bundle.json")
    return files[0] == files[1] and dict(found.document) == dict(change.document)


def _step(
    source: Source,
    state: State,
    action: Action,
    experiment: str,
    parent: Published,
    change: Change,
    channel: Channel,
    terms: Terms,
) -> Step:
    version = str(change.document["version"])
    made = [] if version == parent.listed.version else [change.document]
    rollback = None
    if terms.with_rollback:
        back = control_only(change.document, control_version(version))
        rollback = str(back.document["version"])
        running_version = parent._replace(document=change.document)
        made += [] if _prepared(source, state, running_version, back) else [back.document]
    said = {
        "name": experiment,
        "action": action,
        "weights": {arm: str(weight) for arm, weight in change.after.split.weights.items()},
        "traffic": change.after.traffic,
    }
    return Step(state, action, experiment, parent, change, version, (*made,), rollback, channel, said)


def _release(change: Change, terms: Terms, former: Release) -> Release:
    share = former.share_ppm if terms.share_ppm is None else terms.share_ppm
    groups = former.groups if terms.groups is None else tuple(terms.groups)
    return release_of(change.document)._replace(share_ppm=share, groups=groups)


def _free(state: State, bundle: str, version: str) -> str:
    if check_version(version) in taken_versions(state, bundle):
        raise RepositoryError(f"{bundle} {version} is taken, and a version never changes; give another --version")
    return version


def _channel(name: str) -> str:
    try:
        return check_group(name)
    except UpdateError as error:
        raise RepositoryError(str(error)) from error
