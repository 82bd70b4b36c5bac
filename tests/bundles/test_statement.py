"""A statement holds all provenance in canonical bytes, and trusts nothing that it reads."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.canonical import canonical, digest, parsed
from edgerun_bundles.provenance.environment import VARIABLES, describe_environment
from edgerun_bundles.provenance.metrics import Metrics, Series
from edgerun_bundles.provenance.notebooks import Notebook
from edgerun_bundles.provenance.statement import (
    Provenance,
    Run,
    Statement,
    Subject,
    build_statement,
    code_document,
    code_snapshot,
    named_blobs,
    parse_statement,
)
from edgerun_bundles.provenance.values import json_value, parameters_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "bundles" / "PREDICATE.md").read_text("utf-8")
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "bundles" / "predicate.schema.json").read_text("utf-8")))
EXAMPLE = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
DIGEST = "0" * 64


def written(provenance=Provenance(), **limits):  # noqa: B008 - it is frozen
    return build_statement({"digits@1": DIGEST}, provenance, limits=LIMITS._replace(**limits))


def read(document, **limits):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_statement(content, limits=LIMITS._replace(**limits))


# The page, the schema and the code say the same.


def test_the_example_of_the_page_is_valid_and_comes_back_the_same():
    SCHEMA.validate(EXAMPLE)
    statement = read(EXAMPLE)
    again = build_statement({"digits@1.2.0": statement.subject[0].digest["sha256"]}, statement.predicate)
    assert json.loads(again) == EXAMPLE


def test_the_page_names_every_variable_that_is_read():
    assert "Variables: " + ", ".join(f"`{name}`" for name in VARIABLES) in PAGE


def test_every_field_of_the_schema_is_on_the_page():
    def names(schema):
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            for inner in schema.values():
                yield from names(inner)
        for inner in schema if isinstance(schema, list) else ():
            yield from names(inner)

    assert {name for name in names(SCHEMA.schema) if f"`{name}`" not in PAGE} <= {"scheme"}


def whole_provenance():
    model = Provenance(
        code={
            "tree": "a",
            "bundle": {"sha256": DIGEST, "size": 3},
            "nested": [{"path": "x", "snapshot": {"tree": "b"}}],
        },
        notebooks=(Notebook("n", "1" * 64, 4, "2" * 64, 2, (None, 3), top_to_bottom=False),),
        parameters={"a": None, "b": [1.5, True, {"c": "é"}]},
        metrics=Metrics({"x": math.inf, "y": -math.inf}, {"x": Series((3,), (1.0,))}, {"p": {"a": 0.5}}, {}, 7),
        run=Run("id", "2026-01-01T00:00:00Z", "failed", exit_status=1, error="no", argv=("a",), tags={"t": "u"}),
        parents=(Subject("p", {"sha256": DIGEST, "sha512": "x"}),),
    )
    return Provenance(environment=describe_environment(), models={"champion": model})


def test_everything_comes_back_as_it_went_in_and_fits_the_schema():
    content = written(whole_provenance())
    SCHEMA.validate(json.loads(content))
    assert parse_statement(content) == Statement((Subject("digits@1", {"sha256": DIGEST}),), whole_provenance())


def test_nan_comes_back_as_nan():
    (value,) = read(written(Provenance(metrics=Metrics({"x": math.nan})))).predicate.metrics.values.values()
    assert math.isnan(value)


def test_what_is_absent_is_not_written():
    assert json.loads(written())["predicate"] == {}


def test_the_same_facts_give_the_same_bytes_in_whatever_order_they_come():
    one = written(Provenance(parameters={"a": 1, "b": {"x": 1, "y": 2}}))
    assert one == written(Provenance(parameters={"b": {"y": 2, "x": 1}, "a": 1}))


# Canonical JSON, by an implementation of others.

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(document=plain)
def test_canonical_json_is_that_of_another_implementation(document):
    assert canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize(
    "value", [1e21, 1e20, 123456789e13, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308, -0.0, 0.1, 1.0]
)
def test_numbers_at_the_edges_are_written_as_ecmascript_does(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(document=plain)
def test_what_was_written_is_read_as_the_same_value_and_written_the_same_again(document):
    assert parsed(canonical(document)) == document
    assert canonical(parsed(canonical(document))) == canonical(document)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, -(2**53), {1: 2}, object(), b"", "\ud800", {"\udfff": 1}])
def test_what_canonical_json_cannot_hold_is_refused(value):
    with pytest.raises(ProvenanceError):
        canonical([value])


# What comes from outside.


def changed(path, value):
    document = json.loads(json.dumps(EXAMPLE))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


CHAMPION = ("predicate", "models", "champion")
WRONG = {
    "_type": (("_type",), "https://in-toto.io/Statement/v0.1"),
    "predicateType": (("predicateType",), "https://slsa.dev/provenance/v1"),
    "no subject": (("subject",), []),
    "subject": (("subject",), {}),
    "digest": (("subject", 0, "digest"), {"sha1": "a"}),
    "upper case": (("subject", 0, "digest", "sha256"), "A" * 64),
    "digest of a number": (("subject", 0, "digest", "sha256"), 7),
    "predicate": (("predicate",), []),
    "models of models": ((*CHAMPION, "models"), {"x": {"models": {}, "run": 3}}),
    "size": ((*CHAMPION, "data", 0, "size"), "12"),
    "size of a truth": ((*CHAMPION, "data", 0, "size"), True),
    "negative size": ((*CHAMPION, "notebooks", 0, "size"), -1),
    "notebook's digest": ((*CHAMPION, "notebooks", 0, "sha256"), "../../etc/passwd"),
    "code's digest": ((*CHAMPION, "code", "bundle", "sha256"), "../../etc/passwd"),
    "nested": ((*CHAMPION, "code", "nested"), [3]),
    "nested digest": ((*CHAMPION, "code", "nested"), [{"snapshot": {"bundle": {"sha256": "x", "size": 1}}}]),
    "metric": ((*CHAMPION, "metrics", "values", "accuracy"), "high"),
    "series": ((*CHAMPION, "metrics", "series", "loss", "step"), [1]),
    "ragged matrix": ((*CHAMPION, "metrics", "confusion_matrices", "test", "counts"), [[1], [2, 3]]),
    "negative count": ((*CHAMPION, "metrics", "confusion_matrices", "test", "counts"), [[1, -1], [2, 3]]),
    "one label twice": ((*CHAMPION, "metrics", "confusion_matrices", "test", "labels"), ["a", "a"]),
    "argv": ((*CHAMPION, "run", "argv"), "text"),
    "run without an id": ((*CHAMPION, "run", "id"), None),
}


@pytest.mark.parametrize(("path", "value"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_refused(path, value):
    with pytest.raises(ProvenanceError):
        read(changed(path, value))


def test_the_message_says_where_the_wrong_field_stands():
    with pytest.raises(
        ProvenanceError, match=r"statement\.predicate\.models\.champion\.data\[0\]\.size must be an integer"
    ):
        read(changed((*CHAMPION, "data", 0, "size"), "12"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1e999",
        b"{",
        b"\xff",
        b"[]",
        b"NaN",
        b'{"_type": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 200_000,
        b"9" * 10_000,
    ],
    ids=["nothing", "no bounds", "half", "bytes", "list", "nan", "inner nan", "a name twice", "depth", "digits"],
)
def test_what_is_no_statement_is_refused(content):
    with pytest.raises(ProvenanceError):
        parse_statement(content)


def test_unknown_fields_are_passed_over():
    assert read(changed((*CHAMPION, "later"), {"x": 1})) == read(EXAMPLE)


@given(document=plain)
def test_any_json_is_either_read_or_refused_by_our_error(document):
    for value in (document, changed(("predicate",), document), changed((*CHAMPION, "metrics"), document)):
        try:
            read(value)
        except ProvenanceError:
            continue


def test_the_limits_hold_and_one_past_them_does_not():
    content = written(Provenance(parameters={"a": [[[1]]]}))
    assert read(content, statement_max_bytes=len(content), document_max_depth=6)
    for past in ({"statement_max_bytes": len(content) - 1}, {"document_max_depth": 5}):
        with pytest.raises(ProvenanceError, match=next(iter(past))):
            read(content, **past)


def test_a_statement_needs_a_subject_with_a_digest():
    for subject in ({}, {"x": "no digest"}):
        with pytest.raises(ProvenanceError):
            build_statement(subject, Provenance())


# Code, by the blobs that it names.


class Inner(NamedTuple):
    bundle: bytes | None


class Snapshot(NamedTuple):
    commit: str
    bundle: bytes
    nested: tuple[Inner, ...]
    branch: str | None = None


def test_bytes_of_a_snapshot_become_blobs_with_their_digests():
    document, blobs = code_document(Snapshot("c", b"outer", (Inner(b"inner"), Inner(None))))
    assert blobs == {digest(b"outer"): b"outer", digest(b"inner"): b"inner"}
    assert document == {
        "commit": "c",
        "bundle": {"sha256": digest(b"outer"), "size": 5},
        "nested": [{"bundle": {"sha256": digest(b"inner"), "size": 5}}, {}],
    }


class Nested(NamedTuple):
    path: str
    snapshot: Repository


class Repository(NamedTuple):
    tree: str
    bundle: bytes | None
    nested: tuple[Nested, ...]


REPOSITORY = Repository(
    "a", b"outer", (Nested("sub", Repository("b", None, ())), Nested("x", Repository("c", b"in", ())))
)


def test_a_snapshot_comes_back_with_its_blobs():
    document, blobs = code_document(REPOSITORY)
    assert code_snapshot(Repository, json.loads(canonical(document)), blobs.__getitem__) == REPOSITORY


@pytest.mark.parametrize("broken", [b"", b"Outer", b"outer "])
def test_a_blob_that_is_not_what_its_digest_says_is_refused(broken):
    document, blobs = code_document(REPOSITORY)
    with pytest.raises(ProvenanceError, match="is damaged"):
        code_snapshot(Repository, document, {**blobs, digest(b"outer"): broken}.__getitem__)


def test_code_of_which_only_the_commit_is_known_is_no_snapshot():
    with pytest.raises(ProvenanceError, match="tree is missing"):
        code_snapshot(Repository, {"commit": "0123abc"}, {}.__getitem__)


def test_the_blobs_that_a_provenance_names_are_those_of_code_and_notebooks():
    assert named_blobs(whole_provenance()) == {DIGEST: 3, "1" * 64: 4}


# Parameters.


def test_parameters_past_their_limit_are_refused():
    limits = LIMITS._replace(parameters_max_bytes=9, document_max_depth=2)
    assert parameters_of({"a": [1]}, limits) == {"a": [1]}
    with pytest.raises(InputError, match="parameters_max_bytes"):
        parameters_of({"a": [12]}, limits)
    assert json_value([[1]], "x", limits) == [[1]]
    with pytest.raises(InputError, match="within each other"):
        json_value([[[1]]], "x", limits)
