"""What a policy keeps of times and latencies: never a later time, never a latency further off than it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.log.contents import latency_ns
from edgerun.log.policy import LogPolicy
from edgerun.log.rounding import rounded
from edgerun.log.rows import LATENCY_CODES, Kind
from support.logs import Row, batch_of
from vectors.log import log_reference as reference

KINDS = [Kind.CALL, Kind.SHADOW, Kind.ERROR, Kind.CAPTURE, Kind.LABEL]


def kept(rows, **policy):
    return rounded(batch_of(rows), LogPolicy(**policy))


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(-(2**40), 2**60)), min_size=1), st.integers(0, 20))
def test_times_of_runs_are_rounded_down_and_no_others(rows, power):
    batch = batch_of([Row(kind, time_us, difference=0.0) for kind, time_us in rows])
    found = rounded(batch, LogPolicy(time_step_us=2**power)).time_us.tolist()
    expected = [time_us >> power << power if kind in (Kind.CALL, Kind.SHADOW) else time_us for kind, time_us in rows]
    assert found == expected


@given(st.integers(0, 2**63 - 1), st.integers(4, 11))
def test_a_latency_is_off_by_no_more_than_the_bits_say(ns, bits):
    code = reference.latency_code(ns)
    batch = batch_of([Row(Kind.CALL, 0)])._replace(latency=np.array([code], np.uint32))
    found = rounded(batch, LogPolicy(latency_bits=bits)).latency
    assert int(found[0]) % 2 ** (11 - bits) == 0
    (read,) = latency_ns(found.astype(np.uint64)).tolist()
    assert abs(read - ns) <= max(ns, 1024) * (2.0**-bits + 2.0**-11)


@pytest.mark.parametrize("bits", range(4, 12))
def test_the_longest_latency_keeps_a_code_that_a_reader_takes(bits):
    batch = batch_of([Row(Kind.CALL, 0)])._replace(latency=np.array([LATENCY_CODES - 1], np.uint32))
    assert int(rounded(batch, LogPolicy(latency_bits=bits)).latency[0]) < LATENCY_CODES


def test_nine_bits_are_right_to_one_in_four_hundred():
    ns = np.unique(np.geomspace(1024, 2**40, 20_000).astype(np.int64))
    codes = np.array([reference.latency_code(int(value)) for value in ns], np.uint32)
    batch = batch_of([Row(Kind.CALL, i) for i in range(len(ns))])._replace(latency=codes)
    read = latency_ns(rounded(batch, LogPolicy()).latency.astype(np.uint64))
    assert (np.abs(read - ns) * 400 <= ns).all()
