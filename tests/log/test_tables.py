"""Tables as other libraries have them, and the public names of the log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edgerun.log
from edgerun import LogError
from edgerun.log import read
from support.segments import write_log
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "v1"


def test_pandas_and_arrow_have_the_same_values():
    for table in read(VECTORS).tables.values():
        frame, arrow = table.to_pandas(), table.to_arrow()
        assert [*frame.columns] == arrow.column_names == [*table]
        assert len(frame) == arrow.num_rows == table.rows
    calls = read(VECTORS).calls
    assert calls.to_pandas()["unit"].isna().tolist() == [False] * 4 + [True] * 3
    assert calls.to_arrow()["unit"].to_pylist() == [2**64 - 1, 0, 12345678901234567890, 7, None, None, None]
    assert calls.to_pandas()["output_3.text_0"][4] == "Zürich"
    assert calls.to_arrow()["output_4.confidence"].to_pylist()[4] == 0.5


def test_what_arrow_has_no_one_type_for_is_json(tmp_path):
    segment = Segment(class_=1).frame([reference.notes(16, [1, 2, 3], [{"value": 1}, {"value": "x"}, {"value": None}])])
    assert read(write_log(tmp_path, segment)).labels.to_arrow()["value"].to_pylist() == ["1", '"x"', None]


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_a_library_that_is_missing_is_named(monkeypatch, tmp_path, library):
    monkeypatch.setitem(sys.modules, library, None)
    table = read(tmp_path).calls
    with pytest.raises(LogError, match=f"{library} is not installed; try: pip install {library}"):
        (table.to_pandas if library == "pandas" else table.to_arrow)()


def test_a_column_that_is_not_there_is_a_key_error(tmp_path):
    calls = read(tmp_path).calls
    assert "nothing" not in calls
    with pytest.raises(KeyError):
        calls["nothing"]


def test_whoever_serves_and_logs_imports_nothing_that_reads():
    program = "import sys, edgerun.log.writer; print({'edgerun.log.reading', 'edgerun.log.tables'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_every_public_name_is_there_and_documented():
    assert edgerun.log.__all__ == sorted(edgerun.log.__all__, key=lambda name: (not name.isupper(), name))
    for name in edgerun.log.__all__:
        assert getattr(edgerun.log, name) is not None
    assert {*edgerun.log.__all__} <= {*dir(edgerun.log)}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        edgerun.log.nothing  # noqa: B018 - it is the access that raises
