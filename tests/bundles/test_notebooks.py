"""A notebook tells its source apart from its outputs, and whether it was run from top to bottom."""

from __future__ import annotations

import hashlib
import json

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance.notebooks import NotebookFailure, describe_notebook, running_notebook


def code(source, count=None, outputs=()):
    return new_code_cell(source, execution_count=count, outputs=[*outputs])


def write(path, *cells, **metadata):
    nbformat.write(new_notebook(cells=[*cells], metadata=metadata), path)
    return path


@pytest.fixture
def describe(tmp_path):
    return lambda *cells, **metadata: describe_notebook(write(tmp_path / "n.ipynb", *cells, **metadata))


def failure(name="ValueError", message="no"):
    return new_output("error", ename=name, evalue=message, traceback=["..."])


def test_the_digest_is_that_of_the_file(tmp_path):
    path = write(tmp_path / "n.ipynb", code("1"))
    found = describe_notebook(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.size == path.stat().st_size


def test_the_source_hash_is_what_the_predicate_says(describe):
    found = describe(new_markdown_cell("# é"), code("x = 1\ny"))
    assert found.source_sha256 == hashlib.sha256("markdown 4\n# é\ncode 7\nx = 1\ny\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("counts", "is_in_order"),
    [
        ([1, 2, 3], True),
        ([2, 3, 4], False),
        ([1, 3, 2], False),
        ([1, 2, 4], False),
        ([1, 2, None], False),
        ([1, 1, 2], False),
        ([None, None], False),
        ([], False),
    ],
)
def test_it_was_run_top_to_bottom_only_if_every_cell_ran_once_in_order(describe, counts, is_in_order):
    found = describe(*(code(f"x{i}", count) for i, count in enumerate(counts)))
    assert found.execution == tuple(counts)
    assert found.top_to_bottom is is_in_order


def test_cells_without_a_source_and_cells_of_text_do_not_count(describe):
    found = describe(new_markdown_cell("text"), code("a", 1), code("  \n"), code("b", 2))
    assert found.execution == (1, 2)
    assert found.top_to_bottom
    assert found.cells == 4


def test_running_it_changes_the_file_and_not_the_source(describe):
    before = describe(code("a"), code("b"))
    after = describe(
        code("a", 1, [new_output("stream", text="hi")]), code("b", 2), kernelspec={"name": "k", "display_name": "K"}
    )
    assert before.sha256 != after.sha256
    assert before.source_sha256 == after.source_sha256


def test_errors_in_outputs_are_named_by_their_cell(describe):
    found = describe(new_markdown_cell("x"), code("a", 1, [failure()]), code("b", 2, [failure("E", "m" * 999)]))
    assert found.errors == (NotebookFailure(1, "ValueError", "no"), NotebookFailure(2, "E", "m" * 200))


def test_language_and_kernel_are_those_of_the_metadata(describe):
    found = describe(kernelspec={"name": "python3", "display_name": "P"}, language_info={"name": "python"})
    assert (found.language, found.kernel) == ("python", "python3")
    assert (describe().language, describe().kernel) == (None, None)


cells = st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), st.text(max_size=20)), max_size=5)


def as_notebook(found):
    return {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {},
        "cells": [{"cell_type": kind, "source": source, "metadata": {}} for kind, source in found],
    }


def source_of(folder, document):
    path = folder / "n.ipynb"
    path.write_text(json.dumps(document))
    return describe_notebook(path).source_sha256


@given(one=cells, other=cells)
def test_two_notebooks_have_one_source_hash_only_if_their_cells_are_equal(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("n")
    assert (source_of(folder, as_notebook(one)) == source_of(folder, as_notebook(other))) == (one == other)


@given(found=cells)
def test_a_source_in_lines_is_the_source_in_one_text(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("n")
    whole, lines = as_notebook(found), as_notebook(found)
    for cell in lines["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    assert source_of(folder, whole) == source_of(folder, lines)


def test_the_same_text_cut_into_other_cells_is_another_source(describe):
    assert describe(code("a\nb")).source_sha256 != describe(code("a"), code("b")).source_sha256


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "no version": b"{}",
    "an old version": b'{"nbformat": 3, "worksheets": []}',
    "a version of text": b'{"nbformat": "4", "cells": []}',
    "no cells": b'{"nbformat": 4}',
    "cells of another type": b'{"nbformat": 4, "cells": {}}',
    "a cell of another type": b'{"nbformat": 4, "cells": [3]}',
    "an unknown cell": b'{"nbformat": 4, "cells": [{"cell_type": "x"}]}',
    "a source of numbers": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}',
    "a count of text": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "a", "execution_count": "1"}]}',
    "a count that is true": b'{"nbformat":4,"cells":[{"cell_type":"code","source":"a","execution_count":true}]}',
    "depth": b"[" * 100_000,
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_notebook_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(ProvenanceError, match=r"bad\.ipynb"):
        describe_notebook(path)


def test_odd_parts_that_do_not_matter_stop_nothing(tmp_path):
    path = tmp_path / "n.ipynb"
    cell = {"cell_type": "code", "source": "a\ud800", "outputs": [3, {"output_type": "error", "ename": 4}]}
    path.write_text(json.dumps({"nbformat": 4, "metadata": 7, "cells": [cell, {**cell, "outputs": "x"}]}))
    assert describe_notebook(path).errors == (NotebookFailure(0, "error", ""),)


@pytest.mark.parametrize("name", ["missing.ipynb", "nul\0.ipynb", "."])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, name):
    with pytest.raises(ProvenanceError, match="cannot be read"):
        describe_notebook(tmp_path / name)


def test_the_limits_hold_and_one_past_them_does_not(tmp_path):
    path = write(tmp_path / "n.ipynb", code("a", 1, [failure()]), code("b", 2, [failure()]))
    size = path.stat().st_size
    limits = LIMITS._replace(notebook_max_bytes=size, notebook_cells_max=2, notebook_errors_max=2)
    assert len(describe_notebook(path, limits=limits).errors) == 2
    assert len(describe_notebook(path, limits=limits._replace(notebook_errors_max=1)).errors) == 1
    for past in ({"notebook_max_bytes": size - 1}, {"notebook_cells_max": 1}):
        with pytest.raises(ProvenanceError, match=next(iter(past))):
            describe_notebook(path, limits=limits._replace(**past))


def test_no_notebook_runs_where_there_is_no_kernel(monkeypatch, tmp_path):
    monkeypatch.setenv("JPY_SESSION_NAME", str(write(tmp_path / "n.ipynb")))
    assert running_notebook() is None


def test_the_running_notebook_is_the_one_that_its_front_end_tells(monkeypatch, tmp_path):
    path = write(tmp_path / "n.ipynb")
    monkeypatch.setitem(__import__("sys").modules, "ipykernel", object())
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert running_notebook() == path
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "gone.ipynb"))
    assert running_notebook() is None


def test_a_notebook_that_a_real_kernel_ran_is_seen_as_run(vectors):
    found = describe_notebook(vectors / "notebooks" / "executed.ipynb")
    assert found.execution == (1, 2, 3)
    assert found.top_to_bottom
    assert (found.language, found.kernel) == ("python", "python3")
    assert [failure.name for failure in found.errors] == ["ZeroDivisionError"]
