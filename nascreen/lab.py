"""A laboratory's own results: read from its sheets, kept apart from the shipped tables, never overwritten.

The store is one SQLite file of events in the user's folder. An event adds, amends or retracts one sample and holds
the whole record after it, so that the newest event of a sample is its state and the older ones are its history.
Events are only ever appended. A file is added whole or not at all, however it ends.

The same file added twice adds nothing the second time, also when its samples were amended or retracted since.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from nascreen.chemistry import charge_balance, family_of, parse_formula
from nascreen.datasets import user_folder
from nascreen.errors import InputError, IntegrityError, RangeError, TableError, shown
from nascreen.records import COLUMN_BY_NAME, LAB_COLUMNS, Sample, cells_from_sample, sample_from_cells
from nascreen.spreadsheets import Limits, Row, Sheet, read_sheet, with_decimal_points
from nascreen.units import Heading, cell_in_column_unit, heading_text, read_heading

STORE_NAME = "lab.db"
LIMITS = Limits(n_bytes=20_000_000, n_rows=20_000, n_columns=256)
LOCK_WAIT_S = 5.0
"""How long another process that is writing is waited for."""

DATE_COLUMNS = ("made_on",)
TAGS = ("lab", "operator", "instrument", "made_on")
"""What a whole file may be tagged with; a cell of its own wins."""

TEMPLATE_COLUMNS: tuple[str, ...] = (
    "sample_id", "formula", "label", "phase", "synthesis", "press_mpa", "sinter_temp_c", "sinter_time_h",
    "heat_temp_c", "heat_time_h", "rel_density_pct", "porosity_pct", "second_phase", "second_phase_wt_pct",
    "second_phase_role", "meas_temp_c", "conductivity_s_cm", "log_conductivity_sd", "conductivity_kind", "ea_ev",
    "ea_sd_ev", "strength_mpa", "strength_sd_mpa", "strength_kind", "hardness_gpa",
    *(column.name for column in LAB_COLUMNS if not column.unit),
)  # fmt: skip

OWN_COLUMNS: frozenset[str] = frozenset(
    {
        *TEMPLATE_COLUMNS, *(column.name for column in LAB_COLUMNS), "value_origin", "structure", "youngs_modulus_gpa",
        "fracture_toughness_mpa_m05", "modifier_mol_pct", "tg_c", "density_g_cm3", "space_group",
    }
)  # fmt: skip
"""Columns that a sheet of own results may have; the others describe publications."""

_RESULTS = ("conductivity_s_cm", "ea_ev", "strength_mpa", "hardness_gpa", "fracture_toughness_mpa_m05", "tg_c")
_FAILURES = frozenset(COLUMN_BY_NAME["outcome"].choices) - {"ok"}
_SHIPPED = ("lit-", "li-", "sciglass-")
_MAX_IDENTIFIER = 80
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_APPLICATION_ID = 0x6E61736C
_SCHEMA = """
CREATE TABLE events (
    event INTEGER PRIMARY KEY AUTOINCREMENT,
    sample_id TEXT NOT NULL,
    time TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('add', 'amend', 'retract')),
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX events_of_sample ON events (sample_id, event);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
"""

Cells = dict[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the history of a sample.

    Attributes:
        sample_id: The sample.
        time: When it was entered, in UTC, as ISO text.
        action: ``add`` (new or completed), ``amend`` or ``retract``.
        author: Who entered it; may be empty.
        reason: Why; may be empty for ``add``.
        source: File that it came from, with the start of its sha256; empty for changes.
        cells: Column to text of the whole record after the event, without empty ones.
    """

    sample_id: str
    time: str
    action: str
    author: str
    reason: str
    source: str
    cells: Mapping[str, str]

    @property
    def sample(self) -> Sample:
        """The record after the event."""
        return sample_from_cells(self.cells)


@dataclass(frozen=True, slots=True)
class Added:
    """What adding a file did.

    Attributes:
        ids: Samples of the file, in its order.
        n_new: Samples that were not known.
        n_completed: Known samples of which empty columns were filled.
        n_same: Rows that brought nothing new.
        notes: How the file was read, and what looks unusual and was kept; one sentence each.
    """

    ids: tuple[str, ...]
    n_new: int
    n_completed: int
    n_same: int
    notes: tuple[str, ...]


def store_path(home: Path | None = None) -> Path:
    """Return the path of the store in a folder, by default that of the user; it need not exist."""
    return (home or user_folder()) / STORE_NAME


# ---------------------------------------------------------------- the store


@contextmanager
def _told(path: Path, verb: str) -> Iterator[None]:
    """Say in one sentence why the store cannot be used."""
    where = f"The store of your own data {shown(str(path))}"
    try:
        yield
    except sqlite3.OperationalError as error:
        hint = "another process is writing, try again" if "locked" in str(error) else "nothing was stored"
        raise TableError(f"{where} cannot be {verb} ({error}); {hint}.") from error
    except sqlite3.DatabaseError as error:
        raise IntegrityError(f"{where} is damaged ({error}); restore it from a copy.") from error
    except OSError as error:
        raise TableError(f"{where} cannot be {verb} ({error.strerror}); nothing was stored.") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, timeout=LOCK_WAIT_S, isolation_level=None, uri=True)


def _check_store(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise IntegrityError(f"The file {shown(str(path))} is not a store of nascreen; move it away.")


@contextmanager
def _writing(home: Path | None, *, is_kept: bool = True) -> Iterator[sqlite3.Connection]:
    """Open the store for one transaction: all of it is kept, or nothing."""
    path = store_path(home)
    with _told(path, "written"):
        if is_kept:
            path.parent.mkdir(parents=True, exist_ok=True)
        # A trial on a store that does not exist yet must not make one.
        is_trial = not is_kept and not path.exists()
        connection = sqlite3.connect(":memory:", isolation_level=None) if is_trial else _connect(path, "rwc")
        try:
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("BEGIN IMMEDIATE")
            try:
                _prepare(path, connection)
                yield connection
                _end(connection, is_kept=is_kept)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            connection.close()


def _end(connection: sqlite3.Connection, *, is_kept: bool) -> None:
    connection.execute("COMMIT" if is_kept else "ROLLBACK")


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if n_tables:
        _check_store(path, connection)
        return
    for statement in re.split(r";\n(?=CREATE|$)", _SCHEMA.strip()):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")


def _events(home: Path | None, sample_id: str | None = None) -> list[Event]:
    path = store_path(home)
    with _told(path, "read"):
        if not path.exists():
            return []
        # Writable where it may be, since what a killed process left is rolled back by the next one to open it.
        connection = _connect(path, "rw")
        try:
            (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if n_tables:
                _check_store(path, connection)
            return _events_in(path, connection, sample_id) if n_tables else []
        finally:
            connection.close()


def _events_in(path: Path, connection: sqlite3.Connection, sample_id: str | None = None) -> list[Event]:
    query = "SELECT sample_id, time, action, author, reason, source, record FROM events"
    rows = connection.execute(
        f"{query} WHERE ?1 IS NULL OR sample_id = ?1 ORDER BY event",
        (sample_id,),
    )
    try:
        return [
            Event(sample_id, time, action, author, reason, source, dict(json.loads(record)))
            for sample_id, time, action, author, reason, source, record in rows
        ]
    except (TypeError, ValueError) as error:
        raise IntegrityError(f"The store of your own data {shown(str(path))} is damaged ({error}).") from error


def _write(connection: sqlite3.Connection, event: Event, fingerprint: str = "") -> None:
    record = json.dumps(dict(event.cells), ensure_ascii=False)
    connection.execute(
        "INSERT INTO events (sample_id, time, action, author, reason, source, fingerprint, record) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (event.sample_id, event.time, event.action, event.author, event.reason, event.source, fingerprint, record),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ---------------------------------------------------------------- reading a sheet


@lru_cache(maxsize=1024)
def _column_of(name: str) -> str | None:
    try:
        return read_heading(name).column
    except TableError:
        return None


def _is_known(name: str) -> bool:
    return _column_of(name) is not None


def _holds_numbers(name: str) -> bool:
    column = _column_of(name)
    return column is not None and COLUMN_BY_NAME[column].kind in ("number", "integer")


def _holds_dates(name: str) -> bool:
    return _column_of(name) in DATE_COLUMNS


def _headings(sheet: Sheet, ignored: Sequence[str]) -> list[Heading | None]:
    """Return the meaning of each column, None for those to be left out."""
    if absent := [name for name in ignored if name not in sheet.header]:
        raise TableError(f"The table {shown(sheet.file)} has no column {shown(absent[0])} to leave out.")
    headings: list[Heading | None] = []
    taken: dict[str, str] = {}
    for i, name in enumerate(sheet.header):
        heading = None if name in ignored else _heading(sheet, i)
        headings.append(heading)
        if heading is None:
            continue
        if heading.column in taken:
            raise TableError(
                f"The table {shown(sheet.file)} gives the column {heading.column!r} twice, as "
                f"{shown(taken[heading.column])} and as {shown(name)}; keep one of them."
            )
        taken[heading.column] = name
    return headings


def _heading(sheet: Sheet, i: int) -> Heading:
    where = f"The table {shown(sheet.file)}, column {i + 1} of the head"
    if not sheet.header[i]:
        raise TableError(f"{where}: it has no name but values; name it or delete it.")
    try:
        heading = read_heading(sheet.header[i])
    except TableError as error:
        raise TableError(f"{where}: {error}") from error
    if heading.column not in OWN_COLUMNS:
        raise TableError(f"{where}: {heading.column!r} describes publications, not own results; leave it out.")
    return heading


def _cells_of(sheet: Sheet, row: Row, headings: Sequence[Heading | None]) -> Cells:
    """Return the filled cells of a row in the units of the columns, each checked by itself."""
    cells: Cells = {}
    for i, heading in enumerate(headings):
        text = row.cells[i].strip()
        if heading is None or not text:
            continue
        try:
            if text.startswith("="):
                raise TableError(f"{shown(text)} is a formula of a spreadsheet; give its value.")
            cell = cell_in_column_unit(heading, text)
            sample = sample_from_cells({heading.column: cell})
        except InputError as error:
            converted = "" if shown(text) in str(error) else f" (written as {shown(text)})"
            _refuse_cell(sheet, row, i, f"{error}{converted}")
        cells |= cells_from_sample(sample, [heading.column])
    return cells


def _refuse_cell(sheet: Sheet, row: Row, column: int, reason: str) -> NoReturn:
    raise TableError(f"The table {shown(sheet.file)}, {sheet.place(row.number, column)}: {reason}")


def _column_at(headings: Sequence[Heading | None], name: str) -> int:
    return next((i for i, heading in enumerate(headings) if heading and heading.column == name), 0)


# ---------------------------------------------------------------- what a record must be


class _FaultError(InputError):
    """A record cannot be; `column` is the one to look at."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def _checked(cells: Mapping[str, str]) -> Sample:
    """Return a whole record as a sample, refusing what contradicts itself or means nothing."""
    try:
        sample = sample_from_cells(cells)
    except RangeError as error:
        raise _FaultError("porosity_pct", str(error)) from error
    if not 0 < len(sample.sample_id) <= _MAX_IDENTIFIER or sample.sample_id.startswith(("-", *_SHIPPED)):
        raise _FaultError(
            "sample_id",
            f"{shown(sample.sample_id)} cannot be an identifier; allowed are 1 to {_MAX_IDENTIFIER} characters that do "
            f"not begin with - or as in the shipped tables ({', '.join(_SHIPPED)}).",
        )
    _check_formula(sample)
    if sample.conductivity_s_cm is not None and sample.meas_temp_c is None:
        raise _FaultError(
            "conductivity_s_cm", "A conductivity needs the temperature it was measured at; fill 'meas_temp [°C]'."
        )
    for value, sd in (("conductivity_s_cm", "log_conductivity_sd"), ("ea_ev", "ea_sd_ev"),
                      ("strength_mpa", "strength_sd_mpa")):  # fmt: skip
        if getattr(sample, sd) is not None and getattr(sample, value) is None:
            raise _FaultError(sd, f"An uncertainty needs its value; fill {heading_text(value)!r} too.")
    if sample.made_on:
        _check_day(sample.made_on)
    return sample


def _check_formula(sample: Sample) -> None:
    if sample.formula:
        try:
            parse_formula(sample.formula)
        except InputError as error:
            raise _FaultError("formula", str(error)) from error
    elif not (sample.label and sample.outcome in _FAILURES):
        raise _FaultError("formula", "The formula is missing; only a failed sample that has a label may lack it.")


def _check_day(text: str) -> None:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    # Somewhere it is tomorrow already.
    latest = datetime.now(UTC).date() + timedelta(days=1)
    if day is None or not date(1900, 1, 1) <= day <= latest:
        raise _FaultError("made_on", f"{shown(text)} is no day of the past; write it as YYYY-MM-DD.")


def _oddities(sample: Sample) -> Iterator[str]:
    """Yield what is unusual about a sample, though not impossible."""
    if sample.formula:
        balance = charge_balance(parse_formula(sample.formula))
        if balance.is_balanced is False:
            yield f"the formula is not charge balanced: {balance.note}"
    if (sample.conductivity_s_cm or 0) > 1:
        yield f"a conductivity of {sample.conductivity_s_cm:g} S/cm is above that of any known solid electrolyte"
    if sample.ea_ev is not None and not 0.05 <= sample.ea_ev <= 1.5:
        yield f"an activation energy of {sample.ea_ev:g} eV is unusual"
    if sample.sinter_temp_c is not None and sample.sinter_temp_c < 100:
        yield f"a sintering temperature of {sample.sinter_temp_c:g} °C is unusual"
    if not sample.outcome and all(getattr(sample, name) is None for name in _RESULTS):
        yield "there is no result yet"


# ---------------------------------------------------------------- adding


@dataclass(frozen=True, slots=True)
class _Given:
    """A row of a sheet that is to be stored."""

    row: Row
    cells: Cells
    fingerprint: str


def _lab_of(tags: Mapping[str, str]) -> Cells:
    return {name: text for name, text in tags.items() if name == "lab"}


def _given(row: Row, cells: Cells, tags: Mapping[str, str]) -> _Given:
    # Without an identifier, equal rows of two laboratories are two samples.
    known = cells if "sample_id" in cells else {**_lab_of(tags), **cells}
    text = json.dumps(sorted(known.items()), ensure_ascii=False)
    return _Given(row, cells, hashlib.sha256(text.encode()).hexdigest()[:24])


def _checked_tags(tags: Mapping[str, str | None]) -> Cells:
    given = {name: text.strip() for name, text in tags.items() if text and text.strip()}
    sample_from_cells(given)
    if "made_on" in given:
        _check_day(given["made_on"])
    return given


def add(  # noqa: PLR0913 - what a file is tagged with, each by its name
    path: Path,
    *,
    lab: str | None = None,
    operator: str | None = None,
    instrument: str | None = None,
    made_on: str | None = None,
    sheet_name: str | None = None,
    ignored: Sequence[str] = (),
    is_dry_run: bool = False,
    home: Path | None = None,
) -> Added:
    """Add the samples of a sheet to the store, all or none.

    A row whose ``sample_id`` is known completes that sample: it may fill what is empty, not change what is there. A
    row without one gets one.

    Args:
        path: CSV or XLSX file with a head; see `nascreen.units.read_heading` for the names of columns.
        lab: Laboratory, for rows that do not name it.
        operator: Who made or measured the samples, likewise; also kept as the author of the entry.
        instrument: Instrument, likewise.
        made_on: Day as YYYY-MM-DD, likewise.
        sheet_name: Sheet of a workbook; the first if None.
        ignored: Columns, by their head, to leave out.
        is_dry_run: Check everything and store nothing.
        home: Folder of the store; that of the user if None.

    Raises:
        TableError: If anything cannot be read, is not possible or contradicts what is stored; the message names
            row and column, and nothing is stored.
        IntegrityError: If the store is damaged.
    """
    tags = _checked_tags({"lab": lab, "operator": operator, "instrument": instrument, "made_on": made_on})
    sheet = read_sheet(path, LIMITS, sheet_name=sheet_name, is_known=_is_known, is_date=_holds_dates)
    headings = _headings(sheet, ignored)
    sheet = with_decimal_points(sheet, lambda name: name not in ignored and _holds_numbers(name))
    rows = [row for row in sheet.rows if any(cell.strip() for cell in row.cells)]
    if not rows:
        raise TableError(f"The table {shown(sheet.file)} has no rows below its head; nothing was stored.")
    given = [_given(row, _cells_of(sheet, row, headings), tags) for row in rows]
    if not is_dry_run and not store_path(home).exists():
        # A refused file must not even leave an empty store.
        _take_all(sheet, headings, given, tags, home, is_kept=False)
    return _take_all(sheet, headings, given, tags, home, is_kept=not is_dry_run)


def _take_all(
    sheet: Sheet,
    headings: Sequence[Heading | None],
    given: Sequence[_Given],
    tags: Cells,
    home: Path | None,
    *,
    is_kept: bool,
) -> Added:
    with _writing(home, is_kept=is_kept) as connection:
        adding = _Adding(connection, store_path(home), sheet, headings, tags)
        for one in given:
            adding.take(one)
    return adding.added


class _Adding:
    """One file on its way into the store, within a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        sheet: Sheet,
        headings: Sequence[Heading | None],
        tags: Cells,
    ) -> None:
        self._connection = connection
        self._sheet = sheet
        self._headings = headings
        self._tags = tags
        self._source = f"{sheet.file} {sheet.sha256[:12]}"
        self._stored = {event.sample_id: event for event in _events_in(path, connection)}
        self._seen: dict[str, list[str]] = {}
        for sample_id, fingerprint in connection.execute("SELECT sample_id, fingerprint FROM events ORDER BY event"):
            self._seen.setdefault(fingerprint, []).append(sample_id)
        self._n_met: Counter[str] = Counter()
        self._n_made: Counter[str] = Counter()
        self._ids: list[str] = []
        self._counts: Counter[str] = Counter()
        self._notes = list(sheet.notes)

    @property
    def added(self) -> Added:
        """What has been done so far."""
        counts = self._counts
        return Added(tuple(self._ids), counts["new"], counts["completed"], counts["same"], tuple(self._notes))

    def take(self, given: _Given) -> None:
        """Store one row as a new sample or as the completion of one, or nothing if it is known."""
        seen = self._seen.get(given.fingerprint, [])
        n_met = self._n_met[given.fingerprint]
        self._n_met[given.fingerprint] += 1
        sample_id = given.cells.get("sample_id")
        stored = self._stored.get(sample_id or "")
        if stored:
            self._check_lab(given, stored)
        if sample_id in seen or (sample_id is None and n_met < len(seen)):
            self._ids.append(sample_id or seen[n_met])
            self._counts["same"] += 1
        elif stored:
            self._complete(given, stored)
        else:
            self._store(given, {**self._tags, **given.cells, "sample_id": sample_id or self._new_id(given)}, "new")

    def _new_id(self, given: _Given) -> str:
        day = given.cells.get("made_on") or self._tags.get("made_on") or _now()[:10]
        while (made := f"lab-{day}-{self._n_made[day] + 1}") in self._stored:
            self._n_made[day] += 1
        return made

    def _check_lab(self, given: _Given, stored: Event) -> None:
        lab = {**self._tags, **given.cells}.get("lab")
        if lab and stored.cells.get("lab", lab) != lab:
            theirs = f"of the laboratory {shown(stored.cells['lab'])}"
            self._refuse(given, "sample_id", f"{shown(stored.sample_id)} is a sample {theirs}; use another identifier.")

    def _complete(self, given: _Given, stored: Event) -> None:
        if stored.action == "retract":
            self._refuse(
                given, "sample_id", f"The sample {shown(stored.sample_id)} was retracted; use another identifier."
            )
        # Who measured a part later, when and with what is told by the entry; the record keeps the first.
        claimed = {**_lab_of(self._tags), **given.cells}
        for name, text in claimed.items():
            if stored.cells.get(name, text) != text:
                self._refuse(
                    given,
                    name,
                    f"The sample {shown(stored.sample_id)} has {shown(stored.cells[name])} stored as {name!r} and "
                    f"the file gives {shown(text)}; amend it, or give another measurement a sample_id of its own.",
                )
        merged = {**stored.cells, **claimed}
        if merged == stored.cells:
            self._ids.append(stored.sample_id)
            self._counts["same"] += 1
        else:
            self._store(given, merged, "completed")

    def _store(self, given: _Given, cells: Cells, count: str) -> None:
        try:
            sample = _checked(cells)
        except _FaultError as fault:
            self._refuse(given, fault.column, str(fault))
        place = f"{shown(self._sheet.file)}, {self._sheet.place(given.row.number, 0)}"
        self._notes += [f"Kept, but look at it: {place}: {oddity}." for oddity in _oddities(sample)]
        author = self._tags.get("operator") or cells.get("operator", "")
        event = Event(cells["sample_id"], _now(), "add", author, "", self._source, cells)
        _write(self._connection, event, given.fingerprint)
        self._stored[event.sample_id] = event
        self._ids.append(event.sample_id)
        self._counts[count] += 1

    def _refuse(self, given: _Given, column: str, reason: str) -> NoReturn:
        _refuse_cell(self._sheet, given.row, _column_at(self._headings, column), reason)


# ---------------------------------------------------------------- changing


def _current(events: Iterable[Event], sample_id: str) -> Event:
    newest = None
    for event in events:
        newest = event
    if newest is None:
        raise InputError(f"Your own data has no sample {shown(sample_id)}; `nascreen data mine` lists them.")
    if newest.action == "retract":
        raise InputError(
            f"The sample {shown(sample_id)} was retracted on {newest.time[:10]}; add it under another name."
        )
    return newest


def _required(reason: str, author: str) -> tuple[str, str]:
    for name, text in (("reason", reason), ("author", author)):
        if not text.strip() or len(text) > 500 or not text.isprintable():
            raise InputError(f"The {name} of a change is {shown(text)}; allowed are 1 to 500 printable characters.")
    return reason.strip(), author.strip()


def amend(sample_id: str, changes: Mapping[str, str], reason: str, author: str, *, home: Path | None = None) -> Event:
    """Change values of a stored sample; the old ones stay in its history.

    Args:
        sample_id: The sample.
        changes: Heads of columns, with their unit where needed, to new cells; an empty cell removes the value.
        reason: Why, for the history.
        author: Who changes it.
        home: Folder of the store; that of the user if None.

    Returns:
        The new entry.

    Raises:
        InputError: If there is no such sample, a change cannot be, or nothing changes.
        IntegrityError: If the store is damaged.
    """
    reason, author = _required(reason, author)
    new = _changed_cells(changes)

    def change(cells: Cells) -> Cells:
        merged = {name: text for name, text in {**cells, **new}.items() if text}
        if merged == cells:
            raise InputError(f"The sample {shown(sample_id)} has these values already; nothing was changed.")
        _checked(merged)
        return merged

    return _append(sample_id, "amend", change, reason, author, home)


def _changed_cells(changes: Mapping[str, str]) -> Cells:
    new: Cells = {}
    for name, text in changes.items():
        heading = read_heading(name)
        column = heading.column
        if column not in OWN_COLUMNS or column == "sample_id":
            raise TableError(f"The column {column!r} cannot be amended; retract the sample and add another.")
        if column in new:
            raise TableError(f"The change gives the column {column!r} twice; keep one of them.")
        try:
            cell = cell_in_column_unit(heading, text)
        except TableError as error:
            raise TableError(f"The column {column!r}: {error}") from error
        new |= cells_from_sample(sample_from_cells({column: cell}), [column])
    if not new:
        raise InputError("The change names no column; give one such as 'strength [MPa]=95'.")
    return new


def retract(sample_id: str, reason: str, author: str, *, home: Path | None = None) -> Event:
    """Take a sample out of use; it stays in the history.

    Args:
        sample_id: The sample.
        reason: Why, for the history.
        author: Who retracts it.
        home: Folder of the store; that of the user if None.

    Returns:
        The new entry.

    Raises:
        InputError: If there is no such sample or it is retracted already.
        IntegrityError: If the store is damaged.
    """
    reason, author = _required(reason, author)
    return _append(sample_id, "retract", lambda cells: cells, reason, author, home)


def _append(
    sample_id: str, action: str, change: Callable[[Cells], Cells], reason: str, author: str, home: Path | None
) -> Event:
    _current(_events(home, sample_id), sample_id)  # so that a mistyped name makes no store
    with _writing(home) as connection:
        stored = _current(_events_in(store_path(home), connection, sample_id), sample_id)
        event = Event(sample_id, _now(), action, author, reason, "", change(dict(stored.cells)))
        _write(connection, event)
    return event


# ---------------------------------------------------------------- reading


def history(sample_id: str, *, home: Path | None = None) -> tuple[Event, ...]:
    """Return all that was entered for a sample, oldest first; empty if there is no such sample.

    Raises:
        IntegrityError: If the store is damaged.
    """
    return tuple(_events(home, sample_id))


def lab_samples(home: Path | None = None, *, include_failed: bool = False) -> tuple[Sample, ...]:
    """Return the current samples of the laboratory, ready for training, in the order of their first entry.

    ``value_origin`` is ``measured`` unless the sheet said otherwise; ``paper_id`` is ``lab:`` and the laboratory.
    ``group_id``, which stays whole in every split, adds the batch, or the month where no batch was given: what is
    made together shares powder, furnace and mistakes.

    Args:
        home: Folder of the store; that of the user if None.
        include_failed: Return samples with a failed outcome too.

    Raises:
        IntegrityError: If the store is damaged.
    """
    newest: dict[str, Event] = {}
    for event in _events(home):
        newest[event.sample_id] = event
    samples = (_as_text_of_lab(_sample_of(event)) for event in newest.values() if event.action != "retract")
    return tuple(sample for sample in samples if include_failed or sample.outcome not in _FAILURES)


def _sample_of(event: Event) -> Sample:
    try:
        return event.sample
    except InputError as error:
        raise IntegrityError(
            f"The store of your own data is damaged at sample {shown(event.sample_id)}: {error}"
        ) from error


def _as_text_of_lab(sample: Sample) -> Sample:
    paper = f"lab:{sample.lab}" if sample.lab else "lab"
    part = sample.batch or sample.made_on[:7]
    return replace(
        sample,
        paper_id=paper,
        group_id=f"{paper}:{part}" if part else paper,
        value_origin=sample.value_origin or "measured",
        family=family_of(parse_formula(sample.formula), sample.phase or None) if sample.formula else "",
        source_kind="dataset",
        title=f"own data of {sample.lab}" if sample.lab else "own data",
    )


# ---------------------------------------------------------------- template


def write_template(path: Path) -> None:
    """Write an empty sheet with the columns of own results and their units.

    Args:
        path: New file ending in ``.csv`` or ``.xlsx``.

    Raises:
        TableError: If the name ends otherwise, the file exists, or it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".xlsx"}:
        raise TableError(f"The template {shown(path.name)} must end in .csv or .xlsx.")
    header = [heading_text(name) for name in TEMPLATE_COLUMNS]
    try:
        with path.open("xb") as file:
            file.write(_workbook_of(header) if suffix == ".xlsx" else f"{','.join(header)}\r\n".encode("utf-8-sig"))
    except FileExistsError as error:
        raise TableError(f"The template {shown(str(path))} exists already; name a new file.") from error
    except OSError as error:
        raise TableError(f"The template {shown(str(path))} cannot be written: {error.strerror}.") from error


def _workbook_of(header: Sequence[str]) -> bytes:
    import io

    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "samples"
    book.active.append(list(header))
    meaning = book.create_sheet("meaning")
    meaning.append(["column", "meaning", "allowed"])
    for name, text in zip(TEMPLATE_COLUMNS, header, strict=True):
        column = COLUMN_BY_NAME[name]
        meaning.append([text, column.description, column.allowed])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
