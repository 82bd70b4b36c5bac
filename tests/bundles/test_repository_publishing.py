"""Publishing: readers see the old or the new repository, wherever a push stops and whoever else is at it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.layout import Layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository import catalogue, cleaning, publishing, renewal, trust
from edgerun_bundles.repository.channels import withdraw_everywhere
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.pushing import add_version, check_blobs, send_blobs, utc_now
from edgerun_bundles.repository.reading import check_fresh, read_state
from edgerun_bundles.repository.workplace import Offer, Workplace
from support.publishers import Client, Dying, PowerCutError, files_in, founded, hand, laid

DAY = timedelta(days=1)


def pushed(workplace, layout, storage):
    """Push through a storage of the test's, as `Workplace.push` does."""
    draft = Draft(read_state(storage, workplace.root))
    if not add_version(draft, layout.manifest, layout.referrers, utc_now()):
        return None
    send_blobs(storage, layout)
    return publishing.publish(storage, draft, workplace.keys, utc_now(), check_blobs(storage, layout.blobs))


def versions(workplace):
    return [found.version for found in catalogue.versions(workplace.read(), "toy")]


# Pushing.


def test_what_was_pushed_is_listed_and_comes_back(workplace, tmp_path):
    first, second = laid(tmp_path), laid(tmp_path, "1.1.0", 3.0)
    workplace.push(first)
    done = workplace.push(second)
    assert (done.name, done.version, done.digest, done.is_published) == ("toy", "1.1.0", second.manifest.digest, True)
    assert versions(workplace) == ["1.0.0", "1.1.0"]
    back = workplace.fetch("toy", "1.1.0", tmp_path / "back")
    assert back.manifest == second.manifest
    assert {path.name: path.read_bytes() for path in (tmp_path / "back/blobs/sha256").iterdir()} == {
        path.name: path.read_bytes() for path in (second.folder / "blobs/sha256").iterdir()
    }


def test_provenance_goes_along_and_comes_back(workplace, attached, tmp_path):
    workplace.push(attached)
    back = workplace.fetch("toy", "1.0.0", tmp_path / "back")
    assert back.referrers == attached.referrers
    (listed,) = catalogue.versions(workplace.read(), "toy")
    assert [found.digest for found in listed.provenance] == [found.digest for found in attached.referrers]


def test_provenance_that_comes_later_joins_what_is_known(workplace, attached):
    workplace.push(Layout(attached.folder, attached.manifest, ()))
    assert workplace.push(attached).is_published
    (listed,) = catalogue.versions(workplace.read(), "toy")
    assert len(listed.provenance) == 1


def test_only_missing_blobs_are_sent(workplace, tmp_path):
    first, second = laid(tmp_path), laid(tmp_path, "1.1.0")
    assert workplace.push(first).blobs.sent == first.blobs
    done = workplace.push(second).blobs
    (model,) = (layer.digest for layer in second.manifest.layers if layer.path == "models/m.onnx")
    assert model in done.known
    assert {**done.sent, **done.known} == second.blobs


def test_pushing_again_changes_nothing(workplace, tmp_path):
    layout = laid(tmp_path)
    workplace.push(layout)
    before = workplace.read().versions
    assert not workplace.push(layout).is_published
    assert workplace.read().versions == before


def test_a_version_is_never_given_other_bytes(workplace, tmp_path):
    workplace.push(laid(tmp_path))
    with pytest.raises(RepositoryError, match="a version never changes"):
        workplace.push(laid(tmp_path, "1.0.0", 3.0))
    workplace.change(lambda draft: withdraw_everywhere(workplace.source, draft, "toy", "1.0.0"))
    assert versions(workplace) == []
    with pytest.raises(RepositoryError, match="and withdrawn, and a version never"):
        workplace.push(laid(tmp_path / "other", "1.0.0", 3.0))
    assert workplace.push(laid(tmp_path / "same", "1.0.0", 2.0)).is_published
    assert versions(workplace) == ["1.0.0"]


def test_a_file_that_becomes_another_while_it_is_sent_ends_the_push(workplace, tmp_path):
    layout = laid(tmp_path)
    layout.blob(layout.manifest.layers[-1].digest).write_bytes(b"other")
    with pytest.raises(Exception, match=r"bytes instead of|has the digest"):
        workplace.push(layout)
    assert catalogue.names(workplace.read()) == []


def test_a_channel_is_given_a_version_at_the_moment_it_is_published(workplace, tmp_path):
    before = workplace.read().versions["timestamp"]
    workplace.push(laid(tmp_path), [Offer("canary", 1_000_000, ()), Offer("stable", 100_000, ("lab",))])
    state = workplace.read()
    assert state.versions["timestamp"] == before + 1
    assert {"bundle-toy", "channel-canary", "channel-stable"} <= state.roles.keys()


def test_whoever_lacks_a_key_is_told_which_and_nothing_is_stored(workplace, people, tmp_path):
    stranger = Workplace(workplace.place, workplace.source, workplace.root, people.online)
    before = {path.name for path in (tmp_path / "repository").rglob("*")}
    with pytest.raises(RepositoryError, match=r"targets needs 1 signature, and 0 of its keys are here.*--keys"):
        stranger.push(laid(tmp_path))
    stranger.keys = people.targets
    with pytest.raises(RepositoryError, match="snapshot needs 1 signature"):
        stranger.push(laid(tmp_path, "2.0.0"))
    assert {path.name for path in (tmp_path / "repository").rglob("*")} == before


def test_a_push_to_a_repository_whose_root_has_expired_is_refused(settings, people, tmp_path):
    workplace = founded(tmp_path / "old", people, now=utc_now() - 400 * DAY)
    with pytest.raises(RepositoryError, match=r"root expired on .* --root"):
        workplace.push(laid(tmp_path))


# Wherever it stops.


@pytest.fixture
def client(workplace, tmp_path):
    return Client(tmp_path / "client", workplace.root, files_in(tmp_path / "repository"))


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_push_that_dies_at_any_write_leaves_the_old_repository_and_the_next_one_succeeds(
    workplace, client, tmp_path, is_after
):
    workplace.push(laid(tmp_path, "0.1.0"))
    for step in range(40):
        layout = laid(tmp_path / str(step), f"1.{step}.0", 2.0 + step)
        dying = Dying(workplace.storage, step, is_after=is_after)
        try:
            pushed(workplace, layout, dying)
        except PowerCutError:
            is_published = is_after and dying.done[-1].endswith("timestamp.json")
        else:
            break
        assert client.has(f"bundles/toy/{layout.manifest.version}") is is_published
        assert client.blob("bundles/toy/0.1.0")
        if is_published:
            assert client.blob(f"bundles/toy/{layout.manifest.version}")
            continue
        sent = send_blobs(workplace.storage, layout)
        done = {name.rpartition("/")[2] for name in dying.done if name.startswith("put_blob")}
        assert {digest.removeprefix("sha256:") for digest in sent.known} >= done
        assert pushed(workplace, layout, workplace.storage) is not None
        assert client.blob(f"bundles/toy/{layout.manifest.version}")
    assert step >= 8


def test_names_that_a_dead_push_left_are_passed_over(workplace, client, tmp_path):
    state = workplace.read()
    for version in range(2, 2 + 3):
        workplace.storage.create(f"metadata/{version}.snapshot.json", b"left behind")
    workplace.push(laid(tmp_path))
    assert workplace.read().versions["snapshot"] == state.versions["snapshot"] + 4
    assert client.blob("bundles/toy/1.0.0")


def test_more_dead_pushes_than_are_passed_over_need_a_cleaning(workplace, tmp_path):
    for version in range(2, 2 + LIMITS.versions_tried_max - 1):
        workplace.storage.create(f"metadata/{version}.snapshot.json", b"left behind")
    workplace.push(laid(tmp_path))
    state = workplace.read()
    first = state.versions["snapshot"] + 1
    for version in range(first, first + LIMITS.versions_tried_max):
        workplace.storage.create(f"metadata/{version}.snapshot.json", b"left behind")
    with pytest.raises(RepositoryError, match="repository clean"):
        workplace.push(laid(tmp_path, "1.1.0"))
    cleaning.clean(workplace.storage, state, utc_now().timestamp(), age_s=-1)
    assert workplace.push(laid(tmp_path / "again", "1.1.0")).is_published


def test_a_publication_whose_answer_was_lost_is_known_to_have_arrived(workplace, tmp_path):
    class Deaf(Dying):
        def __getattr__(self, name):
            found = getattr(self._storage, name)
            return (lambda *arguments: found(*arguments) and False) if name in {"replace", "create"} else found

    assert pushed(workplace, laid(tmp_path), Deaf(workplace.storage)) is not None
    assert versions(workplace) == ["1.0.0"]


# Two at once.


def test_who_publishes_second_is_told_and_nothing_of_the_first_is_lost(workplace, tmp_path):
    first, second = laid(tmp_path, "1.0.0"), laid(tmp_path, "2.0.0", 3.0)
    storage = workplace.storage
    state = read_state(storage, workplace.root)
    draft = Draft(state)
    add_version(draft, second.manifest, (), utc_now())
    send_blobs(storage, second)
    workplace.push(first)
    with pytest.raises(PublishedMeanwhileError, match="do it again, blobs are not sent twice"):
        publishing.publish(storage, draft, workplace.keys, utc_now())
    assert versions(workplace) == ["1.0.0"]
    again = workplace.push(second)
    assert again.blobs.sent == {}
    assert versions(workplace) == ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("place", ["folder", "objects"])
def test_of_many_who_publish_at_once_each_is_listed_in_the_end(request, settings, people, tmp_path, place):
    where = tmp_path / "repository" if place == "folder" else request.getfixturevalue("bucket")
    workplace = founded(where, people)
    layouts = [laid(tmp_path / str(who), f"{who}.0.0", 2.0 + who) for who in range(3)]
    barrier, told = threading.Barrier(len(layouts)), []

    def work(layout) -> None:
        mine = Workplace(workplace.place, workplace.storage, workplace.root, people.all)
        barrier.wait(60)
        for _ in range(20):
            try:
                mine.push(layout)
            except PublishedMeanwhileError:
                told.append(layout.manifest.version)
            else:
                break

    threads = [threading.Thread(target=work, args=(layout,)) for layout in layouts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions(workplace)) == ["0.0.0", "1.0.0", "2.0.0"]
    assert workplace.read().versions["timestamp"] == 1 + len(layouts)


def test_a_blob_that_is_removed_while_a_push_is_under_way_ends_it(workplace, tmp_path):
    layout = laid(tmp_path)
    storage = workplace.storage
    draft = Draft(workplace.read())
    add_version(draft, layout.manifest, (), utc_now())
    send_blobs(storage, layout)
    state = workplace.read()
    cleaning.clean(storage, state, utc_now().timestamp(), age_s=-1)
    with pytest.raises(RepositoryError, match="was removed meanwhile; push again"):
        publishing.publish(storage, draft, workplace.keys, utc_now(), check_blobs(storage, layout.blobs))
    assert workplace.push(layout).is_published


# Cleaning and renewing.


def test_cleaning_removes_what_nothing_refers_to_and_nothing_else(workplace, attached, client, tmp_path):
    workplace.push(attached, [Offer("stable", 1_000_000, ())])
    workplace.push(laid(tmp_path, "2.0.0"))
    storage = workplace.storage
    send_blobs(storage, laid(tmp_path, "3.0.0", 9.0))
    storage.create("metadata/99.snapshot.json", b"left behind")
    (tmp_path / "repository/blobs/sha256/.new-left").write_bytes(b"1")
    (tmp_path / "repository/metadata/notes.txt").write_text("somebody's")
    state = workplace.read()
    assert cleaning.clean(storage, state, utc_now().timestamp()).removed == ()
    done = cleaning.clean(storage, state, utc_now().timestamp() + 2 * cleaning.AGE_S)
    names = {found.name for found in done.removed}
    assert {"metadata/99.snapshot.json", "blobs/sha256/.new-left", "metadata/1.snapshot.json"} <= names
    assert not {"metadata/1.root.json", "metadata/notes.txt"} & names
    assert done.size == sum(found.size for found in done.removed)
    assert cleaning.clean(storage, state, utc_now().timestamp() + 2 * cleaning.AGE_S).removed == ()
    for version in ("1.0.0", "2.0.0"):
        workplace.fetch("toy", version, tmp_path / f"back-{version}")
        assert client.blob(f"bundles/toy/{version}")


def test_cleaning_what_has_moved_on_removes_nothing(workplace, tmp_path):
    state = workplace.read()
    workplace.push(laid(tmp_path))
    with pytest.raises(PublishedMeanwhileError, match="clean again"):
        cleaning.clean(workplace.storage, state, utc_now().timestamp(), age_s=-1)


def test_renewing_gives_fourteen_days_more_and_leaves_what_is_young(workplace, tmp_path):
    workplace.push(laid(tmp_path))
    state, later = workplace.read(), utc_now() + 13 * DAY
    done = renewal.renew(workplace.storage, state, workplace.keys, later)
    assert done.signed == ("snapshot", "timestamp")
    assert done.state.expiries["timestamp"] > later + 13 * DAY
    assert done.state.expiries["bundle-toy"] == state.expiries["bundle-toy"]


def test_what_has_expired_can_be_renewed_and_is_refused_until_then(settings, people, tmp_path):
    workplace = founded(tmp_path / "old", people, now=utc_now() - 200 * DAY)
    state = workplace.read()
    with pytest.raises(RepositoryError, match=r"(timestamp|snapshot) expired on .* repository renew"):
        check_fresh(state, utc_now())
    with pytest.raises(RepositoryError, match="expired"):
        workplace.fetch("toy", "1.0.0", tmp_path / "x")
    done = renewal.renew(workplace.storage, state, workplace.keys, utc_now())
    assert done.signed == ("targets", "snapshot", "timestamp")
    check_fresh(workplace.read(), utc_now())


def test_the_online_key_alone_renews_and_says_what_it_could_not(settings, people, tmp_path):
    workplace = founded(tmp_path / "old", people, now=utc_now() - 200 * DAY)
    done = renewal.renew(workplace.storage, workplace.read(), people.online, utc_now())
    assert (done.signed, done.left) == (("snapshot", "timestamp"), ("targets",))


# Reading.


def test_an_old_copy_that_was_put_back_is_refused(workplace, tmp_path):
    old = workplace.storage.read("metadata/timestamp.json", 2**20).content
    workplace.push(laid(tmp_path))
    (tmp_path / "repository/metadata/timestamp.json").write_bytes(old)
    with pytest.raises(RepositoryError, match="an old copy was put back"):
        workplace.read()


def test_any_wrong_byte_of_metadata_is_found(workplace, tmp_path):
    workplace.push(laid(tmp_path), [Offer("stable", 1_000_000, ())])
    state = workplace.read()
    names = [*cleaning.kept_metadata(state)]
    assert len(names) == 5
    for name in names:
        path = tmp_path / "repository" / name
        good = path.read_bytes()
        for at in range(0, len(good), 29):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            with pytest.raises(RepositoryError):
                read_state(workplace.source, workplace.root)
        path.write_bytes(good[:-1])
        with pytest.raises(RepositoryError):
            read_state(workplace.source, workplace.root)
        path.unlink()
        with pytest.raises(RepositoryError, match=r"missing|no repository"):
            read_state(workplace.source, workplace.root)
        path.write_bytes(good)
    assert read_state(workplace.source, workplace.root).versions == state.versions


def test_any_wrong_byte_of_a_blob_is_found(workplace, tmp_path):
    layout = laid(tmp_path)
    workplace.push(layout)
    for digest in layout.blobs:
        path = tmp_path / "repository/blobs/sha256" / digest.removeprefix("sha256:")
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(Exception, match="has the digest"):
            workplace.fetch("toy", "1.0.0", tmp_path / "back")
        path.write_bytes(good)
        assert not (tmp_path / "back").exists()


def test_another_repository_with_the_same_names_is_not_trusted(workplace, settings, people, tmp_path):
    impostor = founded(tmp_path / "impostor", people._replace(root=hand(), targets=hand(), online=hand()))
    with pytest.raises(RepositoryError, match=r"root\.json|timestamp"):
        read_state(impostor.source, workplace.root)


def test_a_repository_that_nobody_trusts_here_says_how_to(settings, tmp_path):
    with pytest.raises(RepositoryError, match=r"repository trust .* --root"):
        Workplace.open(str(tmp_path))


@pytest.mark.parametrize("content", [b"\xff", b"default = ", b"repositories = 7", b"[repositories]\nx = 1"])
def test_settings_that_cannot_be_read_are_named(settings, content):
    settings.mkdir(parents=True)
    (settings / "repositories.toml").write_bytes(content)
    with pytest.raises(RepositoryError, match=r"repositories\.toml"):
        trust.chosen_place(None)


def test_places_with_any_sign_come_back_from_the_settings(settings, people, tmp_path):
    place = tmp_path / 'a "b" \\ é = [x]'
    founded(place, people)
    assert trust.chosen_place(None) == str(place)
    assert trust.trusted(str(place)).root
