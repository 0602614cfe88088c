"""Tables of samples in, tables of predictions out: the contract of ``nascreen predict --csv``.

The columns here are stable: inputs are those of the literature table (all but ``formula`` optional), outputs are
`RESULT_COLUMNS`. A row that cannot be used keeps its place with the reason in ``error``.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nascreen.errors import InputError, TableError, shown
from nascreen.features import chemistry_of
from nascreen.models import Featurized, Lines, Models, Prediction, require_sodium
from nascreen.records import ALIASES, COLUMN_BY_NAME, Sample, sample_from_cells
from nascreen.spreadsheets import Limits, Sheet, read_sheet, sheet_of_bytes, with_decimal_points
from nascreen.units import near_name

CONDITION_COLUMNS: tuple[str, ...] = (
    "formula", "phase", "structure", "synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h",
    "press_mpa", "rel_density_pct", "porosity_pct", "second_phase", "second_phase_wt_pct", "second_phase_role",
    "meas_temp_c", "conductivity_kind",
)  # fmt: skip
_CONDITIONS = {*CONDITION_COLUMNS, *(alias for alias, name in ALIASES.items() if name in CONDITION_COLUMNS)}
RESULT_COLUMNS: tuple[str, ...] = (
    "conductivity_s_cm", "conductivity_lo", "conductivity_hi", "ea_ev", "ea_lo", "ea_hi", "strength_mpa",
    "strength_lo", "strength_hi", "in_domain", "domain_note", "error",
)  # fmt: skip

MAX_BYTES = 50_000_000
MAX_ROWS = 1_000_000
MAX_COLUMNS = 256
MAX_NAME = 200
CHUNK = 500
N_THREADS = 2


def conditions_from_cells(cells: Mapping[str, str], *, strict: bool = False) -> Sample:
    """Read formula and processing from a row; other columns are left aside.

    Args:
        cells: Column name to text.
        strict: Refuse a formula that is not charge balanced.

    Raises:
        InputError: If the row cannot be used; the message says what is allowed.
    """
    sample = sample_from_cells({name: text for name, text in cells.items() if text and name in _CONDITIONS})
    # A sample read from cells is within all bounds.
    require_sodium(sample)
    if strict:
        require_balanced(sample)
    return sample


def require_balanced(sample: Sample) -> None:
    """Refuse a formula whose charge is known not to balance.

    Raises:
        InputError: With the charge and the sodium content that would balance it.
    """
    balance = chemistry_of(sample.formula).balance
    if balance.is_balanced is False:
        raise InputError(f"The formula {shown(sample.formula)} is not charge balanced: {balance.note}.")


def result_values(prediction: Prediction) -> dict[str, float | bool | str]:
    """Return a prediction as numbers, by the names of `RESULT_COLUMNS` less ``error``."""
    numbers = {name: float(f"{getattr(prediction, name):.6g}") for name in RESULT_COLUMNS[:9]}
    return {**numbers, "in_domain": prediction.in_domain, "domain_note": prediction.domain_note}


def result_cells(prediction: Prediction) -> dict[str, str]:
    """Write a prediction as the cells of `RESULT_COLUMNS`, numbers with six significant digits."""
    numbers = tuple(getattr(prediction, name) for name in RESULT_COLUMNS[:9])
    return _cells(numbers, prediction.domain_note, in_domain=prediction.in_domain)


_NUMBERS = ",".join(["%.6g"] * 9)


def _cells(numbers: tuple[float, ...], note: str, *, in_domain: bool) -> dict[str, str]:
    texts = (_NUMBERS % numbers).split(",")
    return dict(zip(RESULT_COLUMNS, (*texts, "true" if in_domain else "false", note, ""), strict=True))


def predict_cells(
    rows: Sequence[Mapping[str, str]],
    models: Models,
    *,
    strict: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> list[dict[str, str]]:
    """Predict each row of cells; a row that cannot be used has its reason in ``error`` and no numbers.

    Args:
        rows: Column name to text, one mapping per row.
        models: The promoted models.
        strict: Refuse formulas that are not charge balanced.
        on_progress: Called with the number of rows done.
    """
    out: list[dict[str, str]] = []
    for cells in _predicted_chunks(rows, models, strict=strict):
        out.extend(cells)
        _tell(on_progress, len(out))
    return out


def predicted_rows(
    rows: Sequence[Mapping[str, str]], models: Models, *, strict: bool = False
) -> Iterator[dict[str, str]]:
    """Yield what `predict_cells` returns, so that the first rows are written while the last are predicted."""
    return itertools.chain.from_iterable(_predicted_chunks(rows, models, strict=strict))


def _predicted_chunks(
    rows: Sequence[Mapping[str, str]], models: Models, *, strict: bool
) -> Iterator[list[dict[str, str]]]:
    # The models need no interpreter while they run, so that the next rows are read meanwhile.
    with ThreadPoolExecutor(N_THREADS) as pool:
        waiting: list[_Chunk] = []
        for start in range(0, len(rows), CHUNK):
            waiting.append(_Chunk.of(rows[start : start + CHUNK], models, pool, strict=strict))
            if len(waiting) > N_THREADS:
                yield waiting.pop(0).cells(models)
        for chunk in waiting:
            yield chunk.cells(models)


def _tell(on_progress: Callable[[int], None] | None, n_done: int) -> None:
    if on_progress:
        on_progress(n_done)


@dataclass(frozen=True, eq=False, slots=True)
class _Chunk:
    """Rows that are being predicted.

    Attributes:
        errors: Why a row cannot be used, empty where it can.
        usable: The others.
        lines: Their lines, once they are known.
    """

    errors: list[str]
    usable: Featurized
    lines: Future[Lines] | None

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], models: Models, pool: ThreadPoolExecutor, *, strict: bool) -> _Chunk:
        """Read rows and have their lines predicted."""
        samples: list[Sample] = []
        errors: list[str] = []
        for cells in rows:
            try:
                samples.append(conditions_from_cells(cells, strict=strict))
                errors.append("")
            except InputError as error:
                errors.append(str(error))
        usable = Featurized.of(samples)
        return cls(
            errors, usable, pool.submit(models.conductivity.distinct_lines, usable.features) if samples else None
        )

    def cells(self, models: Models) -> list[dict[str, str]]:
        """Return the cells of each row once the lines are known."""
        found = self._found(models)
        empty = dict.fromkeys(RESULT_COLUMNS, "")
        return [{**empty, "error": error} if error else next(found) for error in self.errors]

    def _found(self, models: Models) -> Iterator[dict[str, str]]:
        for values in models.values(self.usable, self.lines.result()) if self.lines else ():
            _, *numbers, _, in_domain, note, _, _ = values
            yield _cells(tuple(numbers), note, in_domain=in_domain)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of samples as it was read.

    Attributes:
        header: Names of the columns; known ones in lower case.
        rows: Column name to text.
        notices: What people should know of the reading: separators, and columns that look like slips.
    """

    header: list[str]
    rows: list[dict[str, str]]
    notices: tuple[str, ...] = ()


def open_table(path: Path, sheet_name: str | None = None) -> Table:
    """Read a CSV or XLSX of samples.

    Args:
        path: A file as `nascreen.spreadsheets.read_sheet` reads it, with a header that has ``formula``.
        sheet_name: Sheet of a workbook; the first if None.

    Raises:
        TableError: If the file cannot be read as such; the message names the line.
    """
    limits = Limits(MAX_BYTES, MAX_ROWS, MAX_COLUMNS)
    return _table(read_sheet(path, limits, sheet_name=sheet_name, is_known=_is_known, is_date=_may_be_date))


def table_of_bytes(data: bytes, name: str, limits: Limits) -> Table:
    """Read the bytes of a table that came under a name; see `open_table`.

    Raises:
        TableError: If they cannot be read as such.
    """
    return _table(sheet_of_bytes(name, data, limits, is_known=_is_known, is_date=_may_be_date))


def _table(sheet: Sheet) -> Table:
    sheet = with_decimal_points(sheet, _holds_numbers)
    header = [_plain_name(name) for name in sheet.header]
    _check_header(sheet, header)
    rows = [dict(zip(header, row.cells, strict=True)) for row in sheet.rows]
    return Table(header, rows, (*sheet.notes, *_slips(sheet.file, header)))


def merged_rows(table: Table, results: Iterable[Mapping[str, str]]) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Return a table with its predictions: the names of its own columns, and the rows, to be gone through once.

    A measured column of the same name as a result is kept as ``given_…``.
    """
    renamed: dict[str, str] = {}
    for name in table.header:
        kept = f"given_{name}" if name in RESULT_COLUMNS else name
        while name in RESULT_COLUMNS and kept in table.header:
            kept = f"given_{kept}"
        renamed[name] = kept
    own: Iterable[dict[str, str]] = table.rows
    if any(name != kept for name, kept in renamed.items()):
        own = ({renamed[name]: cell for name, cell in row.items()} for row in own)
    return list(renamed.values()), ({**row, **result} for row, result in zip(own, results, strict=True))


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header and the rows of `open_table`."""
    table = open_table(path)
    return table.header, table.rows


def _is_known(name: str) -> bool:
    return _plain_name(name) in COLUMN_BY_NAME or name in ALIASES


def _may_be_date(name: str) -> bool:
    return not _holds_numbers(name)


def _plain_name(name: str) -> str:
    """Return the name of a known input whatever its capitals; any other name as it is."""
    lower = name.lower()
    return lower if ALIASES.get(lower, lower) in CONDITION_COLUMNS else name


def _holds_numbers(name: str) -> bool:
    column = COLUMN_BY_NAME.get(ALIASES.get(_plain_name(name), _plain_name(name)))
    return column is not None and column.kind in ("number", "integer")


def _check_header(sheet: Sheet, header: Sequence[str]) -> None:
    if "formula" not in header:
        what = f"The table {shown(sheet.file)} has no column 'formula'; its first line must name it."
        near = next((name for name in header if 0 < len(name) <= MAX_NAME and near_name(name, ["formula"])), None)
        raise TableError(what + (f" Did you mean {shown(near)}?" if near else ""))


def _slips(file: str, header: Sequence[str]) -> Iterable[str]:
    """Yield a sentence for each column that looks like an input but is not read."""
    for name in header:
        if name in COLUMN_BY_NAME or name in ALIASES or name in RESULT_COLUMNS or not 0 < len(name) <= MAX_NAME:
            continue
        near = near_name(name, CONDITION_COLUMNS)
        if near and near not in header:
            yield f"The column {shown(name)} of {shown(file)} is kept but not read; did you mean {near!r}?"


_RUN_AS_FORMULA = frozenset("=+-@\t\r\n")


def guarded_text(text: str) -> str:
    """Return a text so that no spreadsheet runs it as a formula."""
    return f"'{text}" if text[:1] in _RUN_AS_FORMULA else text


def guarded(cell: str) -> str:
    """Return a cell that may be a number so that no spreadsheet runs it as a formula."""
    return cell if cell[:1] not in _RUN_AS_FORMULA or _is_number(cell) else guarded_text(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def table_text(header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows as the text of a CSV file that no spreadsheet runs anything of."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in header])
    cells = (map(row.get, header) for row in rows)
    writer.writerows([guarded(cell) if cell and cell[0] in _RUN_AS_FORMULA else cell for cell in row] for row in cells)
    return buffer.getvalue()


def write_table(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as CSV, whole or not at all.

    Raises:
        TableError: If the file cannot be written.
    """
    text = table_text(header, rows)
    try:
        scratch = path.with_name(path.name + ".part")
        try:
            scratch.write_text(text, encoding="utf-8", newline="")
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"The table {shown(str(path))} cannot be written: {reason}.") from error
