from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from edgerun_sync.collector.credentials import Credentials, Role
from edgerun_sync.errors import CollectorError, WireError
from support.memory_objects import MemoryObjects


@pytest.fixture
def objects():
    return MemoryObjects()


@pytest.fixture
def credentials(objects):
    return Credentials(objects)


@pytest.mark.parametrize("role", [Role.ENROLL, Role.READ, Role.PUBLISH, Role.ADMIN])
def test_a_token_stands_for_its_role(credentials, role):
    token, made = credentials.issue(role, note="for the test")
    assert credentials.authenticate(token) == made
    assert made.role == role


def test_no_token_is_kept(credentials, objects):
    token, _ = credentials.issue(Role.ADMIN)
    device = credentials.issue_device("pump-7")
    kept = b"".join([key.encode() + value for key, value in objects.found.items()])
    assert token.rpartition("_")[2].encode() not in kept
    assert device.split("_", 2)[2][:43].encode() not in kept


@pytest.mark.parametrize(
    "token",
    ["", "x", "er1_admin_", f"er1_admin_{'A' * 43}", f"er1_root_{'A' * 43}", f"er1_device_{'A' * 43}",
     f"er1_device_{'A' * 43}_../../etc", f"er1_admin_{'A' * 43}_pump", f"er1_admin_{'é' * 43}",
     "er1_admin_\udcff" + "A" * 42],
)  # fmt: skip
def test_what_is_no_token_stands_for_nobody(credentials, token):
    credentials.issue(Role.ADMIN)
    assert credentials.authenticate(token) is None


def test_a_token_of_another_role_is_not_found_under_this_one(credentials):
    token, _ = credentials.issue(Role.READ)
    assert credentials.authenticate(token.replace("er1_read", "er1_admin")) is None


def test_a_revoked_token_is_refused_at_once(credentials):
    token, made = credentials.issue(Role.READ)
    assert credentials.revoke(made.name) == 1
    assert credentials.authenticate(token) is None
    assert credentials.revoke(made.name) == 0


def test_an_expired_token_is_refused(credentials):
    now = datetime.now(UTC)
    dead, _ = credentials.issue(Role.READ, expires=now - timedelta(seconds=1))
    alive, _ = credentials.issue(Role.READ, expires=now + timedelta(hours=1))
    assert credentials.authenticate(dead) is None
    assert credentials.authenticate(alive) is not None


def test_only_an_admin_may_what_other_operators_may(credentials):
    roles = {role: credentials.issue(role)[1] for role in Role if role != Role.DEVICE}
    assert {role for role in Role if roles[Role.ADMIN].may(role)} == {Role.READ, Role.PUBLISH, Role.ADMIN}
    for role in (Role.ENROLL, Role.READ, Role.PUBLISH):
        assert {other for other in Role if roles[role].may(other)} == {role}


def test_an_enrolment_token_is_used_as_often_as_it_may_and_no_more(credentials):
    token, _ = credentials.issue(Role.ENROLL, uses=3)
    assert [credentials.use_enrolment(token) for _ in range(5)] == [True, True, True, False, False]


def test_many_devices_that_enrol_at_once_share_its_uses(credentials):
    token, _ = credentials.issue(Role.ENROLL, uses=20)
    used: list[bool] = []
    threads = [threading.Thread(target=lambda: used.append(credentials.use_enrolment(token))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(used) == 20


def test_a_token_that_is_for_something_else_enrols_nobody(credentials):
    token, _ = credentials.issue(Role.ADMIN)
    assert not credentials.use_enrolment(token)


@pytest.mark.parametrize("wrong", [{"uses": 0}, {"uses": -1}])
def test_uses_are_at_least_one(credentials, wrong):
    with pytest.raises(CollectorError, match="uses"):
        credentials.issue(Role.ENROLL, **wrong)


def test_uses_are_for_enrolments_and_devices_are_made_by_enrolling(credentials):
    with pytest.raises(CollectorError, match="uses"):
        credentials.issue(Role.READ, uses=1)
    with pytest.raises(CollectorError, match="enrolment"):
        credentials.issue(Role.DEVICE)


def test_a_device_shows_its_own_token_and_no_other(credentials):
    tokens = {name: credentials.issue_device(name) for name in ("pump-7", "pump_8", "a.b_c-d")}
    for name, token in tokens.items():
        assert credentials.authenticate(token)[:2] == (Role.DEVICE, name)
    secret = tokens["pump-7"].removesuffix("_pump-7")
    assert credentials.authenticate(f"{secret}_pump_8") is None


def test_a_name_is_enrolled_once(credentials):
    assert credentials.issue_device("pump-7")
    assert credentials.issue_device("pump-7") is None


def test_a_revoked_device_is_refused_and_may_enrol_again(credentials):
    token = credentials.issue_device("pump-7")
    assert credentials.revoke_device("pump-7")
    assert credentials.authenticate(token) is None
    assert not credentials.revoke_device("pump-7")
    assert credentials.authenticate(credentials.issue_device("pump-7")) is not None


def test_the_former_token_works_until_the_next_one_was_used(credentials):
    first = credentials.issue_device("pump-7")
    second = credentials.rotate_device("pump-7")
    assert credentials.authenticate(first) is not None
    assert credentials.authenticate(second) is not None
    assert credentials.authenticate(first) is None
    assert credentials.authenticate(second) is not None


@pytest.mark.parametrize("change", ["rotate", "first use"])
def test_a_revocation_within_a_change_of_tokens_holds(change):
    """Whatever operation of the store it comes just before."""

    class Revoked(MemoryObjects):
        """Revokes the device just before one of the next operations."""

        left = None

        def _tick(self):
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    self.left = None
                    Credentials(self).revoke_device("pump-7")

        def get(self, key):
            self._tick()
            return super().get(key)

        def replace(self, key, data):
            self._tick()
            super().replace(key, data)

    for operation in range(5):
        objects = Revoked()
        credentials = Credentials(objects)
        tokens = [credentials.issue_device("pump-7"), credentials.rotate_device("pump-7")]
        objects.left = operation
        with suppress(CollectorError):
            if change == "rotate":
                tokens.append(credentials.rotate_device("pump-7"))
            else:
                credentials.authenticate(tokens[1])
        if objects.left is not None:  # it was over before
            objects.left = None
            credentials.revoke_device("pump-7")
        assert [credentials.authenticate(token) for token in tokens] == [None] * len(tokens)
        assert not credentials.is_enrolled("pump-7")


def test_an_answer_that_was_lost_locks_no_device_out(credentials):
    first = credentials.issue_device("pump-7")
    lost = credentials.rotate_device("pump-7")
    third = credentials.rotate_device("pump-7")
    assert credentials.authenticate(first) is not None
    assert credentials.authenticate(lost) is None
    assert credentials.authenticate(third) is not None


def test_who_is_not_enrolled_gets_no_next_token(credentials):
    with pytest.raises(CollectorError, match="not enrolled"):
        credentials.rotate_device("pump-7")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a" * 65, "a\n", "é"])
def test_a_name_that_is_none_is_refused(credentials, name):
    with pytest.raises(WireError, match="name"):
        credentials.issue_device(name)


def test_tokens_are_listed_without_telling_them(credentials):
    made = {credentials.issue(role, note=role)[1] for role in (Role.READ, Role.ADMIN, Role.ENROLL)}
    assert {*credentials.list()} == made
