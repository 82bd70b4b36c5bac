"""The devices that a collector knows: how each was when it last checked in, and what is odd about that.

Judging is pure. A device is one store on one machine: its agent's `instance` and `count` tell a copy (two that check in
by turns) from a disk that was restored (the count fell) and from a store that moved (the former machine is silent).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.collector.check_ins import CheckedIn, check_in_bytes, check_in_name
from edgerun_sync.collector.keys import check_in_key
from edgerun_sync.names import check_device
from edgerun_sync.times import now_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_sync.collector.documents import CheckIn
    from edgerun_sync.collector.objects import Objects

INSTANCES_KEPT = 8


class Known(NamedTuple):
    """What is remembered of a device between two check-ins."""

    enrolled: str
    """When, RFC 3339."""

    instances: tuple[tuple[str, str, int], ...] = ()
    """Who checked in: instance, machine and its last count; the latest is the last."""

    flags: tuple[str, ...] = ()
    """What was odd the last time."""

    seen: str = ""
    """When it checked in last."""

    last: Mapping[str, Any] | None = None
    """What it said then."""

    name: str = ""
    """Of that check-in, by which the same one sent again is told."""


def judge(known: Known, instance: str, machine: str, count: int) -> tuple[Known, tuple[str, ...]]:
    """Return what is remembered after a check-in, and its flags.

    Args:
        known: what was remembered.
        instance: of the agent that checks in.
        machine: that it runs on.
        count: of its store's check-ins.
    """
    before = {(one, where): last for one, where, last in known.instances}
    flags = []
    if known.instances and known.instances[-1][:2] != (instance, machine):
        flags.append("cloned" if (instance, machine) in before else "moved")
    if count <= before.get((instance, machine), -1):
        flags.append("restored")
    others = [entry for entry in known.instances if entry[:2] != (instance, machine)]
    kept = (*others[1 - INSTANCES_KEPT :], (instance, machine, count)) if others else ((instance, machine, count),)
    return known._replace(instances=kept, flags=tuple(flags)), tuple(flags)


class Devices:
    """What one collector's store says of devices.

    Args:
        objects: where it is kept.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def enrol(self, device: str) -> None:
        """Remember a device; what was known of one of that name is forgotten.

        Raises:
            CollectorError: the store fails.
        """
        self._objects.replace(_key(device), _raw(Known(enrolled=now_text())))

    def check_in(self, device: str, said: CheckIn, *, lane: int) -> tuple[str, ...]:
        """Remember how a device is, and leave it for the lane's committer; returns what is odd about it.

        Where the same one is sent again, it is left once.

        Raises:
            CollectorError: the store fails.
        """
        known = self.find(device) or Known(enrolled=now_text())
        document = said.model_dump()
        name, seen = check_in_name(document), now_text()
        is_again = name == known.name
        known, flags = judge(known, said.instance, said.machine, said.count)
        if not is_again:
            stored = check_in_bytes(CheckedIn(device, seen, flags, document))
            self._objects.put_new(check_in_key(lane, device, name), stored)
        self._objects.replace(_key(device), _raw(known._replace(seen=seen, last=document, name=name)))
        return flags

    def find(self, device: str) -> Known | None:
        """Return what is known of a device; None where nothing is.

        Raises:
            CollectorError: the store fails.
            WireError: the name is none of a device's.
        """
        raw = self._objects.get(_key(check_device(device)))
        if raw is None:
            return None
        fields = json.loads(raw)
        instances = tuple((one, machine, count) for one, machine, count in fields["instances"])
        return Known(**{**fields, "instances": instances, "flags": tuple(fields["flags"])})

    def list(self) -> Iterator[tuple[str, Known]]:
        """Yield every device and what is known of it.

        Raises:
            CollectorError: the store fails.
        """
        for key in self._objects.list("devices/"):
            device = key.removeprefix("devices/").removesuffix(".json")
            known = self.find(device)
            if known is not None:
                yield device, known


def _key(device: str) -> str:
    return f"devices/{device}.json"


def _raw(known: Known) -> bytes:
    return json.dumps(known._asdict(), sort_keys=True).encode()
