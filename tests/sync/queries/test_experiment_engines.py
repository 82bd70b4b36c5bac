"""The facts of an experiment are the same on DuckDB and on Sail: every kind of metric and unit, ramps, late labels."""

from __future__ import annotations

import pyarrow as pa
import pytest

from edgerun_sync.experiments.checks import findings_of
from edgerun_sync.experiments.declared import BEFORE
from edgerun_sync.experiments.facts_json import facts_document
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.experiment import experiment_facts
from support import experiment_rows as made

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


def facts_of(place, url, unit, versions):
    keys = made.KEYS if unit == "split_key" else None
    with open_engine(place, url) as engine:
        return experiment_facts(engine, made.plan_of(unit), "cards", versions, until=made.UNTIL, keys=keys)


def alike(one, other):
    """Whether two documents are equal; of numbers that are sums of floats, to some twelve digits."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float):
        return one == pytest.approx(other, rel=1e-11, abs=1e-11)
    return one == other


@pytest.mark.parametrize(
    ("unit", "phases"),
    [("split_key", 2), ("device", 2), ("request", 1)],  # of the last, every unit has one arm and version
)
def test_facts_are_the_same_on_both_engines(tmp_path, sail_url, unit, phases):
    tables = made.rows(unit)
    without = made.write(str(tmp_path / "without"), tables)
    labels = pa.concat_tables([tables["labels"], made.labels_of_no_call(tables["events"])])
    place = made.write(str(tmp_path / "data"), tables | {"labels": labels})
    duck, sail = (facts_of(place, url, unit, made.VERSIONS[:phases]) for url in (None, sail_url))
    ours, theirs = facts_document(duck), facts_document(sail)
    assert ours["provenance"].pop("queries").keys() == theirs["provenance"].pop("queries").keys()
    assert alike(ours, theirs)
    plain = facts_document(facts_of(without, None, unit, made.VERSIONS[:phases]))
    assert alike({**ours, "provenance": None}, {**plain, "provenance": None})  # labels of no call change nothing
    assert [found.sentence for found in findings_of(duck)] == [found.sentence for found in findings_of(sail)]
    assert len(duck.phases) == phases
    assert duck.models.classes == ("0", "1")
    assert duck.health.audited > 0 or unit == "device"
    for name in made.METRICS[unit]:
        found = duck.phases[0].moments.get(name) or duck.phases[0].estimates[name]
        assert found.keys() <= {*made.ARMS}
        assert "old" in found, name
    assert any(name.startswith(BEFORE) for name in duck.phases[0].moments["accuracy"]["old"].names) or unit == "request"
