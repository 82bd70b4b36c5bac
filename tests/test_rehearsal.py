"""A rehearsal ends with what a bundle took, or with a sentence on why it cannot serve, whatever its process did."""

from __future__ import annotations

import json

import pytest

from edgerun import BundleError, bundle
from edgerun.rehearsal import measure, rehearse
from edgerun.requirements import Allowance
from support import models

GOLDEN = [{"inputs": {"x": [[1.0, 2.0]]}}, {"inputs": {"x": [[3.0, 4.0]]}}]
HOURS = 10**7


@pytest.fixture
def write(tmp_path):
    """Write a bundle of one model with two golden examples."""

    def write(model=None):
        (tmp_path / "m.onnx").write_bytes(model or models.steady())
        given = {"name": "toy", "version": "1", "models": {"m": tmp_path / "m.onnx"}, "nodes": {}, "route": "m"}
        return bundle.write(tmp_path / "bundle", **given, golden=GOLDEN).folder

    return write


@pytest.fixture
def in_the_process(tmp_path, monkeypatch):
    """Let the process of a rehearsal do something before, or at its end."""

    def do(program):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(f"import atexit, os, signal, sys\n{program}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return do


def change_golden(folder, change):
    examples = json.loads((folder / "golden.json").read_text())
    change(examples)
    (folder / "golden.json").write_text(json.dumps(examples))


def test_a_good_bundle_tells_what_it_took(write):
    taken = measure(write())
    assert 0 < taken.latency_s < 10
    assert 2**20 < taken.memory_bytes < 2**32


def test_a_bundle_without_examples_took_no_time(tmp_path, write):
    folder = write()
    change_golden(folder, list.clear)
    assert measure(folder).latency_s == 0


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Allowance(latency_s=1e-9), "a golden example took .* s here; 'limits' allows 1e-09 s"),
        (Allowance(memory_bytes=10**6), "it took .* bytes of memory; 'limits' allows 1000000"),
    ],
    ids=["latency", "memory"],
)
def test_a_limit_that_is_passed_is_told_with_what_it_took(write, limits, why):
    with pytest.raises(BundleError, match=why):
        rehearse(write(), limits)


def test_a_bundle_within_its_limits_is_good(write):
    assert rehearse(write(), Allowance(latency_s=100, memory_bytes=2**34)).latency_s < 100


def test_a_wrong_output_is_told_with_example_model_and_output(write):
    folder = write()

    def change(examples):
        examples[1]["outputs"]["m"]["y"][0][1] = 9.0

    change_golden(folder, change)
    with pytest.raises(BundleError, match=r"golden example 1: model 'm', output 'y': expected \[\[6\.0, 9\.0\]\]"):
        measure(folder)


def test_a_model_that_cannot_be_loaded_is_told_by_its_name(write):
    folder = write()
    (folder / "models" / "m.onnx").write_bytes(models.unknown_operator())
    with pytest.raises(BundleError, match=r"model 'm'.*cannot be loaded"):
        measure(folder)


def test_a_bundle_that_is_none_is_told_by_its_path(tmp_path):
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        measure(tmp_path / "nowhere")


def test_a_bundle_that_hangs_is_ended(write):
    folder = write(models.stalls(steps=HOURS))

    def change(examples):
        examples[0]["inputs"]["x"][0][0] = -1.0

    change_golden(folder, change)
    with pytest.raises(BundleError, match=r"was not loaded and run within 2 s"):
        measure(folder, timeout_s=2)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"died of signal 11 \(SIGSEGV\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed, most likely since memory ran out"),
        ("os.kill(os.getpid(), 40)", r"died of signal 40 \("),
        ("os._exit(7)", "died with code 7: it said nothing"),
        ("os._exit(1)", "died with code 1: it said nothing"),
        ("os._exit(0)", "said '', which is not what it took"),
        ("print('hello')", "said 'hello"),
        ("print('[' * 100_000); os._exit", "which is not what it took"),
        ("""print('{"latency_s": NaN, "memory_bytes": 1}', flush=True); os._exit(0)""", "which is not what it took"),
        ("""sys.stdout.buffer.write(b'\\xff'); sys.stdout.flush(); os._exit(0)""", "which is not what it took"),
    ],
    ids=["crash", "out of memory", "real-time signal", "exit", "silent", "no answer", "noise", "deep", "NaN", "bytes"],
)
def test_whatever_the_process_does_is_told(write, in_the_process, program, why):
    in_the_process(program)
    with pytest.raises(BundleError, match=why):
        measure(write())


def test_the_process_is_the_first_to_go_where_memory_runs_out(write, in_the_process, tmp_path):
    note = tmp_path / "note"
    in_the_process(f"atexit.register(lambda: open({str(note)!r}, 'w').write(open('/proc/self/oom_score_adj').read()))")
    measure(write())
    assert note.read_text().strip() == "1000"


def test_the_process_ends_by_itself_where_nobody_waits_for_it(write, in_the_process, tmp_path):
    note = tmp_path / "note"
    in_the_process(f"atexit.register(lambda: open({str(note)!r}, 'w').write(str(signal.alarm(0))))")
    measure(write(), timeout_s=100)
    assert 0 < int(note.read_text()) <= 101


def test_a_machine_that_starts_no_process_is_told(write, monkeypatch):
    monkeypatch.setattr("edgerun.rehearsal.sys.executable", "/nowhere/python")
    with pytest.raises(BundleError, match="no process could be started"):
        measure(write())
