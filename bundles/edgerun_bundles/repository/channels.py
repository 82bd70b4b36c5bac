"""Channels: which version who gets. Releasing, ramping, withdrawing and promoting are changes of one small document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuf.api.metadata import TargetFile

from edgerun.artifact import DESCRIPTION, Descriptor, hex_of, parse_json
from edgerun.errors import BundleError, UpdateError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.requirements import Requires, parse_requires
from edgerun.update.channel import (
    WHOLE_PPM,
    Channel,
    Release,
    bundle_role,
    bundle_target,
    channel_role,
    channel_target,
    check_group,
    parse_channel,
    write_channel,
)
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository.catalogue import manifest_of, read_blob
from edgerun_bundles.repository.pushing import withdraw_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_bundles.repository.drafting import Draft
    from edgerun_bundles.repository.storage import Source


def read_channel(storage: Source, draft: Draft, channel: str, name: str) -> Channel:
    """Return a channel's document for a bundle as it is or will be; an empty one where there is none.

    Raises:
        RepositoryError: it is missing from the storage, or is none.
    """
    role = draft.peek(channel_role(channel))
    target = role.targets.get(channel_target(channel, name)) if role is not None else None
    if target is None:
        return Channel(channel, name)
    digest = f"sha256:{target.hashes['sha256']}"
    raw = draft.blobs.get(digest) or read_blob(storage, Descriptor("", digest, target.length))
    try:
        found = parse_channel(raw)
    except UpdateError as error:
        raise RepositoryError(f"{storage.where}: channel {channel}, bundle {name}: {error}") from error
    if (found.channel, found.bundle) != (channel, name):
        raise RepositoryError(f"{storage.where}: the document of {channel} for {name} is that of another channel")
    return found


def release(
    storage: Source,
    draft: Draft,
    channel: str,
    name: str,
    version: str,
    *,
    share_ppm: int = WHOLE_PPM,
    groups: Sequence[str] = (),
) -> Channel:
    """Give a published version to devices, or change the share that gets it.

    A version that the channel has for the same groups keeps its place and gets the share; any other goes in front.
    Releases that no device can need any more go: see `keep_needed`.

    Args:
        storage: where the repository lies.
        draft: what changes.
        channel: such as ``stable``; one that is not there is admitted.
        name: of the bundle.
        version: of the bundle.
        share_ppm: of the devices, in millionths.
        groups: of devices; none is all.

    Returns:
        The document as it will be.

    Raises:
        RepositoryError: the version is not published, or the document would pass a limit.
    """
    former = read_channel(storage, draft, _checked(channel), name)
    added = Release(version, share_ppm, tuple(groups), requires_of(storage, draft, name, version))
    return write_document(draft, with_release(former, added))


def with_release(former: Channel, added: Release) -> Channel:
    """Return a channel with a release as `release` puts it there."""
    key = (added.version, {*added.groups})
    same = [i for i, found in enumerate(former.releases) if (found.version, {*found.groups}) == key]
    releases = list(former.releases)
    if same:
        releases[same[0]] = added
    else:
        releases.insert(0, added)
    return former._replace(releases=keep_needed(releases))


def keep_needed(releases: Sequence[Release]) -> tuple[Release, ...]:
    """Return releases without those that no device needs: before one that goes, all of its devices take two versions.

    One of the two a device may know as bad, so one is not enough. A release with requirements counts only before those
    that require the same: any other device may lack what it needs.
    """
    kept: list[Release] = []
    for found in releases:
        if len({before.version for before in kept if covers(before, found)}) < 2:
            kept.append(found)
    return tuple(kept)


def covers(one: Release, other: Release) -> bool:
    """Return whether every device that another release is for takes this one, too, if it comes first."""
    is_whole = one.share_ppm == WHOLE_PPM and one.requires in (Requires(), other.requires)
    return is_whole and (not one.groups or ({*other.groups} <= {*one.groups} and bool(other.groups)))


def withdraw(storage: Source, draft: Draft, channel: str, name: str, version: str) -> Channel:
    """Take a version out of a channel, whoever it was for.

    Raises:
        RepositoryError: the channel does not have it.
    """
    former = read_channel(storage, draft, channel, name)
    kept = tuple(found for found in former.releases if found.version != version)
    if len(kept) == len(former.releases):
        raise RepositoryError(f"the channel {channel} does not give {name} {version} to anybody")
    return write_document(draft, former._replace(releases=kept))


def withdraw_everywhere(storage: Source, draft: Draft, name: str, version: str) -> None:
    """Take a version out of a bundle's list; its number stays taken by its bytes.

    Raises:
        RepositoryError: it is not published, or a channel gives it to devices.
    """
    for channel, bundle in channels_of(draft):
        if bundle == name and any(r.version == version for r in read_channel(storage, draft, channel, name).releases):
            raise RepositoryError(f"the channel {channel} gives {name} {version} to devices; withdraw it there first")
    withdraw_version(draft, name, version)


def promote(
    storage: Source,
    draft: Draft,
    name: str,
    version: str,
    *,
    source: str,
    target: str,
    share_ppm: int = WHOLE_PPM,
    groups: Sequence[str] = (),
) -> Channel:
    """Give a version of one channel to another one, too; as `release` else.

    Raises:
        RepositoryError: the first channel does not have the version.
    """
    if not any(found.version == version for found in read_channel(storage, draft, source, name).releases):
        raise RepositoryError(f"the channel {source} does not give {name} {version} to anybody; release it there first")
    return release(storage, draft, target, name, version, share_ppm=share_ppm, groups=groups)


def channels_of(draft: Draft) -> list[tuple[str, str]]:
    """Return every channel and bundle of which there is a document."""
    prefix = channel_role("")
    roles = {**draft.state.roles, **draft.changed}
    found = []
    for role in sorted(role for role in roles if role.startswith(prefix)):
        peeked = draft.peek(role)
        assert peeked is not None
        found += [(role.removeprefix(prefix), path.rpartition("/")[2]) for path in sorted(peeked.targets)]
    return found


def requires_of(storage: Source, draft: Draft, name: str, version: str) -> Requires:
    """Return what a published version asks of a machine.

    Raises:
        RepositoryError: it is not published, or its description is missing.
    """
    role = draft.peek(bundle_role(name))
    target = role.targets.get(bundle_target(name, version)) if role is not None else None
    if target is None:
        raise RepositoryError(f"{name} {version} is not published; push it first")
    manifest = manifest_of(storage, target, name, version)
    (layer,) = (layer for layer in manifest.layers if layer.path == DESCRIPTION)
    raw = read_blob(storage, Descriptor("", layer.digest, layer.size))
    try:
        document = parse_json(raw, DESCRIPTION, DEVICE_LIMITS.bundle_json_max_bytes)
        return parse_requires(document.get("requires", {}), DESCRIPTION)
    except BundleError as error:
        raise RepositoryError(f"{storage.where}: {name} {version}: {error}") from error


def write_document(draft: Draft, channel: Channel) -> Channel:
    """Let the next publication have a channel's document, and return it.

    Raises:
        RepositoryError: it would pass a limit.
    """
    try:
        raw = write_channel(channel)
    except UpdateError as error:
        raise RepositoryError(f"the channel {channel.channel}: {error}; withdraw what nobody needs") from error
    path = channel_target(channel.channel, channel.bundle)
    digest = draft.blob(raw)
    draft.role(channel_role(channel.channel)).targets[path] = TargetFile(len(raw), {"sha256": hex_of(digest)}, path)
    return channel


def _checked(channel: str) -> str:
    try:
        return check_group(channel)
    except UpdateError as error:
        raise RepositoryError(str(error)) from error
