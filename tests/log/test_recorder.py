"""What a lane held becomes the row that FORMAT.md describes, whatever its type and however it was run."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgerun._core import recorder as core
from edgerun._core import runtime, shadow, split
from edgerun.errors import CoreError
from edgerun.log.rows import FLAG_DISAGREE, FLAG_FAILED, FLAG_KEYED, FLAG_NONFINITE, Kind, OutputShape
from support import models

RING = 2**17
NUMERIC = [name for name in models.DTYPES if name != "string"]
HOUR_S = 3600.0


class Log:
    """A recorder and what drains it."""

    def __init__(self, rows_max: int = 256, ring_bytes: int = RING) -> None:
        self.recorder = core.new_recorder(ring_bytes)
        self._drain = core.Drain(self.recorder, rows_max)

    def source(self, model=None, **options) -> core.Source:
        return core.Source(self.recorder, model, None, options.pop("number", 3), **options)

    def take(self):
        return self._drain.take()

    def rows(self):
        """Every row that waits, as (kind, flags, sequence, shape, numbers, texts)."""
        found = []
        while len((batch := self.take()).kind):
            for i in range(len(batch.kind)):
                numbers = batch.numbers[batch.numbers_at[i] : batch.numbers_at[i + 1]].tolist()
                data = batch.data[batch.data_at[i] : batch.data_at[i + 1]].tobytes()
                shape = batch.shapes[batch.shape[i]]
                found.append((Kind(batch.kind[i]), int(batch.flags[i]), int(batch.sequence[i]), shape, numbers, data))
        return found


def open_model(folder, raw) -> runtime.Model:
    (folder / "model.onnx").write_bytes(raw)
    return runtime.Model("model", str(folder / "model.onnx"), 1)


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """Of each dtype, the model that gives back its input of any rank."""
    found = {}
    for dtype in models.DTYPES:
        folder = tmp_path_factory.mktemp(dtype)
        found[dtype] = open_model(folder, models.identity(dtype, None))
    return found


@pytest.fixture
def load(tmp_path):
    return lambda raw: open_model(tmp_path, raw)


def run_free(model, *feeds, outputs=1):
    """A lane whose outputs onnxruntime allocated, after its run."""
    lane = runtime.Lane(tuple(np.asarray(feed, order="C") for feed in feeds), outputs)
    assert runtime.run_lane(lane.handle, model.handle, 0, lane.run, lane.why) == 0, runtime.message(lane.why)
    return lane


def run_prepared(model, feed):
    lane = runtime.Lane((np.asarray(feed, order="C"),), (np.empty_like(feed, order="C"),))
    assert runtime.run_prepared(lane.handle, model.handle, 0) > 0
    return lane


def event(sequence=1, **fields):
    return core.Event(sequence, fields.get("unit"), fields.get("time_ns", 0), fields.get("latency_ns", 0))


# What FORMAT.md says, in numpy.


def kept(array) -> list[int]:
    """The 64 bits in which the log keeps each number."""
    if array.dtype.kind != "f":
        return [int(value) % 2**64 for value in array.ravel()]
    width = 8 * array.dtype.itemsize
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").ravel().tolist()
    return [bit ^ (2**width - 1) if bit >> (width - 1) else bit | 1 << (width - 1) for bit in bits]


def expected(array):
    """The shape of an output, and its columns; of a summary, (argmax, min, max, mean)."""
    number = runtime._TYPES[array.dtype]
    flat = array.ravel()
    if flat.size == 0:
        return OutputShape(0, number, 0), []
    exact = flat.astype(np.float64) if flat.dtype.kind == "f" else flat
    if flat.dtype.kind == "f" and flat.size >= 2 and ((flat >= 0) & (flat <= 1)).all():
        total = math.fsum(exact.tolist())
        if abs(total - 1) <= 0.001:
            return OutputShape(2, number, 2), [int(flat.argmax()), kept(flat)[int(flat.argmax())]]
    if flat.size <= 16:
        return OutputShape(1, number, int(flat.size)), kept(flat)
    finite = np.isfinite(exact) if flat.dtype.kind == "f" else np.ones(flat.shape, np.bool_)
    if not finite.any():
        return OutputShape(3, number, 4), [0, math.nan, math.nan, math.nan]
    first = int(np.flatnonzero(finite & (exact == exact[finite].max()))[0])
    values = exact[finite].tolist()
    largest = max(abs(value) for value in values)
    mean = math.fsum(value / len(values) for value in values) if largest > 1e300 else math.fsum(values) / len(values)
    return OutputShape(3, number, 4), [first, float(min(values)), float(max(values)), mean]


def as_floats(columns):
    """Float64 columns, read back."""
    raw = np.array(columns, np.uint64)
    sign = np.uint64(1 << 63)
    return np.where(raw & sign, raw ^ sign, ~raw).astype(np.uint64).view(np.float64)


def assert_output(shape, numbers, array):
    want_shape, want = expected(array)
    assert shape == want_shape
    if want_shape.form != 3:
        assert numbers == want
        return
    assert numbers[0] == want[0]
    low, high, mean = as_floats(numbers[1:])
    np.testing.assert_array_equal([low, high], want[1:3])
    scale = 0.0 if math.isnan(want[3]) else max(abs(want[1]), abs(want[2]))
    np.testing.assert_allclose(mean, want[3], rtol=0, atol=scale * 1e-12)


def near_one(array) -> bool:
    """Whether a sum is so near the border of a distribution that its order decides."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.dtype.kind == "f" and abs(abs(array.astype(np.float64).sum() - 1) - 0.001) < 1e-9


@st.composite
def tensors(draw):
    name = draw(st.sampled_from(NUMERIC))
    dtype = np.dtype(name)
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40))
    elements = None
    if dtype.kind == "f":
        width = 8 * dtype.itemsize
        bound = float(np.finfo(dtype).max) if width < 64 else 1e300
        wide = st.floats(-bound, bound, width=width) | st.sampled_from([math.nan, math.inf, -math.inf])
        elements = draw(st.sampled_from([st.sampled_from([0.0, 0.25, 0.5, 0.5]), st.floats(0, 1, width=width), wide]))
    array = draw(npst.arrays(dtype, shape, elements=elements))
    if dtype.kind == "f" and array.size and draw(st.booleans()):
        with np.errstate(all="ignore"):
            array = (array / array.sum()).astype(dtype)  # perhaps a distribution
    return np.asarray(array)


@given(array=tensors())
def test_any_tensor_becomes_the_columns_that_the_format_says(identities, array):
    if near_one(array):
        return
    log = Log()
    model = identities[str(array.dtype)]
    source = log.source(model)
    for lane in (run_free(model, array), run_prepared(model, array)):
        assert core.record_call(source, event(9), lane)
        ((kind, flags, sequence, (shape,), numbers, data),) = log.rows()
        assert (kind, sequence, data) == (Kind.CALL, 9, b"")
        infinite = array.dtype.kind == "f" and not np.isfinite(array).all()
        assert flags == (FLAG_NONFINITE if infinite else 0)
        assert_output(shape, numbers, array)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int64", "uint8"])
@pytest.mark.parametrize("count", [1024, 1025, 4096, 4097, 100_003])
def test_an_output_that_is_not_copied_has_the_summary_of_all_of_it(identities, dtype, count):
    rng = np.random.default_rng(count)
    model, log = identities[dtype], Log()
    array = (rng.normal(size=count) * 50).astype(np.int64).astype(dtype)
    lane = run_prepared(model, array)
    classes = np.zeros(count, dtype)
    classes[count - 2] = 1
    source = log.source(model)
    assert core.record_call(source, event(), lane)
    assert core.record_call(source, event(), run_prepared(model, classes))
    (one, other) = log.rows()
    assert_output(one[3][0], one[4], array)
    assert_output(other[3][0], other[4], classes)
    assert other[3][0].form == (2 if classes.dtype.kind == "f" else 3)


@given(data=st.data())
def test_a_batch_gives_the_rows_that_its_calls_would_give(identities, data):
    name = data.draw(st.sampled_from(NUMERIC))
    dtype = np.dtype(name)
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    elements = st.sampled_from([0.0, 0.25, 0.5, 1.0, -3.0]) if dtype.kind == "f" else None
    array = data.draw(npst.arrays(dtype, shape, elements=elements))
    rows = data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=5))
    model, whole, single = identities[name], Log(), Log()
    events = [event(100 + i) for i in range(len(rows))]
    lane = run_free(model, array)
    assert core.record_rows(whole.source(), events, rows, lane) == len(rows)
    for row, one in zip(rows, events, strict=True):
        assert core.record_call(single.source(), one, run_free(model, array[row : row + 1]))
    assert whole.rows() == single.rows()


def test_a_row_that_is_not_there_is_refused(identities):
    log = Log()
    lane = run_free(identities["float32"], np.zeros((2, 2), np.float32))
    with pytest.raises(CoreError):
        core.record_rows(log.source(), [event()], [2], lane)
    assert log.rows() == []


# Texts, lists and maps.


def texts_of(data: bytes) -> list[str]:
    found = []
    while data:
        length = int(np.frombuffer(data[:4], np.uint32)[0])
        found.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return found


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)))
def test_up_to_sixteen_texts_are_kept(identities, texts):
    model, log = identities["string"], Log()
    assert core.record_call(log.source(), event(), run_free(model, np.array(texts, object)))
    ((_, flags, _, (shape,), numbers, data),) = log.rows()
    assert (flags, numbers) == (0, [])
    if 1 <= len(texts) <= 16:
        assert shape == OutputShape(4, 8, len(texts))
        assert texts_of(data) == texts
    else:
        assert shape.form == 0
        assert data == b""


def test_texts_too_long_for_a_record_lose_only_themselves(identities):
    log = Log()
    lane = run_free(identities["string"], np.array(["x" * 100_000], object))
    assert core.record_call(log.source(), event(5), lane)
    ((_, _, sequence, (shape,), _, data),) = log.rows()
    assert (sequence, shape.form, data) == (5, 0, b"")
    assert core.losses(log.recorder).calls == 0


def probabilities(model, *words):
    """What each word's map holds."""
    return run_free(model, np.array([[word] for word in words], object), outputs=2).output(1)


@pytest.mark.parametrize("labels", [("no", "yes"), (-7, 12)])
def test_a_classifiers_map_is_its_class_and_number(load, labels):
    model, log = load(models.strings_to_map(labels)), Log()
    for word in ("good", "awful", "unknown"):
        lane = run_free(model, np.array([[word]], object), outputs=2)
        assert core.record_call(log.source(), event(), lane)
        (scores,) = lane.output(1)
        ((_, _, _, (label, class_), numbers, data),) = log.rows()
        best = max(scores, key=scores.get)
        assert class_ == OutputShape(5, 1, 2)
        assert numbers[-1:] == kept(np.array([scores[best]], np.float32))
        assert texts_of(data)[-1] == str(best)
        assert label == (OutputShape(4, 8, 1) if isinstance(best, str) else OutputShape(1, 7, 1))


def test_each_row_of_a_batch_has_its_own_map(load):
    model, log = load(models.strings_to_map()), Log()
    words = ("bad", "good", "great", "awful")
    lane = run_free(model, np.array([[word] for word in words], object), outputs=2)
    assert core.record_rows(log.source(), [event(i) for i in (2, 0, 3)], [2, 0, 3], lane) == 3
    rows = log.rows()
    assert [texts_of(row[5]) for row in rows] == [["yes", "yes"], ["no", "no"], ["no", "no"]]
    best = [max(scores.values()) for scores in probabilities(model, *words)]
    assert [row[4] for row in rows] == [kept(np.array([best[i]], np.float32)) for i in (2, 0, 3)]


def test_a_call_of_several_rows_keeps_no_map(load):
    model, log = load(models.strings_to_map()), Log()
    lane = run_free(model, np.array([["bad"], ["good"]], object), outputs=2)
    assert core.record_call(log.source(), event(), lane)
    ((_, _, _, shapes, _, data),) = log.rows()
    assert [shape.form for shape in shapes] == [4, 0]
    assert texts_of(data) == ["no", "yes"]


@pytest.mark.parametrize("model", [models.sequence_output, models.sparse_output])
def test_an_output_that_is_none_of_these_has_form_0(load, model):
    log = Log()
    lane = run_free(load(model()), np.ones(2, np.float32))
    assert core.record_call(log.source(), event(4), lane)
    ((_, _, sequence, (shape,), numbers, data),) = log.rows()
    assert (sequence, shape.form, numbers, data) == (4, 0, [], b"")


# Serving.


def test_serve_answers_as_a_run_does_and_records_it(identities):
    model, log = identities["float32"], Log()
    lane = run_prepared(model, np.array([1, 2, 3], np.float32))
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    latency = core.serve(lane.handle, log.source(model, number=41).handle, 2**40)
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    batch = log.take()
    assert batch.kind.tolist() == [Kind.CALL]
    assert (batch.source.tolist(), batch.sequence.tolist(), batch.flags.tolist()) == ([41], [2**40], [0])
    assert before // 1000 <= batch.time_us[0] <= after // 1000
    code = int(batch.latency[0])
    read = code if code < 2048 else (1024 + code % 1024) << (code // 1024 - 1)
    assert abs(read - latency) <= latency / 2048
    assert batch.shapes[batch.shape[0]] == (OutputShape(1, 1, 3),)


def test_serve_without_a_recorder_only_runs(identities):
    model = identities["float32"]
    lane = run_prepared(model, np.array([1], np.float32))
    assert core.serve(lane.handle, core.Source(None, model, None, 0).handle, 1) > 0


def test_a_run_that_failed_or_was_found_wanting_is_not_recorded(identities, load):
    log = Log()
    model = identities["float32"]
    lane = run_prepared(model, np.array([math.nan], np.float32))
    assert core.serve(lane.handle, log.source(model, check_finite=True).handle, 1) < 0
    other = run_prepared(model, np.array([[1, 2]], np.float32))
    assert core.serve(other.handle, log.source(load(models.many_inputs(2))).handle, 1) < 0
    assert log.rows() == []
    assert core.serve(lane.handle, log.source(model).handle, 2) > 0
    ((_, flags, sequence, *_),) = log.rows()
    assert (flags, sequence) == (FLAG_NONFINITE, 2)


@pytest.fixture
def halves():
    return split.split_new(b"salt", np.array([0, 2**31], np.uint32), np.array([0, 1], np.int32))


@given(key=st.binary(max_size=200))
def test_the_unit_is_the_hash_of_the_key_alone(identities, key):
    made = split.split_new(b"salt", np.array([0, 2**31], np.uint32), np.array([0, 1], np.int32))
    unit = xxhash.xxh64_intdigest(key, 42)
    assert core.split_assign_keyed(made, key, len(key)) == split.split_assign_key(made, key, len(key))
    assert core.thread_unit() == unit
    model, log = identities["float32"], Log()
    lane = run_prepared(model, np.array([1], np.float32))
    assert core.serve(lane.handle, log.source(model, keyed=True).handle, 1) > 0
    assert core.serve(lane.handle, log.source(model).handle, 2) > 0
    batch = log.take()
    assert batch.flags.tolist() == [FLAG_KEYED, 0]
    assert batch.unit.tolist() == [unit, 0]


def test_each_thread_has_its_own_unit(halves):
    core.split_assign_keyed(halves, b"mine", 4)
    mine = core.thread_unit()
    thread = threading.Thread(target=core.split_assign_keyed, args=(halves, b"yours", 5))
    thread.start()
    thread.join()
    assert core.thread_unit() == mine == xxhash.xxh64_intdigest(b"mine", 42)


def test_a_key_that_is_too_long_belongs_to_no_arm(halves):
    key = b"k" * (split.KEY_MAX_BYTES + 1)
    assert core.split_assign_keyed(halves, key, len(key)) == split.split_assign_key(halves, key, len(key)) > 2**30


# The shadow.


@contextmanager
def watching(log, model, tolerance=0.0):
    """A queue whose worker records what one model makes of calls."""
    queue = shadow.new_shadow(64, 2**20, 1)
    kept_alive = core.shadow_record(queue, [log.source(number=8)])
    worker = threading.Thread(target=shadow.shadow_work, args=(queue,))
    worker.start()
    try:
        yield queue, shadow.watch_array([shadow.new_watch(model, 0, tolerance)])
    finally:
        shadow.shadow_close(queue)
        worker.join()
        assert kept_alive


def test_a_watched_run_is_recorded_with_its_outputs_and_its_difference(tmp_path):
    served, watched = models.steady(2.0), models.steady(3.0)
    for name, raw in (("served", served), ("watched", watched)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(raw)
    champion = runtime.Model("champion", str(tmp_path / "served/model.onnx"), 1)
    challenger = runtime.Model("challenger", str(tmp_path / "watched/model.onnx"), 1)
    log = Log()
    inputs = [[[1, 2]], [[-4, 8]], [[math.inf, 1]]]
    with watching(log, challenger) as (queue, watches):
        for sequence, x in enumerate(inputs):
            lane = run_prepared(champion, np.array(x, np.float32))
            assert shadow.shadow_offer(queue, lane.handle, sequence, watches, 1) == 0
        assert shadow.shadow_wait(queue, None)
    rows = log.rows()
    assert [(row[0], row[2]) for row in rows] == [(Kind.SHADOW, sequence) for sequence in range(3)]
    for (_, flags, _, (shape,), numbers, _), x in zip(rows, inputs, strict=True):
        y = np.array(x, np.float32) * 3
        assert_output(shape, numbers[:-1], y)
        assert flags == (0 if np.isfinite(y).all() else FLAG_NONFINITE)
    assert [as_floats(row[4][-1:])[0] for row in rows] == [2.0, 8.0, 1.0]


def test_a_watched_run_that_disagrees_or_fails_says_so(tmp_path, load):
    log = Log()
    champion = load(models.steady())
    (tmp_path / "watched").mkdir()
    challenger = open_model(tmp_path / "watched", models.raises())
    with watching(log, challenger) as (queue, watches):
        for sequence, x in enumerate([[[-1, 2]]]):
            lane = run_prepared(champion, np.array(x, np.float32))
            assert shadow.shadow_offer(queue, lane.handle, sequence, watches, 1) == 0
        assert shadow.shadow_wait(queue, None)
    (tmp_path / "other").mkdir()
    with watching(log, open_model(tmp_path / "other", models.steady(-1.0))) as (queue, watches):
        lane = run_prepared(champion, np.array([[1, 2]], np.float32))
        assert shadow.shadow_offer(queue, lane.handle, 7, watches, 1) == 0
        assert shadow.shadow_wait(queue, None)
    failed, disagrees = log.rows()
    assert (failed[1], failed[3]) == (FLAG_FAILED, ())
    assert np.isnan(as_floats(failed[4])).tolist() == [True]
    assert (disagrees[1], disagrees[2]) == (FLAG_DISAGREE, 7)


# Captures.


def captured(log):
    (row,) = [row for row in log.rows() if row[0] == Kind.CAPTURE]
    return core.read_capture(np.frombuffer(row[5], np.uint8))


@given(array=tensors())
def test_a_capture_holds_the_input_as_it_was(identities, array):
    log = Log(ring_bytes=2**20)
    model = identities[str(array.dtype)]
    room = core.RECORD_BYTES_MAX - 64 - 8 - 8 * array.ndim
    assert core.record_call(log.source(model, capture_below=2**32 - 1), event(), run_free(model, array))
    if array.nbytes > room:
        assert core.losses(log.recorder).captures == 1
        return
    (found,) = captured(log)
    assert (found.dtype, found.shape, found.data) == (str(array.dtype), array.shape, array.tobytes())


def test_texts_are_captured_and_what_is_redacted_is_not(load):
    log = Log()
    model = load(models.strings_to_map())
    words = np.array([["good"], [""], ["großartig"]], object)
    lane = run_free(model, words, outputs=2)
    source = log.source(model, capture_below=2**32 - 1)
    assert core.record_call(source, event(), lane)
    assert captured(log) == [core.Captured("string", (3, 1), [b"good", b"", "großartig".encode()])]
    assert core.record_rows(source, [event()], [2], lane) == 1
    assert captured(log) == [core.Captured("string", (1, 1), ["großartig".encode()])]
    assert core.record_call(log.source(model, capture_below=2**32 - 1, redact=[0]), event(), lane)
    assert captured(log) == [core.Captured("string", (3, 1), None)]


def test_the_sample_of_captures_is_the_hash_of_the_sequence(identities):
    log = Log(rows_max=4096, ring_bytes=2**20)
    model = identities["float32"]
    source = log.source(model, capture_below=2**32 // 10)
    lane = run_prepared(model, np.array([1], np.float32))
    sequences = range(2**40, 2**40 + 2000)
    for sequence in sequences:
        assert core.record_call(source, event(sequence), lane)
    found = [row[2] for row in log.rows() if row[0] == Kind.CAPTURE]
    hashes = {s: xxhash.xxh64_intdigest(s.to_bytes(8, "little"), 42) >> 32 for s in sequences}
    assert found == [s for s in sequences if hashes[s] < 2**32 // 10]


# Notes, losses and sleep.


def test_a_note_is_the_bytes_it_was_made_of():
    log = Log()
    assert core.record_note(log.recorder, Kind.LABEL, core.Event(4, 2**63, 1999, 3), 6, b"\x93\x01\x02\x03")
    batch = log.take()
    assert (batch.kind[0], batch.source[0], batch.sequence[0], batch.unit[0]) == (Kind.LABEL, 6, 4, 2**63)
    assert (batch.flags[0], batch.time_us[0], batch.data.tobytes()) == (FLAG_KEYED, 1, b"\x93\x01\x02\x03")


def test_what_finds_no_room_is_told_and_counted():
    log = Log(rows_max=2048, ring_bytes=2**16)
    source = log.source()
    told = [core.record_call(source, event(i), None) for i in range(1200)]
    told += [not core.record_note(log.recorder, Kind.ERROR, event(), 0, b"x" * 70_000)]
    assert core.losses(log.recorder)._replace(errors=0) == core.Losses(told.count(False), 0, 0, 0, 0, 0)
    assert core.losses(log.recorder).errors == 1
    assert len(log.rows()) == told[:-1].count(True)
    assert core.head(log.recorder) == core.tail(log.recorder) > 0


def test_whoever_drains_sleeps_until_there_is_something_and_can_be_woken():
    log = Log()
    assert core.wait(log.recorder, 0.001, HOUR_S, 5) == 0
    waiter = threading.Thread(target=core.wait, args=(log.recorder, None, HOUR_S, 3))
    waiter.start()
    for i in range(3):
        core.record_call(log.source(), event(i), None)
    waiter.join()
    core.wake(log.recorder)
    assert core.wait(log.recorder, None, HOUR_S, 5) == 0
    assert core.wait(log.recorder, None, 0.0, 5) == 3
    core.reset(log.recorder)
    assert log.rows() == []


def test_a_ring_of_another_size_is_refused():
    with pytest.raises(CoreError):
        core.new_recorder(100_000)
