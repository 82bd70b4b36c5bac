from __future__ import annotations

import pytest

from edgerun_sync.collector.devices import INSTANCES_KEPT, Devices, Known, judge
from edgerun_sync.errors import WireError
from support.memory_objects import MemoryObjects


def flags_of(*check_ins: tuple[str, str, int]) -> list[tuple[str, ...]]:
    known, found = Known(enrolled="2026-11-23T12:00:00Z"), []
    for instance, machine, count in check_ins:
        known, flags = judge(known, instance, machine, count)
        found.append(flags)
    return found


def test_a_device_that_counts_on_is_not_odd():
    assert flags_of(("a", "m", 1), ("a", "m", 2), ("a", "m", 9)) == [(), (), ()]


def test_a_store_on_another_machine_has_moved():
    assert flags_of(("a", "m", 1), ("b", "n", 2), ("b", "n", 3)) == [(), ("moved",), ()]


def test_two_that_check_in_by_turns_are_copies():
    found = flags_of(("a", "m", 5), ("b", "n", 6), ("a", "m", 6), ("b", "n", 7))
    assert found == [(), ("moved",), ("cloned",), ("cloned",)]


def test_a_count_that_falls_is_a_restored_disk():
    assert flags_of(("a", "m", 8), ("a", "m", 3), ("a", "m", 4)) == [(), ("restored",), ()]


def test_a_count_that_comes_twice_is_one_too():
    assert flags_of(("a", "m", 8), ("a", "m", 8)) == [(), ("restored",)]


def test_a_restored_disk_on_another_machine_has_moved():
    assert flags_of(("a", "m", 8), ("b", "n", 3)) == [(), ("moved",)]


def test_not_all_instances_are_kept():
    known = Known(enrolled="")
    for number in range(50):
        known, _ = judge(known, f"{number}", "m", number)
    assert len(known.instances) == INSTANCES_KEPT
    assert known.instances[-1] == ("49", "m", 49)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(WireError):
        Devices(MemoryObjects()).find("../x")
