"""The channel document: one text for one document, read strictly, and chosen from as REPOSITORY.md says."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import UpdateError
from edgerun.limits import LIMITS
from edgerun.requirements import Machine, Requires
from edgerun.update.channel import (
    WHOLE_PPM,
    Channel,
    Release,
    bundle_role,
    bundle_target,
    channel_role,
    channel_target,
    check_group,
    choose,
    parse_channel,
    refusals,
    write_channel,
)

MACHINE = Machine("0.1.0", "1.29.0", "x86_64", frozenset({"avx2"}), 2**30)

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}", fullmatch=True)
devices = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
words = st.lists(st.from_regex(r"[!-~]{1,64}", fullmatch=True), max_size=3).map(tuple)
requirements = st.builds(
    Requires,
    edgerun=st.none() | st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,9}){0,4}", fullmatch=True),
    onnxruntime=st.none() | st.just("1.24"),
    arch=words,
    cpu=words,
    memory_bytes=st.none() | st.integers(1, 2**50),
)
releases = st.builds(
    Release,
    version=versions,
    share_ppm=st.integers(0, WHOLE_PPM),
    groups=st.lists(names, max_size=3, unique=True).map(tuple),
    requires=requirements,
)
channels = st.builds(Channel, channel=names, bundle=names, releases=st.lists(releases, max_size=4).map(tuple))

EXAMPLE = (
    b'{"bundle":"cards","channel":"stable","format":1,"releases":['
    b'{"groups":["lab"],"requires":{"edgerun":"0.1"},"share_ppm":1000000,"version":"1.3.0"},'
    b'{"groups":[],"requires":{},"share_ppm":250000,"version":"1.2.1"},'
    b'{"groups":[],"requires":{},"share_ppm":1000000,"version":"1.2.0"}]}'
)
"""The one of bundles/REPOSITORY.md."""


def in_share(device: str, bundle: str, version: str, share_ppm: int) -> bool:
    """The rule as REPOSITORY.md writes it, with another implementation of the hash."""
    seed = xxhash.xxh64_intdigest(f"{bundle}/{version}/rollout".encode(), 42)
    point = xxhash.xxh64_intdigest(device.encode(), seed) >> 32
    exact = Fraction(share_ppm * 2**32, WHOLE_PPM)
    return point < (exact + Fraction(1, 2)).__floor__()


# The document.


def test_the_example_of_the_format_is_read_and_written_back_byte_for_byte():
    channel = parse_channel(EXAMPLE)
    assert channel == Channel(
        "stable",
        "cards",
        (Release("1.3.0", WHOLE_PPM, ("lab",), Requires(edgerun="0.1")), Release("1.2.1", 250_000), Release("1.2.0")),
    )
    assert write_channel(channel) == EXAMPLE


@given(channels)
def test_what_is_written_is_read_back_the_same(channel):
    assert parse_channel(write_channel(channel)) == channel


@given(st.data())
def test_any_other_byte_is_refused_or_says_something_else(data):
    position = data.draw(st.integers(0, len(EXAMPLE) - 1))
    raw = bytearray(EXAMPLE)
    raw[position] ^= data.draw(st.integers(1, 255))
    try:
        found = parse_channel(bytes(raw))
    except UpdateError:
        return
    assert found != parse_channel(EXAMPLE)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_an_error_of_ours(raw):
    with pytest.raises(UpdateError):
        parse_channel(raw if isinstance(raw, bytes) else raw.encode())


def changed(path, value):
    document = json.loads(EXAMPLE)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["format"], 2, "format 2"),
        (["format"], True, "format True"),
        (["format"], None, "'format' is missing"),
        (["more"], 1, "unknown field 'more'"),
        (["bundle"], "Cards", "name must match"),
        (["channel"], "../x", "channel or group must match"),
        (["releases"], {}, "'releases' must be a list"),
        (["releases", 1], 7, "release 1 must be an object"),
        (["releases", 1, "share_ppm"], -1, "release 1: 'share_ppm'"),
        (["releases", 1, "share_ppm"], WHOLE_PPM + 1, "release 1: 'share_ppm'"),
        (["releases", 1, "share_ppm"], True, "release 1: 'share_ppm'"),
        (["releases", 1, "share_ppm"], "1", "release 1: 'share_ppm'"),
        (["releases", 1, "share_ppm"], None, "release 1: the field 'share_ppm' is missing"),
        (["releases", 1, "who"], "all", "release 1: unknown field 'who'"),
        (["releases", 1, "groups"], "lab", "release 1: 'groups'"),
        (["releases", 1, "groups"], ["Lab"], "release 1: 'groups'"),
        (["releases", 1, "groups"], [["lab"]], "release 1: 'groups'"),
        (["releases", 1, "groups"], ["lab", "lab"], "release 1: a group stands twice"),
        (["releases", 1, "version"], "1.0/2", "release 1: a bundle's version"),
        (["releases", 1, "requires"], {"gpu": 1}, "release 1: 'requires': unknown field 'gpu'"),
        (["releases", 1, "requires"], [], "release 1: 'requires' must be an object"),
    ],
)
def test_a_wrong_field_is_refused_by_its_place(path, value, told):
    with pytest.raises(UpdateError, match=told):
        parse_channel(changed(path, value))


def test_the_same_document_in_another_text_is_refused():
    with pytest.raises(UpdateError, match="canonical"):
        parse_channel(EXAMPLE.replace(b",", b", "))


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(UpdateError, match="stands twice"):
        parse_channel(EXAMPLE.replace(b'"format":1', b'"format":1,"format":1'))


def test_channel_releases_max_is_the_most_that_a_document_holds():
    most = Channel("stable", "cards", (Release("1"),) * LIMITS.channel_releases_max)
    assert parse_channel(write_channel(most)) == most
    with pytest.raises(UpdateError, match=f"at most {LIMITS.channel_releases_max}"):
        write_channel(most._replace(releases=(*most.releases, Release("1"))))


def test_channel_max_bytes_is_the_most_that_a_document_takes():
    raw = write_channel(Channel("stable", "cards"))
    assert parse_channel(raw, LIMITS._replace(channel_max_bytes=len(raw)))
    with pytest.raises(UpdateError, match=f"larger than {len(raw) - 1} bytes"):
        parse_channel(raw, LIMITS._replace(channel_max_bytes=len(raw) - 1))


@pytest.mark.parametrize(
    "release", [Release(""), Release("1", -1), Release("1", 0.5), Release("1", requires=Requires(edgerun=""))]
)
def test_a_wrong_release_is_not_written(release):
    with pytest.raises(UpdateError):
        write_channel(Channel("stable", "cards", (release,)))


# Who gets what.


@given(devices, names, versions, st.integers(0, WHOLE_PPM))
def test_a_device_is_in_a_share_by_the_rule_of_the_format(device, bundle, version, share_ppm):
    channel = Channel("stable", bundle, (Release(version, share_ppm),))
    chosen = choose(channel, device, (), MACHINE)
    assert (chosen is not None) is in_share(device, bundle, version, share_ppm)


@given(devices, names, versions, st.integers(0, WHOLE_PPM), st.integers(0, WHOLE_PPM))
def test_a_share_that_grows_keeps_the_devices_that_it_had(device, bundle, version, one, other):
    few, many = (Channel("stable", bundle, (Release(version, share),)) for share in sorted((one, other)))
    if choose(few, device, (), MACHINE):
        assert choose(many, device, (), MACHINE)


@given(devices)
def test_no_share_is_nobody_and_the_whole_share_is_everybody(device):
    assert choose(Channel("stable", "cards", (Release("1", 0),)), device, (), MACHINE) is None
    assert choose(Channel("stable", "cards", (Release("1", WHOLE_PPM),)), device, (), MACHINE)


def test_a_share_takes_about_that_many_devices_and_each_version_begins_with_others():
    fleet = [f"device-{number}" for number in range(4000)]

    def taken(version):
        channel = Channel("stable", "cards", (Release(version, 250_000),))
        return {device for device in fleet if choose(channel, device, (), MACHINE)}

    first, second = taken("1.0"), taken("1.1")
    assert 900 < len(first) < 1100
    assert 900 < len(second) < 1100
    assert 180 < len(first & second) < 320  # a quarter of a quarter: they have nothing to do with each other


def test_the_first_release_that_is_for_a_device_is_taken():
    channel = parse_channel(EXAMPLE)
    assert choose(channel, "d", ("lab", "north"), MACHINE).version == "1.3.0"
    inside = next(f"d{n}" for n in range(100) if in_share(f"d{n}", "cards", "1.2.1", 250_000))
    outside = next(f"d{n}" for n in range(100) if not in_share(f"d{n}", "cards", "1.2.1", 250_000))
    assert choose(channel, inside, ("north",), MACHINE).version == "1.2.1"
    assert choose(channel, outside, (), MACHINE).version == "1.2.0"


def test_a_machine_that_lacks_something_takes_the_next_release():
    channel = Channel("stable", "cards", (Release("2", requires=Requires(cpu=("avx512f",))), Release("1")))
    assert choose(channel, "d", (), MACHINE).version == "1"
    assert choose(channel, "d", (), MACHINE._replace(cpu=frozenset({"avx512f"}))).version == "2"


def test_a_version_that_is_known_as_bad_is_passed_over():
    channel = Channel("stable", "cards", (Release("2"), Release("1")))
    assert choose(channel, "d", (), MACHINE, is_bad=lambda version: version == "2").version == "1"
    assert choose(channel, "d", (), MACHINE, is_bad=lambda version: True) is None


def test_a_channel_without_releases_leaves_everybody_alone():
    assert choose(Channel("stable", "cards"), "d", (), MACHINE) is None


def test_each_reason_why_a_device_does_not_get_a_release_is_told():
    release = Release("2", 0, ("lab",), Requires(cpu=("avx512f",)))
    told = refusals(Channel("stable", "cards", (release,)), release, "d", ("north",), MACHINE)
    assert told == [
        "it is for lab",
        "it is for 0 of a million devices, and this is not one of them",
        "it needs a CPU with avx512f",
    ]


# Names.


def test_paths_and_roles_are_those_of_the_format():
    assert bundle_target("cards", "1.2.0") == "bundles/cards/1.2.0"
    assert channel_target("stable", "cards") == "channels/stable/cards"
    assert (bundle_role("cards"), channel_role("stable")) == ("bundle-cards", "channel-stable")


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a" * 65, 7, None])
def test_a_wrong_name_of_a_group_is_refused(name):
    with pytest.raises(UpdateError, match="channel or group"):
        check_group(name)


def test_a_right_name_of_a_group_comes_back():
    assert check_group("lab-2") == "lab-2"
