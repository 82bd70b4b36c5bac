from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.agent.waiting import RETRY_AFTER_MAX_S, WAIT_MAX_S, Verdict, verdict, wait_s

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ((200, 201, 204), Verdict.DONE),
        ((401, 403), Verdict.LOCKED_OUT),
        ((409, 413, 415, 422), Verdict.REFUSED),
        ((301, 302, 307, 400, 404, 408, 429, 500, 502, 503, 504, 600), Verdict.LATER),
    ],
)
def test_an_answer_asks_for_one_thing(statuses, wanted):
    assert {verdict(status) for status in statuses} == {wanted}


@given(st.integers(1, 10_000), st.integers())
def test_a_wait_is_anything_up_to_one_that_doubles(failures, seed):
    waited = wait_s(failures, None, NOW, random.Random(seed))
    assert 0 <= waited <= min(WAIT_MAX_S, 2.0 ** min(failures - 1, 20))


def test_waits_use_their_whole_range():
    chance = random.Random(1)
    waits = [wait_s(5, None, NOW, chance) for _ in range(2000)]
    assert min(waits) < 0.5 < 15.5 < max(waits) <= 16
    assert 7.5 < sum(waits) / len(waits) < 8.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("17", 17), (" 5 ", 5), ("Mon, 23 Nov 2026 12:01:00 GMT", 60), ("999999999", RETRY_AFTER_MAX_S)],
)
def test_what_the_service_asks_is_kept_to_and_spread(text, seconds):
    assert seconds <= wait_s(1, text, NOW, random.Random(3)) <= seconds * 1.25


@pytest.mark.parametrize("text", [None, "", "soon", "-5", "1e9", "٣", "Mon, 99 Nov 2026 12:01:00 GMT", "9" * 40])
def test_what_makes_no_sense_is_passed_over(text):
    assert wait_s(1, text, NOW, random.Random(3)) <= 1


def test_a_date_that_is_over_asks_for_no_wait():
    assert wait_s(9, "Mon, 23 Nov 2026 11:00:00 GMT", NOW, random.Random(3)) == 0
