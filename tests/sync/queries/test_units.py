"""Sums by unit and their moments: what the statistics of an experiment are fed with."""

from __future__ import annotations

from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
import pytest
from ibis import _

from edgerun_sync.errors import QueryError
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.quantiles import BELOW, COUNT
from edgerun_sync.queries.tables import EVENTS, ask
from edgerun_sync.queries.units import (
    exposures,
    moment_sums,
    moments,
    several_arms,
    unit_outcomes,
    unit_sums,
    with_before,
)
from support.recorded import DAY_US, START_US, WEIGHTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
VARIABLES = {"fallbacks": _.kind == "fallback", BELOW: _.latency_s <= 1e-4, COUNT: _.latency_s.notnull()}
MIDDLE = START_US + DAY_US


@pytest.fixture(scope="module")
def calls(frames):
    return frames["events"][frames["events"].kind.isin(["inference", "fallback"])]


def test_sums_of_units_are_those_of_pandas(engines, calls):
    found = engines.ask(unit_sums(VARIABLES), "arm", "unit")
    rows = calls.assign(fallbacks=calls.kind == "fallback", below=calls.latency_s <= 1e-4, count=1)
    truth = rows.groupby(["arm", "unit"])[["fallbacks", BELOW, COUNT]].sum()
    assert found[["fallbacks", BELOW, COUNT]].to_numpy().tolist() == truth.to_numpy().tolist()


def test_moments_are_those_of_numpy_on_both_engines(engines, calls):
    units = unit_sums({**VARIABLES, "latency_s": _.latency_s})
    names = ["fallbacks", "count", "latency_s"]
    rows = calls.assign(fallbacks=calls.kind == "fallback", count=1).groupby(["arm", "unit"])[names].sum()
    for engine in engines:
        found = moments(engine, units, names)
        assert found.keys() == WEIGHTS.keys()
        for arm, got in found.items():
            truth = moments_of({name: rows.loc[arm][name].to_numpy(float) for name in names})
            assert got.n == truth.n
            np.testing.assert_allclose(got.mean, truth.mean, rtol=1e-13)
            np.testing.assert_allclose(got.m2, truth.m2, rtol=1e-9, atol=1e-15)


def test_sums_of_whole_numbers_are_equal_to_the_last_bit(engines):
    units = unit_sums(VARIABLES)
    engines.ask(units.group_by("arm").agg(units.fallbacks.sum(), units[BELOW].sum()), "arm")


def test_units_first_met_their_arm_when_they_first_called(engines, calls):
    found = engines.ask(exposures(), "arm", "unit")
    truth = calls.groupby(["arm", "unit"]).time.agg(["min", "max", "count"])
    assert found[["first", "last", "calls"]].to_numpy().tolist() == truth.to_numpy().tolist()


def test_a_unit_in_two_arms_is_found(engines):
    moved = EVENTS.mutate(
        arm=ibis.ifelse((EVENTS.device == "device-00000") & (EVENTS.row < 3), "elsewhere", EVENTS.arm)
    )
    assert engines.ask(several_arms()).to_dict("records") == [{"units": 40, "in_several": 0}]
    assert engines.ask(several_arms(moved)).to_dict("records") == [{"units": 40, "in_several": 1}]


@pytest.mark.parametrize("window", [None, timedelta(days=1, minutes=1), timedelta(seconds=1)])
def test_outcomes_are_those_from_the_first_call_on_within_the_window(engines, calls, frames, window):
    found = engines.ask(unit_outcomes("sale", window=window), "arm", "unit", exactly=False)
    given = frames["labels"][(frames["labels"].kind == "outcome") & (frames["labels"].name == "sale")]
    of_call = given.id.map(calls.set_index("id").unit)
    sales = given.assign(unit=given.unit.fillna(of_call))
    first = calls.groupby(["arm", "unit"]).time.min()
    assert len(found) == len(first) == 40
    for row, ((arm, unit), begin) in zip(found.itertuples(), first.items(), strict=True):
        own = sales[(sales.unit == unit) & (sales.time >= begin)]
        own = own if window is None else own[own.time < begin + window]
        assert (row.arm, row.unit, row.outcomes, row.converted) == (arm, unit, len(own), int(len(own) > 0))
        assert row.total == pytest.approx(own.value.sum(), rel=1e-12)


def test_a_window_of_nothing_is_refused():
    with pytest.raises(QueryError, match="window"):
        unit_outcomes("sale", window=timedelta(0))


def test_covariates_are_what_was_before_and_0_where_nothing_was(engines, calls):
    middle = ibis.literal(pd.Timestamp(MIDDLE, unit="us", tz="UTC").to_pydatetime())
    before = unit_sums({"calls": _.latency_s.notnull()}, EVENTS.filter(EVENTS.time < middle), by=["unit"])
    before = before.filter(before.unit % 3 != 0)
    units = with_before(
        unit_sums({"calls": _.latency_s.notnull()}, EVENTS.filter(EVENTS.time >= middle)), before, ["calls"]
    )
    found = engines.ask(units, "arm", "unit")
    early = calls[calls.time < pd.Timestamp(MIDDLE, unit="us", tz="UTC")].groupby("unit").size()
    truth = [float(early[unit]) if np.fmod(unit, 3) != 0 else 0.0 for unit in found.unit]
    assert found.before_calls.tolist() == truth


def test_a_variable_that_is_not_there_is_named():
    with pytest.raises(QueryError, match="'speed'"):
        moment_sums(unit_sums(VARIABLES), ["speed"])


def test_what_reaches_python_is_a_row_for_each_arm(duck):
    assert ask(duck, moment_sums(unit_sums(VARIABLES), [COUNT])).num_rows == len(WEIGHTS)
