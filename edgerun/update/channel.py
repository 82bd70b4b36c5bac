"""The channel document: which version of a bundle who gets. bundles/REPOSITORY.md specifies it. Pure; no IO.

The workstation writes it and the device chooses by it; both use this module, so that they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._names import NAME
from edgerun._shown import shown
from edgerun.artifact import canonical_json, check_name, check_version, parse_json, take_object
from edgerun.errors import BundleError, UpdateError
from edgerun.limits import LIMITS, Limits
from edgerun.requirements import Machine, Requires, parse_requires, unmet_requirements
from edgerun.split import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FORMAT = 1

WHOLE_PPM = 1_000_000
"""A share of all devices."""


class Release(NamedTuple):
    """A version, and the devices that get it."""

    version: str
    """The version of the channel's bundle."""

    share_ppm: int = WHOLE_PPM
    """The share of devices, in millionths."""

    groups: tuple[str, ...] = ()
    """The groups of devices that get it; none is every device."""

    requires: Requires = Requires()
    """What a machine must have; a copy of what stands in the bundle."""


class Channel(NamedTuple):
    """A channel document that was read, or is to be written."""

    channel: str
    """The name of the channel, such as ``stable``."""

    bundle: str
    """The name of the bundle."""

    releases: tuple[Release, ...] = ()
    """The releases; a device takes the first that is for it."""


def check_group(value: Any) -> str:
    """Return the name of a group of devices, or of a channel; both look like that of a bundle.

    Raises:
        UpdateError: it is no such name.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise UpdateError(f"the name of a channel or group must match {NAME.pattern}, got {shown(value)}")
    return value


def bundle_target(bundle: str, version: str) -> str:
    """Return the path of the target that gives a version its digest."""
    return f"bundles/{bundle}/{version}"


def channel_target(channel: str, bundle: str) -> str:
    """Return the path of the target that gives a channel's document its digest."""
    return f"channels/{channel}/{bundle}"


def bundle_role(bundle: str) -> str:
    """Return the TUF role that signs the versions of a bundle."""
    return f"bundle-{bundle}"


def channel_role(channel: str) -> str:
    """Return the TUF role that signs the documents of a channel."""
    return f"channel-{channel}"


def parse_channel(raw: bytes, limits: Limits = LIMITS) -> Channel:
    """Read a channel document, strictly.

    Raises:
        UpdateError: it is not one in canonical JSON, or past a limit; the release and the field are named.
    """
    try:
        document = parse_json(raw, "the channel document", limits.channel_max_bytes)
        take_object(document, "the channel document", ("bundle", "channel", "format", "releases"))
        if type(document["format"]) is not int or document["format"] != FORMAT:
            raise UpdateError(
                f"the channel document has the format {shown(document['format'])}; this edgerun reads {FORMAT}"
            )
        if canonical_json(document) != raw:
            raise UpdateError("the channel document is not in canonical JSON")
        releases = _releases(document["releases"], limits)
        return Channel(check_group(document["channel"]), check_name(document["bundle"]), releases)
    except BundleError as error:
        raise UpdateError(str(error)) from error


def _releases(value: Any, limits: Limits) -> tuple[Release, ...]:
    if not isinstance(value, list):
        raise UpdateError(f"the channel document: 'releases' must be a list, got {shown(value)}")
    if len(value) > limits.channel_releases_max:
        raise UpdateError(f"the channel document has {len(value)} releases; at most {limits.channel_releases_max}")
    return tuple(_release(release, f"the channel document: release {index}") for index, release in enumerate(value))


def _release(value: Any, where: str) -> Release:
    take_object(value, where, ("groups", "requires", "share_ppm", "version"))
    share_ppm, groups = value["share_ppm"], value["groups"]
    if type(share_ppm) is not int or not 0 <= share_ppm <= WHOLE_PPM:
        raise UpdateError(f"{where}: 'share_ppm' must be from 0 to {WHOLE_PPM}, got {shown(share_ppm)}")
    if not isinstance(groups, list) or not all(isinstance(group, str) and NAME.fullmatch(group) for group in groups):
        raise UpdateError(f"{where}: 'groups' must be a list of names that match {NAME.pattern}, got {shown(groups)}")
    if len({*groups}) < len(groups):
        raise UpdateError(f"{where}: a group stands twice in 'groups'")
    try:
        version = check_version(value["version"])
    except BundleError as error:
        raise UpdateError(f"{where}: {error}") from error
    return Release(version, share_ppm, tuple(groups), parse_requires(value["requires"], where))


def write_channel(channel: Channel, limits: Limits = LIMITS) -> bytes:
    """Return a channel document in canonical JSON; `parse_channel` gives back the same.

    Raises:
        UpdateError: a field is wrong, or past a limit.
    """
    releases = [release._asdict() | {"requires": _requires_document(release.requires)} for release in channel.releases]
    try:
        raw = canonical_json(channel._asdict() | {"format": FORMAT, "releases": releases})
    except BundleError as error:
        raise UpdateError(f"the channel document: {error}") from error
    parse_channel(raw, limits)
    return raw


def _requires_document(requires: Requires) -> dict[str, Any]:
    """What stands in a document for requirements: those that ask for something."""
    return {name: value for name, value in requires._asdict().items() if value not in (None, ())}


def rollout_split(bundle: str, release: Release) -> Split:
    """Return the split whose arm ``in`` owns a release's share of all devices.

    A share that grows keeps the devices that it had, for the arm begins at 0; each version begins with others.
    """
    weights = {"in": release.share_ppm, "out": WHOLE_PPM - release.share_ppm}
    return Split(f"{bundle}/{release.version}/rollout", weights)


def refusals(channel: Channel, release: Release, device: str, groups: Collection[str], machine: Machine) -> list[str]:
    """Return a sentence for each reason why a device does not get a release; none if it does."""
    found = []
    if release.groups and not {*release.groups} & {*groups}:
        found.append(f"it is for {' and '.join(release.groups)}")
    if release.share_ppm < WHOLE_PPM and rollout_split(channel.bundle, release).assign(device) != "in":
        found.append(f"it is for {release.share_ppm:,} of a million devices, and this is not one of them")
    return found + unmet_requirements(release.requires, machine)


def choose(
    channel: Channel,
    device: str,
    groups: Collection[str],
    machine: Machine,
    is_bad: Callable[[str], bool] = lambda _: False,
) -> Release | None:
    """Return the first release that is for a device; None where there is none, and the device keeps what it has.

    Args:
        channel: the document.
        device: the id of the device.
        groups: the groups that it is in.
        machine: what it has.
        is_bad: whether it knows a version as bad; such a release is passed over.
    """
    return next(
        (
            release
            for release in channel.releases
            if not refusals(channel, release, device, groups, machine) and not is_bad(release.version)
        ),
        None,
    )
