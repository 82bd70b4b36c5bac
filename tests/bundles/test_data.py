"""Data is known by all of its content; rows and columns of its tables are counted."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.data import describe_data
from edgerun_bundles.provenance.digest_cache import DigestCache
from edgerun_bundles.provenance.tables import Column, Table

ROOT = Path(__file__).parents[2]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reference(tree) -> tuple[str, int, str]:
    """Kind, size and digest of nested dicts of bytes, texts (links) and dicts, straight from PREDICATE.md."""
    if isinstance(tree, bytes):
        return "file", len(tree), sha256(tree)
    if isinstance(tree, str):
        return "link", len(os.fsencode(tree)), sha256(os.fsencode(tree))
    content, total = b"edgerun folder v1\n", 0
    for name in sorted(tree, key=os.fsencode):
        kind, size, digest = reference(tree[name])
        content += b" ".join([kind.encode(), str(size).encode(), digest.encode(), os.fsencode(name)]) + b"\0"
        total += size
    return "folder", total, sha256(content)


def lay(path: Path, tree) -> Path:
    if isinstance(tree, bytes):
        path.write_bytes(tree)
    elif isinstance(tree, str):
        path.symlink_to(tree)
    else:
        path.mkdir()
        for name, inner in tree.items():
            lay(path / name, inner)
    return path


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
leaves = st.binary(max_size=20) | st.sampled_from(["a", "../b", "/nowhere"])
trees = st.dictionaries(
    names, st.recursive(leaves, lambda inner: st.dictionaries(names, inner, max_size=3)), max_size=4
)


def test_the_content_of_a_file_is_the_hash_of_its_bytes(tmp_path):
    path = lay(tmp_path / "f", b"x" * 3_000_000)
    found = describe_data(path)
    assert (found.kind, found.size, found.sha256) == ("file", 3_000_000, sha256(b"x" * 3_000_000))
    assert (found.name, found.files, found.links) == ("f", 0, 0)


@given(tree=trees)
def test_the_content_of_a_folder_is_what_the_predicate_says(tmp_path_factory, tree):
    found = describe_data(lay(tmp_path_factory.mktemp("d") / "d", tree))
    assert (found.kind, found.size, found.sha256) == reference(tree)


def test_the_example_of_the_predicate_is_true(tmp_path):
    page = (ROOT / "bundles" / "PREDICATE.md").read_text("utf-8")
    (told,) = re.findall(r"has the content\n`([0-9a-f]{64})`", page)
    assert describe_data(lay(tmp_path / "d", {"a.txt": b"hello\n", "b": {}})).sha256 == told


@given(tree=trees)
def test_the_order_in_which_entries_were_made_does_not_matter(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("d")
    turned = dict(reversed(tree.items()))
    assert describe_data(lay(folder / "a", tree)).sha256 == describe_data(lay(folder / "b", turned)).sha256


@given(content=st.binary(min_size=1, max_size=50), place=st.integers(0, 49), bit=st.integers(0, 7))
def test_every_bit_of_every_file_matters(tmp_path_factory, content, place, bit):
    folder = tmp_path_factory.mktemp("d")
    changed = bytearray(content)
    changed[place % len(content)] ^= 1 << bit
    one = describe_data(lay(folder / "a", {"x": {"y": content}, "z": b""}))
    other = describe_data(lay(folder / "b", {"x": {"y": bytes(changed)}, "z": b""}))
    assert one.sha256 != other.sha256


CHANGES = {
    "a renamed file": {"b": b"1", "d": {"c": b"2"}},
    "a renamed folder": {"a": b"1", "e": {"c": b"2"}},
    "a moved file": {"a": b"1", "c": b"2", "d": {}},
    "another file": {"a": b"1", "d": {"c": b"2", "x": b""}},
    "an empty folder": {"a": b"1", "d": {"c": b"2"}, "e": {}},
    "two files swapped": {"a": b"2", "d": {"c": b"1"}},
    "a link for a file": {"a": "d/c", "d": {"c": b"2"}},
    "a folder for a file": {"a": {}, "d": {"c": b"2"}},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_name_or_a_kind_matters(tmp_path, changed):
    one = describe_data(lay(tmp_path / "a", {"a": b"1", "d": {"c": b"2"}}))
    assert describe_data(lay(tmp_path / "b", changed)).sha256 != one.sha256


def test_times_modes_and_the_name_of_the_folder_itself_do_not_matter(tmp_path):
    one = lay(tmp_path / "a", {"x": b"1"})
    before = describe_data(one)
    (one / "x").chmod(0o755)
    os.utime(one / "x", (1, 1))
    after = describe_data(one.rename(tmp_path / "b"))
    assert (after.sha256, after.name) == (before.sha256, "b")


def test_a_link_inside_is_named_and_not_followed(tmp_path):
    secret = lay(tmp_path / "secret", b"1")
    folder = lay(tmp_path / "d", {"link": str(secret), "loop": "."})
    before = describe_data(folder)
    secret.write_bytes(b"2")
    assert describe_data(folder) == before
    assert (before.links, before.files) == (2, 0)


def test_the_path_itself_may_be_a_link(tmp_path):
    folder = lay(tmp_path / "d", {"x": b"1"})
    (tmp_path / "link").symlink_to(folder)
    found = describe_data(tmp_path / "link")
    assert (found.name, found.sha256) == ("link", describe_data(folder).sha256)


def test_a_name_that_is_no_utf_8_is_hashed_by_its_bytes(tmp_path):
    name = os.fsdecode(b"\xff\n")
    assert describe_data(lay(tmp_path / "d", {name: b"1"})).sha256 == reference({name: b"1"})[2]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(lay(tmp_path / "d", {}) / "pipe")
    for path in (tmp_path / "d", tmp_path / "d" / "pipe"):
        with pytest.raises(ProvenanceError, match="neither a file nor a folder"):
            describe_data(path)


def test_a_ring_of_links_and_a_missing_path_are_errors(tmp_path):
    (tmp_path / "a").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "missing", tmp_path / "nul\0"):
        with pytest.raises(ProvenanceError, match="cannot be read"):
            describe_data(path)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    path = lay(tmp_path / "d", {"x": b"1" * 2_000_000})

    def grow(_):
        with (path / "x").open("ab") as file:
            file.write(b"2")

    with pytest.raises(ProvenanceError, match="changed while it was read"):
        describe_data(path, progress=grow)


def test_a_file_that_is_rewritten_while_it_is_read_is_refused(tmp_path):
    path = lay(tmp_path / "x", b"1" * 2_000_000)

    def rewrite(_):
        with path.open("r+b") as file:
            file.write(b"2")
        os.utime(path, (1, 1))

    with pytest.raises(ProvenanceError, match="changed while it was read"):
        describe_data(path, progress=rewrite)


def test_progress_is_told_every_byte_once(tmp_path):
    seen = []
    found = describe_data(lay(tmp_path / "d", {"a": b"1" * 1_500_000, "b": {"c": b"2"}}), progress=seen.append)
    assert sum(seen) == found.size == 1_500_001
    assert len(seen) == 3


def test_name_tags_and_address_are_the_users_own_without_passwords(tmp_path):
    uri = "https://me:secret@host/x?X-Amz-Signature=abc&part=1"
    found = describe_data(lay(tmp_path / "x", b""), name="train", tags={"split": "a"}, uri=uri)
    assert (found.name, found.tags) == ("train", {"split": "a"})
    assert found.uri == "https://host/x?X-Amz-Signature=%28left%20out%29&part=1"


def test_the_limits_hold_and_one_past_them_does_not(tmp_path):
    path = lay(tmp_path / "d", {"a": {"b": {"c": b"1"}}})
    limits = LIMITS._replace(data_entries_max=3, data_depth_max=2)
    assert describe_data(path, limits=limits).files == 1
    for past in ({"data_entries_max": 2}, {"data_depth_max": 1}):
        with pytest.raises(ProvenanceError, match=next(iter(past))):
            describe_data(path, limits=limits._replace(**past))


# Tables.


def table_of(tmp_path, content, name="t.csv", limits=LIMITS):
    found = describe_data(
        lay(tmp_path / name, content if isinstance(content, bytes) else content.encode()), limits=limits
    )
    assert found.problems == ()
    return found.tables


def columns(**types):
    return tuple(Column(name, kind) for name, kind in types.items())


def test_rows_and_columns_of_csv_are_counted_with_their_types(tmp_path):
    text = "n,x,name,ok,day,none\n1,1.5,a,true,2026-01-02,\n2,,b,false,2026-01-03 10:00:00,\n3,2,c,true,,\n"
    told = columns(n="int64", x="double", name="string", ok="bool", day="timestamp", none="null")
    assert table_of(tmp_path, text) == (Table("csv", 1, 3, told),)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    text = f"a{delimiter}b\n1{delimiter}x\n"
    assert table_of(tmp_path, text) == (Table("csv", 1, 1, columns(a="int64", b="string")),)


def test_a_tsv_is_separated_by_tabs_only(tmp_path):
    assert table_of(tmp_path, "a,b\tc\n1,2\t3\n", "t.tsv") == (
        Table("csv", 1, 1, (Column("a,b", "string"), Column("c", "int64"))),
    )


def test_a_first_line_of_numbers_is_no_header(tmp_path):
    assert table_of(tmp_path, "5.1,setosa\n4.9,setosa\n") == (Table("csv", 1, 2, columns(f0="double", f1="string")),)


@pytest.mark.parametrize("text", ["", "\n\n", " "])
def test_an_empty_csv_has_no_rows(tmp_path, text):
    assert table_of(tmp_path, text) == (Table("csv", 1, 0, ()),)


def test_a_header_alone_has_no_rows(tmp_path):
    assert table_of(tmp_path, "a,b\n") == (Table("csv", 1, 0, columns(a="null", b="null")),)
    assert table_of(tmp_path, "a,b", "u.csv") == (Table("csv", 1, 0, columns(a="null", b="null")),)
    assert table_of(tmp_path, "1,b", "v.csv") == (Table("csv", 1, 1, columns(f0="int64", f1="string")),)


def test_a_mark_at_the_start_and_line_ends_of_windows_are_no_content(tmp_path):
    assert table_of(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n") == (Table("csv", 1, 1, columns(a="int64", b="int64")),)


def test_two_columns_may_have_one_name(tmp_path):
    assert table_of(tmp_path, "a,a\n1,x\n")[0].columns == (Column("a", "int64"), Column("a", "string"))


def test_a_value_far_below_still_widens_the_type(tmp_path):
    lines = "".join(f"{i},{i}\n" for i in range(800_000))  # several blocks
    (found,) = table_of(tmp_path, f"a,b\n{lines}oops,1.5\n")
    assert found == Table("csv", 1, 800_001, columns(a="string", b="double"))


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6), st.integers()
        ),
        min_size=1,
        max_size=10,
    )
)
def test_any_text_that_the_csv_module_writes_is_counted_in_rows(tmp_path_factory, rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("text", "number"), *rows])
    path = lay(tmp_path_factory.mktemp("d") / "t.csv", text.getvalue().encode())
    found = describe_data(path)
    assert found.problems == ()
    assert found.tables[0].rows == len(rows)
    assert [column.name for column in found.tables[0].columns] == ["text", "number"]


def test_parquet_tells_rows_and_columns(tmp_path):
    table = pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["x", None]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert describe_data(tmp_path / "t.parquet").tables == (Table("parquet", 1, 2, columns(a="int32", b="string")),)


def test_files_of_a_folder_with_the_same_columns_are_one_table(tmp_path):
    parts = {"1.csv": b"a,b\n1,x\n", "2": {"2.csv": b"a,b\n2,y\n3,z\n"}, "other.csv": b"c\nx\n", "readme": b""}
    assert describe_data(lay(tmp_path / "d", parts)).tables == (
        Table("csv", 2, 3, columns(a="int64", b="string")),
        Table("csv", 1, 1, columns(c="string")),
    )


BROKEN = {
    "ragged.csv": b"a,b\n1,2\n1,2,3\n",
    "bytes.csv": b"a,b\nx,\xff\xfe\n",
    "bad.parquet": b"PAR1nonsensePAR1",
    "empty.parquet": b"",
    "quote.csv": b'a,b\n"x,1\n',
}


def test_a_table_that_cannot_be_read_is_named_and_hashed_all_the_same(tmp_path):
    found = describe_data(lay(tmp_path / "d", BROKEN))
    assert found.sha256 == reference(BROKEN)[2]
    named = {problem.partition(":")[0] for problem in found.problems}
    assert {"ragged.csv", "bytes.csv", "bad.parquet", "empty.parquet"} <= named <= BROKEN.keys()


def test_too_many_columns_are_a_problem_and_so_are_too_many_problems(tmp_path):
    wide = lay(tmp_path / "d", {f"{i}.csv": b"a,b\nx,y\n" for i in range(3)})
    limits = LIMITS._replace(data_columns_max=2, data_tables_max=3)
    assert describe_data(wide, limits=limits).problems == ()
    assert len(describe_data(wide, limits=limits._replace(data_columns_max=1)).problems) == 3
    cut = describe_data(wide, limits=LIMITS._replace(data_columns_max=1, data_tables_max=2))
    assert cut.problems[2:] == ("and 1 more tables",)


# The cache.


def aged(path: Path) -> Path:
    """Set a file's time back, so that it counts as settled; its time of change of state cannot be."""
    os.utime(path, (1, 1))
    return path


def test_a_cache_spares_reading_what_did_not_change(tmp_path, monkeypatch):
    path = aged(lay(tmp_path / "x", b"1"))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    with DigestCache(tmp_path / "cache") as cache:
        first = describe_data(path, cache=cache)
        monkeypatch.setattr("edgerun_bundles.provenance.data._Reading._hash", lambda *_: pytest.fail("it was read"))
        assert describe_data(path, cache=cache) == first


def test_a_file_that_changed_is_read_again_even_if_its_time_was_set_back(tmp_path, monkeypatch):
    path = aged(lay(tmp_path / "x", b"1"))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    with DigestCache(tmp_path / "cache") as cache:
        describe_data(path, cache=cache)
        path.write_bytes(b"2")
        assert describe_data(aged(path), cache=cache).sha256 == sha256(b"2")


def test_a_file_that_changed_just_now_is_not_kept(tmp_path):
    path = lay(tmp_path / "x", b"1")
    with DigestCache(tmp_path / "cache") as cache:
        describe_data(path, cache=cache)
        assert cache.get(path, path.stat()) is None


def test_a_broken_cache_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ProvenanceError, match="delete it"):
        DigestCache(lay(tmp_path / "cache", b"no database" * 1000))


def test_a_cache_that_fails_later_is_only_slow(tmp_path):
    path = lay(tmp_path / "x", b"1")
    cache = DigestCache(tmp_path / "cache")
    cache.close()
    assert describe_data(path, cache=cache).sha256 == sha256(b"1")


def test_without_pyarrow_rows_are_not_known_and_that_is_said(tmp_path, monkeypatch):
    path = lay(tmp_path / "t.csv", b"a\nx\n")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    found = describe_data(path)
    assert found.tables == ()
    assert "edgerun[bundles]" in found.problems[0]


def test_a_hundred_copies_in_a_hundred_folders_have_one_digest(tmp_path):
    one = lay(tmp_path / "0", {f"f{i}": bytes([i]) for i in range(100)})
    digests = {describe_data(shutil.copytree(one, tmp_path / f"c{i}")).sha256 for i in range(5)}
    assert digests == {describe_data(one).sha256}
