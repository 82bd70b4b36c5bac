"""Where a bundle is, and who somebody is there: read strictly, from where other tools keep it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import BundleError, InputError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.registry import (
    Credentials,
    Reference,
    find_credentials,
    parse_reference,
)
from edgerun_bundles.registry.reference import tag_of_version
from support.registry import SHA

# References.


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("oci://host/name", Reference("host", "name")),
        ("oci://host:5000/a/b-c/d__e.f:T_1.0-x", Reference("host:5000", "a/b-c/d__e.f", "T_1.0-x")),
        ("oci://[::1]:5000/a:1", Reference("[::1]:5000", "a", "1")),
        (f"oci://h/a:1@{SHA}", Reference("h", "a", "1", SHA)),
        (f"oci://h/a@{SHA}", Reference("h", "a", None, SHA)),
    ],
)
def test_a_reference_is_read_and_written(text, reference):
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "host/name", "http://host/name", "oci://", "oci://host", "oci://host/", "oci:///name", "oci://host/Name",
        "oci://host/a//b", "oci://host/../b", "oci://host/a/", "oci://host/a:", "oci://host/a:-x", "oci://host/a:b:c",
        "oci://user:password@host/a", "oci://host:0/a", "oci://host:65536/a", "oci://host:x/a", "oci://host/a@",
        "oci://host/a@sha256:1", "oci://host/a@md5:1", "oci://ho st/a", "oci://host/a b", "oci://host/a?b", "oci://host/a#b",
        "oci://host\n/a", "oci://host/a\n", "oci://-host/a", f"oci://host/{'a' * 256}", f"oci://host/a:{'1' * 129}",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    with pytest.raises((InputError, BundleError)):
        parse_reference(text)


@given(st.text(max_size=60))
def test_no_text_makes_a_reference_fail_otherwise(text):
    try:
        found = parse_reference("oci://" + text)
    except (InputError, BundleError):
        return
    assert str(found) == "oci://" + text


def test_a_version_with_a_plus_has_a_tag_without():
    assert tag_of_version("1.0.0+cpu.2") == "1.0.0_cpu.2"


# Credentials.


def auth(text):
    return base64.b64encode(text.encode()).decode()


def config(folder, document, name="config.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def test_the_environment_names_one_host_and_no_other():
    environ = {"EDGERUN_REGISTRY_HOST": "h:1", "EDGERUN_REGISTRY_USERNAME": "a", "EDGERUN_REGISTRY_PASSWORD": "b"}
    assert find_credentials("h:1", environ) == Credentials("a", "b")
    assert find_credentials("h", environ) is None
    assert find_credentials("h:1", {**environ, "EDGERUN_REGISTRY_HOST": ""}) is None


def test_what_docker_podman_and_skopeo_know_is_found(tmp_path):
    docker = config(tmp_path / "docker", {"auths": {"https://h/v1/": {"auth": auth("a:b:c")}, "g": {}, "x.h": 7}})
    podman = config(tmp_path / "containers", {"auths": {"p:1": {"auth": auth("c:d")}}}, "auth.json")
    skopeo = config(tmp_path / "skopeo", {"auths": {"s": {"identitytoken": "t"}}}, "auth.json")
    environ = {
        "DOCKER_CONFIG": str(docker),
        "XDG_RUNTIME_DIR": str(podman.parent),
        "REGISTRY_AUTH_FILE": str(skopeo / "auth.json"),
    }
    assert find_credentials("h", environ) == Credentials("a", "b:c")
    assert find_credentials("p:1", environ) == Credentials("c", "d")
    assert find_credentials("s", environ) == Credentials("", "", "t")
    for host in ("g", "x.h", "p", "p:12", "other"):
        assert find_credentials(host, environ) is None


def test_docker_keeps_its_file_in_the_home_folder(tmp_path):
    config(tmp_path / ".docker", {"auths": {"h": {"auth": auth("a:b")}}})
    assert find_credentials("h", {"HOME": str(tmp_path)}) == Credentials("a", "b")
    assert find_credentials("h", {"HOME": str(tmp_path / "other")}) is None


@pytest.mark.parametrize("document", ["", "[", '{"auths":{"h":{"auth":"%"}}}', '{"auths":{"h":{"auth":"YWI="}}}'])
def test_a_file_that_is_damaged_is_told_without_its_secrets(tmp_path, document):
    with pytest.raises(RegistryError, match=r"config.json"):
        find_credentials("h", {"DOCKER_CONFIG": str(config(tmp_path / "d", document))})


@pytest.mark.parametrize("document", ["[]", "7", '{"auths":[]}', '{"auths":{"h":[]}}', '{"auths":{"h":{"auth":7}}}'])
def test_a_file_that_says_nothing_is_no_error(tmp_path, document):
    assert find_credentials("h", {"DOCKER_CONFIG": str(config(tmp_path / "d", document))}) is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"Username":"a","Secret":"b"}', Credentials("a", "b")),
        ('{"Username":"<token>","Secret":"b"}', Credentials("", "", "b")),
        ("{}", None),
    ],
)
@pytest.mark.parametrize("where", ["credHelpers", "credsStore"])
def test_a_helper_is_asked_for_the_secret_of_one_host(tmp_path, answer, found, where):
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(f"#!/bin/sh\n[ \"$(cat)\" = h ] && [ $1 = get ] && echo '{answer}'\n")
    helper.chmod(0o755)
    folder = config(tmp_path / "d", {where: {"h": "mine"} if where == "credHelpers" else "mine"})
    environ = {"DOCKER_CONFIG": str(folder), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert find_credentials("h", environ) == found
    assert find_credentials("g", environ) is None


@pytest.mark.parametrize("name", ["../x", "a b", "none-such", "a;b"])
def test_a_helper_that_is_none_is_told(tmp_path, name):
    folder = config(tmp_path / "d", {"credHelpers": {"h": name}})
    with pytest.raises(RegistryError, match=r"helper|failed"):
        find_credentials("h", {"DOCKER_CONFIG": str(folder), "PATH": "/usr/bin:/bin"})


def test_a_password_is_in_no_repr():
    who = Credentials("ada", "s3cret")
    assert "s3cret" not in repr(who) + str([who]) + f"{who}"


def test_the_file_of_the_user_is_left_alone_where_a_home_is_missing():
    assert find_credentials("h", {}) is None
    assert Path.home()
