"""Reviewed decisions about rows of the shipped tables: kept, corrected or excluded, each with a reason.

The tables hold what their sources print. A decision stands in ``verdicts.csv`` beside them and is applied when
`reviewed_table` reads a table, so that nothing printed is lost and a new import never loses a decision: every
decision on a row carries a fingerprint of that row, by which it is found again when rows are added before it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from nascreen.datasets import TABLE_NAMES, data_folder, data_hash, load_table
from nascreen.errors import IntegrityError, TableError, shown
from nascreen.records import COLUMN_BY_NAME, Sample, cells_from_sample, sample_from_cells

VERDICTS = ("kept", "corrected", "excluded")
VERDICT_COLUMNS = ("table", "subject", "fingerprint", "check", "verdict", "column", "value", "reason")
EVERY = "*"
"""The subject of a decision about every finding of one check in one table."""

_PRINTED = (
    "paper_id", "formula", "label", "phase", "synthesis", "sinter_temp_c", "heat_temp_c", "porosity_pct",
    "second_phase_wt_pct", "meas_temp_c", "conductivity_s_cm", "conductivity_kind", "ea_ev", "strength_mpa",
)  # fmt: skip
"""What a fingerprint is made of: what the text prints about a sample, and which text."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision.

    Attributes:
        table: Name of the table.
        subject: The ``sample_id`` of a row, the key of a finding about several rows, or ``*`` for all findings
            of the check in that table.
        fingerprint: That of the row when it was judged; empty for other subjects.
        check: Name of the check of `nascreen.quality`, or ``review`` for what a person found.
        verdict: ``kept``, ``corrected`` or ``excluded``.
        column: The column that a correction changes; empty otherwise.
        value: What the column becomes; empty for not known.
        reason: Why, in one sentence.
    """

    table: str
    subject: str
    fingerprint: str
    check: str
    verdict: str
    column: str
    value: str
    reason: str


def fingerprint(sample: Sample) -> str:
    """Return 10 hexadecimal digits that tell a row from every other, whatever its number in the table."""
    cells = cells_from_sample(sample, _PRINTED)
    return hashlib.sha256("\x1f".join(cells.values()).encode()).hexdigest()[:10]


def _refused(number: int, what: str) -> IntegrityError:
    return IntegrityError(f"The file verdicts.csv {what} in row {number}; correct that row.")


def _read_verdict(number: int, row: Mapping[str, str]) -> Verdict:
    verdict = Verdict(**{name: (row[name] or "").strip() for name in VERDICT_COLUMNS})
    if verdict.table not in TABLE_NAMES:
        raise _refused(number, f"names the table {shown(verdict.table)}, which is none of {', '.join(TABLE_NAMES)},")
    if verdict.verdict not in VERDICTS:
        raise _refused(number, f"has the verdict {shown(verdict.verdict)}, which is none of {', '.join(VERDICTS)},")
    if not (verdict.reason and verdict.subject and verdict.check):
        raise _refused(number, "lacks a subject, check or reason")
    if (verdict.verdict == "corrected") != bool(verdict.column):
        raise _refused(number, "must name a column where, and only where, the verdict is corrected, which it does not")
    if verdict.column and (verdict.column not in COLUMN_BY_NAME or not verdict.fingerprint):
        raise _refused(number, f"corrects {shown(verdict.column)}, which is no column of one row,")
    return verdict


def read_verdicts(path: Path) -> tuple[Verdict, ...]:
    """Read decisions from a file.

    Raises:
        IntegrityError: If the file cannot be read or a row is not a decision; the message names the row.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise IntegrityError(f"The file {path.name} cannot be read ({type(error).__name__}); restore it.") from error
    if tuple(reader.fieldnames or ()) != VERDICT_COLUMNS or any(None in row or None in row.values() for row in rows):
        raise IntegrityError(f"The file {path.name} must have the columns {', '.join(VERDICT_COLUMNS)} in every row.")
    return tuple(_read_verdict(number, row) for number, row in enumerate(rows, start=2))


def verdicts_text(verdicts: Iterable[Verdict]) -> str:
    """Return decisions as CSV, in the order of table, check and subject."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(VERDICT_COLUMNS)
    place = {name: i for i, name in enumerate(TABLE_NAMES)}
    ordered = sorted(verdicts, key=lambda v: (place[v.table], v.check, v.subject, v.column))
    writer.writerows([getattr(v, name) for name in VERDICT_COLUMNS] for v in ordered)
    return out.getvalue()


@lru_cache(maxsize=8)
def load_verdicts(folder: Path | None = None) -> tuple[Verdict, ...]:
    """Return the decisions that ship with the tables.

    Args:
        folder: Folder of the tables; that of `nascreen.datasets.data_folder` if None.
    """
    return read_verdicts((folder or data_folder()) / "verdicts.csv")


def rematched(verdicts: Iterable[Verdict], tables: Mapping[str, Sequence[Sample]]) -> tuple[Verdict, ...]:
    """Return the decisions with the present identifier of the row that each was made about.

    Args:
        verdicts: Decisions.
        tables: The rows as they are now, by name of the table.

    Raises:
        TableError: If the row of a decision is no longer there or no longer says the same.
    """
    marks = {name: [(s.sample_id, fingerprint(s)) for s in samples] for name, samples in tables.items()}
    ids = {name: dict(pairs) for name, pairs in marks.items()}
    places = {name: {mark: sample_id for sample_id, mark in pairs} for name, pairs in marks.items()}
    out = []
    for verdict in verdicts:
        mark = verdict.fingerprint
        if not mark or ids[verdict.table].get(verdict.subject) == mark:
            out.append(verdict)
        elif mark in places[verdict.table]:
            out.append(replace(verdict, subject=places[verdict.table][mark]))
        else:
            raise TableError(
                f"The row {shown(verdict.subject)} of {verdict.table}, on which verdicts.csv decides "
                f"({verdict.verdict}: {verdict.reason}), is gone or says something else; judge it anew."
            )
    return tuple(out)


def _corrected(sample: Sample, changes: Mapping[str, str]) -> Sample:
    cells = cells_from_sample(sample, [name for name in COLUMN_BY_NAME if getattr(sample, name) not in ("", None)])
    return sample_from_cells({**cells, **changes})


def apply_verdicts(samples: Iterable[Sample], verdicts: Iterable[Verdict]) -> tuple[Sample, ...]:
    """Return the samples corrected, without those excluded.

    Args:
        samples: Rows of one table.
        verdicts: Decisions about that table.

    Raises:
        IntegrityError: If a decision was made about another row than the one it names.
    """
    changes: dict[str, dict[str, str]] = {}
    excluded: set[str] = set()
    marks: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.fingerprint and verdict.verdict != "kept":
            marks[verdict.subject] = verdict.fingerprint
            if verdict.verdict == "excluded":
                excluded.add(verdict.subject)
            else:
                changes.setdefault(verdict.subject, {})[verdict.column] = verdict.value
    out = []
    for sample in samples:
        mark = marks.pop(sample.sample_id, None)
        if mark is not None and mark != fingerprint(sample):
            raise IntegrityError(
                f"A decision of verdicts.csv on {shown(sample.sample_id)} was made about a row that said something "
                "else; run the import again, which finds the row."
            )
        if sample.sample_id not in excluded:
            out.append(_corrected(sample, changes[sample.sample_id]) if sample.sample_id in changes else sample)
    if marks:
        raise IntegrityError(f"The file verdicts.csv decides on {shown(min(marks))}, which is no row; correct it.")
    return tuple(out)


def reviewed_table(name: str, folder: Path | None = None) -> tuple[Sample, ...]:
    """Return the samples of a table as reviewed: corrected, and without the excluded ones.

    What learns, ranks or compares reads this; `nascreen.datasets.load_table` has the rows as printed.

    Args:
        name: One of `nascreen.datasets.TABLE_NAMES`.
        folder: Folder of the tables; that of `nascreen.datasets.data_folder` if None.

    Raises:
        TableError: If there is no such table.
        IntegrityError: If the table or the decisions cannot be read, or do not fit one another.
    """
    return _reviewed(name, folder or data_folder())


@lru_cache(maxsize=16)
def _reviewed(name: str, folder: Path) -> tuple[Sample, ...]:
    samples = load_table(name, folder)
    if not (folder / "verdicts.csv").is_file():
        raise IntegrityError(f"The file verdicts.csv is missing in {shown(str(folder))}; restore it.")
    return apply_verdicts(samples, [v for v in load_verdicts(folder) if v.table == name])


def reviewed_hash(*names: str) -> str:
    """Return 12 hexadecimal digits that change when a table, or a decision that alters its rows, changes.

    Args:
        names: Tables; all of them if none is given.
    """
    wanted = names or TABLE_NAMES
    decisive = [v for v in load_verdicts() if v.table in wanted and v.verdict != "kept"]
    text = data_hash(*names) + verdicts_text(replace(v, reason="") for v in decisive)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
