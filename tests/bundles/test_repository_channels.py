"""Channels: what a release, a ramp, a withdrawal and a promotion make of the document that devices choose by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.requirements import Machine, Requires
from edgerun.update.channel import WHOLE_PPM, Channel, Release, choose, parse_channel, write_channel
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository import channels
from edgerun_bundles.repository.channels import keep_needed
from edgerun_bundles.repository.drafting import Draft
from support.publishers import Client, files_in, laid

PC = Machine("9", "9", "x86_64", frozenset({"avx2"}), 2**30)


@pytest.fixture
def shop(workplace, tmp_path):
    """A repository with four versions; the third needs a machine that is rare."""
    for number in range(4):
        more = {"requires": {"arch": ["riscv64"]}} if number == 2 else {}
        workplace.push(laid(tmp_path, f"1.{number}.0", 2.0 + number, **more))
    return workplace


def release(shop, version, **more):
    return shop.change(lambda draft: channels.release(shop.source, draft, "stable", "toy", version, **more))


def taken(channel, device="d1", groups=(), machine=PC):
    found = choose(channel, device, groups, machine)
    return found.version if found else None


def test_a_release_reaches_those_whom_it_is_for(shop):
    assert taken(release(shop, "1.0.0")) == "1.0.0"
    lab = release(shop, "1.1.0", groups=("lab",))
    assert (taken(lab), taken(lab, groups=("lab", "x"))) == ("1.0.0", "1.1.0")


def test_a_client_reads_the_document_that_was_published(shop, tmp_path):
    document = release(shop, "1.0.0", share_ppm=250_000)
    client = Client(tmp_path / "client", shop.root, files_in(tmp_path / "repository"))
    assert parse_channel(client.blob("channels/stable/toy")) == document


def test_what_a_version_needs_stands_in_the_document(shop):
    release(shop, "1.0.0")
    document = release(shop, "1.2.0")
    assert document.releases[0].requires == Requires(arch=("riscv64",))
    assert taken(document) == "1.0.0"
    assert taken(document, machine=PC._replace(arch="riscv64")) == "1.2.0"


def test_a_ramp_keeps_its_place_and_its_devices(shop):
    release(shop, "1.0.0")
    release(shop, "1.1.0", share_ppm=0)
    before: set[str] = set()
    for share in (100_000, 500_000, WHOLE_PPM):
        document = release(shop, "1.1.0", share_ppm=share)
        assert [found.version for found in document.releases] == ["1.1.0", "1.0.0"]
        reached = {device for device in map(str, range(400)) if taken(document, device) == "1.1.0"}
        assert before <= reached
        assert abs(len(reached) / 400 - share / WHOLE_PPM) < 0.1
        before = reached


def test_a_release_to_a_group_and_one_to_all_are_two(shop):
    release(shop, "1.1.0", groups=("lab",))
    document = release(shop, "1.1.0", share_ppm=10)
    assert [(found.groups, found.share_ppm) for found in document.releases] == [((), 10), (("lab",), WHOLE_PPM)]
    document = release(shop, "1.1.0", share_ppm=5, groups=("lab",))
    assert [(found.groups, found.share_ppm) for found in document.releases] == [((), 10), (("lab",), 5)]


def test_what_no_device_can_need_any_more_goes(shop):
    release(shop, "1.0.0")
    release(shop, "1.1.0", share_ppm=10_000)
    release(shop, "1.1.0")
    document = release(shop, "1.3.0")
    assert [found.version for found in document.releases] == ["1.3.0", "1.1.0"]


RELEASES = st.lists(
    st.builds(
        Release,
        st.sampled_from(["1", "2", "3", "4"]),
        st.sampled_from([0, 500_000, WHOLE_PPM]),
        st.sampled_from([(), ("lab",)]),
        st.sampled_from([Requires(), Requires(arch=("riscv64",))]),
    ),
    max_size=8,
    unique_by=lambda release: (release.version, release.groups),
)


@given(
    RELEASES, st.sampled_from(["a", "b", "c"]), st.sampled_from([(), ("lab",)]), st.sampled_from(["x86_64", "riscv64"])
)
def test_dropping_releases_changes_what_no_device_takes_nor_what_it_falls_back_to(releases, device, groups, arch):
    whole, kept = (Channel("stable", "toy", tuple(found)) for found in (releases, keep_needed(releases)))
    machine = PC._replace(arch=arch)
    first = choose(whole, device, groups, machine)
    assert choose(kept, device, groups, machine) == first
    if first is not None:

        def is_first(version: str) -> bool:
            return version == first.version

        assert choose(kept, device, groups, machine, is_first) == choose(whole, device, groups, machine, is_first)


RISCV = Requires(arch=("riscv64",))


@pytest.mark.parametrize(
    ("releases", "kept"),
    [
        ([Release("3", requires=RISCV), Release("2", requires=RISCV), Release("1", requires=RISCV)], "32"),
        ([Release("3", requires=RISCV), Release("2", requires=RISCV), Release("1")], "321"),
        ([Release("3"), Release("2", requires=RISCV), Release("1", requires=RISCV)], "32"),
        ([Release("2"), Release("2"), Release("1")], "221"),
        ([Release("2"), Release("2", groups=("lab",)), Release("1")], "221"),
        ([Release("3", groups=("lab",)), Release("2", groups=("lab",)), Release("1", groups=("lab",))], "32"),
        ([Release("3", 10), Release("2", 10), Release("1", 10)], "321"),
    ],
)
def test_a_release_goes_when_all_of_its_devices_take_two_other_versions_first(releases, kept):
    assert "".join(found.version for found in keep_needed(releases)) == kept


def test_a_withdrawn_release_leaves_the_one_below(shop):
    release(shop, "1.0.0")
    release(shop, "1.1.0")
    document = shop.change(lambda draft: channels.withdraw(shop.source, draft, "stable", "toy", "1.1.0"))
    assert taken(document) == "1.0.0"
    with pytest.raises(RepositoryError, match=r"does not give toy 1\.1\.0"):
        shop.change(lambda draft: channels.withdraw(shop.source, draft, "stable", "toy", "1.1.0"))


def test_a_version_that_a_channel_gives_cannot_leave_the_list(shop):
    release(shop, "1.0.0")
    with pytest.raises(RepositoryError, match="the channel stable gives"):
        shop.change(lambda draft: channels.withdraw_everywhere(shop.source, draft, "toy", "1.0.0"))
    shop.change(lambda draft: channels.withdraw_everywhere(shop.source, draft, "toy", "1.1.0"))
    with pytest.raises(RepositoryError, match="is not published"):
        shop.change(lambda draft: channels.withdraw_everywhere(shop.source, draft, "toy", "1.1.0"))


def test_a_promotion_needs_the_version_in_the_first_channel(shop):
    def promote(draft):
        return channels.promote(shop.source, draft, "toy", "1.0.0", source="canary", target="stable", share_ppm=5)

    with pytest.raises(RepositoryError, match="the channel canary does not give"):
        shop.change(promote)
    shop.change(lambda draft: channels.release(shop.source, draft, "canary", "toy", "1.0.0"))
    assert shop.change(promote) == Channel("stable", "toy", (Release("1.0.0", 5),))
    listed = channels.channels_of(Draft(shop.read()))
    assert listed == [("canary", "toy"), ("stable", "toy")]


@pytest.mark.parametrize(
    ("version", "more", "said"),
    [
        ("9.9.9", {}, "is not published; push it first"),
        ("1.0.0", {"share_ppm": WHOLE_PPM + 1}, "share_ppm"),
        ("1.0.0", {"groups": ("A b",)}, "groups"),
        ("1.0.0", {"groups": ("a", "a")}, "twice"),
    ],
)
def test_a_release_that_is_none_is_refused(shop, version, more, said):
    before = shop.read().versions
    with pytest.raises(RepositoryError, match=said):
        release(shop, version, **more)
    assert shop.read().versions == before


def test_a_channel_takes_so_many_releases_and_no_more(shop):
    draft = Draft(shop.read())
    for number in range(DEVICE_LIMITS.channel_releases_max):
        channels.release(shop.source, draft, "stable", "toy", "1.0.0", groups=(f"g{number}",))
    with pytest.raises(RepositoryError, match="at most 64; withdraw what nobody needs"):
        channels.release(shop.source, draft, "stable", "toy", "1.0.0", groups=("one-more",))
    document = channels.read_channel(shop.source, draft, "stable", "toy")
    assert parse_channel(write_channel(document)) == document


@pytest.mark.parametrize("channel", ["", "Stable", "a/b", "../x"])
def test_a_channel_has_a_name_like_a_bundle(shop, channel):
    with pytest.raises(RepositoryError, match="must match"):
        shop.change(lambda draft: channels.release(shop.source, draft, channel, "toy", "1.0.0"))


def test_a_document_of_another_channel_is_refused(shop):
    release(shop, "1.0.0")

    def forge(draft):
        role = draft.role("channel-stable")
        target = role.targets["channels/stable/toy"]
        other = draft.blob(write_channel(Channel("canary", "toy", ())))
        target.hashes["sha256"], target.length = other.removeprefix("sha256:"), len(draft.blobs[other])

    shop.change(forge)
    with pytest.raises(RepositoryError, match="that of another channel"):
        channels.read_channel(shop.source, Draft(shop.read()), "stable", "toy")
