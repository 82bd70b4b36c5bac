"""Which releases of a channel devices take, and what becomes of a channel when an experiment ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun.update.channel import WHOLE_PPM, Channel, Release
from edgerun_bundles.repository.channels import covers, keep_needed

if TYPE_CHECKING:
    from collections.abc import Collection


def in_use(channel: Channel) -> tuple[Release, ...]:
    """Return the releases that a device may take, in their order.

    Those behind one that all of their devices take are only for devices on which that one fails.
    """
    releases = channel.releases
    return tuple(found for i, found in enumerate(releases) if not any(covers(before, found) for before in releases[:i]))


def ahead_of(channel: Channel, version: str, new: Release) -> Channel:
    """Return a channel with a release right before the first of another version, which it has."""
    releases = [*channel.releases]
    place = next(number for number, found in enumerate(releases) if found.version == version)
    return channel._replace(releases=keep_needed([*releases[:place], new, *releases[place:]]))


def stopped(channel: Channel, versions: Collection[str], control: Release) -> Channel:
    """Return a channel without some versions, whose devices get another one or what they had before.

    Args:
        channel: as it is.
        versions: those that go.
        control: what takes their place: a release of another version; its share and groups do not matter. Where a
            version had only a share of the devices, and all of these have a release behind it, it has no successor.
    """
    kept: list[Release] = []
    for i, found in enumerate(channel.releases):
        if found.version not in versions:
            kept.append(found)
            continue
        behind = [later for later in channel.releases[i + 1 :] if later.version not in versions]
        if found.share_ppm < WHOLE_PPM and any(covers(later, found) for later in behind):
            continue
        successor = control._replace(share_ppm=WHOLE_PPM, groups=found.groups)
        if successor not in kept:
            kept.append(successor)
    return channel._replace(releases=keep_needed(kept))


def replaced(channel: Channel, versions: Collection[str], new: Release) -> Channel:
    """Return a channel with another version in the place of some, for all devices that these were for.

    Args:
        channel: as it is.
        versions: those that go.
        new: a release of the version that comes; its share and groups do not matter.
    """
    kept: list[Release] = []
    for found in channel.releases:
        one = new._replace(share_ppm=WHOLE_PPM, groups=found.groups) if found.version in versions else found
        if one not in kept:
            kept.append(one)
    return channel._replace(releases=keep_needed(kept))
