"""The experiments of a repository: which versions are whose phases, and what runs in which channel. It never writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import DESCRIPTION, Descriptor, check_description
from edgerun.errors import EdgerunError, LogError
from edgerun.log.training import parse_training
from edgerun.requirements import parse_requires
from edgerun.update.channel import Release
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.experiment.releases import in_use
from edgerun_bundles.experiment.versions import plan_of
from edgerun_bundles.repository import catalogue
from edgerun_bundles.repository.channels import channels_of, read_channel
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.pushing import withdrawn_of
from edgerun_bundles.repository.storage import unseen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.artifact import Manifest
    from edgerun.log.training import TrainingProfile
    from edgerun.update.channel import Channel
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Progress, Source


class Published(NamedTuple):
    """A published version with its description."""

    listed: catalogue.Version
    """As the repository lists it."""

    manifest: Manifest
    """Its manifest."""

    document: Mapping[str, Any]
    """Its ``bundle.json``."""

    @property
    def name(self) -> str:
        """NAME@VERSION."""
        return f"{self.listed.name}@{self.listed.version}"

    @property
    def experiment(self) -> str:
        """The name of its experiment; empty where it has none."""
        plan = self.document.get("experiment")
        return str(plan.get("name", "")) if isinstance(plan, dict) else ""


class Running(NamedTuple):
    """An experiment in a channel."""

    channel: Channel
    """The channel's document."""

    phases: tuple[Published, ...]
    """Its versions that devices take, in the order of the channel."""

    versions: frozenset[str]
    """All its versions in the channel: those, too, that are there for devices on which the others fail."""

    @property
    def newest(self) -> Published:
        """The version that devices take first."""
        return self.phases[0]

    @property
    def release(self) -> Release:
        """What the channel says of that version."""
        return next(found for found in self.channel.releases if found.version == self.newest.listed.version)


def read_version(source: Source, state: State, name: str, version: str) -> Published:
    """Return a published version.

    Raises:
        RepositoryError: there is none, or it is not what it should be.
    """
    listed = catalogue.version_of(state, name, version)
    manifest = catalogue.manifest_of(source, catalogue.target_of(state, name, version), name, version)
    (layer,) = (layer for layer in manifest.layers if layer.path == DESCRIPTION)
    raw = catalogue.read_blob(source, Descriptor("", layer.digest, layer.size))
    try:
        return Published(listed, manifest, check_description(manifest, raw))
    except EdgerunError as error:
        raise RepositoryError(f"{source.where}: {name} {version}: {error}") from error


def profile_of(source: Source, published: Published) -> TrainingProfile | None:
    """Return the profile of the training data that a published version carries; None where it carries none.

    Raises:
        RepositoryError: it cannot be had, or cannot be read.
    """
    path = published.document.get("profile")
    for layer in published.manifest.layers:
        if layer.path == path:
            raw = catalogue.read_blob(source, Descriptor("", layer.digest, layer.size))
            try:
                return parse_training(raw)
            except LogError as error:
                raise RepositoryError(f"{source.where}: {published.name}: {path}: {error}") from error
    return None


def release_of(found: Mapping[str, Any]) -> Release:
    """Return the release of a description to all devices that it can run on.

    Raises:
        BundleError: what it asks of a machine is wrong.
    """
    return Release(str(found["version"]), requires=parse_requires(found.get("requires", {}), DESCRIPTION))


def phases_of(source: Source, state: State, experiment: str, progress: Progress = unseen) -> list[Published]:
    """Return the versions of an experiment, in the order in which they were published.

    Args:
        source: where the repository lies.
        state: of the repository.
        experiment: its name; or BUNDLE/NAME, where two bundles have one of that name.
        progress: gives, for a number of versions, a context manager of a function to call with versions done.

    Raises:
        RepositoryError: there is none, or two bundles have one of that name, or something cannot be read.
    """
    bundle, name = parse_experiment(experiment)
    listed = [
        version
        for found in catalogue.names(state)
        if bundle in {None, found}
        for version in catalogue.versions(state, found)
    ]
    known = []
    with progress(len(listed)) as advance:
        for version in listed:
            read = read_version(source, state, version.name, version.version)
            known += [read] if read.experiment == name else []
            advance(1)
    if not known:
        raise RepositoryError(f"{source.where}: no published version has an experiment {experiment!r}")
    _check_one_bundle(name, sorted({found.listed.name for found in known}))
    return sorted(known, key=lambda found: (found.listed.published, _numbers(found.listed.version)))


def phases_so_far(source: Source, state: State, experiment: str, progress: Progress = unseen) -> list[Published]:
    """Return the versions of an experiment up to the last that a channel gives to devices; all where none does.

    What was published after that one is a draft, whose plan says nothing of what runs. Else as `phases_of`.

    Raises:
        RepositoryError: as `phases_of`.
    """
    phases = phases_of(source, state, experiment, progress)
    bundle = phases[0].listed.name
    runs = {phase.listed.version for found in all_running(source, state, bundle) for phase in found.phases}
    last = max((place for place, phase in enumerate(phases) if phase.listed.version in runs), default=len(phases) - 1)
    return phases[: last + 1]


def running_in(source: Source, state: State, channel: str, bundle: str) -> tuple[Channel, list[Running]]:
    """Return a channel's document for a bundle, and the experiments in it.

    Raises:
        RepositoryError: something cannot be read.
    """
    document = read_channel(source, Draft(state), channel, bundle)
    is_there = bundle in catalogue.names(state)
    listed = {found.version for found in catalogue.versions(state, bundle)} if is_there else set[str]()
    versions = dict.fromkeys(release.version for release in document.releases if release.version in listed)
    known = [read_version(source, state, bundle, version) for version in versions]
    taken = {release.version for release in in_use(document)}
    found = []
    for name in dict.fromkeys(version.experiment for version in known if version.experiment):
        own = [version for version in known if version.experiment == name]
        phases = tuple(version for version in own if version.listed.version in taken)
        if phases:
            found.append(Running(document, phases, frozenset(version.listed.version for version in own)))
    return document, found


def all_running(source: Source, state: State, bundle: str | None = None) -> list[Running]:
    """Return every experiment in every channel, of one bundle where it is named.

    Raises:
        RepositoryError: something cannot be read.
    """
    channels = [(channel, of) for channel, of in channels_of(Draft(state)) if bundle in {None, of}]
    return [found for channel, of in channels for found in running_in(source, state, channel, of)[1]]


def running(source: Source, state: State, experiment: str, channel: str | None = None) -> Running:
    """Return an experiment where it runs.

    Args:
        source: where the repository lies.
        state: of the repository.
        experiment: its name, or BUNDLE/NAME.
        channel: in which it runs; None where that is only one.

    Raises:
        RepositoryError: it runs nowhere or in several channels, or something cannot be read.
        BundleError: its plan is wrong.
    """
    bundle, name = parse_experiment(experiment)
    everywhere = all_running(source, state, bundle)
    known = [found for found in everywhere if found.newest.experiment == name]
    chosen = [found for found in known if channel in {None, found.channel.channel}]
    if not chosen:
        others = [f"{found.newest.experiment} in {found.channel.channel}" for found in (known or everywhere)]
        where = f"in the channel {channel}" if channel else "in any channel"
        there = ", ".join(others) or "none"
        raise RepositoryError(f"{source.where}: no experiment {experiment!r} runs {where}; there runs: {there}")
    _check_one_bundle(name, sorted({found.channel.bundle for found in chosen}))
    if len(chosen) > 1:
        channels = ", ".join(found.channel.channel for found in chosen)
        raise RepositoryError(f"the experiment {name!r} runs in several channels; name one with --channel: {channels}")
    plan_of(chosen[0].newest.document)
    return chosen[0]


def taken_versions(state: State, bundle: str) -> set[str]:
    """Return the versions of a bundle whose numbers belong to their bytes for ever."""
    role = Draft(state).peek(f"bundle-{bundle}")
    withdrawn = withdrawn_of(role) if role is not None else {}
    return {found.version for found in catalogue.versions(state, bundle)} | {*withdrawn}


def parse_experiment(text: str) -> tuple[str | None, str]:
    """Return the bundle and the name of an experiment that is written NAME or BUNDLE/NAME."""
    bundle, slash, name = text.rpartition("/")
    return (bundle if slash else None), name


def _check_one_bundle(name: str, bundles: Sequence[str]) -> None:
    if len(bundles) > 1:
        raise RepositoryError(
            f"several bundles have an experiment {name!r}; write one of: "
            + ", ".join(f"{bundle}/{name}" for bundle in bundles)
        )


def _numbers(version: str) -> list[tuple[int, str]]:
    """A version as what sorts 1.9 before 1.10; the publication's time has whole seconds."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", version)]
