"""``show``, ``diff``, ``log``, ``verify`` and ``check-env`` tell where a bundle comes from."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgerun_bundles.archive import read_archive, write_archive
from edgerun_bundles.attached import attachments
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from edgerun_bundles.provenance import capture_code
from edgerun_bundles.provenance.author import Author
from edgerun_bundles.provenance.canonical import canonical, digest
from edgerun_bundles.provenance.data import Data
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.provenance.metrics import ConfusionMatrix, Metrics
from edgerun_bundles.provenance.notebooks import Notebook
from edgerun_bundles.provenance.statement import Provenance, Run, code_document
from edgerun_bundles.provenance.tables import Column, Table
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from support.repositories import commit_all, git, write

ADA = Author("Ada", "ada@example.org")


@pytest.fixture(scope="module")
def environment():
    return describe_environment()


def trained(environment, *, accuracy=0.75, c=0.5, right=3):
    matrix = ConfusionMatrix(("black", "gold"), ((right, 4 - right), (0, 4)))
    return Provenance(
        data=(
            Data(
                "train", "file", "1" * 64, 10, uri="s3://b/t.csv", tables=(Table("csv", 1, 5, (Column("a", "int64"),)),)
            ),
        ),
        environment=environment,
        parameters={"C": c, "kernel": "rbf"},
        metrics=Metrics({"accuracy": accuracy}, {}, {"auc": {"gold": 0.9, "black": 0.8}}, {"test": matrix}),
        run=Run("20260101T000000.000000Z-00000000-00000000", "2026-01-01T00:00:00Z", name="svm", author=ADA),
    )


@pytest.fixture
def archive(make_bundle, tmp_path):
    """A bundle with provenance, in an archive."""

    def archive(place, provenance, blobs=None, **fields):
        folder = make_bundle(place, **fields)
        if provenance is None:
            kept = []
        else:
            run = Run("build", "2026-02-01T00:00:00Z", author=ADA, ended=f"2026-02-01T00:00:0{len(fields)}Z")
            provenance = provenance._replace(run=provenance.run or run)
            kept = attachments(manifest_of_folder(folder), provenance, blobs or {}, tmp_path / f"{place}-kept")
        return write_archive(write_layout(folder, tmp_path / f"{place}-layout", kept), tmp_path / f"{place}.tar")

    return archive


# show.


def test_show_tells_who_built_it_and_how_each_model_was_trained(archive, invoke, environment):
    path = archive("toy", Provenance(environment=environment, models={"champion": trained(environment)}))
    text = invoke("bundle", "show", path).stdout
    for said in (
        r"built +2026-02-01T00:00:00Z by Ada <ada@example.org>",
        r"model champion\nrun +2026\S+ svm\n",
        r"parameter C +0\.5\n",
        r"metric accuracy +0\.75\n",
        r"data +train: s3://b/t.csv, 10 bytes, 5 rows of 1 columns",
        r"confusion matrix test, true classes as rows\n +black +gold +support +precision +recall +F1\n",
        r"black +3 +1 +4 +100 % +75 % +85\.71 %\n",
        r"numbers per class\nclass +auc\nblack +0\.8\ngold +0\.9",
    ):
        assert re.search(said, text), said
    document = json.loads(invoke("bundle", "show", path, "--format", "json").stdout)
    assert document == json.loads(invoke("bundle", "show", path, "--json").stdout)
    assert document["provenance"]["models"]["champion"]["parameters"]["C"] == 0.5


def test_a_name_that_could_steer_a_terminal_is_shown_escaped(archive, invoke):
    path = archive("toy", Provenance(parameters={"\x1b[31m": "\x07"}, models={"champion": Provenance()}))
    assert "\x1b" not in invoke("bundle", "show", path).stdout
    assert "\x07" not in invoke("bundle", "log", path).stdout


def test_show_exports_an_ml_bom_that_the_schema_takes(archive, invoke, environment):
    path = archive("toy", Provenance(environment=environment, models={"champion": trained(environment)}))
    text = invoke("bundle", "show", path, "--format", "cyclonedx").stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = [item["name"] for item in json.loads(text)["components"] if item["type"] == "machine-learning-model"]
    assert names == ["champion"]
    plain = invoke("bundle", "show", archive("plain", None), "--format", "cyclonedx")
    assert (plain.exit_code, plain.stdout) == (1, "")
    assert "it was built or fetched without" in plain.stderr


# verify.


def test_verify_says_whether_provenance_is_there(archive, make_bundle, invoke):
    whole = archive("toy", Provenance(parameters={"a": 1}))
    assert "whole provenance, sha256:" in invoke("bundle", "verify", whole).stdout
    (found,) = json.loads(invoke("bundle", "verify", whole, "--json").stdout)["provenance"]
    assert found.startswith("sha256:")
    for plain in (archive("plain", None), make_bundle("folder")):
        assert "no provenance, sha256:" in invoke("bundle", "verify", plain).stdout


def attached_to(layout_folder, folder, content, tmp_path, *more):
    statement = tmp_path / digest(content)
    statement.write_bytes(content)
    return write_layout(folder, layout_folder, [Attachment(PROVENANCE_TYPE, statement), *more])


def statement_of(subject, predicate, kind="https://edgerun.dev/provenance/v1"):
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "x", "digest": {"sha256": subject}}],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


NOTEBOOK = {
    "path": "a.ipynb",
    "sha256": "2" * 64,
    "size": 3,
    "source_sha256": "2" * 64,
    "cells": 0,
    "execution": [],
    "top_to_bottom": False,
}


@pytest.mark.parametrize(
    ("of_itself", "predicate", "kind", "said"),
    [
        (False, {}, "v1", "is about something else"),
        (True, {"notebooks": [NOTEBOOK]}, "v1", f"names {'2' * 64}, and does not have it"),
        (True, {"parameters": 7}, "v1", "parameters must be an object"),
        (True, {}, "v2", "update edgerun"),
    ],
)
def test_verify_refuses_provenance_that_is_not_whole_and_show_warns_of_it(
    make_bundle, invoke, tmp_path, of_itself, predicate, kind, said
):
    folder = make_bundle()
    subject = manifest_of_folder(folder).digest.removeprefix("sha256:") if of_itself else "1" * 64
    content = statement_of(subject, predicate, f"https://edgerun.dev/provenance/{kind}")
    attached_to(tmp_path / "layout", folder, content, tmp_path)
    done = invoke("bundle", "verify", tmp_path / "layout")
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    shown = invoke("bundle", "show", tmp_path / "layout")
    assert shown.exit_code == 0
    assert said in shown.stderr


def test_statements_of_other_people_are_passed_over(make_bundle, invoke, tmp_path):
    content = statement_of("1" * 64, {}, "https://slsa.dev/provenance/v1")
    attached_to(tmp_path / "layout", make_bundle(), content, tmp_path)
    assert "no provenance" in invoke("bundle", "verify", tmp_path / "layout").stdout


def test_verify_finds_a_wrong_byte_in_provenance(archive, invoke, tmp_path):
    layout = read_archive(archive("toy", Provenance(parameters={"a": 1})), tmp_path / "read")
    statement = layout.referrers[0].layers[0]
    layout.blob(statement.digest).write_bytes(b"x" * statement.size)
    done = invoke("bundle", "verify", tmp_path / "read")
    assert done.exit_code == 1
    assert statement.digest in done.stderr


# diff.


def test_diff_tells_parameters_metrics_packages_and_data(archive, invoke, environment):
    package = environment.packages[0]
    other = environment._replace(packages=(package._replace(version="0.0.1"), *environment.packages[1:]))
    before = Provenance(environment=environment, models={"champion": trained(environment)})
    data = Data("train", "file", "2" * 64, 20)
    after = trained(other, accuracy=0.5, c=0.1, right=1)._replace(data=(data,), notebooks=())
    after = Provenance(environment=other, parameters={"seed": 1}, models={"champion": after})
    paths = archive("a", before), archive("b", after, version="2.0.0")
    document = json.loads(invoke("bundle", "diff", *paths, "--json").stdout)["provenance"]
    champion = document["models"]["champion"]
    assert champion["parameters"] == {"added": {}, "removed": {}, "changed": {"C": [0.5, 0.1]}}
    assert champion["metrics"]["changed"] == {"accuracy": [0.75, 0.5], "test/accuracy": [0.875, 0.625]}
    assert champion["per_class"]["changed"]["test/F1/black"] == [pytest.approx(6 / 7), 0.4]
    assert champion["data"]["changed"]["train"][1]["bytes"] == 20
    assert [row["name"] for row in champion["packages"]] == [package.name]
    assert champion["code"] is None
    assert document["bundle"]["parameters"]["added"] == {"seed": 1}
    page = invoke("bundle", "diff", *paths).stdout
    for said in (
        r"model champion, how it was trained\n",
        r"parameter +~ C 0\.5 -> 0\.1\n",
        r"metric +~ accuracy 0\.75 -> 0\.5  \(-0\.25\)\n",
        r"test/F1/black +0\.857143 -> 0\.4 +-0\.4571\n",
        rf"package +{package.name} {re.escape(package.version)} -> 0\.0\.1\n",
        r"data +~ train 111111111111 \(10 bytes, 5 rows\) -> 222222222222 \(20 bytes\)\n",
        r"parameter +\+ seed 1\n",
    ):
        assert re.search(said, page), said


def test_diff_shows_which_files_of_the_code_changed_and_a_patch_that_applies(archive, invoke, repo, tmp_path):
    before, blobs = code_document(capture_code(repo))
    write(repo, "new.py", b"one\ntwo\n")
    write(repo, "data/image.bin", b"\0other")
    (repo / "README.md").unlink()
    (repo / "run.sh").unlink()
    (repo / "run.sh").symlink_to("train.py")
    after, more = code_document(capture_code(repo))
    paths = archive("a", Provenance(code=before), blobs), archive("b", Provenance(code=after), more, version="2")
    document = json.loads(invoke("bundle", "diff", *paths, "--json").stdout)["provenance"]["bundle"]["code"]
    found = {row["path"]: (row["change"], row.get("added"), row.get("removed")) for row in document["files"]}
    assert found == {
        "new.py": ("added", 2, 0),
        "data/image.bin": ("changed", None, None),
        "README.md": ("deleted", 0, 1),
        "run.sh": ("retyped", 1, 2),
    }
    page = invoke("bundle", "diff", *paths).stdout
    assert re.search(r"  \+ new.py +\+2 -0\n", page)
    assert re.search(r"  ~ data/image.bin +binary\n", page)
    assert "4 files, +3 -3 lines" in page
    patch = invoke("bundle", "diff", *paths, "--patch").stdout_bytes
    git(repo, "stash", "--quiet", "--include-untracked")
    git(repo, "apply", "--exclude=data/image.bin", "-", stdin=patch)
    write(repo, "data/image.bin", b"\0other")
    assert capture_code(repo).tree == after["tree"]


def test_code_that_no_remote_gives_is_told_and_the_rest_is_shown(archive, invoke, repo, origin, monkeypatch, tmp_path):
    before, blobs = code_document(capture_code(repo))
    write(repo, "new.py", b"new\n")
    after, more = code_document(capture_code(repo))
    paths = archive("a", Provenance(code=before), blobs), archive("b", Provenance(code=after), more, version="2")
    shutil.move(origin, tmp_path / "gone")
    monkeypatch.chdir(tmp_path)
    done = invoke("bundle", "diff", *paths)
    assert done.exit_code == 0
    assert "the files cannot be compared" in done.stdout
    assert "problem" in json.loads(invoke("bundle", "diff", *paths, "--json").stdout)["provenance"]["bundle"]["code"]
    assert invoke("bundle", "diff", *paths, "--patch").exit_code == 1
    assert "+ new.py" in invoke("bundle", "diff", *paths, "--clone", repo).stdout


def test_changes_inside_a_submodule_are_part_of_the_code(archive, invoke, repo, tmp_path):
    inner = tmp_path / "work" / "inner"
    git(tmp_path / "work", "init", "--quiet", str(inner))
    write(inner, "inner.py", b"1\n")
    commit_all(inner)
    git(repo, "submodule", "--quiet", "add", str(inner), "sub")
    commit_all(repo)
    before, blobs = code_document(capture_code(repo))
    write(repo / "sub", "inner.py", b"2\n")
    after, more = code_document(capture_code(repo))
    paths = archive("a", Provenance(code=before), blobs), archive("b", Provenance(code=after), more, version="2")
    document = json.loads(invoke("bundle", "diff", *paths, "--json").stdout)["provenance"]["bundle"]
    assert [row["path"] for row in document["code"]["files"]] == ["sub/inner.py"]
    assert "a/sub/inner.py" in invoke("bundle", "diff", *paths, "--patch").stdout


def test_a_bundle_without_provenance_can_be_compared_all_the_same(archive, invoke):
    paths = archive("a", None), archive("b", Provenance(parameters={"a": 1}), version="2")
    done = invoke("bundle", "diff", *paths)
    assert done.exit_code == 0
    assert "the first has none" in done.stdout
    assert json.loads(invoke("bundle", "diff", *paths, "--json").stdout)["provenance"] is None


# log.


def test_log_lists_versions_in_the_order_they_were_built(archive, invoke, environment, tmp_path):
    second = archive("b", Provenance(parameters={"a": 2}), version="0.9.0")
    first = archive("a", Provenance(models={"champion": trained(environment)}))
    other = archive("c", None, name="other")
    (tmp_path / "junk.tar").write_bytes(b"junk" * 200)
    done = invoke("bundle", "log", tmp_path)
    assert "junk.tar" in done.stderr
    heads = [line.split()[:2] for line in done.stdout.splitlines() if line and line[0] != " "]
    assert heads == [["other", "1.0.0"], ["toy", "1.0.0"], ["toy", "0.9.0"]]
    assert re.search(r"built +2026-02-01T00:00:00Z by Ada <ada@example.org>\n", done.stdout)
    assert re.search(r"champion parameters +C=0\.5 kernel='rbf'\n +champion metrics +accuracy=0\.75\n", done.stdout)
    rows = [json.loads(line) for line in invoke("bundle", "log", second, first, other, "--json").stdout.splitlines()]
    assert [row["version"] for row in rows if row["name"] == "toy"] == ["1.0.0", "0.9.0"]
    assert rows[1]["models"]["champion"]["metrics"] == {"accuracy": 0.75}
    assert rows[2]["by"] == {"name": "Ada", "email": "ada@example.org"}
    assert "other" not in invoke("bundle", "log", tmp_path, "--name", "toy").stdout
    assert invoke("bundle", "log", tmp_path, "--name", "none").stdout == "no versions\n"
    assert invoke("bundle", "log", tmp_path / "junk.tar").exit_code == 1


# check-env.


def test_check_env_names_every_difference_with_an_exit_code(archive, invoke, environment, monkeypatch):
    monkeypatch.setattr("edgerun_bundles.cli.check_env.describe_environment", lambda: environment)
    other = environment._replace(variables={"OMP_NUM_THREADS": "7"}, packages=environment.packages[1:])
    same = archive("same", Provenance(environment=environment, models={"champion": Provenance(environment=other)}))
    done = invoke("bundle", "check-env", same)
    assert (done.exit_code, done.stdout) == (0, "no difference\n")
    done = invoke("bundle", "check-env", same, "--model", "champion", "--json")
    assert done.exit_code == 3
    assert {row["area"] for row in json.loads(done.stdout)["differences"]} >= {"variable", "package"}
    done = invoke("bundle", "check-env", same, "--model", "champion", "--only", "package")
    assert done.exit_code == 3
    assert "variable" not in done.stdout
    assert invoke("bundle", "check-env", same, "--model", "champion", "--only", "python").exit_code == 0
    assert invoke("bundle", "check-env", same, "--model", "none").exit_code == 1
    unknown = invoke("bundle", "check-env", archive("unknown", Provenance(parameters={"a": 1})))
    assert "does not say in what environment it was made" in unknown.stderr


def test_a_notebook_that_was_only_run_again_is_the_same(archive, invoke):
    first = Notebook("a.ipynb", digest(b"1"), 1, "3" * 64, 0, (), top_to_bottom=False)
    again = first._replace(sha256=digest(b"2"))
    changed = first._replace(source_sha256="4" * 64)
    blobs = {digest(content): content for content in (b"1", b"2")}
    paths = [
        archive(f"n{i}", Provenance(notebooks=(found,)), blobs, version=str(i))
        for i, found in enumerate((first, again, changed))
    ]
    documents = [
        json.loads(invoke("bundle", "diff", paths[0], path, "--json").stdout)["provenance"]["bundle"]["notebooks"]
        for path in paths[1:]
    ]
    assert [bool(document["changed"]) for document in documents] == [False, True]
