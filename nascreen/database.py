"""The database under a store of campaigns: its tables, how it is opened, and what its errors mean.

Three tables that only grow: `CAMPAIGNS`, their `CANDIDATES`, and `EVENTS`, of which the present state is derived.
The database itself refuses to change or delete a row. SQLite keeps all of it in one file with a rollback journal
and syncs the file and its folder at every commit; PostgreSQL serves a group by URL.

A change of the tables is a migration: append a function to `MIGRATIONS`, which runs once in one transaction, on a
SQLite file after a copy of it was made beside it. Never edit one that was released.
"""

from __future__ import annotations

import errno
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import IntegrityError as UniquenessError
from sqlalchemy.pool import NullPool

from nascreen.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    MissingExtraError,
    NascreenError,
    StoreError,
    UnknownNameError,
)
from nascreen.errors import shown as quoted
from nascreen.history import MAX_PAYLOAD_BYTES

APPLICATION_ID = 0x4E41_5343
"""What marks a SQLite file as a store of campaigns: "NASC"."""

LOCK_WAIT_S = 30
MAX_POLL_S = 0.01
SQLITE_SETTINGS = {"journal_mode": "delete", "synchronous": 3, "foreign_keys": 1, "fullfsync": 1, "trusted_schema": 0}
"""Set and read back on every connection; ``synchronous`` 3 is EXTRA, which also syncs the folder after a commit."""

KINDS = ("asked", "attached", "told", "corrected", "failed", "abandoned", "reopened", "noted")

NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "davfs", "fuse.sshfs", "fuse.rclone", "fuse.davfs2"}
)
_MIGRATION_LOCK = APPLICATION_ID

METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")

CAMPAIGNS = Table(
    "nascreen_campaigns", METADATA,
    Column("id", _ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("time", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("configuration", Text, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)  # fmt: skip

CANDIDATES = Table(
    "nascreen_candidates", METADATA,
    Column("campaign_id", _ID, ForeignKey(CAMPAIGNS.c.id), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("values", Text, nullable=False),
    UniqueConstraint("campaign_id", "key"),
    sqlite_strict=True,
)  # fmt: skip

EVENTS = Table(
    "nascreen_events", METADATA,
    Column("id", _ID, primary_key=True),
    Column("campaign_id", _ID, ForeignKey(CAMPAIGNS.c.id), nullable=False),
    Column("time", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("suggestion_id", _ID, ForeignKey("nascreen_events.id")),
    Column("candidate", Integer),
    Column("candidate_key", Text),
    Column("property", Text),
    Column("request_key", Text),
    Column("place", Integer),
    Column("turn", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["campaign_id", "candidate"], [CANDIDATES.c.campaign_id, CANDIDATES.c.number]),
    CheckConstraint("kind IN ('" + "', '".join(KINDS) + "')"),
    CheckConstraint("kind = 'noted' OR (kind IN ('asked', 'attached')) = (suggestion_id IS NULL)"),
    CheckConstraint("(kind IN ('asked', 'attached')) = (candidate_key IS NOT NULL AND request_key IS NOT NULL)"),
    CheckConstraint("kind <> 'asked' OR candidate IS NOT NULL"),
    CheckConstraint("(kind IN ('told', 'corrected')) = (property IS NOT NULL)"),
    CheckConstraint(f"length(payload) <= {MAX_PAYLOAD_BYTES}"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)  # fmt: skip


def _unique(name: str, columns: tuple[str, ...], condition: str) -> None:
    where = text(condition)
    Index(name, *(EVENTS.c[c] for c in columns), unique=True, sqlite_where=where, postgresql_where=where)


# The promises stand in the database too: a `turn` is one more than that of the row which freed the place.
_unique("nascreen_one_ask", ("campaign_id", "candidate_key", "turn"), "kind = 'asked'")
_unique("nascreen_one_result", ("suggestion_id", "property", "turn"), "kind IN ('told', 'corrected')")
_unique("nascreen_one_end", ("suggestion_id", "turn"), "kind IN ('failed', 'abandoned')")
_unique("nascreen_one_request", ("campaign_id", "request_key", "place"), "request_key IS NOT NULL")
Index("nascreen_events_of_campaign", EVENTS.c.campaign_id, EVENTS.c.id)
Index("nascreen_events_of_suggestion", EVENTS.c.suggestion_id)

_SQLITE_GUARD = "CREATE TRIGGER {0}_no_{1} BEFORE {1} ON {0} BEGIN SELECT RAISE(ABORT, 'rows are never changed'); END"
_POSTGRES_GUARD = "CREATE TRIGGER {0}_no_{1} BEFORE {1} ON {0} FOR EACH STATEMENT EXECUTE FUNCTION nascreen_refuse()"
_POSTGRES_REFUSE = """CREATE FUNCTION nascreen_refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'rows are never changed'; END $$"""


def _make_tables(connection: Connection) -> None:
    """Schema 1: the three tables, and triggers that refuse to change or delete a row."""
    METADATA.create_all(connection, checkfirst=False)
    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:
        connection.exec_driver_sql(_POSTGRES_REFUSE)
    guard, verbs = (_SQLITE_GUARD, ()) if is_sqlite else (_POSTGRES_GUARD, ("TRUNCATE",))
    for table in METADATA.sorted_tables:
        for verb in ("UPDATE", "DELETE", *verbs):
            connection.exec_driver_sql(guard.format(table.name, verb))


MIGRATIONS: list[Callable[[Connection], None]] = [_make_tables]
"""In order; a store of schema n has run the first n of them."""


def utc_now() -> str:
    """Return the present time in UTC as ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def parse_url(url: str) -> tuple[URL, Path | None]:
    """Read the address of a store.

    Args:
        url: ``sqlite:///lab.db`` (four slashes for an absolute path) or ``postgresql://user@host/name``.

    Returns:
        The address, and the absolute path of a SQLite file; None for PostgreSQL.

    Raises:
        InputError: If the address is none, or one that cannot keep its promises.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError, AttributeError) as error:
        # The text may hold a password, so it is not repeated.
        raise InputError(
            "The address of a store is not a URL; write sqlite:///lab.db or postgresql://user@host/name."
        ) from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg"), None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise InputError(
            f"A store cannot lie in {quoted(parsed.drivername)}; write sqlite:///lab.db or postgresql://user@host/name."
        )
    return parsed, _sqlite_path(parsed)


def _sqlite_path(url: URL) -> Path:
    name = url.database or ""
    if not name or name == ":memory:" or name.startswith("file:") or url.query:
        raise InputError(
            f"A store must be a plain file, not {quoted(name or 'a database in memory')}, since results outlive the "
            "program; write sqlite:///lab.db."
        )
    if url.host or name.startswith(("//", "\\\\")):
        raise InputError(
            f"The store {quoted(name)} lies on another machine, where SQLite cannot lock; name a local file, or use "
            "PostgreSQL."
        )
    return Path(name).expanduser().resolve()


def filesystem_of(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that a path lies on, or "" where the system does not say.

    Args:
        path: An absolute path.
        mounts: Text in the form of ``/proc/self/mountinfo``, which is read if None.
    """
    if mounts is None:
        source = Path("/proc/self/mountinfo")
        mounts = source.read_text(encoding="utf-8", errors="replace") if source.exists() else ""
    best, found = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if path.is_relative_to(point) and len(point) >= best:
            best, found = len(point), after.split()[0]
    return found


def _check_filesystem(path: Path) -> None:
    kind = filesystem_of(path)
    if kind in NETWORK_FILESYSTEMS:
        raise InputError(
            f"The store {quoted(path.name)} lies on a network file system ({kind}), where locks cannot be trusted; use "
            "a local disk, or PostgreSQL."
        )


def _create_file(path: Path) -> None:
    try:
        # Unpublished results: for the owner alone, until somebody opens the file to a group.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(
            f"The store {quoted(path.name)} cannot be made in {quoted(str(path.parent))} ({error.strerror}); choose an "
            "existing folder that you may write to."
        ) from error


class TakenError(ConflictError):
    """Somebody else stored what was to be stored, at the same moment."""


class Database:
    """A store's database: where it lies, how its transactions begin, and what its errors mean."""

    def __init__(self, url: str, wait_s: float | None = None) -> None:
        """Name a database without touching it; calls wait for a lock of others up to `LOCK_WAIT_S` or so long."""
        self.url, self.path = parse_url(url)
        self._has_lost_a_sync = False
        self._wait_s = LOCK_WAIT_S if wait_s is None else wait_s
        self._engine = self._make_engine().execution_options(store_wait_s=self._wait_s)
        self._writer = self._engine.execution_options(store_begin="BEGIN IMMEDIATE")
        self._reader = self._engine.execution_options(store_begin="BEGIN")

    @property
    def name(self) -> str:
        """What messages call it: the file's name, or the host and name of the database."""
        if self.path is not None:
            return self.path.name
        return f"{self.url.host or self.url.query.get('host', 'localhost')}/{self.url.database}"

    def _make_engine(self) -> Engine:
        # A connection per transaction: safe across threads and forks, and cheap beside a commit that syncs.
        if self.path is not None:
            url = URL.create("sqlite", database=str(self.path))
            engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": self._wait_s})
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        options = (
            f"-c lock_timeout={round(1000 * self._wait_s)}ms -c synchronous_commit=on "
            "-c default_transaction_isolation=read\\ committed"
        )
        arguments = {"options": options, "connect_timeout": 10, "application_name": "nascreen"}
        try:
            return create_engine(self.url, poolclass=NullPool, connect_args=arguments)
        except ImportError as error:
            raise MissingExtraError(
                "A store on PostgreSQL needs the package psycopg; install it with: pip install 'nascreen[postgres]'."
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the store."""
        engine = self._reader if self.path else self._reader.execution_options(isolation_level="REPEATABLE READ")
        with self._explained(), engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is stored durably at its end, or not at all if anything is raised within it."""
        if self._has_lost_a_sync:
            raise StoreError(
                f"The disk failed to write {quoted(self.name)} before; check the disk, then start the program again."
            )
        with self._explained(), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UniquenessError as error:
            raise TakenError(
                "Somebody stored the same at the same moment; nothing was stored, so try again."
            ) from error
        except DBAPIError as error:
            raise self._meaning(error.orig or error) from error
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    def _meaning(self, error: BaseException) -> NascreenError:
        if isinstance(error, sqlite3.Error):
            return self._meaning_of_sqlite(error)
        state = getattr(error, "sqlstate", None) or ""
        for prefix, meaning in _POSTGRES_MEANINGS.items():
            if state.startswith(prefix):
                return StoreError(f"The store {quoted(self.name)} {meaning}")
        if not state:
            return StoreError(
                f"The store {quoted(self.name)} cannot be reached or the connection broke; what was sent last may or "
                "may not be stored, and the same call again is safe."
            )
        return StoreError(f"The store {quoted(self.name)} refused with the code {state}; nothing was stored.")

    def _meaning_of_sqlite(self, error: sqlite3.Error) -> NascreenError:
        code = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if "FSYNC" in code:
            # A second sync may claim success for pages that the first one lost, so it is not tried.
            self._has_lost_a_sync = True
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return IntegrityError(f"The store {quoted(self.name)} is damaged or no store; restore it from a backup.")
        for prefix, meaning in _SQLITE_MEANINGS.items():
            if code.startswith(prefix):
                return StoreError(f"The store {quoted(self.name)} {meaning}")
        return StoreError(f"The store {quoted(self.name)} refused with the code {code}; nothing was stored.")

    def prepare(self, *, create: bool) -> None:
        """Check that this is a store of a known schema; make or migrate it where needed.

        Args:
            create: Whether to make a store where there is none.

        Raises:
            UnknownNameError: If there is no store and none is to be made.
            StoreError: If the store cannot be reached, or was written by a newer nascreen.
            IntegrityError: If the file is damaged or belongs to another program.
            InputError: If the place cannot keep the promises.
        """
        if self.path is not None:
            _check_filesystem(self.path)
            if create:
                _create_file(self.path)
            elif not self.path.is_file():
                raise self._missing()
        with self.reading() as connection:
            version = self._checked_version(connection, create=create)
        if version < len(MIGRATIONS):
            self._migrate(create=create)

    def _missing(self) -> UnknownNameError:
        return UnknownNameError(
            f"There is no store {quoted(self.name)}; check the address; a store is made with its first campaign, by "
            "'nascreen campaign new' or Campaign.create."
        )

    def _checked_version(self, connection: Connection, *, create: bool) -> int:
        """Return how many migrations the store has run; 0 for a new one."""
        version = self._sqlite_version(connection) if self.path else _postgres_version(connection)
        if version == 0 and not create:
            raise self._missing()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"The store {quoted(self.name)} has schema {version}, written by a newer nascreen; this one reads up "
                f"to {len(MIGRATIONS)}, so upgrade nascreen."
            )
        return version

    def _sqlite_version(self, connection: Connection) -> int:
        marked = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if marked == APPLICATION_ID:
            return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if marked or inspect(connection).get_table_names():
            raise IntegrityError(f"The file {quoted(self.name)} belongs to another program; choose another name.")
        return 0

    def _migrate(self, *, create: bool) -> None:
        with self.writing() as connection:
            if self.path is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            version = self._checked_version(connection, create=create)
            if self.path is not None and 0 < version < len(MIGRATIONS):
                stamp = re.sub(r"[^0-9TZ]", "", utc_now())
                self.copy_to(self.path.with_name(f"{self.path.name}.schema{version}-{stamp}.bak"))
            for migration in MIGRATIONS[version:]:
                migration(connection)
            self._set_version(connection, len(MIGRATIONS))

    def _set_version(self, connection: Connection, version: int) -> None:
        if self.path is not None:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID:d}")
            connection.exec_driver_sql(f"PRAGMA user_version = {version:d}")
            return
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS nascreen_schema (version integer NOT NULL)")
        connection.exec_driver_sql("DELETE FROM nascreen_schema")
        connection.execute(text("INSERT INTO nascreen_schema VALUES (:version)"), {"version": version})

    def copy_to(self, target: Path) -> None:
        """Copy a SQLite store to a new file while others may use it; the copy is checked and synced.

        Raises:
            ConflictError: If the target exists.
            StoreError: If the copy cannot be made.
        """
        with written_whole(target) as part, self._explained():
            address = f"{(self.path or Path()).as_uri()}?mode=ro"
            with (
                closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_S)) as source,
                closing(sqlite3.connect(part)) as copy,
            ):
                source.backup(copy)
                problems = [row[0] for row in copy.execute("PRAGMA integrity_check")]
            if problems != ["ok"]:
                raise IntegrityError(
                    f"The copy of {quoted(self.name)} is damaged; check the disk, and keep earlier backups."
                )

    def settings(self) -> dict[str, Any]:
        """Return what the database says of its own durability, read back over a new connection."""
        if self.path is not None:
            with self.reading() as connection:
                return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in SQLITE_SETTINGS}
        with self.reading() as connection:
            names = ("fsync", "full_page_writes", "synchronous_commit", "server_version")
            return {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names}


_SQLITE_MEANINGS = {
    "SQLITE_BUSY": "is locked by another program, and the wait was in vain; nothing was stored, so try again.",
    "SQLITE_LOCKED": "is locked by another program; nothing was stored, so try again.",
    "SQLITE_FULL": "cannot grow, since the disk is full; nothing was stored, so make room and try again.",
    "SQLITE_READONLY": "may not be written; nothing was stored, so check the permissions of the file and its folder.",
    "SQLITE_CANTOPEN": "cannot be opened; nothing was stored, so check the permissions of the file and its folder.",
    "SQLITE_IOERR": "could not be written, since the disk reported an error; check it, then repeat the same call.",
}
_POSTGRES_MEANINGS = {
    "55P03": "is locked by another program, and the wait was in vain; nothing was stored, so try again.",
    "40": "had to refuse one of two calls at the same time; nothing was stored, so try again.",
    "53": "has no room or no connection left on its server; nothing was stored, so make room and try again.",
    "25006": "may only be read; nothing was stored, so connect to the primary server.",
    "42501": "may not be changed by this user; nothing was stored, so ask for the right to write.",
    "08": "lost the connection; what was sent last may or may not be stored, and the same call again is safe.",
    "57P": "stops or starts now; what was sent last may or may not be stored, and the same call again is safe.",
    "28": "refused the user or the password; nothing was stored, so check the address.",
    "3D000": "has no such database on its server; make the database first.",
}


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin late and upgrade their lock, which fails at once when two do it.
    connection.isolation_level = None
    found = {}
    for name, wanted in SQLITE_SETTINGS.items():
        connection.execute(f"PRAGMA {name} = {wanted}").fetchall()
        found[name] = connection.execute(f"PRAGMA {name}").fetchone()[0]
    if found != SQLITE_SETTINGS:
        wrong = ", ".join(f"{name} {found[name]}" for name in found if found[name] != SQLITE_SETTINGS[name])
        raise StoreError(f"SQLite did not take the settings that keep results safe ({wrong}); close other programs.")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    statement, wait_s = options.get("store_begin", "BEGIN"), options["store_wait_s"]
    if statement == "BEGIN":
        connection.exec_driver_sql(statement)
        return
    # SQLite's own wait grows with every try, so that who waits longest is served last; this one is even.
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + wait_s
    while not _has_begun(connection, statement, is_last=time.monotonic() > deadline):
        time.sleep(random.uniform(0.0005, MAX_POLL_S))  # noqa: S311 - no secret
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * wait_s)}")


def _has_begun(connection: Connection, statement: str, *, is_last: bool) -> bool:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        is_busy = getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        if is_last or not is_busy:
            raise
        return False
    return True


def _postgres_version(connection: Connection) -> int:
    if connection.exec_driver_sql("SHOW fsync").scalar_one() != "on":
        raise StoreError("The PostgreSQL server runs with fsync off and would lose results; switch it on.")
    if not inspect(connection).has_table("nascreen_schema"):
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM nascreen_schema").scalar_one())


def _give_name(part: Path, target: Path) -> None:
    try:
        # A link, unlike a rename, fails where the name was taken meanwhile.
        os.link(part, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        # Memory sticks often know no links.
        part.rename(target)


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; what is written there gets the name durably at the end, or not at all.

    Raises:
        ConflictError: If the target exists, which is never overwritten.
        StoreError: If the folder cannot be written.
    """
    taken = ConflictError(f"The file {quoted(target.name)} exists and is not overwritten; choose another name.")
    if target.exists():
        raise taken
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _give_name(part, target)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise taken from error
    except OSError as error:
        raise StoreError(
            f"The file {quoted(target.name)} cannot be written in {quoted(str(target.parent))} ({error.strerror})."
        ) from error
    finally:
        part.unlink(missing_ok=True)
