"""What a step makes of a bundle's description and of a channel: pure, and true of every weight and every channel."""

from __future__ import annotations

import tomllib
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.errors import BundleError
from edgerun.graph import parse_graph
from edgerun.requirements import Requires
from edgerun.split import Split
from edgerun.update.channel import WHOLE_PPM, Channel, Release
from edgerun_bundles.experiment import versions
from edgerun_bundles.experiment.releases import in_use, replaced, stopped
from edgerun_bundles.repository.channels import keep_needed
from support import truths

DOCUMENT = {
    "format": 1,
    "name": "cards",
    "version": "1.0.0",
    "models": {arm: f"models/{arm}.onnx" for arm in truths.ARMS},
    "route": "ab",
    "nodes": tomllib.loads(truths.DEFINITION)["nodes"],
    "experiment": tomllib.loads(truths.DEFINITION)["experiment"],
}
WEIGHTS = st.fixed_dictionaries(
    {arm: st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=1000) for arm in truths.ARMS}
)
TRAFFIC = st.none() | st.integers(1, 1000).map(lambda permille: permille / 1000)


# Versions.


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(WEIGHTS, TRAFFIC), min_size=1, max_size=6))
def test_each_ramp_moves_what_it_must_and_nothing_else_of_the_description(steps):
    document = DOCUMENT
    for number, (weights, traffic) in enumerate(steps):
        change = versions.reweighted(document, f"1.0.{number + 1}", weights, traffic)
        assert change.after.split == change.before.split.reweight({arm: weights[arm] for arm in truths.ARMS})
        if traffic is None or traffic == change.before.traffic:
            assert change.moved == change.least
        assert change.moved >= change.least
        kept = {field for field in DOCUMENT if change.document[field] == document[field]}
        assert {*DOCUMENT} - kept <= {"version", "nodes"}
        document = change.document
    parse_graph("cards", document["nodes"], "ab", document["models"])
    assert versions.plan_of(document) == versions.plan_of(DOCUMENT)


@settings(max_examples=25)
@given(weights=WEIGHTS, traffic=TRAFFIC, keys=st.lists(st.text(max_size=8), max_size=20))
def test_whoever_stops_gives_every_key_to_the_control_and_whoever_promotes_to_the_arm(weights, traffic, keys):
    ramped = versions.reweighted(DOCUMENT, "1.0.1", weights, traffic).document
    back, further = versions.control_only(ramped, "a"), versions.promoted(ramped, "b", "challenger")
    for change, arm in ((back, "control"), (further, "challenger")):
        assert "experiment" not in change.document
        split = Split.from_dict(change.document["nodes"]["ab"]["split"])
        assert {split.assign(key) for key in keys} <= {arm}
        assert change.after.control == arm
    assert back.moved == back.least == Fraction(back.before.split.shares["challenger"]) * enrolled(back.before)
    assert back.moved + further.moved == 1


def enrolled(node):
    """The share of keys that take part: native/SPLIT.md, section 6."""
    return Fraction(int(Fraction(node.traffic) * 2**32 + Fraction(1, 2)), 2**32)


def test_who_is_held_out_keeps_the_control_when_an_arm_is_promoted():
    document = {**DOCUMENT, "holdout": {"name": "2026-h2", "share": "1/20", "split_key": "session"}}
    found = versions.promoted(document, "b", "challenger")
    assert found.document["holdout"] == document["holdout"]
    assert (found.after.control, found.after.traffic, found.after.layer) == ("control", 1.0, None)


def test_the_way_back_is_a_function_of_the_version_that_runs():
    one, other = (versions.control_only(DOCUMENT, "1.0.0-control").document for _ in range(2))
    assert one == other
    moved = versions.reweighted(DOCUMENT, "1.0.0", None, 0.5)
    assert versions.control_only(moved.document, "1.0.0-control").document != one


def test_a_description_that_came_from_is_left_as_it_was():
    before = repr(DOCUMENT)
    versions.control_only(DOCUMENT, "2")
    versions.promoted(DOCUMENT, "2", "challenger")
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    ("version", "taken", "following"),
    [
        ("1.1.0", (), "1.1.1"),
        ("1.1.9", (), "1.1.10"),
        ("1.1.0", ("1.1.1", "1.1.2"), "1.1.3"),
        ("1.1.0", ("1.1.1-control",), "1.1.2"),
        ("1.1.0-control", ("1.1.0",), "1.1.1"),
        ("candidate", (), "candidate.1"),
        ("2026-01-09", (), "2026-01-10"),
        ("1.0.0-rc", (), "1.0.0-rc.1"),
    ],
)
def test_the_next_version_is_the_next_number_that_nobody_has(version, taken, following):
    assert versions.next_version(version, taken) == following


def test_a_version_has_room_for_the_way_back_or_says_so():
    assert versions.control_version("1" * 56).endswith("1-control")
    with pytest.raises(BundleError, match="version"):
        versions.control_version("1" * 57)


# Channels.

RELEASES = st.builds(
    Release,
    st.sampled_from(["0", "1", "a", "b"]),
    st.sampled_from([0, 100_000, WHOLE_PPM]),
    st.sampled_from([(), ("lab",), ("lab", "shop")]),
    st.sampled_from([Requires(), Requires(edgerun="0.1")]),
)
CHANNELS = st.lists(RELEASES, max_size=6).map(lambda found: Channel("stable", "cards", tuple(found)))
EXPERIMENT = frozenset({"a", "b"})
"""The versions of an experiment, of those above."""
NEW = Release("new", requires=Requires(edgerun="0.1"))
DEVICES = [
    (groups, share, meets)
    for groups in (frozenset(), frozenset({"lab"}), frozenset({"shop"}), frozenset({"other"}))
    for share in (0, 1)
    for meets in (False, True)
]
"""In which groups, whether within a share of 10 %, and whether it meets what is required."""


def taken(channel, device):
    """The first release that is for a device: the three rules of bundles/REPOSITORY.md."""
    groups, is_within, meets = device
    for found in channel.releases:
        is_shared = found.share_ppm == WHOLE_PPM or (found.share_ppm > 0 and is_within)
        if (not found.groups or groups & {*found.groups}) and is_shared and (meets or not found.requires.edgerun):
            return found.version
    return None


@given(channel=CHANNELS)
def test_what_no_device_takes_is_not_in_use(channel):
    used = in_use(channel)
    for device in DEVICES:
        assert taken(channel, device) == taken(channel._replace(releases=used), device)


@given(channel=CHANNELS)
def test_after_stopping_no_device_takes_a_version_of_the_experiment_and_all_others_stay(channel):
    after = stopped(channel, EXPERIMENT, NEW)
    assert not {found.version for found in after.releases} & EXPERIMENT
    for device in DEVICES:
        before, now = taken(channel, device), taken(after, device)
        if before in EXPERIMENT and device[2]:
            assert now is not None
        if before is None and device[2] is False:
            assert now is None


@given(channel=CHANNELS)
def test_after_promoting_whoever_had_the_experiment_has_the_new_version(channel):
    after = replaced(channel, EXPERIMENT, NEW._replace(requires=Requires()))
    assert not {found.version for found in after.releases} & EXPERIMENT
    for device in DEVICES:
        if taken(channel, device) in EXPERIMENT:
            assert taken(after, device) in {"new", *(found.version for found in keep_needed([*after.releases]))}


def test_a_share_that_can_go_back_does_and_one_that_cannot_gets_the_control_whole():
    old, few = Release("0"), Release("a", 100_000)
    assert stopped(Channel("c", "b", (few, old)), EXPERIMENT, NEW).releases == (old,)
    assert stopped(Channel("c", "b", (few,)), EXPERIMENT, NEW).releases == (NEW,)
    lab = Release("a", WHOLE_PPM, ("lab",))
    assert stopped(Channel("c", "b", (lab, old)), EXPERIMENT, NEW).releases == (NEW._replace(groups=("lab",)), old)
    assert stopped(Channel("c", "b", (Release("b"), Release("a"))), EXPERIMENT, NEW).releases == (NEW,)
