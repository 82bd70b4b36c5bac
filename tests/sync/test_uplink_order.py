from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerun.log.handover import SegmentFile
from edgerun_sync.agent.uplink import order


def segment(epoch: int, row: int, begun: int, *, journal: bool = False, sealed: bool = True) -> SegmentFile:
    name = f"{epoch:016x}-{row:016x}.{'log' if sealed else 'open'}"
    return SegmentFile(name, 1000, sealed, epoch, row, journal, begun)


files = st.lists(
    st.builds(
        segment, st.integers(0, 3), st.integers(0, 50), st.integers(0, 9), journal=st.booleans(), sealed=st.booleans()
    ),
    unique_by=lambda file: (file.epoch, file.first_row),
    max_size=30,
)


def test_journals_go_first_then_the_newest_then_from_the_oldest():
    found = [segment(1, row, begun=row) for row in range(4)] + [segment(2, 0, begun=9, journal=True)]
    assert [file.begun_us for file in order(found, newest_first=False)] == [9, 3, 0, 1, 2]
    assert [file.begun_us for file in order(found, newest_first=True)] == [9, 3, 2, 1, 0]


def test_what_is_being_written_is_not_sent():
    assert order([segment(1, 0, 0, sealed=False)], newest_first=False) == []


def test_a_segment_waits_for_an_unsealed_one_before_it():
    found = [segment(1, 0, 0), segment(1, 5, 1, sealed=False), segment(1, 9, 2), segment(2, 9, 3)]
    assert {(file.epoch, file.first_row) for file in order(found, newest_first=False)} == {(1, 0), (2, 9)}


@given(files, st.booleans())
def test_everything_that_may_go_goes_once(found, newest_first):
    chosen = order(found, newest_first=newest_first)
    allowed = [
        file
        for file in found
        if file.is_sealed
        and not any(o.epoch == file.epoch and not o.is_sealed and o.first_row < file.first_row for o in found)
    ]
    assert sorted(chosen) == sorted(allowed)
    assert [file.is_journal for file in chosen] == sorted((file.is_journal for file in chosen), reverse=True)
