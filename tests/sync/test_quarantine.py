"""What can never be rows is set aside: it holds nobody up, is kept, and is rows as soon as it can be."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner

from edgerun.cli import main
from edgerun_sync.collector import keys, quarantine
from edgerun_sync.collector.arrow.tables import KINDS
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.batches import parse_batch
from edgerun_sync.collector.check_ins import CheckedIn, check_in_bytes
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.delta import DeltaTables
from edgerun_sync.collector.erasing import erase_device
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.collector.rebuild import rebuild
from edgerun_sync.errors import ContentError, StorageError
from support.collection import commit_all, content, land_all, rows_in_tables
from support.fleet import Made
from support.segments import NOON, labels_of
from vectors.log import log_reference as reference


def wide(device="mill", rows=65_536, text="cat" * 10):
    """A segment that says in a few bytes that many rows have a text."""
    segment = reference.Segment()
    block = {0: reference.CALL, 1: rows, 3: reference.up([0] * rows), 4: 0, 5: 0, 6: 0, 8: 0}
    segment.frame([{**block, 10: [[4, 8, [reference.texts([text] * rows)]]]}], clocks=(9, NOON))
    return Made(keys.Landed(device, segment.name), bytes(segment.data), frozenset())


def good(device):
    segment = reference.Segment(class_=1)
    labels_of(segment, 3)
    rows = frozenset((device, segment.epoch, row) for row in range(3))
    return Made(keys.Landed(device, segment.name), bytes(segment.data), rows)


@pytest.fixture
def data(tmp_path):
    return open_data(str(tmp_path / "data"), lanes=1)


def refusing(monkeypatch, *refused, together=False):
    """Let no file be made of the rows of some devices, or not of all of them together."""
    of_rows = DeltaTables.files_of

    def files_of(tables, rows):
        found = {stream.device for stream in rows.streams} | {one.device for one in rows.check_ins}
        if found >= {*refused} if together else found & {*refused}:
            raise OverflowError("a number that no column has")
        return of_rows(tables, rows)

    monkeypatch.setattr(DeltaTables, "files_of", files_of)


def test_a_segment_that_cannot_be_rows_holds_nobody_up_and_is_kept(data, monkeypatch):
    refusing(monkeypatch, "bad")
    segments = [good(device) for device in ("a", "bad", "c")]
    land_all(data, *segments)
    (batch,) = commit_all(data)
    assert [aside.device for aside in batch.aside] == ["bad"]
    assert "a number that no column has" in batch.aside[0].why
    assert sorted(rows_in_tables(data.tables)) == sorted(segments[0].rows | segments[2].rows)
    (held,) = quarantine.held(data.objects)
    assert held.landed == segments[1].landed
    assert data.objects.get(keys.quarantine_key(held.landed)) == segments[1].body
    assert (held.batch, held.size, held.digest) == (1, len(segments[1].body), digest(segments[1]))
    assert [*data.objects.list("inbox/")] == []
    assert land(data.objects, 1, held.landed, segments[1].body, digest(segments[1])) is Landing.KNOWN
    assert commit_all(data) == [batch._replace(segments=0, rows={}, aside=())]
    assert [(entry["action"], entry["subject"]) for entry in Audit(data.objects).entries()] == [
        ("quarantine", "batch 0/1")
    ]


def digest(made):
    return hashlib.sha256(made.body).hexdigest()


def test_a_rebuild_leaves_out_what_was_set_aside(data, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        refusing(patch, "bad")
        land_all(data, good("a"), good("bad"))
        commit_all(data)
    fresh = open_data(str(tmp_path / "fresh"), lanes=1).tables
    rebuild(data.objects, 1, fresh)
    for name in KINDS:
        assert content(fresh, name) == content(data.tables, name)


def test_what_is_retried_after_an_upgrade_becomes_rows_once(data, monkeypatch, tmp_path):
    segments = [good("a"), good("bad")]
    with monkeypatch.context() as patch:
        refusing(patch, "bad")
        land_all(data, *segments)
        commit_all(data)
    (held,) = quarantine.held(data.objects)
    quarantine.retry(data.objects, Audit(data.objects), held, who="console")
    quarantine.retry(data.objects, Audit(data.objects), held, who="console")
    assert [batch.aside for batch in commit_all(data)] == [(), ()]
    assert sorted(rows_in_tables(data.tables)) == sorted(segments[0].rows | segments[1].rows)
    assert [*quarantine.held(data.objects)] == []
    quarantine.retry(data.objects, Audit(data.objects), held, who="console")
    assert [batch.rows for batch in commit_all(data)] == [{}]
    assert [*data.objects.list("inbox/")] == []
    fresh = open_data(str(tmp_path / "fresh"), lanes=1).tables
    rebuild(data.objects, 1, fresh)
    assert content(fresh, "labels") == content(data.tables, "labels")


def test_what_is_retried_in_vain_stays_with_the_latest_reason(data, monkeypatch):
    land_all(data, good("a"), good("bad"))
    refusing(monkeypatch, "bad")
    commit_all(data)
    (first,) = quarantine.held(data.objects)
    monkeypatch.setattr(DeltaTables, "files_of", lambda *_: (_ for _ in ()).throw(ValueError("another reason")))
    quarantine.retry(data.objects, Audit(data.objects), first, who="console")
    assert [(batch.number, batch.aside) for batch in commit_all(data)] == [(1, ())]
    (second,) = quarantine.held(data.objects)
    assert second.why == "ValueError: another reason"
    assert second._replace(why=first.why, at=first.at) == first
    assert [*data.objects.list("inbox/")] == []


def test_the_command_lists_what_is_held_and_has_it_tried_again(data, monkeypatch, tmp_path):
    def run(*options):
        result = CliRunner().invoke(main, ["collector", "quarantine", "--data", str(tmp_path / "data"), *options])
        assert result.exit_code == 0, result.output
        return result.output

    assert run() == "0 in quarantine\n"
    with monkeypatch.context() as patch:
        refusing(patch, "bad")
        land_all(data, good("bad"))
        commit_all(data)
    (held,) = map(json.loads, run("--json").splitlines())
    assert (held["device"], held["why"]) == ("bad", "OverflowError: a number that no column has")
    assert "bad" in run()
    assert "1 to be tried again" in run("--retry")
    commit_all(data)
    assert run("--json") == ""
    assert len(rows_in_tables(data.tables)) == 3


def test_segments_that_cannot_be_rows_together_are_rows_as_far_as_they_can(data, monkeypatch):
    refusing(monkeypatch, "b", "d", together=True)
    segments = {device: good(device) for device in "abcd"}
    land_all(data, *segments.values())
    (batch,) = commit_all(data)
    assert [aside.device for aside in batch.aside] == ["d"]
    assert {row[0] for row in rows_in_tables(data.tables)} == {"a", "b", "c"}


def test_a_check_in_that_cannot_be_a_row_is_set_aside(data):
    key = keys.check_in_key(0, "oven", "0" * 16 + "-" + "0" * 16 + "-" + "0" * 16)
    data.objects.put_new(key, check_in_bytes(CheckedIn("oven", "yesterday", (), {})))
    land_all(data, good("a"))
    (batch,) = commit_all(data)
    assert [aside.device for aside in batch.aside] == ["oven"]
    assert len(rows_in_tables(data.tables)) == 3
    assert data.objects.get(key) is None
    (held,) = quarantine.held(data.objects)
    quarantine.retry(data.objects, Audit(data.objects), held, who="console")
    assert [*quarantine.held(data.objects)] == []
    assert data.objects.get(key) is not None


def test_a_batch_that_another_edgerun_planned_waits_for_it(data, monkeypatch):
    land_all(data, good("a"), good("b"))
    with monkeypatch.context() as patch:
        patch.setattr(DeltaTables, "append_files", lambda *_: (_ for _ in ()).throw(StorageError("no")))
        with pytest.raises(StorageError):
            commit_all(data)
    assert parse_batch(data.objects.get(keys.batch_key(0, 1))).aside == ()
    with monkeypatch.context() as patch:
        refusing(patch, "b")
        with pytest.raises(ContentError, match="no column"):
            commit_all(data)
    commit_all(data)
    assert len(rows_in_tables(data.tables)) == 6


def test_erasing_a_device_removes_what_was_set_aside(data, monkeypatch):
    refusing(monkeypatch, "bad")
    land_all(data, good("a"), good("bad"))
    commit_all(data)
    erase_device(data, "bad", who="console")
    assert [*data.objects.list("quarantine/")] == []
    assert parse_batch(data.objects.get(keys.batch_key(0, 1))).aside == ()


# What takes too much room.


def test_a_text_that_many_rows_share_is_set_aside_where_it_would_take_too_much(data):
    """16 MB in every of 65,536 rows would be a terabyte."""
    land_all(data, wide(text="x" * 2**20), good("a"))
    (batch,) = commit_all(data)
    assert [aside.device for aside in batch.aside] == ["mill"]
    assert "columns" in batch.aside[0].why
    assert len(rows_in_tables(data.tables)) == 3
