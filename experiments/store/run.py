"""Hold the store of campaigns to its promises under kills, races, traces and random sequences.

    python experiments/store/run.py crash|race|campaign-crash|campaign-race|sync|sequences|all
        [--kills 200] [--sequences 2000] [--jobs 2] [--databases SQLite PostgreSQL]

on SQLite and on a PostgreSQL server of its own, each time also on a build with a planted fault, which has to be
found. `crash` and `race` call the bare store; `campaign-crash` and `campaign-race` call `nascreen.Campaign`, each
client having opened it anew, and its optimizer chooses. `crash` takes some ten minutes, `campaign-crash` as long for
each database with a core of its own (2.7 s of it for a kill), `sequences` half an hour, `campaign-race` five minutes;
`sync` needs strace. The figures go to results.csv, so let no two runs end at the same moment. A round in which all
processes stood still for more than 5 s, as on a laptop that sleeps, counts among `n_stalls`: waits for locks run out
meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness import (
    AtRandom,
    CrashReport,
    OnCampaign,
    OnNewCampaign,
    OnStore,
    Postgres,
    WantingFirst,
    crash,
    open_answering_first,
    race,
    sqlite_url,
    trace_postgres,
    trace_sqlite,
    without_recheck,
)
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import machine
from sqlalchemy import Engine, event

from nascreen.store import Store, open_store

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where the question is what is stored, and not whether it outlives a power cut."""

STUDIES = ("crash", "race", "campaign-crash", "campaign-race", "sync", "sequences")
FAULT = "answers before the commit"
RESULTS = Path(__file__).parent / "results.csv"
Figures = Iterator[tuple[str, str, str, object]]
"""Study, database, figure, value."""


def show(line: str) -> None:
    print(f"  {line}", flush=True)


@contextmanager
def postgres(folder: str | None = None) -> Iterator[Postgres]:
    server = Postgres(folder)
    try:
        yield server
    finally:
        server.close()


def crashes(what: str, client: type[OnStore], n_kills: int, databases: Sequence[str], n_jobs: int) -> Figures:
    for name in databases:
        for study, n, opener in ((what, n_kills, open_store), (f"{what}, {FAULT}", 20, open_answering_first)):
            report = CrashReport()
            share = -(-n // n_jobs)
            part_of = functools.partial(_crash_part, name=name, n_kills=share, opener=opener, client=client)
            with ProcessPoolExecutor(n_jobs) as pool:
                for part in pool.map(part_of, range(0, n, share)):
                    report.add(part)
            yield from ((study, name, figure, value) for figure, value in report.row().items())
            yield study, name, "settings", " ".join(report.settings)


def _crash_part(
    first: int, name: str, n_kills: int, opener: Callable[[str], Store], client: type[OnStore]
) -> CrashReport:
    run = functools.partial(crash, n_kills=n_kills, opener=opener, client=client, first=first, show=show)
    if name == "SQLite":
        with sqlite_url() as url:
            return run(url)
    with postgres(MEMORY) as server:
        return run(server.new_url(), crash_server=server.crash)


def races() -> Figures:
    clients: dict[str, type[OnStore]] = {"all want the first": WantingFirst, "each at random": AtRandom}
    with postgres() as server:
        for place, client in clients.items():
            with sqlite_url() as url:
                yield from _raced(f"race, {place}", "SQLite", lambda url=url, client=client: race(url, client=client))
            yield from _raced(
                f"race, {place}", "PostgreSQL", lambda client=client: race(server.new_url(), client=client)
            )
        for name, url in (("SQLite", None), ("PostgreSQL", server.new_url())):
            with sqlite_url() as other, without_recheck(url or other):
                yield from _raced("race, without the second look", name, lambda url=url or other: race(url))


def campaign_races(databases: Sequence[str]) -> Figures:
    """Race with the default options, which let all propose the same from the same state."""
    for name in databases:
        with _new_urls(name) as new_url:
            yield from _raced("campaign-race", name, lambda new_url=new_url: race(new_url(), client=OnNewCampaign))
            url = new_url()
            with without_recheck(url):
                yield from _raced(
                    "campaign-race, without the second look", name,
                    lambda url=url: race(url, n_asks=10, client=OnNewCampaign),
                )  # fmt: skip


@contextmanager
def _new_urls(name: str) -> Iterator[Callable[[], str]]:
    """Yield what gives the address of a new store on the disk."""
    if name == "PostgreSQL":
        with postgres() as server:
            yield server.new_url
        return
    with ExitStack() as opened:
        yield lambda: opened.enter_context(sqlite_url())


def _raced(study: str, name: str, run: Callable[[], object]) -> Figures:
    report = run()
    yield from ((study, name, figure, value) for figure, value in vars(report).items() if figure != "errors")


def syncs(n_tells: int = 50) -> Figures:
    for setting, name in ((3, "EXTRA"), (2, "FULL"), (1, "NORMAL"), (0, "OFF")):
        with sqlite_url() as url:
            n_safe, patterns = trace_sqlite(url, n_tells, setting)
        yield f"sync before the answer, synchronous={name}", "SQLite", f"of {n_tells}", n_safe
        yield f"sync before the answer, synchronous={name}", "SQLite", "pattern", " ".join(patterns)
    with postgres() as server:
        yield "sync before the answer", "PostgreSQL", f"of {n_tells}", trace_postgres(server, n_tells)


def sequences(n: int, databases: Sequence[str], n_jobs: int) -> Figures:
    runs = {"SQLite": _sequences_on_sqlite, "PostgreSQL": _sequences_on_postgres}
    for name in databases:
        began = time.time()
        with ProcessPoolExecutor(n_jobs) as pool:
            done = sum(pool.map(runs[name], [-(-n // n_jobs)] * n_jobs))
        yield "sequences without a divergence", name, "n", done
        yield "sequences without a divergence", name, "wall_s", time.time() - began


def _sequences_on_sqlite(n: int) -> int:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        counter = itertools.count()
        return _sequences(lambda: f"sqlite:///{folder}/{next(counter)}.db", n)


def _sequences_on_postgres(n: int) -> int:
    # A machine that stands still for seconds is no divergence.
    event.listen(Engine, "do_connect", lambda *args: args[-1].update(connect_timeout=600))
    server = Postgres(MEMORY)
    try:
        return _sequences(server.empty_url, n)
    finally:
        server.close()


def _sequences(new_url: Callable[[], str], n: int) -> int:
    """Run sequences of 50 calls; the first divergence is raised."""
    urls: list[str] = []
    profile = settings(
        max_examples=n, stateful_step_count=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine(lambda: (urls.append(new_url()), urls[-1])[1]), settings=profile)
    return len(urls)


def write(rows: list[tuple[str, str, str, object]]) -> None:
    """Replace the figures of the studies that ran, keeping those of the others."""
    ran = {_part(row) for row in rows}
    kept: list[tuple[str, ...]] = []
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8", newline="") as file:
            kept = [tuple(row) for row in csv.reader(file)][1:]
    kept = [row for row in kept if _part(row) not in ran]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("study", "database", "figure", "value"))
        writer.writerows(sorted([*kept, *((*row[:3], _text(row[3])) for row in rows)], key=lambda row: row[:2]))


def _part(row: Sequence[object]) -> tuple[str, object]:
    return str(row[0]).partition(" ")[0].rstrip(","), row[1]


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "all"])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sequences", type=int, default=2000, help="on each database")
    parser.add_argument("--jobs", type=int, default=2, help="stores at a time, for crashes and sequences")
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"], help="of all but race and sync")
    options = parser.parse_args()
    studies: dict[str, Callable[[], Figures]] = {
        "crash": lambda: crashes("crash", OnStore, options.kills, options.databases, options.jobs),
        "race": races,
        "campaign-crash": lambda: crashes("campaign-crash", OnCampaign, options.kills, options.databases, options.jobs),
        "campaign-race": lambda: campaign_races(options.databases),
        "sync": syncs,
        "sequences": lambda: sequences(options.sequences, options.databases, options.jobs),
    }
    for name, study in studies.items():
        if options.study in (name, "all"):
            rows = []
            for row in study():
                print(" | ".join((*row[:3], _text(row[3]))), flush=True)
                rows.append(row)
            write(rows)


if __name__ == "__main__":
    main()
