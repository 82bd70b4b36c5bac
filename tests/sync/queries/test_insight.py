"""What a report says beside its verdict, asked of real tables, and computed from the rows by numpy and statsmodels."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar

from edgerun_sync.experiments.confusion import paired_names
from edgerun_sync.experiments.decay import decay
from edgerun_sync.experiments.drift import design_effect, psi_borders
from edgerun_sync.experiments.facts import ModelFacts
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.experiments.paired import PAIRED_WITH_BOTH, paired_contrast
from edgerun_sync.experiments.scorecard import scorecard
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.declared import calls_of
from edgerun_sync.queries.drift import drift_facts, profile_sample
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.experiment import Version, experiment_facts
from edgerun_sync.queries.keeping import Keeper
from edgerun_sync.queries.sampled import one_in, sampled_calls
from edgerun_sync.queries.tables import EVENTS, LABELS, ask
from edgerun_sync.report.text import text_report
from support import watched
from support.watched import ARMS, DAY_US, PLAN, SPLIT, UNTIL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


def asked(place, url=None):
    with open_engine(place, url) as engine:
        return experiment_facts(engine, PLAN, "cards", [Version("1.0.0", SPLIT)], until=UNTIL, keys=watched.KEYS)


@pytest.fixture(scope="module")
def calls():
    return watched.calls_of()


@pytest.fixture(scope="module")
def place_of_watched(tmp_path_factory, calls):
    folder = tmp_path_factory.mktemp("watched") / "data"
    watched.write(folder, calls)
    return str(folder)


@pytest.fixture(scope="module")
def facts(place_of_watched):
    return asked(place_of_watched)


def total(moments, name):
    return moments.mean_of(name) * moments.n


def sums(groups, values):
    return np.bincount(groups, values)


@pytest.mark.parametrize("arm", [0, 1])
def test_confidences_are_counted_by_bin_with_units_as_clusters(facts, calls, arm):
    own, has_label = calls.arm == arm, calls.truth >= 0
    place = np.minimum((calls.confidence * 20).astype(int), 19)
    found, all_ = facts.models.reliability[ARMS[arm]], facts.models.scores[ARMS[arm]]
    assert all_.weights.sum() == own.sum()
    assert all_.values @ all_.weights == pytest.approx(calls.confidence[own].sum())
    for bin_ in range(20):
        here = own & has_label & (place == bin_)
        by_unit = sums(calls.key[here], None)
        rights = sums(calls.key[here], calls.right[here].astype(float))
        theirs = (
            (by_unit > 0).sum(),
            here.sum(),
            calls.confidence[here].sum(),
            calls.right[here].sum(),
            (by_unit**2).sum(),
            (by_unit * rights).sum(),
            (rights**2).sum(),
        )
        assert [float(column[bin_]) for column in found] == pytest.approx([float(one) for one in theirs])


@pytest.mark.parametrize("arm", [0, 1])
def test_expected_accuracy_is_the_mean_confidence_beside_the_share_of_right_calls(facts, calls, arm):
    own, has_label = calls.arm == arm, calls.truth >= 0
    card = next(one for one in scorecard(facts).models if one.name == ARMS[arm])
    assert card.expected.expected.value == pytest.approx(calls.confidence[own].mean())
    assert card.expected.realised.value == pytest.approx(calls.right[own & has_label].mean())
    gap = calls.right[own & has_label].mean() - calls.confidence[own & has_label].mean()
    assert card.expected.gap.value == pytest.approx(gap)
    assert card.expected.corrected.value == pytest.approx(calls.confidence[own].mean() + gap)
    assert abs(card.recalibrated - calls.right[own & has_label].mean()) < abs(
        calls.confidence[own].mean() - calls.right[own & has_label].mean()
    )


@pytest.mark.parametrize("arm", [0, 1])
def test_accuracy_by_day_is_the_clustered_line_of_statsmodels(facts, calls, arm):
    own = (calls.arm == arm) & (calls.truth >= 0)
    age = calls.time_us[own] // DAY_US
    fit = sm.OLS(calls.right[own].astype(float), sm.add_constant(age.astype(float))).fit(
        cov_type="cluster", cov_kwds={"groups": calls.key[own], "use_correction": False}
    )
    found = decay(facts.models.decay[ARMS[arm]])
    units = facts.models.decay[ARMS[arm]].n
    assert [found.at_start.value, found.per_day.value] == pytest.approx(fit.params.tolist())
    assert found.per_day.standard_error == pytest.approx(fit.bse[1] * np.sqrt(units / (units - 1)))


def pairs_of(calls):
    both = (calls.shadow >= 0) & (calls.truth >= 0)
    return both, calls.right & both, (calls.shadow == calls.truth) & both


def test_shadows_are_pairs_of_labelled_calls_clustered_by_device(facts, calls):
    both, champion, shadow = pairs_of(calls)
    moments = facts.models.shadows["next at watch"]
    counts = ((champion & ~shadow).sum(), (shadow & ~champion).sum(), both.sum(), (champion & shadow).sum())
    assert moments.names == (*PAIRED_WITH_BOTH, *paired_names(("0", "1")))
    assert [total(moments, name) for name in PAIRED_WITH_BOTH] == pytest.approx([float(n) for n in counts])
    assert moments.n == len({*calls.device[both].tolist()})
    by_device = [
        sums(calls.device[both], part[both].astype(float)) for part in (shadow & ~champion, champion & ~shadow)
    ]
    held = sums(calls.device[both], None) > 0
    covariance = np.cov(by_device[0][held], by_device[1][held])
    surplus, control = PAIRED_WITH_BOTH[1], PAIRED_WITH_BOTH[0]
    assert moments.select([surplus, control]).covariance() == pytest.approx(covariance)


def test_the_card_of_a_shadow_has_the_mcnemar_of_statsmodels_and_the_measures_of_both_models(facts, calls):
    both, champion, shadow = pairs_of(calls)
    card = next(one for one in scorecard(facts).models if one.is_shadow)
    b, c = int((champion & ~shadow).sum()), int((shadow & ~champion).sum())
    exact = mcnemar([[0, b], [c, 0]], exact=True).pvalue
    assert card.mcnemar.p_value == pytest.approx(exact, abs=0.01)
    assert (card.pairs, card.devices) == (both.sum(), len({*calls.device[both].tolist()}))
    assert card.effect.contrast.control == pytest.approx(champion[both].mean())
    assert card.effect.contrast.treatment == pytest.approx(shadow[both].mean())
    truth, said, watched_ = calls.truth[both], calls.said[both], calls.shadow[both]
    recall = (watched_ == truth)[truth == 1].mean() - (said == truth)[truth == 1].mean()
    assert card.differences["recall_1"].value == pytest.approx(recall)
    assert card.effect.sequential.low < card.effect.fixed.low < card.effect.fixed.high < card.effect.sequential.high


def test_the_variance_of_a_shadows_contrast_is_that_of_its_devices(facts, calls):
    both, champion, shadow = pairs_of(calls)
    found = paired_contrast(facts.models.shadows["next at watch"])
    device = calls.device[both]
    gap = (shadow.astype(float) - champion)[both]
    held = sums(device, None) > 0
    n = held.sum()
    residual = sums(device, gap - gap.mean())[held]
    assert found.variance == pytest.approx(n / (n - 1) * (residual**2).sum() / both.sum() ** 2)
    base = sums(device, champion[both] - champion[both].mean())[held]
    assert found.base_variance == pytest.approx(n / (n - 1) * (base**2).sum() / both.sum() ** 2)
    assert found.base_covariance == pytest.approx(n / (n - 1) * (base * residual).sum() / both.sum() ** 2)


def test_matrices_and_labels_by_phase_are_in_the_report(facts, calls):
    seen = (calls.arm == 1) & (calls.truth == 0) & (calls.said == 1)
    assert total(facts.models.cells["challenger"], "cell_0_1") == pytest.approx(seen.sum())
    said = " ".join(text_report(scorecard(facts)).split())
    own = calls.arm == 0
    assert f"{(own & (calls.truth >= 0)).sum():,} of {own.sum():,}" in said
    for part in ("What challenger takes for what", "Confidence", "Accuracy by day", "Shadows", "amount moved since"):
        assert part in said


def column(facts, name):
    return next(one for one in facts.drift if one.name.startswith(name))


def test_drift_compares_the_last_week_with_the_one_before_and_knows_that_devices_differ(facts):
    names = [one.name for one in facts.drift]
    assert names == [f"{name}, since the week before" for name in ("amount", "hour", "merchant", "y of control")]
    found = column(facts, "amount")
    weeks = [np.concatenate([watched.amounts(device, week) for device in range(watched.DEVICES)]) for week in (0, 1)]
    for side, values in zip((found.reference, found.current), weeks, strict=True):
        assert side.weights.sum() == values.size
        assert side.values @ side.weights / values.size == pytest.approx(values.mean(), rel=0.01)
        assert np.sort(values.ravel()) == pytest.approx(np.repeat(side.values, side.weights.astype(int)), rel=0.01)
    borders = psi_borders(found.reference)
    rows = [
        np.bincount(np.searchsorted(borders, watched.amounts(device, 0).ravel()), minlength=len(borders) + 1)
        for device in range(watched.DEVICES)
    ]
    assert found.design_effects[0].mean == pytest.approx(design_effect(rows).mean, rel=0.1)
    cards = {card.name.partition(",")[0]: card for card in scorecard(facts).drift}
    assert [name for name, card in cards.items() if any(one.drifted for one in card.measures)] == ["amount"]
    assert [one.measure for one in cards["merchant"].measures] == ["psi"]


def test_texts_are_counted_by_category_on_both_sides(facts):
    found = column(facts, "merchant")
    texts = [text for device in range(watched.DEVICES) for text in watched.merchants(device, 0)]
    counts = dict(zip(found.reference.values.tolist(), found.reference.weights.tolist(), strict=True))
    assert [counts[number] for number in (1.0, 2.0, 3.0)] == [texts.count(text) for text in "abc"]
    assert found.kind == "texts"


def test_in_the_first_week_there_is_nothing_to_compare_with(place_of_watched):
    with open_engine(place_of_watched) as engine:
        early = drift_facts(engine, "cards", ["1.0.0"], ARMS, watched.BEGIN + timedelta(days=5))
        none = drift_facts(engine, "cards", ["1.0.0"], ARMS, watched.BEGIN)
    assert none == ()
    assert [one.reference.weights.sum() for one in early] == [0, 0, 0, 0]


def test_profiles_are_drawn_at_their_limit_and_columns_end_at_theirs(place_of_watched, monkeypatch):
    with open_engine(place_of_watched) as engine:
        rows = {most: ask(engine, profile_sample("cards", UNTIL, most)).num_rows for most in (47, 48, 49)}
        for most, expected in ((3, 3), (4, 4), (5, 4)):
            monkeypatch.setattr("edgerun_sync.queries.drift.LIMITS", LIMITS._replace(drift_columns_max=most))
            assert len(drift_facts(engine, "cards", ["1.0.0"], ARMS, UNTIL)) == expected
    assert rows == {47: 47, 48: 48, 49: 48}


def test_calls_are_drawn_one_past_their_limit_by_whole_units(place_of_watched, calls, monkeypatch):
    most = len(calls.key)
    assert [one_in(rows, most) for rows in (0, most, most + 1, 2 * most, 2 * most + 1)] == [1, 1, 2, 2, 4]
    monkeypatch.setattr("edgerun_sync.queries.experiment_models.one_in", lambda rows: one_in(rows, most - 1))
    monkeypatch.setattr("edgerun_sync.queries.shadows.one_in", lambda rows: one_in(rows, 500))
    found = asked(place_of_watched).models
    drawn = (watched.units() & 1 == 0)[calls.key]
    assert (found.one_in, found.shadow_one_in) == (2, 2)
    for arm, name in enumerate(ARMS):
        assert found.scores[name].weights.sum() == (drawn & (calls.arm == arm)).sum()
        labelled = drawn & (calls.arm == arm) & (calls.truth >= 0)
        assert total(found.decay[name], "calls") == pytest.approx(labelled.sum())
    both, _, _ = pairs_of(calls)
    even = np.arange(most) % 2 == 0
    assert total(found.shadows["next at watch"], "pairs") == pytest.approx((both & even).sum())


def test_both_engines_give_the_same_facts_and_json_keeps_them(place_of_watched, facts, sail_url):
    other = asked(place_of_watched, sail_url)
    for field in ("cells", "expected", "shadows", "decay"):
        one, two = getattr(facts.models, field), getattr(other.models, field)
        assert one.keys() == two.keys()
        for name, moments in one.items():
            assert moments.n == two[name].n
            assert moments.mean == pytest.approx(two[name].mean, rel=1e-12)
            assert moments.m2 == pytest.approx(two[name].m2, rel=1e-9, abs=1e-9)
    for name, bins in facts.models.reliability.items():
        assert np.array(bins) == pytest.approx(np.array(other.models.reliability[name]), rel=1e-12)
    assert [plain(one) for one in facts.drift] == [plain(one) for one in other.drift]
    document = facts_document(facts)
    assert facts_document(parse_facts(document, "the test")) == document
    assert text_report(scorecard(parse_facts(document, "the test"))) == text_report(scorecard(facts))


def plain(one):
    sides = [(side.values.tolist(), side.weights.tolist(), side.missing) for side in (one.reference, one.current)]
    return one.name, one.kind, sides, one.design_effects


def test_a_plan_without_labels_asks_nothing_of_models(place_of_watched):
    plan = PLAN._replace(primary="slow", metrics={"slow": PLAN.metrics["slow"]}, guardrails={})
    with open_engine(place_of_watched) as engine:
        found = experiment_facts(engine, plan, "cards", [Version("1.0.0", SPLIT)], until=UNTIL)
    assert found.models == ModelFacts()
    assert len(found.drift) == 4


def test_requests_are_drawn_by_their_numbers(place_of_watched, calls):
    plan = PLAN._replace(unit="request")
    with open_engine(place_of_watched) as engine:
        asked_of = calls_of(plan, "cards", ["1.0.0"], EVENTS)
        units = asked_of.select("unit", "arm")
        rows = sampled_calls(Keeper(engine), plan, asked_of, LABELS, units, watched.BEGIN, 4)
        found = ask(engine, rows)
    assert found.num_rows == (np.arange(len(calls.key)) % 4 == 0).sum()
    assert found["truth"].null_count == (calls.truth[::4] < 0).sum()
