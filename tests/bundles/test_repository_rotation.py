"""Keys come and go: roots that several people sign, keys that are revoked, and what a client sees at each step."""

from __future__ import annotations

import copy
from functools import partial

import pytest
from tuf.api.exceptions import RepositoryError as TufError

from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository import rotation
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.metadata import delegation_of, raw_of, sign
from edgerun_bundles.repository.publishing import store_root
from edgerun_bundles.repository.pushing import utc_now
from edgerun_bundles.repository.reading import read_state
from edgerun_bundles.repository.rotation import Change
from edgerun_bundles.repository.workplace import Workplace
from support.publishers import Client, Dying, Hand, PowerCutError, files_in, founded, hand, laid


@pytest.fixture
def client(workplace, tmp_path):
    """Somebody who has been here since the first root."""
    found = Client(tmp_path / "client", workplace.root, files_in(tmp_path / "repository"))
    found.look()
    return found


def rotate(workplace, changes, keys):
    """Change keys of top roles, with the keys of these hands."""
    state = workplace.read()
    root = rotation.unsigned(rotation.changed_root(state, changes, utc_now()))
    signed = rotation.sign_root(state, root, keys)
    workplace.keys = keys
    workplace.store_root(state, signed)
    return signed


def swap(old: Hand, new: Hand) -> Change:
    return Change(new.keys, frozenset(old.held))


def change(workplace, role, *changes):
    def edit(draft):
        for found in changes:
            rotation.change_role(draft, role, found)

    workplace.change(edit)


# The top roles.


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_a_key_of_each_top_role_can_be_replaced_and_the_old_one_signs_nothing_more(
    workplace, people, client, tmp_path, role
):
    old = {"root": people.root, "targets": people.targets}.get(role, people.online)
    new = hand()
    rotate(workplace, {role: swap(old, new)}, people.all + new)
    client.look()
    assert rotation.roles_of_key(workplace.read(), new.key.keyid) == [role]
    workplace.push(laid(tmp_path))
    assert client.blob("bundles/toy/1.0.0")
    workplace.keys = people.all
    act = partial(rotate, workplace, {"root": Change()}, people.all)
    act = act if role == "root" else partial(workplace.push, laid(tmp_path, "2.0.0"))
    with pytest.raises(RepositoryError, match=r"needs 1 signature|by the keys before it"):
        act()


def test_who_has_the_old_root_and_who_has_the_new_one_read_it_at_every_step_of_a_rotation(
    workplace, people, client, tmp_path
):
    workplace.push(laid(tmp_path))
    new = hand()
    keys = people.all + new
    state = workplace.read()
    root = rotation.changed_root(
        state, {role: swap(people.online, new) for role in ("snapshot", "timestamp")}, utc_now()
    )
    signed = rotation.sign_root(state, rotation.unsigned(root), keys)
    for step in range(10):
        dying = Dying(workplace.storage, step)
        try:
            rotation.store(dying, workplace.read(), signed, keys, utc_now())
        except PowerCutError:
            fresh = Client(tmp_path / f"fresh-{step}", workplace.root, files_in(tmp_path / "repository"))
            assert fresh.blob("bundles/toy/1.0.0")
            assert client.blob("bundles/toy/1.0.0")
        else:
            break
    assert step >= 3
    assert client.blob("bundles/toy/1.0.0")
    assert workplace.read().root.signed.version == 2


def test_a_rotation_without_the_old_key_that_breaks_off_is_finished_by_signing_again(
    workplace, people, client, tmp_path
):
    workplace.push(laid(tmp_path))
    new = hand()
    keys = people.root + people.targets + new  # the online key is lost
    state = workplace.read()
    changes = {role: swap(people.online, new) for role in ("snapshot", "timestamp")}
    signed = rotation.sign_root(state, rotation.unsigned(rotation.changed_root(state, changes, utc_now())), keys)
    dying = Dying(workplace.storage, 1)
    with pytest.raises(PowerCutError):
        rotation.store(dying, state, signed, keys, utc_now())
    assert dying.done == ["create metadata/2.root.json"]
    with pytest.raises(TufError):
        client.look()
    with pytest.raises(RepositoryError, match="timestamp"):
        workplace.read()
    before = workplace.read_before(signed)
    rotation.store(workplace.storage, before, signed, keys, utc_now())
    assert client.blob("bundles/toy/1.0.0")
    assert workplace.read().root.signed.version == 2


def test_two_new_roots_at_once_and_one_is_stored(workplace, people):
    state = workplace.read()
    roots = [
        rotation.sign_root(
            state,
            rotation.unsigned(rotation.changed_root(state, {"root": Change(found.keys)}, utc_now())),
            people.all,
        )
        for found in (hand(), hand())
    ]
    rotation.store(workplace.storage, state, roots[0], people.all, utc_now())
    with pytest.raises(PublishedMeanwhileError, match="another root 2"):
        rotation.store(workplace.storage, state, roots[1], people.all, utc_now())
    with pytest.raises(PublishedMeanwhileError, match="and another one"):
        workplace.read_before(roots[1])
    assert raw_of(workplace.read().root) == raw_of(roots[0])


def test_so_many_roots_are_followed_in_one_go_and_no_more(workplace, people):
    first, root = workplace.root, workplace.read().root
    for version in range(2, LIMITS.roots_max + 3):
        following = copy.deepcopy(root.signed)
        following.version = version
        root = sign(following, people.root.signers(following.roles["root"].keyids))
        workplace.storage.create(f"metadata/{version}.root.json", raw_of(root))
        if version == LIMITS.roots_max + 1:
            assert read_state(workplace.source, first).root.signed.version == version
    with pytest.raises(RepositoryError, match=f"more than {LIMITS.roots_max} roots"):
        read_state(workplace.source, first)


# A threshold of people.


def test_a_root_of_two_signatures_is_collected_from_two_people(settings, people, tmp_path):
    ada, bob, carol = hand(), hand(), hand()
    workplace = founded(tmp_path / "repository", people._replace(root=ada + bob + carol), threshold=2)
    client = Client(tmp_path / "client", workplace.root, files_in(tmp_path / "repository"))
    state, dave = workplace.read(), hand()
    root = rotation.unsigned(
        rotation.changed_root(state, {"root": Change(dave.keys, frozenset(carol.held), 3)}, utc_now())
    )
    assert rotation.missing_signatures(state, root) == {"old": 2, "new": 3}
    by_ada = rotation.sign_root(state, root, ada)
    assert rotation.missing_signatures(state, by_ada) == {"old": 1, "new": 2}
    with pytest.raises(RepositoryError, match="root 2, by the keys before it"):
        rotation.store(workplace.storage, state, by_ada, people.all, utc_now())
    handed_on = rotation.read_pending(raw_of(by_ada), "2.root.json")
    by_both = rotation.sign_root(state, handed_on, bob)
    assert rotation.missing_signatures(state, by_both) == {"new": 1}
    by_carol = rotation.sign_root(state, by_ada, carol)
    assert rotation.missing_signatures(state, by_carol) == {"new": 2}
    with pytest.raises(RepositoryError, match="root 2"):
        rotation.store(workplace.storage, state, by_both, people.all, utc_now())
    complete = rotation.sign_root(state, by_both, dave)
    assert rotation.missing_signatures(state, complete) == {}
    assert rotation.store(workplace.storage, state, complete, people.all, utc_now()) is None
    client.look()
    assert workplace.read().root.signed.roles["root"].threshold == 3


@pytest.mark.parametrize(
    ("threshold", "keys"),
    [(0, 1), (2, 1), (3, 2)],
)
def test_a_threshold_that_nobody_can_reach_is_refused(settings, people, tmp_path, threshold, keys):
    with pytest.raises(RepositoryError, match=f"would have {keys} keys and need {threshold}"):
        founded(tmp_path / "repository", people._replace(root=hand(keys)), threshold=threshold)
    assert not (tmp_path / "repository").exists()


def test_the_last_key_of_a_role_cannot_go(workplace, people):
    state = workplace.read()
    with pytest.raises(RepositoryError, match="timestamp would have 0 keys and need 1"):
        rotation.changed_root(state, {"timestamp": Change((), frozenset(people.online.held))}, utc_now())
    with pytest.raises(RepositoryError, match="timestamp has no key"):
        rotation.changed_root(state, {"timestamp": Change((), frozenset(hand().held))}, utc_now())


def test_a_root_that_skips_a_version_is_refused(workplace, people):
    state = workplace.read()
    root = rotation.changed_root(state, {}, utc_now())
    root.version += 1
    with pytest.raises(RepositoryError, match="does not follow"):
        rotation.sign_root(state, rotation.unsigned(root), people.all)
    store_root(workplace.storage, rotation.unsigned(rotation.changed_root(state, {}, utc_now())))
    with pytest.raises(RepositoryError, match=r"2\.root\.json"):
        workplace.read()


# Bundles and channels.


def test_a_publisher_publishes_one_bundle_and_no_other(workplace, people, client, tmp_path):
    bob = hand()
    change(workplace, "bundle-toy", Change(bob.keys))
    publisher = Workplace(workplace.place, workplace.source, workplace.root, bob + people.online)
    publisher.push(laid(tmp_path))
    assert client.blob("bundles/toy/1.0.0")
    change(workplace, "bundle-toy", Change((), frozenset(people.targets.held)))
    with pytest.raises(RepositoryError, match="targets needs 1 signature"):
        publisher.push(laid(tmp_path, name="other"))
    workplace.keys = people.all
    with pytest.raises(RepositoryError, match="bundle-toy needs 1 signature"):
        workplace.push(laid(tmp_path, "2.0.0"))


def test_a_revoked_publisher_is_refused_by_whoever_reads(workplace, people, client, tmp_path):
    bob, carol = hand(), hand()
    workplace.keys = people.all + bob + carol
    change(workplace, "bundle-toy", Change(bob.keys))
    workplace.push(laid(tmp_path))
    change(workplace, "bundle-toy", swap(bob + people.targets, carol))
    assert client.blob("bundles/toy/1.0.0")
    assert bob.key.keyid not in rotation.keys_of(workplace.read())
    thief = Workplace(workplace.place, workplace.source, workplace.root, bob + people.online)
    with pytest.raises(RepositoryError, match="bundle-toy needs 1 signature"):
        thief.push(laid(tmp_path, "6.6.6", 6.0))

    class Forged(Draft):
        def delegation(self, role):
            return delegation_of(role, [bob.key.keyid], 1)

    forged = Forged(workplace.read())
    forged.role("bundle-toy").targets.pop("bundles/toy/1.0.0")
    thief.publish(forged)
    with pytest.raises(TufError):
        client.has("bundles/toy/1.0.0")
    with pytest.raises(RepositoryError, match="bundle-toy"):
        workplace.read()


def test_who_revokes_must_be_able_to_sign_what_is_left(workplace, people, client, tmp_path):
    bob, carol = hand(), hand()
    workplace.keys = people.all + bob
    change(workplace, "bundle-toy", Change(bob.keys + carol.keys))
    change(workplace, "bundle-toy", Change((), frozenset(people.targets.held)))
    workplace.push(laid(tmp_path))
    workplace.keys = people.all
    with pytest.raises(RepositoryError, match="bundle-toy needs 1 signature, and 0 of its keys are here"):
        change(workplace, "bundle-toy", Change((), frozenset(bob.held)))
    assert client.blob("bundles/toy/1.0.0")
    change(workplace, "bundle-toy", Change(people.targets.keys, frozenset(bob.held)))
    assert client.blob("bundles/toy/1.0.0")


def test_a_bundle_of_two_signatures_needs_both(workplace, people, client, tmp_path):
    bob, carol = hand(), hand()
    change(workplace, "bundle-toy", Change(bob.keys))
    workplace.keys = people.online + people.targets + bob + carol
    change(workplace, "bundle-toy", Change(carol.keys, frozenset(people.targets.held), 2))
    workplace.keys = people.all + bob
    layout = laid(tmp_path)
    with pytest.raises(RepositoryError, match="bundle-toy needs 2 signatures, and 1 of its keys are here"):
        workplace.push(layout)
    workplace.keys = people.all + bob + carol
    workplace.push(layout)
    assert client.blob("bundles/toy/1.0.0")


def test_a_role_of_another_kind_is_refused(workplace):
    for role in ("bundle-", "publisher", "timestamp2"):
        with pytest.raises(RepositoryError, match="is no role"):
            change(workplace, role, Change(hand().keys))
    with pytest.raises(RepositoryError, match="has no role bundle-none"):
        change(workplace, "bundle-none", Change((), frozenset(["0" * 64])))
