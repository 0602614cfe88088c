"""Copies of a store of campaigns: made while it is in use, restored without overwriting, and checked.

A SQLite store is copied as a file, a PostgreSQL store as lines of JSON; either can be restored into either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.engine import Connection

from nascreen.database import CAMPAIGNS, CANDIDATES, EVENTS, MIGRATIONS, Database, written_whole
from nascreen.errors import ConflictError, IntegrityError, StoreError, UnknownNameError, shown
from nascreen.history import candidate_key
from nascreen.store import open_store

_TABLES: dict[str, Table] = {"campaigns": CAMPAIGNS, "candidates": CANDIDATES, "events": EVENTS}
_CHUNK_ROWS = 5000
_SQLITE_MAGIC = b"SQLite format 3\x00"

_Line = tuple[str, dict[str, Any]]
"""Name of a table and one of its rows."""


def backup(url: str, path: str | Path) -> Path:
    """Copy a store to a new file while others may use it.

    The copy is that of one moment, checked, and durable under its name when this returns; an interrupted one leaves
    no file of that name.

    Args:
        url: Address of the store.
        path: The new file: a SQLite file, or lines of JSON for a PostgreSQL store.

    Returns:
        The file.

    Raises:
        ConflictError: If the file exists.
        StoreError: If the store cannot be read or the file not be written.
        IntegrityError: If the copy is damaged.
    """
    database = open_store(url).database
    target = Path(path).resolve()
    if database.path is not None:
        database.copy_to(target)
    else:
        with written_whole(target) as part, database.reading() as connection:
            _write_lines(part, _rows(connection))
    return target


def restore(path: str | Path, url: str) -> None:
    """Make a store from a backup, all or nothing; an existing one is never overwritten.

    Args:
        path: A file that `backup` made.
        url: Address of the new store: a SQLite file that does not exist, or a PostgreSQL database without campaigns.

    Raises:
        UnknownNameError: If there is no such backup.
        ConflictError: If there is a store at that address already.
        IntegrityError: If the backup is damaged.
        StoreError: If the new store cannot be written.
    """
    source = Path(path).resolve()
    if not source.is_file():
        raise UnknownNameError(f"There is no backup {shown(str(path))}; check its name.")
    database = Database(url)
    with _lines_of(source) as lines:
        if database.path is None:
            database.prepare(create=True)
            _fill(database, lines)
            return
        with written_whole(database.path) as part:
            # SQLite makes its own file, so that the store begins like any other.
            part.unlink()
            new = Database(f"sqlite:///{part}")
            new.prepare(create=True)
            _fill(new, lines)


def check(url: str) -> tuple[str, ...]:
    """Check a store: the pages of its file, the references between rows, and the promises of `Store`.

    Args:
        url: Address of the store.

    Returns:
        What is wrong, one sentence each; empty for a sound store.

    Raises:
        UnknownNameError: If there is no store.
        StoreError: If it cannot be read.
        IntegrityError: If it is too damaged to be opened, or belongs to another program.
    """
    database = open_store(url).database
    with database.reading() as connection:
        return (*_damaged_pages(connection), *_broken_promises(connection))


# ---------------------------------------------------------------- rows to lines and back


def _rows(connection: Connection) -> Iterator[_Line]:
    for name, table in _TABLES.items():
        order = table.primary_key.columns
        for row in connection.execute(select(table).order_by(*order).execution_options(yield_per=_CHUNK_ROWS)):
            yield name, dict(row._mapping)  # noqa: SLF001 - the public name of SQLAlchemy for a row as a table


def _write_lines(path: Path, rows: Iterable[_Line]) -> None:
    digest, n_rows = hashlib.sha256(), 0
    with path.open("w", encoding="ascii", newline="\n") as file:
        digest.update(_written(file, {"nascreen_store": len(MIGRATIONS)}))
        for name, row in rows:
            digest.update(_written(file, {"table": name, "row": row}))
            n_rows += 1
        _written(file, {"rows": n_rows, "sha256": digest.hexdigest()})


def _written(file: Any, line: dict[str, Any]) -> bytes:  # noqa: ANN401 - an open text file
    written = json.dumps(line, separators=(",", ":")) + "\n"
    file.write(written)
    return written.encode()


@contextmanager
def _lines_of(path: Path) -> Iterator[Iterator[_Line]]:
    with path.open("rb") as file:
        is_sqlite = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    if not is_sqlite:
        yield _read_lines(path)
        return
    # Opened as a store, an older backup would be migrated: a copy is read instead.
    with TemporaryDirectory(prefix="nascreen-") as folder:
        copy = Path(folder) / "copy.db"
        Database(f"sqlite:///{path}").copy_to(copy)
        if problems := check(f"sqlite:///{copy}"):
            raise IntegrityError(f"The backup {shown(path.name)} is damaged: {problems[0]}")
        with open_store(f"sqlite:///{copy}").database.reading() as connection:
            yield _rows(connection)


def _read_lines(path: Path) -> Iterator[_Line]:
    damaged = IntegrityError(f"The backup {shown(path.name)} is damaged or no backup; use another one.")
    digest, n_rows, end = hashlib.sha256(), 0, None
    with path.open("rb") as file:
        for number, line in enumerate(file):
            try:
                content = json.loads(line)
                if number == 0:
                    _check_schema(content["nascreen_store"], path)
                elif "sha256" in content:
                    end = content
                    continue
                else:
                    n_rows += 1
                    yield content["table"], content["row"]
            except (ValueError, KeyError, TypeError) as error:
                raise damaged from error
            if end is not None:
                raise damaged
            digest.update(line)
    if end != {"rows": n_rows, "sha256": digest.hexdigest()}:
        raise damaged


def _check_schema(version: int, path: Path) -> None:
    if version != len(MIGRATIONS):
        raise StoreError(
            f"The backup {shown(path.name)} has schema {version}, this nascreen writes {len(MIGRATIONS)}; restore it "
            "with the nascreen that made it, then open the store with this one."
        )


def _fill(database: Database, lines: Iterator[_Line]) -> None:
    with database.writing() as connection:
        if connection.execute(select(func.count()).select_from(CAMPAIGNS)).scalar():
            raise ConflictError(f"The store {shown(database.name)} holds campaigns already; restore into a new one.")
        for name, group in groupby(lines, key=lambda line: line[0]):
            table = _TABLES[name]
            while rows := [row for _, row in islice(group, _CHUNK_ROWS)]:
                connection.execute(insert(table), rows)
        if database.path is None:
            _move_counters(connection)
        problems = tuple(_broken_promises(connection))
        if problems:
            raise IntegrityError(f"The backup is damaged: {problems[0]}")


def _move_counters(connection: Connection) -> None:
    """Let PostgreSQL number new rows after the restored ones."""
    for table in (CAMPAIGNS, EVENTS):
        last = connection.execute(select(func.max(table.c.id))).scalar()
        if last is not None:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), {"name": table.name, "last": last}
            )


# ---------------------------------------------------------------- checks


def _damaged_pages(connection: Connection) -> Iterator[str]:
    if connection.dialect.name != "sqlite":
        return
    found = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    yield from (f"The file is damaged: {problem}." for problem in found if problem != "ok")
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"The row {row[1]} of {row[0]} refers to a row of {row[2]} that does not exist."


def _broken_promises(connection: Connection) -> Iterator[str]:
    yield from _wrong_keys(connection)
    for campaign_id in connection.execute(select(CAMPAIGNS.c.id).order_by(CAMPAIGNS.c.id)).scalars().all():
        query = select(EVENTS).where(EVENTS.c.campaign_id == campaign_id).order_by(EVENTS.c.id)
        yield from _wrong_events(connection.execute(query))


def _wrong_keys(connection: Connection) -> Iterator[str]:
    query = select(CANDIDATES).execution_options(yield_per=_CHUNK_ROWS)
    for row in connection.execute(query):
        if candidate_key(json.loads(row[3])) != row.key:
            yield f"The candidate {row.number} of campaign {row.campaign_id} has not the key of its values."


def _wrong_events(events: Iterable[Any]) -> Iterator[str]:
    """Go through the events of one campaign in order and say where one contradicts those before it."""
    holders: dict[str, int] = {}
    known: dict[int, str] = {}
    batches: dict[str, tuple[int, int]] = {}
    results: set[tuple[int, str]] = set()
    for row in events:
        payload = json.loads(row.payload)
        if row.kind == "asked":
            if (other := holders.get(row.candidate_key)) is not None:
                yield f"The candidate of suggestion {row.id} was handed out already with {other}."
            holders[row.candidate_key] = row.id
            known[row.id] = row.candidate_key
            batches[row.request_key] = (batches.get(row.request_key, (0, 0))[0] + 1, payload["batch"])
        elif row.kind == "attached":
            known[row.id] = row.candidate_key
        elif row.suggestion_id is not None and row.suggestion_id not in known:
            yield f"The event {row.id} belongs to no suggestion of its campaign."
        elif row.kind == "abandoned":
            holders.pop(known[row.suggestion_id], None)
        elif row.kind == "reopened":
            holders.setdefault(known[row.suggestion_id], row.suggestion_id)
        elif row.kind in ("told", "corrected"):
            is_new = (row.suggestion_id, row.property) not in results
            if is_new != (row.kind == "told"):
                yield f"The result {row.id} was told twice, or corrected before it was told."
            results.add((row.suggestion_id, row.property))
    yield from (f"The request {key!r} is not whole." for key, (n, batch) in batches.items() if n != batch)
