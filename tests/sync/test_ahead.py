"""Objects are read in their order, some ahead where waiting is what takes the time, and never more than so many."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.collector.ahead import read_in_order
from edgerun_sync.collector.buckets import Bucket
from edgerun_sync.errors import StorageError
from edgerun_sync.limits import LIMITS
from support.memory_objects import MemoryObjects


class Distant(MemoryObjects):
    """Objects that are best asked for together. Counts those that were asked for and not used yet."""

    def __init__(self, reads_at_once, fails=()):
        super().__init__()
        self.reads_at_once, self.fails = reads_at_once, fails
        self.asked: list[str] = []

    def get(self, key):
        self.asked.append(key)
        if key in self.fails:
            raise StorageError(key)
        return super().get(key)


@given(st.lists(st.integers(0, 9).map(str), max_size=30), st.integers(1, 5))
def test_objects_come_in_the_order_of_their_keys(keys, at_once):
    objects = Distant(at_once)
    objects.found = {str(number): b"%d" % number for number in range(5)}
    with read_in_order(objects, keys) as found:
        assert [*found] == [(key, objects.found.get(key)) for key in keys]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_are_asked_for_than_at_once(at_once):
    objects = Distant(3)
    with read_in_order(objects, map(str, range(100)), at_once) as found:
        for number, (key, _) in enumerate(found, 1):
            assert key == str(number - 1)
            assert len(objects.asked) <= number - 1 + at_once
            if number == 10:
                break
    assert len(objects.asked) <= 9 + at_once
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgerun-read")]


def test_several_are_under_way_at_once():
    together = threading.Barrier(4, timeout=30)

    class Slow(Distant):
        def get(self, key):
            together.wait()
            return super().get(key)

    with read_in_order(Slow(4), map(str, range(8))) as found:
        assert len([*found]) == 8


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_error_comes_in_the_place_of_its_object(at_once):
    with read_in_order(Distant(at_once, fails={"4"}), map(str, range(9))) as found:
        assert [next(found)[0] for _ in range(4)] == ["0", "1", "2", "3"]
        with pytest.raises(StorageError, match="4"):
            next(found)


def test_a_bucket_says_how_many_are_asked_for_at_once():
    assert Bucket.reads_at_once == LIMITS.reads_at_once > 1
