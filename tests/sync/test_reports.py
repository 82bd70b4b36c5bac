"""What the process that commits tells the one that serves comes across as it was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.collector.batches import Aside
from edgerun_sync.collector.committing import Committed
from edgerun_sync.collector.reports import Compacted, Ready, Unable, Waiting, parse_report, report_line
from edgerun_sync.errors import CollectorError

COUNTS = st.integers(0, 2**62)
BY_TABLE = st.dictionaries(st.text(max_size=9), COUNTS, max_size=4)
ASIDE = st.builds(Aside, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
REPORTS = st.one_of(
    st.builds(Committed, COUNTS, COUNTS, COUNTS, BY_TABLE, COUNTS, st.lists(ASIDE, max_size=3).map(tuple)),
    st.builds(Compacted, BY_TABLE, BY_TABLE),
    st.builds(Waiting, COUNTS, COUNTS),
    st.builds(Ready),
    st.builds(Unable, st.text()),
)


@given(REPORTS)
def test_a_report_is_one_line_and_comes_back(report):
    line = report_line(report)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse_report(line) == report
    assert type(parse_report(line)) is type(report)


@pytest.mark.parametrize("line", [b"", b"warning: something", b"[]", b'["Nothing"]', b'["Waiting",1]', b"7", b"\xff"])
def test_what_is_no_report_is_refused(line):
    with pytest.raises(CollectorError, match="no report"):
        parse_report(line)
