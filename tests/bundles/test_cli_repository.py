"""``edgerun bundle repository``, ``keys``, ``push``, ``release`` and the rest: what people type from init on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from edgerun_bundles.repository import keys as keys_module
from edgerun_bundles.repository import trust
from support.publishers import Client, files_in, laid
from support.registry import serving

EDGERUN = Path(sys.executable).with_name("edgerun")
PASSPHRASE = "correct horse"
TIMEOUT_S = 120


@pytest.fixture
def cheap(monkeypatch):
    """Keys that cost nothing to open."""
    monkeypatch.setattr(keys_module, "SCRYPT_COST", 16)


@pytest.fixture
def run(invoke, settings, cheap, monkeypatch, tmp_path):
    """Run ``edgerun bundle`` where it must succeed, and return its JSON."""
    monkeypatch.setenv("EDGERUN_KEY_PASSPHRASE", PASSPHRASE)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = invoke("bundle", *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


@pytest.fixture
def fails(invoke, settings):
    """Run ``edgerun bundle`` where it must fail, and return the one line that it says."""

    def fails(*arguments):
        done = invoke("bundle", *arguments)
        assert done.exit_code == 1, done.output
        (line,) = done.stderr.splitlines()
        return line

    return fails


@pytest.fixture
def shop(run, tmp_path):
    """A repository at ``repository`` with toy 1.0.0."""
    run("repository", "init", "repository", "--keys", "keys")
    layout = laid(tmp_path)
    run("push", layout.folder, "repository")
    return tmp_path / "repository"


def roots(shop):
    return (shop / "metadata/1.root.json").read_bytes()


# From nothing to a device.


def test_a_repository_is_made_with_its_keys_and_trusted(run, settings, tmp_path):
    made = run("repository", "init", "repository", "--keys", "keys")
    assert made["keys"].keys() == {"root", "targets", "online"}
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        f"{name}.{suffix}" for name in made["keys"] for suffix in ("pem", "pub.json")
    }
    shown = run("repository", "show")
    assert shown["repository"] == str(tmp_path / "repository")
    assert {role: found["keys"] for role, found in shown["roles"].items()} == {
        "root": [made["keys"]["root"]],
        "targets": [made["keys"]["targets"]],
        "snapshot": [made["keys"]["online"]],
        "timestamp": [made["keys"]["online"]],
    }
    assert (shown["bundles"], shown["channels"]) == ({}, [])


def test_a_bundle_is_pushed_released_ramped_and_withdrawn(run, invoke, shop, tmp_path):
    second = laid(tmp_path, "1.1.0", 3.0)
    pushed = run("push", second.folder, shop, "--channel", "canary", "--group", "lab")
    assert (pushed["published"], pushed["channels"], pushed["digest"]) == (True, ["canary"], second.manifest.digest)
    assert not run("push", second.folder, shop)["published"]
    run("release", "toy@1.0.0", "--channel", "stable")
    ramped = run("release", "toy@1.1.0", "--channel", "stable", "--share", "12.5%")
    assert ramped["releases"] == [
        {"version": "1.1.0", "share_ppm": 125_000, "groups": []},
        {"version": "1.0.0", "share_ppm": 1_000_000, "groups": []},
    ]
    shown = run("repository", "show")
    assert [found["version"] for found in shown["bundles"]["toy"]] == ["1.0.0", "1.1.0"]
    assert [found["channel"] for found in shown["channels"]] == ["canary", "stable"]
    page = invoke("bundle", "repository", "show").stdout
    assert "12.5 % of all devices" in page
    assert "100 % of lab" in page
    assert [found["version"] for found in run("withdraw", "toy@1.1.0", "--channel", "stable")["releases"]] == ["1.0.0"]
    said = invoke("bundle", "withdraw", "toy@1.0.0", "--channel", "stable").stdout
    assert "stable of toy has no release; devices keep what they have" in said


def test_every_command_that_takes_a_bundle_takes_a_version_of_a_repository(run, shop, tmp_path, monkeypatch):
    second = laid(tmp_path, "1.1.0", 3.0)
    run("push", second.folder, shop)
    assert run("show", "toy@1.0.0")["version"] == "1.0.0"
    assert run("verify", "toy@1.1.0", "--repository", shop)["digest"] == second.manifest.digest
    assert run("diff", "toy@1.0.0", "toy@1.1.0")["models"]["changed"]
    assert run("pull", "toy@1.1.0", "-o", "back.tar")["digest"] == second.manifest.digest
    monkeypatch.setenv("EDGERUN_REPOSITORY", f"file://{shop}")
    root = tmp_path / "root.json"
    root.write_bytes(roots(shop))
    run("repository", "trust", f"file://{shop}", "--root", root, "--keys", "keys")
    assert run("show", "toy@1.1.0")["digest"] == run("show", "back.tar")["digest"]
    run("repository", "init", "other", "--keys", "keys")
    assert run("push", "toy@1.1.0", "other")["digest"] == second.manifest.digest


def test_a_file_of_that_name_goes_before_a_version(run, shop, tmp_path):
    layout = laid(tmp_path, "7.0.0", 7.0)
    layout.folder.rename(tmp_path / "toy@1.0.0")
    assert run("show", "toy@1.0.0")["version"] == "7.0.0"


def test_a_stick_goes_from_one_workstation_to_another(run, invoke, shop, tmp_path):
    made = run("export", "toy@1.0.0", "-o", "stick.tar")
    assert made["bytes"] == (tmp_path / "stick.tar").stat().st_size
    (tmp_path / "root.json").write_bytes(invoke("bundle", "repository", "show", "--root").stdout_bytes)
    done = run("import", "stick.tar", "mirror", "--root", "root.json")
    assert (done["newer"], done["blobs"]) == (True, 5)
    assert run("import", "stick.tar", "mirror")["blobs"] == 0
    assert run("show", "toy@1.0.0", "--repository", "mirror")["version"] == "1.0.0"
    assert Client(tmp_path / "client", roots(shop), files_in(tmp_path / "mirror")).has("bundles/toy/1.0.0")


def test_the_root_that_is_shown_is_what_a_device_needs(invoke, shop):
    assert invoke("bundle", "repository", "show", "--root").stdout_bytes == roots(shop)


def test_an_s3_server_holds_a_repository(run, bucket, tmp_path):
    run("repository", "init", bucket, "--keys", "keys")
    layout = laid(tmp_path)
    assert run("push", layout.folder, bucket, "--channel", "stable")["published"]
    assert run("pull", "toy@1.0.0", "-o", "back")["digest"] == layout.manifest.digest
    assert run("repository", "clean")["removed"] == []
    assert run("repository", "renew")["renewed"].keys() == {"snapshot", "timestamp"}


# Keys.


def test_somebody_else_is_admitted_to_one_bundle(run, fails, shop, tmp_path):
    bob = run("keys", "new", "bob", "--keys", "bob")
    for role in ("bundle-toy", "online"):
        run("keys", "add", role, bob["public"])
    run("push", laid(tmp_path, "1.1.0", 3.0).folder, shop, "--keys", "bob")
    listed = {found["id"]: found for found in run("keys", "list")}
    assert listed[bob["id"]]["roles"] == ["snapshot", "timestamp", "bundle-toy"]
    assert not listed[bob["id"]]["private"]
    assert "needs 1 signature" in fails("release", "toy@1.1.0", "--channel", "stable", "--keys", "bob")
    run("keys", "revoke", bob["id"][:12])
    said = fails("push", laid(tmp_path, "1.2.0", 4.0).folder, shop, "--keys", "bob")
    assert "needs 1 signature, and 0 of its keys are here" in said


def test_a_key_is_replaced_everywhere_at_once(run, shop, tmp_path):
    new = run("keys", "new", "targets-2", "--keys", "keys")
    run("keys", "revoke", tmp_path / "keys/targets.pub.json", "--replace", new["public"])
    shown = run("repository", "show")["roles"]
    assert {role for role, found in shown.items() if new["id"] in found["keys"]} == {"targets", "bundle-toy"}
    run("push", laid(tmp_path, "1.1.0", 3.0).folder, shop)
    assert Client(tmp_path / "client", roots(shop), files_in(shop)).has("bundles/toy/1.1.0")


def test_a_root_of_two_people_is_handed_on(run, invoke, shop, tmp_path):
    bob = run("keys", "new", "bob", "--keys", "bob")
    first = run("keys", "add", "root", bob["public"], "--threshold", 2)
    assert (first["pending"], first["missing"]) == ("2.root.json", {"new": 1})
    assert not (shop / "metadata/2.root.json").exists()
    done = invoke("bundle", "keys", "sign", "2.root.json", "--keys", "bob")
    assert done.exit_code == 1
    assert done.stderr.endswith("edgerun: nobody is there to say yes; look at what changes, and give --yes\n")
    done = invoke("bundle", "keys", "sign", "2.root.json", "--keys", "bob", "--yes")
    assert done.stdout == "root 2 is published\n"
    assert f"root: + {bob['id']}" in done.stderr
    assert "1 -> 2 signatures" in done.stderr
    renewed = run("repository", "renew", "--root")
    assert renewed["missing"] == {"old": 1, "new": 1}
    run("keys", "sign", renewed["pending"], "--keys", "bob", "--yes")
    assert run("repository", "show")["roles"]["root"]["version"] == 3


def test_a_repository_of_two_people_begins_with_both(run, tmp_path):
    bob = run("keys", "new", "bob", "--keys", "bob")
    begun = run(
        "repository", "init", "repository", "--keys", "keys", "--root-key", bob["public"], "--root-threshold", 2
    )
    assert begun == {"pending": "1.root.json", "missing": 1}
    assert not (tmp_path / "repository").exists()
    assert run("keys", "sign", "1.root.json", "--keys", "bob") == {"pending": "1.root.json", "missing": 0}
    run("repository", "init", "repository", "--keys", "keys", "--root", "1.root.json")
    assert run("repository", "show")["roles"]["root"]["threshold"] == 2


def test_a_passphrase_comes_from_a_file_or_the_environment_and_nobody_is_asked_where_nobody_sits(
    run, fails, shop, monkeypatch, tmp_path
):
    folder = laid(tmp_path, "1.1.0", 3.0).folder
    monkeypatch.setenv("EDGERUN_KEY_PASSPHRASE", "wrong horse")
    assert "wrong passphrase" in fails("push", folder, shop)
    (tmp_path / "secret").write_text(f"{PASSPHRASE}\n")
    run("repository", "renew", "--passphrase-file", "secret")
    monkeypatch.delenv("EDGERUN_KEY_PASSPHRASE")
    assert "give --passphrase-file, or set EDGERUN_KEY_PASSPHRASE" in fails("push", folder, shop)
    assert "a key needs a passphrase" in fails("keys", "new", "x", "--keys", "keys")
    assert "none cannot be read" in fails("repository", "renew", "--passphrase-file", "none")


# What goes wrong.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "toy@9.9.9"], "toy 9.9.9 is not published; the last versions are: 1.0.0"),
        (["show", "none@1.0.0"], "has no bundle 'none'; it has: toy"),
        (["release", "toy@9.9.9", "--channel", "stable"], "is not published; push it first"),
        (["withdraw", "toy@1.0.0", "--channel", "stable"], "does not give toy 1.0.0 to anybody"),
        (["repository", "init", "{shop}", "--keys", "keys"], "is a repository already"),
        (["repository", "show", "--repository", "elsewhere"], "nothing is known of"),
        (["keys", "add", "timestamp2", "keys/online.pub.json"], "'timestamp2' is no role"),
        (["keys", "add", "online", "none.pub.json"], "none.pub.json"),
        (["keys", "remove", "online", "0000"], "none of the repository's keys is meant"),
        (["keys", "new", "online", "--keys", "keys"], "is there already"),
        (["import", "none.tar", "{shop}"], "none.tar is no file"),
        (["export", "toy@9.9.9", "-o", "x.tar"], "is not published"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, fails, shop, arguments, said):
    before = {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    assert said in fails(*(argument.format(shop=shop) for argument in arguments))
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == before


def test_without_a_repository_it_says_how_to_get_one(fails, settings):
    assert "no repository is chosen; give --repository, set EDGERUN_REPOSITORY" in fails("show", "toy@1.0.0")


@pytest.mark.parametrize("share", ["", "x", "101%", "-1%", "1.5", "0.00001%", "1/0"])
def test_a_share_that_is_none_is_wrong_usage(invoke, settings, share):
    done = invoke("bundle", "release", "toy@1.0.0", "--channel", "stable", "--share", share)
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [["push", "x", "oci://h/t", "--channel", "stable"], ["release", "toy", "--channel", "x"], ["pull", "x", "-o", "y"]],
)
def test_wrong_usage_is_told_as_such(invoke, settings, arguments):
    assert invoke("bundle", *arguments).exit_code == 2


def test_help_does_not_load_the_libraries_of_repositories():
    program = (
        "import sys; import edgerun_bundles.cli.bundle; "
        "print({'tuf', 'obstore', 'cryptography', 'requests'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(("module", "place"), [("cryptography", "/x"), ("obstore", "s3://b/x")])
def test_a_missing_extra_is_told_in_one_line(tmp_path, module, place):
    program = (
        f"import sys; sys.modules[{module!r}] = None; from edgerun.cli import main; "
        f"main(['bundle', 'repository', 'init', {place!r}, '--keys', 'keys'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"module '{module}'; try: pip install \"edgerun[bundles]\"")


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("repository", ("init", "trust", "show", "renew", "clean")),
        ("keys", ("new", "list", "add", "remove", "revoke", "sign")),
    ],
)
def test_every_command_of_a_group_shows_examples_of_itself(invoke, group, commands):
    for command in commands:
        text = invoke("bundle", group, command, "--help").stdout
        assert f"  edgerun bundle {group} {command}" in text
        assert "--json" in text
        assert max(map(len, text.splitlines())) < 120


# Processes.


def start(*arguments, **environment):
    return subprocess.Popen(
        [EDGERUN, "bundle", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a background job ignores it
    )


@pytest.mark.slow
def test_two_people_push_at_once_and_both_are_published_once_each_has_tried_again(run, shop, tmp_path):
    layouts = [laid(tmp_path, f"2.{who}.0", 2.0 + who) for who in range(2)]
    told = 0
    waiting = layouts
    for _ in range(4):
        processes = [(layout, start("push", layout.folder, shop)) for layout in waiting]
        results = [(layout, process, *process.communicate(timeout=TIMEOUT_S)) for layout, process in processes]
        waiting = [layout for layout, process, _, _ in results if process.returncode]
        for _, process, _, stderr in results:
            if process.returncode:
                assert "do it again, blobs are not sent twice" in stderr
                told += 1
        if not waiting:
            break
    listed = [found["version"] for found in run("repository", "show")["bundles"]["toy"]]
    assert sorted(listed) == ["1.0.0", "2.0.0", "2.1.0"]


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_the_old_or_the_new_repository(run, shop, tmp_path):
    layout = laid(tmp_path, "2.0.0", 3.0)
    client = Client(tmp_path / "client", roots(shop), files_in(shop))
    for entries in (8, 9, 12):  # killed once so many files are there; it may have gone on by then
        process = start("push", layout.folder, shop)
        while process.poll() is None and sum(1 for _ in shop.rglob("*")) < entries + 10:
            pass
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
        client.look()
        assert client.blob("bundles/toy/1.0.0")
    run("push", layout.folder, shop)
    assert client.blob("bundles/toy/2.0.0")
    assert not [*(shop / "metadata").glob(".new-*")] or run("repository", "clean")["removed"] == []


@pytest.mark.slow
def test_ctrl_c_ends_a_pull_in_one_line_and_leaves_nothing(run, shop, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving() as fake:
        trust.trust(f"http://{fake.host}", roots(shop), None)
        arguments = ["pull", "toy@1.0.0", "-o", tmp_path / "back.tar", "--repository", f"http://{fake.host}"]
        process = start(*arguments, TMPDIR=str(scratch))
        fake.first = lambda request: process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "edgerun: interrupted")
    assert [*scratch.iterdir()] == []
    assert not (tmp_path / "back.tar").exists()


def test_log_finds_a_name_though_the_folder_that_defines_the_bundle_has_it(shop, run, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "bundle.toml").write_text("")
    found = run("log", "toy")
    assert (found["name"], found["version"], found["where"]) == ("toy", "1.0.0", str(shop))
