"""An environment is described without secrets, compared in every part, and locked so that it can be made again."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from base64 import urlsafe_b64encode

import pytest
from packaging.requirements import Requirement

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.provenance import locks, machine
from edgerun_bundles.provenance.comparison import AREAS, Difference, compare
from edgerun_bundles.provenance.documents import from_document, to_document
from edgerun_bundles.provenance.environment import VARIABLES, Environment, describe_environment
from edgerun_bundles.provenance.locks import known_hashes, lock_of, restore_environment
from edgerun_bundles.provenance.machine import Container, Memory, Processor, Python, System
from edgerun_bundles.provenance.packages import Package, Source, installed_packages
from edgerun_bundles.provenance.redaction import arguments, is_secret_name, without_secrets

HASH = "a" * 64


@pytest.fixture(scope="module")
def this():
    return describe_environment()


def environment(*packages, **parts):
    return Environment(Python("3.11.7", "CPython"), System("Linux", "x86_64"), packages=packages)._replace(**parts)


# What is here.


def test_this_environment_is_described(this):
    assert this.python.version == ".".join(map(str, sys.version_info[:3]))
    assert this.system.os == "Linux"
    assert this.cpu.usable <= this.cpu.logical
    assert this.memory.size > 2**20
    assert {"numpy", "pytest"} <= {package.name for package in this.packages}
    assert this.frameworks["numpy"].imported
    assert [*this.packages] == sorted(this.packages)


def test_it_comes_back_from_a_document(this):
    assert from_document(Environment, to_document(this), "e") == this


def test_only_listed_variables_are_read_and_no_secret_in_them():
    given = {"OMP_NUM_THREADS": "4", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "x", "XLA_FLAGS": "http://u:p@h/"}
    assert describe_environment(variables=given).variables == {"OMP_NUM_THREADS": "4", "XLA_FLAGS": "http://h/"}
    assert not [name for name in VARIABLES if is_secret_name(name)]


def test_no_module_is_imported_to_describe_it():
    program = """
import sys
from edgerun_bundles.provenance.environment import describe_environment
describe_environment()
print([name for name in ("onnxruntime", "sklearn", "pyarrow", "torch", "yaml") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"[]\n"


def lay(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CONTAINERS = {
    "docker": ({".dockerenv": ""}, Container("docker")),
    "podman": ({"run/.containerenv": 'engine="podman"\nimage="a/b:1"\n'}, Container("podman", "a/b:1")),
    "kubernetes": ({"var/run/secrets/kubernetes.io/x": "", ".dockerenv": ""}, Container("kubernetes")),
    "kubernetes by its group": ({"proc/self/cgroup": "0::/kubepods/pod1/x"}, Container("kubernetes")),
    "docker by its group": ({"proc/self/cgroup": "1:cpu:/docker/0123"}, Container("docker")),
    "none": ({"proc/self/cgroup": "0::/user.slice"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("files", "found"), CONTAINERS.values(), ids=CONTAINERS)
def test_the_container_is_found_by_what_each_runtime_leaves(tmp_path, files, found):
    assert machine.container(lay(tmp_path, files)) == found


def test_the_processor_is_read_on_x86_and_on_arm(tmp_path):
    lay(tmp_path / "x86", {"proc/cpuinfo": "model name\t: A\nflags\t: b a\n\nmodel name\t: B\nflags\t: c\n"})
    lay(tmp_path / "arm", {"proc/cpuinfo": "processor\t: 0\nFeatures\t: neon fp\nHardware\t: BCM2711\n"})
    assert machine.processor(tmp_path / "x86")[::3] == ("A", ("a", "b"))
    assert machine.processor(tmp_path / "arm")[::3] == ("BCM2711", ("fp", "neon"))
    assert machine.processor(tmp_path).flags == ()


@pytest.mark.parametrize(("text", "limit"), [("1048576\n", 2**20), ("max\n", None), ("9" * 18, None), ("x", None)])
def test_the_limit_of_memory_is_that_of_the_control_group(tmp_path, text, limit):
    assert machine.memory(lay(tmp_path, {"sys/fs/cgroup/memory.max": text})).limit == limit


# Packages.


def hashed(content: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def wheel(folder, *, version="1.0", content="x = 1\n"):
    """A wheel with a module and a script, as a real build would make it."""
    info = f"toy_part-{version}.dist-info"
    files = {
        "toy_part.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: Toy.Part\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntoy = toy_part:x\n",
    }
    record = "".join(f"{name},sha256={hashed(text)},{len(text)}\n" for name, text in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"toy_part-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


def site_of(folder):
    (found,) = (folder / "lib").glob("python*/site-packages")
    return found


def toy_of(folder):
    (found,) = (package for package in installed_packages([str(site_of(folder))]) if package.name == "toy-part")
    return found


PIP = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "-q", "--python"]


def install(folder, *arguments):
    if not folder.exists():
        venv.create(folder, with_pip=False)
    subprocess.run([*PIP, str(folder), "install", "--no-index", "--no-deps", *arguments], check=True)
    return toy_of(folder)


@pytest.mark.slow
def test_the_same_wheel_has_the_same_files_wherever_and_by_whomever_it_was_installed(tmp_path):
    first = wheel(tmp_path / "one")
    one = install(tmp_path / "a", "--find-links", str(first.parent), "toy-part")
    moved = install(tmp_path / "b", str(first))
    assert one.files_sha256 == moved.files_sha256
    assert (one.version, one.source, one.hashes) == ("1.0", None, ())
    assert moved.source.url == first.as_uri()
    assert moved.hashes == (hashlib.sha256(first.read_bytes()).hexdigest(),)
    other = install(tmp_path / "c", str(wheel(tmp_path / "two", content="x = 2\n")))
    assert other.files_sha256 != one.files_sha256
    if shutil.which("uv"):
        venv.create(tmp_path / "d", with_pip=False)
        command = [
            "uv",
            "pip",
            "install",
            "-q",
            "--python",
            str(tmp_path / "d"),
            "--no-index",
            "--no-cache",
            str(first),
        ]
        subprocess.run(command, check=True)
        assert toy_of(tmp_path / "d").files_sha256 == one.files_sha256


@pytest.mark.slow
def test_an_environment_is_made_again_from_its_lock(tmp_path):
    folder = wheel(tmp_path / "wheels").parent
    before = install(tmp_path / "a", "--find-links", str(folder), "toy-part")
    found = restore_environment(environment(before), tmp_path / "restored")
    after = install(tmp_path / "b", "--find-links", str(folder), "-r", str(found.path))
    assert after == before


def site(tmp_path, record="", **files):
    info = tmp_path / "toy_part-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Toy.Part\nVersion: 1.0\n")
    (info / "RECORD").write_text(record)
    for name, text in files.items():
        (info / f"{name}.json").write_text(text)
    return installed_packages([str(tmp_path)])


def test_the_digest_of_files_is_what_the_predicate_says(tmp_path):
    record = (
        'toy.py,sha256=AA,1\n"a,b.py",sha256=BB,1\n../../bin/toy,sha256=CC,1\ntoy.pyc,,\n'
        "toy_part-1.0.dist-info/INSTALLER,sha256=DD,1\ntoy_part-1.0.dist-info/RECORD,,\n"
    )
    told = hashlib.sha256(b"a,b.py sha256=BB\ntoy.py sha256=AA\n").hexdigest()
    assert site(tmp_path, record) == (Package("toy-part", "1.0", told),)


SOURCES = {
    "editable": ('{"url": "file:///x", "dir_info": {"editable": true}}', Source("file:///x", editable=True)),
    "git": (
        '{"url": "https://u:p@h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc1234"}}',
        Source("https://h/r.git", commit="abc1234", scheme="git"),
    ),
    "broken": ("{", None),
    "a list": ("[]", None),
    "no address": ('{"url": 3}', None),
    "odd": ('{"url": "https://h/x", "vcs_info": 3, "dir_info": []}', Source("https://h/x")),
}


@pytest.mark.parametrize(("text", "source"), SOURCES.values(), ids=SOURCES)
def test_where_a_package_came_from_is_read_without_passwords(tmp_path, text, source):
    assert site(tmp_path, direct_url=text)[0].source == source


def test_what_an_interrupted_uninstall_left_is_passed_over(tmp_path):
    (tmp_path / "gone-1.0.dist-info").mkdir()
    (tmp_path / "~ld-0.9.dist-info").mkdir()
    (tmp_path / "~ld-0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: old\nVersion: 0.9\n")
    (tmp_path / "old-1.0.egg-info").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1.0\n")
    assert [package[:2] for package in installed_packages([str(tmp_path)])] == [("old", "1.0")]


def test_more_packages_than_the_limit_are_refused(tmp_path):
    site(tmp_path)
    assert installed_packages([str(tmp_path)], limits=LIMITS._replace(packages_max=1))
    with pytest.raises(ProvenanceError, match="packages_max"):
        installed_packages([str(tmp_path)], limits=LIMITS._replace(packages_max=0))


# Differences.

DIFFERENT = {
    "python": (environment(python=Python("3.12.1", "CPython")), Difference("python", "version", "3.11.7", "3.12.1")),
    "system": (
        environment(system=System("Linux", "x86_64", libc="glibc 2.36")),
        Difference("system", "libc", "none", "glibc 2.36"),
    ),
    "cpu": (environment(cpu=Processor(flags=("avx",))), Difference("cpu", "avx", "lacks it", "has it")),
    "memory": (environment(memory=Memory(4096)), Difference("memory", "size", "none", "4,096")),
    "container": (
        environment(container=Container("docker", "a:1")),
        Difference("container", "container", "none", "docker/a:1"),
    ),
    "package": (environment(Package("numpy", "2")), Difference("package", "numpy", "none", "2")),
    "variable": (environment(variables={"TZ": "UTC"}), Difference("variable", "TZ", "none", "UTC")),
}


@pytest.mark.parametrize("area", AREAS)
def test_a_difference_of_every_area_is_named(area):
    found, difference = DIFFERENT[area]
    assert compare(environment(), found) == [difference]


def test_no_difference_is_named_where_there_is_none(this):
    assert compare(this, this) == []


@pytest.mark.parametrize(
    "other",
    [
        Package("x", "1.1", HASH),
        Package("x", "1.0", "b" * 64),
        Package("x", "1.0"),
        Package("x", "1.0", HASH, Source("file:///x", editable=True)),
        Package("x", "1.0", HASH, Source("https://h/r", commit="abc1234", scheme="git")),
    ],
)
def test_a_package_that_differs_in_version_files_or_source_is_named_once(other):
    (found,) = compare(environment(Package("x", "1.0", HASH)), environment(other))
    assert (found.area, found.name) == ("package", "x")
    assert found.expected != found.found


def test_where_an_archive_may_come_from_is_no_difference():
    assert compare(environment(Package("x", "1", HASH)), environment(Package("x", "1", HASH, hashes=(HASH,)))) == []


# Locks.


def requirements(text):
    joined = text.replace("\\\n", "")
    return [re.split(r"\s+--hash", line)[0] for line in joined.splitlines() if line and not line.startswith("#")]


def test_every_line_of_a_lock_is_a_requirement_and_every_package_is_pinned(this):
    lock = lock_of(this)
    found = {Requirement(line).name: Requirement(line) for line in requirements(lock.text)}
    told = {package.name for package in this.packages if not (package.source and package.source.editable)}
    assert {*found} == told - {"pip", "uv"}
    assert any("edgerun==" in problem and "editable" in problem for problem in lock.problems)


def test_hashes_are_written_if_all_are_known_and_else_are_comments():
    known, unknown = Package("a", "1", hashes=(HASH, "b" * 64)), Package("b", "2")
    assert f"a==1 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n" in lock_of(environment(known)).text
    assert lock_of(environment(known)).is_hashed
    partly = lock_of(environment(known, unknown))
    assert not partly.is_hashed
    assert requirements(partly.text) == ["a==1", "b==2"]
    assert f"# sha256:{HASH}" in partly.text


def test_what_a_lock_cannot_bring_back_is_said():
    git = Package("g", "1", source=Source("https://h/r.git", commit="abc1234", scheme="git"))
    local = Package("l", "2.0+cu118")
    folder = Package("f", "1", source=Source("file:///home/me/f.whl"))
    editable = Package("e", "1", source=Source("file:///home/me/e", editable=True))
    lock = lock_of(environment(editable, folder, git, local))
    assert requirements(lock.text) == ["f==1", "g @ git+https://h/r.git@abc1234", "l==2.0+cu118"]
    assert [problem.split()[0] for problem in lock.problems] == ["e==1", "f==1", "l==2.0+cu118"]


@pytest.mark.parametrize(
    "source",
    [
        Source("https://h/r x\n--index-url=http://bad", commit="abc1234", scheme="git"),
        Source("https://h/r", commit="abc1234\n-r /etc/passwd", scheme="git"),
        Source("https://h/r;x", scheme="git"),
        Source("-e .", editable=True),
        Source("x\n-e .", editable=True),
    ],
)
def test_a_hostile_source_gets_no_line_of_its_own_into_a_lock(source):
    lock = lock_of(environment(Package("x", "1", source=source)))
    assert set(requirements(lock.text)) <= {"x==1", "x @ https://h/r"}


@pytest.mark.parametrize(
    "package",
    [
        Package("x\n--index-url=http://bad", "1"),
        Package("x", "1; import os"),
        Package("x", "1\n-r /etc/passwd"),
        Package("-e", "1"),
        Package("x y", "1"),
    ],
)
def test_a_hostile_name_or_version_gets_no_line_into_a_lock(package):
    lock = lock_of(environment(package))
    assert requirements(lock.text) == []
    assert "no name and version" in lock.problems[0]


def test_a_hostile_hash_is_not_written():
    lock = lock_of(environment(Package("x", "1", hashes=("a\n--index-url=http://bad",))))
    assert requirements(lock.text) == ["x==1"]
    assert "bad" not in lock.text


def test_a_lock_is_written_once_with_the_commands_that_use_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = restore_environment(environment(Package("a", "1"), container=Container("docker", "x:1")), tmp_path / "new")
    assert found.path.read_text() == lock_of(environment(Package("a", "1"))).text
    assert found.commands == (
        "python3.11 -m venv .venv",
        ".venv/bin/python -m pip install --no-deps -r requirements.lock.txt",
    )
    assert any("image x:1" in problem for problem in found.problems)
    with pytest.raises(ProvenanceError, match="cannot be written"):
        restore_environment(environment(), tmp_path / "new")


def test_uv_is_used_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.shutil, "which", lambda name: "/bin/uv")
    assert restore_environment(environment(), tmp_path).commands == (
        "uv venv --python 3.11.7 .venv",
        "uv pip sync --python .venv requirements.lock.txt",
    )


def test_a_hostile_version_stays_one_argument(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.shutil, "which", lambda name: "/bin/uv")
    hostile = environment(python=Python("3.11; rm -rf /\n", "CPython\n-e ."))
    found = restore_environment(hostile, tmp_path)
    assert found.commands[0] == "uv venv --python '3.11; rm -rf /\n' .venv"
    assert requirements(found.path.read_text()) == []


LOCKS = {
    "uv.lock": f"""
[[package]]
name = "Toy.Part"
version = "1.0"
sdist = {{ url = "x", hash = "sha256:{HASH}" }}
wheels = [{{ url = "y", hash = "sha256:{"b" * 64}" }}]
""",
    "poetry.lock": f"""
[[package]]
name = "toy-part"
version = "1.0"
files = [{{file = "x", hash = "sha256:{HASH}"}}, {{file = "y", hash = "sha256:{"b" * 64}"}}]
""",
    "pylock.toml": f"""
[[packages]]
name = "toy_part"
version = "1.0"
sdist = {{ hashes = {{ sha256 = "{HASH}" }} }}
wheels = [{{ name = "y", hashes = {{ sha256 = "{"b" * 64}" }} }}]
""",
}


@pytest.mark.parametrize(("name", "text"), LOCKS.items(), ids=LOCKS)
def test_hashes_are_found_in_the_lock_files_of_others(tmp_path, name, text):
    lay(tmp_path, {name: text})
    assert known_hashes(tmp_path) == {("toy-part", "1.0"): {HASH, "b" * 64}}


@pytest.mark.parametrize("text", ["", "x = ", "package = 3", "[[package]]\nname = 3", "[package]\nx = 1"])
def test_a_lock_file_that_is_none_gives_no_hashes(tmp_path, text):
    assert known_hashes(lay(tmp_path, {"uv.lock": text})) == {}


# Secrets.


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://me:secret@h/p", "https://h/p"),
        ("git+https://token@h/r.git", "git+https://h/r.git"),
        ("ssh://git@h/r.git", "ssh://git@h/r.git"),
        ("ssh://git:secret@h/r.git", "ssh://git@h/r.git"),
        ("s3://bucket/key?versionId=3", "s3://bucket/key?versionId=3"),
        ("https://h/x?a=1&token=secret", "https://h/x?a=1&token=%28left%20out%29"),
        ("see http://u:secret@h and http://[bad", "see http://h and http://[bad"),
        ("http://u:secret@[bad", "http://[bad"),
        ("plain text", "plain text"),
    ],
)
def test_addresses_are_written_without_secrets(text, kept):
    assert without_secrets(text) == kept


@pytest.mark.parametrize(
    "name", ["--hf-token", "password", "API_KEY", "--aws-secret-access-key", "db.passwd", "client_secret"]
)
def test_names_of_secrets_are_known(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["--max-tokens", "tokenizer", "pad_token", "--key", "split_key", "monkey", "bypass", "author"]
)
def test_names_of_parameters_are_not_taken_for_secrets(name):
    assert not is_secret_name(name)


def test_an_option_after_a_secret_flag_is_not_hidden():
    assert arguments(["--token", "--lr", "1"], 100) == ("--token", "--lr", "1")


def test_a_long_argument_is_cut():
    assert arguments(["x" * 200], 100)[0].endswith("x" * 100)
    assert os.linesep not in arguments(["x" * 100], 100)[0]
