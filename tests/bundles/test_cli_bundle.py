"""``edgerun bundle``: what a data scientist types, from models to a registry and back."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tomllib
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest

from edgerun import EdgeRunner
from edgerun_bundles.layout import read_layout
from edgerun_bundles.opening import open_bundle
from support import models
from support.registry import Reply, serving

pytestmark = pytest.mark.usefixtures("packages_read_once")
EDGERUN = Path(sys.executable).with_name("edgerun")
TIMEOUT_S = 120
COMMANDS = (
    *("init", "build", "show", "verify", "diff", "log", "restore", "check-env", "promote"),
    *("push", "pull", "track", "release", "withdraw", "export", "import", "repository", "keys"),
)


@pytest.fixture
def onnx(tmp_path):
    """Put a model into a file."""

    def onnx(name, content):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        return path

    return onnx


@pytest.fixture
def project(invoke, onnx, tmp_path):
    """A folder with a bundle.toml as init writes it, to be edited: texts in it are replaced by others."""

    def project(*edits, contents=None):
        contents = contents or {"champion": models.steady(2), "challenger": models.steady(3)}
        options = [f"--model={name}={onnx(name, content)}" for name, content in contents.items()]
        done = invoke("bundle", "init", tmp_path / "toy", "--name", "toy", *options)
        assert done.exit_code == 0, done.output
        source = tmp_path / "toy" / "bundle.toml"
        text = source.read_text()
        for before, after in edits:
            assert before in text
            text = text.replace(before, after, 1)
        source.write_text(text)
        return tmp_path / "toy"

    return project


@pytest.fixture
def build(invoke, project, tmp_path):
    """Build a project into an archive."""

    def build(*edits, output="toy.tar", contents=None, options=()):
        folder = project(*edits, contents=contents) if not (tmp_path / "toy").exists() else tmp_path / "toy"
        done = invoke("bundle", "build", folder, "-o", tmp_path / output, "--json", *options)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return build


def failure(done):
    """What a command that failed said: one line, and nothing on stdout."""
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgerun: ")
    return line


EXPERIMENT = (
    'route = "watch"',
    'route = "ab"',
), (
    "# [nodes.ab]\n# kind",
    "[nodes.ab]\nkind",
), (
    "# weights",
    "weights",
), (
    '# split_key = "session_id"',
    'split_key = "session_id"',
), (
    '[nodes.watch]\nkind = "shadow_deploy"\nchampion = "champion"\nshadows = ["challenger"]\n',
    "",
)  # fmt: skip


# Help.


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples_of_itself(invoke, command):
    text = invoke("bundle", command, "--help").stdout
    assert re.search(rf"Examples:\n +edgerun bundle {command} ", text)
    assert "--json" in text
    assert max(map(len, text.splitlines())) < 120


def test_the_group_lists_its_commands(invoke):
    listed = invoke("bundle", "--help").stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")][: len(COMMANDS)] == sorted(
        COMMANDS
    )


def test_help_does_not_load_the_http_library():
    program = "import sys; import edgerun_bundles.cli.bundle; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# init.


def test_init_writes_a_definition_that_builds_as_it_stands(project, invoke, tmp_path):
    folder = project()
    found = tomllib.loads((folder / "bundle.toml").read_text())
    assert found["models"] == {"champion": "../champion.onnx", "challenger": "../challenger.onnx"}
    assert found["nodes"]["watch"]["shadows"] == ["challenger"]
    assert invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar").exit_code == 0


def test_every_line_that_init_comments_out_is_valid_when_it_is_not(project, invoke, tmp_path):
    folder = project(*EXPERIMENT)
    text = (folder / "bundle.toml").read_text()
    text = re.sub(r"^# (\[\w|\w+ = )", r"\1", text, flags=re.MULTILINE)
    np.savez(folder / "train.npz", x=np.ones((3, 2), np.float32))
    (folder / "bundle.toml").write_text(text.replace('cpu = ["avx2"]', "cpu = []"))
    found = tomllib.loads(text)
    assert {"requires", "limits", "budget"} < found.keys()
    done = invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar")
    assert done.exit_code == 0, done.output


def test_one_model_needs_no_graph(project, invoke, tmp_path):
    folder = project(contents={"only": models.steady()})
    found = tomllib.loads((folder / "bundle.toml").read_text())
    assert (found["route"], found.get("nodes")) == ("only", None)


def test_models_that_answer_nothing_to_zeros_get_no_golden_example(invoke, onnx, tmp_path):
    path = onnx("log", models.non_finite())
    done = invoke("bundle", "init", tmp_path / "toy", "--name", "toy", "--model", f"log={path}")
    assert done.exit_code == 0, done.output
    assert "add golden examples" in done.stderr
    assert not (tmp_path / "toy" / "golden.json").exists()


@pytest.mark.parametrize("name", ["mlp", "identity", "scalar_input", "shared_dim", "default_input", "unknown_rank"])
def test_models_of_many_kinds_can_be_started_from(invoke, onnx, tmp_path, name):
    path = onnx(name, getattr(models, name)())
    done = invoke("bundle", "init", tmp_path / "toy", "--name", "toy", "--model", f"m={path}", "--json")
    assert done.exit_code == 0, done.output
    assert invoke("bundle", "build", tmp_path / "toy", "-o", tmp_path / "toy.tar").exit_code == 0


def test_init_overwrites_nothing(project, invoke, onnx, tmp_path):
    folder = project()
    before = (folder / "bundle.toml").read_bytes()
    done = invoke("bundle", "init", folder, "--name", "new", "--model", f"m={tmp_path / 'champion.onnx'}")
    assert "has a bundle.toml" in failure(done)
    assert (folder / "bundle.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "Toy", "--model", "m={good}"], "name must match"),
        (["--name", "toy", "--version", "1 0", "--model", "m={good}"], "version must match"),
        (["--name", "toy", "--model", "m=none.onnx"], "none.onnx is missing"),
        (["--name", "toy", "--model", "m={bad}"], "bad.onnx"),
        (["--name", "toy", "--model", "m={good}", "--model", "n={other}"], "cannot stand in|'n'"),
    ],
)
def test_init_says_what_is_wrong_and_leaves_nothing(invoke, onnx, tmp_path, arguments, said):
    places = {
        "good": onnx("good", models.steady()),
        "other": onnx("other", models.mlp()),
        "bad": onnx("bad", b"no model"),
    }
    done = invoke("bundle", "init", tmp_path / "toy", *(argument.format(**places) for argument in arguments))
    assert re.search(said, failure(done))
    assert not (tmp_path / "toy" / "bundle.toml").exists()


@pytest.mark.parametrize("model", ["m", "m=", "=x"])
def test_a_model_is_given_as_name_and_path(invoke, tmp_path, model):
    assert invoke("bundle", "init", tmp_path, "--name", "toy", "--model", model).exit_code == 2


def test_a_path_with_quotes_and_spaces_is_kept(invoke, tmp_path):
    path = tmp_path / 'a "b" \\ ü.onnx'
    path.write_bytes(models.steady())
    assert invoke("bundle", "init", tmp_path / "toy", "--name", "toy", "--model", f"m={path}").exit_code == 0
    found = tomllib.loads((tmp_path / "toy" / "bundle.toml").read_text())
    assert (tmp_path / "toy" / found["models"]["m"]).resolve() == path


# build.


def test_the_same_inputs_give_the_same_digest_and_the_same_bytes(build, tmp_path):
    plain = ("--no-provenance",)
    first, again = build(output="a.tar", options=plain), build(output="b.tar", options=plain)
    assert first["digest"] == again["digest"]
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    layout = build(output="layout")
    assert layout["digest"] == first["digest"] == read_layout(tmp_path / "layout").manifest.digest


def test_what_is_built_is_served(build, tmp_path):
    build()
    with EdgeRunner.open(open_bundle(tmp_path / "toy.tar", tmp_path / "scratch")) as runner:
        assert runner.predict([[1, 2]])["y"].tolist() == [[2, 4]]


def test_a_build_tells_what_a_device_will_need(build):
    found = build()
    assert (found["name"], found["version"], found["models"], found["golden"]) == ("toy", "0.1.0", 2, 1)
    assert 0 < found["latency_s"] < 1
    assert 10**7 < found["memory_bytes"] < 10**9


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([('name = "toy"', 'name = "Toy"')], "bundle.toml: a bundle's name must match"),
        ([('name = "toy"', "nome = 1")], "unknown field 'nome'"),
        ([('version = "0.1.0" ', "")], "not valid TOML|'version' is missing"),
        ([('route = "watch"', 'route = "nowhere"')], "'nowhere' is neither a node nor a model"),
        ([("../champion.onnx", "../none.onnx")], "none.onnx is missing"),
        ([('shadows = ["challenger"]', 'shadows = ["champion"]')], "watches itself"),
        ([('golden = "golden.json"', 'golden = "none.json"')], "none.json cannot be read"),
        ([('golden = "golden.json"', "golden = 7")], "'golden' must be a list"),
        ([("# [requires]", '[requires]\nedgerun = "99"')], "cannot be proven here: it needs edgerun 99 or later"),
        ([("# [requires]", "[requires]\ngpu = true")], "unknown field 'gpu'"),
        ([("# [limits]", "[limits]\nlatency_s = 1e-9")], "a golden example took .* s here; 'limits' allows 1e-09 s"),
        ([("# [limits]", "[limits]\nmemory_bytes = 1_000_000")], "bytes of memory; 'limits' allows 1000000"),
        ([("# [budget]", "[budget]\nsize_bytes = 100")], "the bundle has .* bytes; its budget is 100"),
        ([("# [budget]", "[budget]\nsize_bytes = -1")], "must be a number of bytes"),
        ([("# [budget]", "[budget]\nmore = 1")], "unknown field 'more'"),
    ],
)
def test_a_build_that_cannot_be_proven_says_why_and_writes_nothing(project, invoke, tmp_path, edits, said):
    folder = project(*edits)
    done = invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar")
    assert re.search(said, failure(done))
    assert not (tmp_path / "toy.tar").exists()


def test_a_golden_example_that_does_not_reproduce_is_named(project, invoke, tmp_path):
    folder = project()
    example = {"inputs": {"x": [[1, 1]]}, "outputs": {"champion": {"y": [[2, 3]]}}}
    (folder / "golden.json").write_text(json.dumps([example]))
    done = invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar")
    assert "golden example 0: model 'champion', output 'y': expected [[2, 3]]" in failure(done)


@pytest.mark.parametrize(
    "example", ["7", '{"inputs":7}', '{"inputs":{"z":[[1,1]]}}', '{"inputs":{"x":"a"}}', '{"inputs":{"x":[[1],[1,2]]}}']
)
def test_a_golden_example_that_is_none_is_named(project, invoke, tmp_path, example):
    folder = project()
    (folder / "golden.json").write_text(f"[{example}]")
    assert "golden example 0" in failure(invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar"))


def test_a_model_for_a_runtime_that_few_have_needs_a_word(project, invoke, tmp_path, onnx):
    folder = project(contents={"only": models.steady()})
    model = onnx_library.load(tmp_path / "only.onnx")
    model.opset_import[0].version = 24
    onnx_library.save(model, tmp_path / "only.onnx")
    said = failure(invoke("bundle", "build", folder, "-o", tmp_path / "toy.tar"))
    assert "needs operator set 24" in said
    assert 'onnxruntime = "' in said


def test_a_failed_build_leaves_the_former_archive(build, invoke, tmp_path):
    build()
    before = (tmp_path / "toy.tar").read_bytes()
    (tmp_path / "champion.onnx").write_bytes(b"broken")
    failure(invoke("bundle", "build", tmp_path / "toy", "-o", tmp_path / "toy.tar"))
    assert (tmp_path / "toy.tar").read_bytes() == before


def test_the_source_itself_is_never_the_output(project, invoke, tmp_path):
    folder = project()
    assert invoke("bundle", "build", folder, "-o", folder).exit_code == 2
    assert "choose another" in failure(invoke("bundle", "build", folder, "-o", tmp_path / "champion.onnx"))
    assert "holds something else" in failure(invoke("bundle", "build", folder, "-o", tmp_path))
    assert (folder / "bundle.toml").exists()


def test_a_folder_without_a_definition_says_how_to_get_one(invoke, tmp_path):
    assert "edgerun bundle init" in failure(invoke("bundle", "build", tmp_path, "-o", tmp_path / "x.tar"))


# show, verify and diff.


def test_show_and_verify_take_a_folder_an_archive_and_a_layout(build, invoke, tmp_path):
    built = build()
    build(output="layout")
    folder = open_bundle(tmp_path / "toy.tar", tmp_path / "scratch")
    for source in (folder, tmp_path / "toy.tar", tmp_path / "layout"):
        shown = json.loads(invoke("bundle", "show", source, "--json").stdout)
        assert shown["digest"] == built["digest"]
        assert shown["models"]["champion"]["opsets"] == {"ai.onnx": 17}
        verified = json.loads(invoke("bundle", "verify", source, "--json").stdout)
        assert (verified["digest"], verified["unmet"]) == (built["digest"], [])


def test_show_tells_people_what_matters(build, invoke, tmp_path):
    built = build(("# [requires]", '[requires]\narch = ["x86_64", "aarch64"]'))
    text = invoke("bundle", "show", tmp_path / "toy.tar").stdout
    for part in (built["digest"], "models/champion.onnx", "ai.onnx 17", "x86_64, aarch64", "watches"):
        assert part in text


def test_verify_finds_a_wrong_byte_in_a_model(build, invoke, tmp_path):
    build(output="layout")
    blob = next(
        path for path in sorted((tmp_path / "layout/blobs/sha256").iterdir()) if path.read_bytes()[:1] == b"\x08"
    )
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "has the digest" in failure(invoke("bundle", "verify", tmp_path / "layout"))


def test_verify_tells_what_this_machine_lacks(build, invoke, tmp_path):
    build(("# [requires]", '[requires]\narch = ["riscv128"]'))
    done = invoke("bundle", "verify", tmp_path / "toy.tar")
    assert done.exit_code == 0
    assert "it needs a machine of riscv128" in done.stderr
    assert "is whole and serves" in done.stdout


def test_a_bundle_that_kills_its_process_is_refused(build, invoke, tmp_path, monkeypatch):
    build()
    monkeypatch.setattr("edgerun.rehearsal.sys.executable", "/bin/false")
    assert "it said nothing" in failure(invoke("bundle", "verify", tmp_path / "toy.tar"))


def test_diff_tells_models_nodes_and_the_share_of_keys_that_move(build, invoke, tmp_path):
    build(*EXPERIMENT, output="a.tar")
    source = tmp_path / "toy" / "bundle.toml"
    text = source.read_text()
    source.write_text(
        text.replace("champion = 90, challenger = 10", "champion = 50, challenger = 50").replace("0.1.0", "0.2.0")
    )
    build(output="b.tar")
    build(output="c.tar", options=("--parent", tmp_path / "a.tar"))
    (tmp_path / "challenger.onnx").write_bytes(models.steady(4))
    build(output="d.tar")
    for name in ("b", "c"):
        found = json.loads(invoke("bundle", "diff", tmp_path / "a.tar", tmp_path / f"{name}.tar", "--json").stdout)
        change = found["nodes"]["changed"]["ab"]
        assert change["moved"] == pytest.approx(0.4, abs=1e-9)
        assert change["shares"][1]["challenger"] == 0.5
        assert found["models"] == {"added": {}, "removed": {}, "changed": {}}
        assert 0 < found["transfer_bytes"] < 3000
    page = invoke("bundle", "diff", tmp_path / "a.tar", tmp_path / "d.tar").stdout
    assert "40 % of its keys move" in page
    assert "model     ~ challenger: sha256:" in page


def test_diff_counts_the_keys_that_a_slice_and_a_holdout_move(make_bundle, invoke):
    def at(place, start, end, **fields):
        layer = {"name": "search", "from": start, "to": end}
        node = {"kind": "random_split", "weights": {"champion": 1, "challenger": 1}, "split_key": "user"}
        return make_bundle(place, nodes={"ab": {**node, "layer": layer}}, **fields)

    held = {"name": "2026-h2", "share": 0.5, "split_key": "user"}
    folders = [at("a", 0, 0.5), at("b", 0, 0.75), at("c", 0, 0.75, holdout=held)]
    first, second = (json.loads(invoke("bundle", "diff", *pair, "--json").stdout) for pair in pairwise(folders))
    assert first["nodes"]["changed"]["ab"]["moved"] == 1 / 8
    assert first["nodes"]["changed"]["ab"]["fields"] == {
        "layer": [{"name": "search", "from": 0, "to": 0.5}, {"name": "search", "from": 0, "to": 0.75}]
    }
    assert second["nodes"]["changed"]["ab"]["moved"] == 3 / 16
    assert second["nodes"]["changed"]["ab"]["fields"] == {}
    assert second["holdout"]["added"] == held
    page = invoke("bundle", "diff", *folders[1:]).stdout
    assert "18.75 % of its keys move" in page
    assert "holdout   + share: 0.5" in page


def test_a_bundle_is_built_with_the_holdout_of_its_definition(build, invoke, tmp_path):
    held = "[models]\n", '[holdout]\nname = "2026-h2"\nshare = "1/3"\nsplit_key = "session_id"\n[models]\n'
    build(*EXPERIMENT, held)
    document = json.loads(invoke("bundle", "show", tmp_path / "toy.tar", "--json").stdout)
    assert document["holdout"] == {"name": "2026-h2", "share": "1/3", "split_key": "session_id"}


def test_a_parent_spares_keys_where_an_arm_is_added(build, invoke, onnx, tmp_path):
    build(*EXPERIMENT, ("champion = 90, challenger = 10", "champion = 1, challenger = 1"), output="a.tar")
    onnx("third", models.steady(5))
    source = tmp_path / "toy" / "bundle.toml"
    text = source.read_text().replace("champion = 1, challenger = 1", "champion = 1, challenger = 1, third = 1")
    source.write_text(text.replace("[models]\n", '[models]\nthird = "../third.onnx"\n'))
    build(output="fresh.tar")
    build(output="kind.tar", options=("--parent", tmp_path / "a.tar"))
    moved = {}
    for name in ("fresh", "kind"):
        found = json.loads(invoke("bundle", "diff", tmp_path / "a.tar", tmp_path / f"{name}.tar", "--json").stdout)
        moved[name] = found["nodes"]["changed"]["ab"]
    assert moved["kind"]["moved"] == pytest.approx(moved["kind"]["least"], abs=1e-9)
    assert moved["kind"]["moved"] < moved["fresh"]["moved"]
    page = invoke("bundle", "diff", tmp_path / "a.tar", tmp_path / "fresh.tar").stdout
    assert "would be enough" in page


def test_a_bundle_does_not_differ_from_itself(build, invoke, tmp_path):
    build()
    done = invoke("bundle", "diff", tmp_path / "toy.tar", tmp_path / "toy.tar")
    assert done.stdout.startswith("the same: sha256:")


@pytest.mark.parametrize("command", ["show", "verify"])
def test_what_is_no_bundle_is_told_in_one_line(invoke, tmp_path, command):
    (tmp_path / "junk.tar").write_bytes(b"junk" * 200)
    for source in (tmp_path / "junk.tar", tmp_path / "none.tar", tmp_path):
        assert failure(invoke("bundle", command, source))


# push and pull.


def test_a_bundle_goes_to_a_registry_and_comes_back(build, invoke, registry, tmp_path):
    built = build()
    target = f"oci://{registry.host}/team/cli"
    sent = json.loads(invoke("bundle", "push", tmp_path / "toy.tar", target, "--json").stdout)
    assert sent["reference"] == f"{target}:0.1.0@{built['digest']}"
    assert "0 bytes in 0 blobs sent" in invoke("bundle", "push", tmp_path / "toy.tar", target).stdout
    for output in ("back.tar", "back"):
        done = invoke("bundle", "pull", f"{target}:0.1.0", "-o", tmp_path / output, "--provenance", "--json")
        assert json.loads(done.stdout)["digest"] == built["digest"]
        assert json.loads(invoke("bundle", "verify", tmp_path / output, "--json").stdout)["digest"] == built["digest"]
    assert (tmp_path / "back.tar").read_bytes() == (tmp_path / "toy.tar").read_bytes()


def test_a_bundle_folder_can_be_pushed_as_it_is(make_bundle, invoke, tmp_path):
    with serving() as fake:
        done = invoke("bundle", "push", make_bundle(), f"oci://{fake.host}/toy:x")
        assert done.exit_code == 0, done.output
        assert "x" in fake.manifests


def test_a_tag_that_led_elsewhere_is_warned_of(make_bundle, invoke):
    with serving() as fake:
        invoke("bundle", "push", make_bundle(), f"oci://{fake.host}/toy:x")
        done = invoke("bundle", "push", make_bundle("other", version="2"), f"oci://{fake.host}/toy:x")
    assert "the tag x led to another bundle before: sha256:" in done.stderr


@pytest.mark.parametrize("target", ["ftp://registry/toy", "oci://", "oci://h/toy@sha256:1"])
def test_a_target_that_is_no_reference_is_wrong_usage(make_bundle, invoke, target):
    assert invoke("bundle", "push", make_bundle(), target).exit_code == 2


def test_a_registry_that_refuses_is_told_in_one_line(make_bundle, invoke, tmp_path):
    with serving() as fake:
        said = b'{"errors":[{"message":"read\\nonly"}]}'
        fake.first = lambda request: Reply(403, {}, said) if request.method != "HEAD" else None
        assert "read only; you may not do that" in failure(
            invoke("bundle", "push", make_bundle(), f"oci://{fake.host}/a")
        )
        assert "you may not" in failure(invoke("bundle", "pull", f"oci://{fake.host}/a:1", "-o", tmp_path / "x.tar"))
    assert not (tmp_path / "x.tar").exists()


# As a user sees it.


def test_ctrl_c_ends_a_push_in_one_line_and_leaves_nothing(make_bundle, tmp_path):
    folder = make_bundle()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving() as fake:
        command = [EDGERUN, "bundle", "push", folder, f"oci://{fake.host}/toy"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch)},
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a background job ignores it
        )
        fake.first = lambda request: process.send_signal(signal.SIGINT) if request.method == "POST" else None
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "edgerun: interrupted")
    assert [*scratch.iterdir()] == []


def test_long_work_tells_a_terminal_what_it_does(make_bundle):
    folder = make_bundle()
    with serving() as fake:
        controller, terminal = pty.openpty()
        command = [EDGERUN, "bundle", "push", folder, f"oci://{fake.host}/toy"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        while select.select([controller], [], [], TIMEOUT_S)[0]:
            try:
                piece = os.read(controller, 65536)
            except OSError:
                break
            shown += piece
        stdout = process.stdout.read()
        process.stdout.close()
        process.wait(TIMEOUT_S)
        os.close(controller)
    assert b"sending" in shown
    assert b"100%" in shown
    assert b"blobs sent" in stdout
