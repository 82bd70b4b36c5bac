"""What an ONNX file says of itself is read as the onnx package reads it; no file makes the reader fail otherwise."""

from __future__ import annotations

import contextlib

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import ModelError
from edgerun_bundles.onnx_header import read_header
from support import models


@pytest.mark.parametrize("name", ["steady", "mlp", "slow", "identity", "stalls"])
def test_a_header_is_what_the_onnx_package_reads(tmp_path, name):
    path = tmp_path / "m.onnx"
    path.write_bytes(getattr(models, name)())
    model = onnx.load(path)
    found = read_header(path)
    assert found.ir_version == model.ir_version
    assert found.opsets == {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    assert found.producer == " ".join(filter(None, (model.producer_name, model.producer_version)))


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_says_nothing(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "m.onnx"
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        read_header(path)


@given(st.data())
def test_a_file_that_is_cut_off_never_fails_otherwise(tmp_path_factory, data):
    content = models.steady()
    path = tmp_path_factory.mktemp("cut") / "m.onnx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ModelError):
        read_header(path)


def test_a_length_beyond_the_file_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
    with pytest.raises(ModelError, match="cut off"):
        read_header(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="No such file"):
        read_header(tmp_path / "none.onnx")
