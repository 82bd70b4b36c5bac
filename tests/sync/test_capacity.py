"""What docs/capacity.md says is what its simulation prints."""

from __future__ import annotations

from pathlib import Path

from capacity import Device, Measured, Store, fleets_table, lanes_table, simulate

DOCUMENT = Path(__file__).parents[2] / "docs" / "capacity.md"


def test_the_document_has_the_numbers_that_are_printed():
    text = DOCUMENT.read_text("utf-8")
    assert "\n".join(fleets_table()) in text
    assert "\n".join(lanes_table()) in text


def test_a_lane_alone_loses_no_attempt_and_keeps_up_with_few_devices():
    found = simulate(1, 5.0, 300.0, Measured(), Store())
    assert found.lost == 0
    assert found.waiting < 50
    assert found.median_s <= found.late_s < 10


def test_two_runs_say_the_same():
    rows = Device().interval_s
    assert simulate(8, 50.0, rows, Measured(), Store()) == simulate(8, 50.0, rows, Measured(), Store())
