from __future__ import annotations

import json
import threading

import pytest

from edgerun_sync.collector.audit import NOTHING, Audit
from support.memory_objects import MemoryObjects


@pytest.fixture
def objects():
    return MemoryObjects()


@pytest.fixture
def audit(objects):
    audit = Audit(objects)
    for number in range(5):
        audit.append("admin-1", "token.issue", f"token-{number}", {"role": "read"})
    return audit


def test_entries_are_kept_in_their_order(audit):
    assert [entry["subject"] for entry in audit.entries()] == [f"token-{number}" for number in range(5)]
    assert [entry["n"] for entry in audit.entries()] == [1, 2, 3, 4, 5]


def test_a_chain_that_nobody_touched_holds(audit):
    found = audit.verify()
    assert (found.entries, found.problem) == (5, None)


def test_an_empty_log_holds(objects):
    assert Audit(objects).verify() == (0, NOTHING, None)


def test_another_process_goes_on_where_the_first_one_was(audit, objects):
    Audit(objects).append("admin-2", "token.revoke", "token-3")
    audit.append("admin-1", "token.revoke", "token-4")
    found = audit.verify()
    assert (found.entries, found.problem) == (7, None)


def test_many_that_append_at_once_make_one_chain(objects):
    def append(name: str) -> None:
        audit = Audit(objects)
        for number in range(10):
            audit.append(name, "did", str(number))

    threads = [threading.Thread(target=append, args=(f"admin-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Audit(objects).verify()
    assert (found.entries, found.problem) == (80, None)


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("field", ["time", "who", "action", "subject", "previous", "n"])
def test_a_changed_entry_breaks_the_chain(audit, objects, number, field):
    key = f"audit/{number:012d}.json"
    entry = json.loads(objects.found[key])
    entry[field] = 99 if field == "n" else f"{entry[field]}x"
    objects.found[key] = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    found = audit.verify()
    changed_last = number == 5 and field not in {"n", "previous"}
    assert (found.problem is None) == changed_last
    assert found.entries == (5 if changed_last else number if field not in {"n", "previous"} else number - 1)


def test_the_head_tells_of_the_last_entry_too(audit, objects):
    head = audit.verify().head
    key = f"audit/{5:012d}.json"
    objects.found[key] = objects.found[key].replace(b"token-4", b"token-9")
    assert audit.verify().head != head


def test_a_missing_entry_breaks_the_chain(audit, objects):
    del objects.found[f"audit/{3:012d}.json"]
    found = audit.verify()
    assert found.entries == 2
    assert "entry 3 is missing" in found.problem


def test_an_entry_that_is_none_breaks_the_chain(audit, objects):
    objects.found[f"audit/{4:012d}.json"] = b"\xff"
    assert "entry 4" in audit.verify().problem


def test_a_white_space_breaks_the_chain(audit, objects):
    objects.found[f"audit/{4:012d}.json"] += b" "
    assert "entry 4" in audit.verify().problem
