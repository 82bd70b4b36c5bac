"""Bundles in real registries: only what is missing travels, and other tools understand what was sent."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import threading

import pytest

from edgerun_bundles.errors import RegistryError
from edgerun_bundles.layout import read_layout
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.registry import (
    Credentials,
    Reference,
    pull,
    pull_with_provenance,
    push,
)
from support import models
from support.docker_registry import registry_running
from support.registry import at

REWEIGHTED_MAX_BYTES = 20_000


# A real registry.


def test_what_is_pushed_comes_back_with_the_same_digest(registry, connect, layout, tmp_path):
    connection = connect(registry.host)
    done = push(layout, at(registry.host, "a", None), connection)
    assert (done.digest, done.tag, done.replaced) == (layout.manifest.digest, "1.0.0", None)
    back = pull(at(registry.host, "a"), tmp_path / "back", connection)
    assert back == layout._replace(folder=tmp_path / "back")
    assert read_layout(back.folder) == back
    by_digest = pull(Reference(registry.host, "a", None, layout.manifest.digest), tmp_path / "again", connection)
    assert by_digest.manifest == layout.manifest


def test_a_second_push_sends_nothing(registry, connect, layout):
    first = push(layout, at(registry.host, "b"), connect(registry.host))
    again = push(layout, at(registry.host, "b"), connect(registry.host))
    assert first.sent == layout.manifest.blobs
    assert (again.sent, again.known) == ({}, layout.manifest.blobs)


def test_provenance_travels_by_the_fallback_tag_where_there_is_no_list_of_referrers(
    registry, connect, attached, tmp_path
):
    connection = connect(registry.host)
    for _ in range(2):
        push(attached, at(registry.host, "c"), connection)
    assert pull(at(registry.host, "c"), tmp_path / "alone", connection).referrers == ()
    whole = pull_with_provenance(at(registry.host, "c"), tmp_path / "whole", connection)
    assert whole.referrers == attached.referrers
    assert read_layout(whole.folder) == whole


def test_other_tools_inspect_what_was_pushed(registry, connect, layout, skopeo):
    push(layout, at(registry.host, "d"), connect(registry.host))
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/d:1.0.0")
    assert raw.encode() == layout.blob(layout.manifest.digest).read_bytes()


def test_other_tools_carry_a_layout_to_a_registry_and_back(registry, connect, layout, skopeo, tmp_path):
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout.folder}:1.0.0", f"docker://{registry.host}/e:x")
    assert pull(at(registry.host, "e", "x"), tmp_path / "ours", connect(registry.host)).manifest == layout.manifest
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry.host}/e:x", f"oci:{tmp_path / 'theirs'}:1.0.0")
    assert read_layout(tmp_path / "theirs").manifest == layout.manifest


BCRYPT_OF_U_STAR_U = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
"""A published test vector of bcrypt: the hash of ``U*U``."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A real registry that speaks TLS and asks for a name and password; its folder holds the certificate."""
    folder = tmp_path_factory.mktemp("guarded")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    (folder / "htpasswd").write_text(f"ada:{BCRYPT_OF_U_STAR_U}\n")
    tls = {"tls": {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}}
    auth = {"htpasswd": {"realm": "here", "path": str(folder / "htpasswd")}}
    with registry_running(folder, tls, auth=auth) as found:
        yield found.host, folder / "cert.pem"


def test_a_real_registry_with_tls_and_a_password(guarded, connect, layout, tmp_path, monkeypatch, waits):
    host, certificate = guarded
    monkeypatch.setattr(Reference, "is_loopback", False)
    with pytest.raises(RegistryError, match="its certificate is not accepted"):
        push(layout, at(host), connect(host))
    assert waits == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(RegistryError, match="asks for a name and password"):
        push(layout, at(host), connect(host))
    with pytest.raises(RegistryError, match="HTTP 401"):
        push(layout, at(host), connect(host, Credentials("ada", "U*V")))
    connection = connect(host, Credentials("ada", "U*U"))
    push(layout, at(host), connection)
    assert pull(at(host), tmp_path / "back", connection).manifest == layout.manifest


class CountingProxy:
    """Passes bytes between a client and a server, and counts them: what really goes over the wire."""

    def __init__(self, target):
        self.up = self.down = 0
        host, port = target.split(":")
        self._target = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        with self._server, contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                with near, socket.create_connection(self._target) as far:
                    self._pass(near, far)

    def _pass(self, near, far):
        """One connection at a time, which is all that a client with one session opens."""
        while True:
            ready, _, _ = select.select([near, far], [], [])
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if source is near:
                    self.up += len(data)
                    far.sendall(data)
                else:
                    self.down += len(data)
                    near.sendall(data)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@pytest.mark.slow
def test_a_change_of_the_weights_alone_in_a_large_bundle_sends_next_to_nothing(
    registry, connect, make_bundle, tmp_path
):
    contents = (models.heavy(50), models.mlp(sizes=(2, 8, 2)))
    first = write_layout(make_bundle("large", contents=contents), tmp_path / "one")
    assert first.manifest.content_bytes > 50 * 10**6
    push(first, at(registry.host, "large"), connect(registry.host))
    nodes = {"ab": {"kind": "random_split", "weights": {"champion": 50, "challenger": 50}, "split_key": "user"}}
    second = write_layout(make_bundle("reweighted", contents=contents, nodes=nodes, version="1.0.1"), tmp_path / "two")
    proxy = CountingProxy(registry.host)
    connection = connect(proxy.host)
    done = push(second, Reference(proxy.host, "large"), connection)
    connection.__exit__()
    proxy.close()
    assert len(done.sent) == 2  # bundle.json, and the config
    assert proxy.up + proxy.down <= REWEIGHTED_MAX_BYTES
    print(f"sent {sum(done.sent.values())} bytes of blobs; on the wire {proxy.up} up, {proxy.down} down")
