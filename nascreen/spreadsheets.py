"""CSV and XLSX files of unknown origin: read as text cells with their places, or refused in one sentence.

A file is data from outside: it may be cut, mixed up, enormous or malicious. Everything here has a limit that is
checked before the work, nothing is repaired or guessed, and every refusal names the line and the column.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from xml.parsers import expat

from nascreen.errors import TableError, shown

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
"""Media type of a workbook."""

MAX_CELL = 10_000
"""Characters that a cell may hold."""

MAX_WORKBOOK_ROWS = 100_000
MAX_PARTS = 1000
MAX_UNPACKED_BYTES = 100_000_000
MAX_RATIO = 200
"""How many times smaller than its content a part of a workbook may be packed; sheets reach some tens."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SMALL_PART = 1_000_000
_MOST_DEPTH = 50
_MOST_OTHER = 100_000
_MOST_IN_ROW = 16_384
_OF_CELLS = frozenset({"row", "v", "f", "is", "t", "si"})
_TYPES = "[Content_Types].xml"
_HOLDS_CELLS = re.compile(r"xl/(worksheets/[^/]+|sharedStrings)\.xml", re.IGNORECASE)
_COORDINATE = re.compile(r"([A-Z]{1,3})([0-9]{1,9})")
_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding=["']([^"']+)["']""")
_NUMBER_START = re.compile(r"\s*([+-]?[.,]*[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?)")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may be: bytes on disk, rows below the header, columns; of a workbook, what it unpacks to too.

    Attributes:
        n_bytes: Bytes of the file.
        n_rows: Rows below the header.
        n_columns: Columns.
        n_unpacked: Bytes of the parts of a workbook.
        n_other: Bytes of its parts that hold no cells, such as styles; these cost the most to read.
        n_cells: Rows times columns of the sheet of a workbook that is read, and cells that stand in all of its sheets;
            None where they need not be counted.
    """

    n_bytes: int = 50_000_000
    n_rows: int = 1_000_000
    n_columns: int = 256
    n_unpacked: int = MAX_UNPACKED_BYTES
    n_other: int = MAX_UNPACKED_BYTES
    n_cells: int | None = None


class Row(NamedTuple):
    """The cells of one row, and the number of its line or row in the file."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it stands in a file, every cell as text.

    Attributes:
        file: Name of the file.
        header: Names of the columns, outer blanks removed.
        rows: The rows below, each with as many cells as the header.
        separator: What separates the cells; empty in a workbook.
        notes: What people should know of the reading, one sentence each.
        sha256: Hash of the file.
    """

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    separator: str = ","
    notes: tuple[str, ...] = ()
    sha256: str = ""

    def place(self, row: int, column: int) -> str:
        """Name a cell for people.

        Args:
            row: Number of the line or row in the file.
            column: Position in the header, from 0.

        >>> Sheet("a.csv", ("formula", "phase"), ()).place(3, 1)
        "line 3, column 2 ('phase')"
        >>> Sheet("a.xlsx", ("formula", "phase"), (), separator="").place(3, 1)
        "cell B3 ('phase')"
        """
        name = f" ({shown(self.header[column])})" if column < len(self.header) else ""
        where = f"line {row}, column {column + 1}" if self.separator else f"cell {_letters(column + 1)}{row}"
        return where + name


def is_workbook(data: bytes) -> bool:
    """Return whether bytes begin as those of a workbook, a zip archive, do."""
    return data.startswith(b"PK\x03\x04")


def _letters(column: int) -> str:
    text = ""
    while column:
        column, digit = divmod(column - 1, 26)
        text = chr(65 + digit) + text
    return text


def _refuse(file: str, what: str) -> NoReturn:
    raise TableError(f"The table {shown(file)} {what}")


def read_sheet(
    path: Path,
    limits: Limits | None = None,
    *,
    sheet_name: str | None = None,
    is_known: Callable[[str], bool] = lambda _name: False,
    is_date: Callable[[str], bool] = lambda _name: False,
) -> Sheet:
    """Read a CSV or an XLSX file; which of them it is, its first bytes tell.

    CSV is UTF-8, or UTF-16 with a byte-order mark, separated by commas, semicolons or tabs: that one by which
    the first line holds most known columns.

    Args:
        path: The file.
        limits: How large it may be.
        sheet_name: Sheet of a workbook; its first visible one if None.
        is_known: Whether a name in the header is that of a known column.
        is_date: Whether a column, by its name, may hold dates; they are given as YYYY-MM-DD.

    Raises:
        TableError: If the file cannot be read, whole and without a guess; the message names line and column.
    """
    limits = limits or Limits()
    data = _bytes_of(path, limits.n_bytes)
    return sheet_of_bytes(path.name, data, limits, sheet_name=sheet_name, is_known=is_known, is_date=is_date)


def sheet_of_bytes(
    name: str,
    data: bytes,
    limits: Limits | None = None,
    *,
    sheet_name: str | None = None,
    is_known: Callable[[str], bool] = lambda _name: False,
    is_date: Callable[[str], bool] = lambda _name: False,
) -> Sheet:
    """Read the bytes of a CSV or an XLSX file that came under a name; see `read_sheet`.

    Raises:
        TableError: If there are too many, or they cannot be read.
    """
    limits = limits or Limits()
    if len(data) > limits.n_bytes:
        _refuse(name, f"has {len(data):,} bytes; at most {limits.n_bytes:,} are read.")
    sheet = _sheet_from(Path(name), data, limits, sheet_name, is_known, is_date)
    return replace(sheet, sha256=hashlib.sha256(data).hexdigest())


def _sheet_from(
    path: Path,
    data: bytes,
    limits: Limits,
    sheet_name: str | None,
    is_known: Callable[[str], bool],
    is_date: Callable[[str], bool],
) -> Sheet:
    if is_workbook(data):
        return _read_workbook(path.name, data, limits, sheet_name, is_date)
    if data.startswith(_OLE_MAGIC):
        is_encrypted = "EncryptedPackage".encode("utf-16-le") in data
        what = (
            "is protected by a password; save it without" if is_encrypted else "is an old .xls file; save it as .xlsx"
        )
        _refuse(path.name, f"{what}.")
    if path.suffix.lower() in {".xlsx", ".xlsm", ".xls", ".ods"}:
        _refuse(path.name, "is not the workbook that its name says; save it again as .xlsx or as 'CSV UTF-8'.")
    if sheet_name is not None:
        _refuse(path.name, f"is text and has no sheet {shown(sheet_name)}; leave the sheet out.")
    return _read_csv(path.name, _text_of(path.name, data), limits, is_known)


def _bytes_of(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"The table {shown(str(path))} cannot be opened: {reason}.") from error
    if len(data) > limit:
        _refuse(path.name, f"is larger than {limit // 10**6} MB; split it.")
    return data


# ---------------------------------------------------------------- CSV


def _text_of(file: str, data: bytes) -> str:
    is_utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = error.start - data.rfind(b"\n", 0, error.start)
        place = f"line {line}, byte {byte}"
        name = "UTF-16" if is_utf_16 else "UTF-8"
        message = f"The table {shown(file)} is not {name} text (from {place} on); save it as 'CSV UTF-8'."
        raise TableError(message) from error


def _lines(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


def _records(file: str, text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            column = _column_at_fault(itertools.islice(_lines(text), line - 1, None), separator)
            place = f"line {line}, column {column}"
            raise TableError(f"The table {shown(file)} cannot be read at {place}: {error}.") from error
        if cells is None:
            return
        yield Row(line, tuple(cells))


def _column_at_fault(lines: Iterable[str], separator: str) -> int:
    """Return the number of the cell at which the first record of some lines breaks the rules of CSV."""
    column, size, state = 1, 0, "start"
    for character in itertools.chain.from_iterable(lines):
        size += 1
        if size > MAX_CELL:
            break
        if state == "quoted":
            state = "quote" if character == '"' else state
        elif character == separator:
            column, size, state = column + 1, 0, "start"
        elif character in "\r\n" or (state == "quote" and character != '"'):
            break
        else:
            state = "quoted" if character == '"' and state in {"start", "quote"} else "plain"
    return column


def _separator_of(file: str, text: str, is_known: Callable[[str], bool]) -> str:
    first = next(iter(_lines(text)), "")
    n_known = {}
    for separator in SEPARATORS:
        if separator in first or separator == ",":
            names = first[:MAX_CELL].split(separator, 100)[:100]
            n_known[separator] = sum(is_known(name.strip().strip('"').strip()) for name in names)
    most = max(n_known.values())
    best = [separator for separator, n in n_known.items() if n == most]
    if len(best) > 1 and most:
        either = " or by ".join(SEPARATORS[separator] for separator in best)
        _refuse(file, f"may be separated by {either}, as line 1 reads; keep one of them.")
    return best[0]


def _read_csv(file: str, text: str, limits: Limits, is_known: Callable[[str], bool]) -> Sheet:
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        position = nul - text.rfind("\n", 0, nul)
        _refuse(file, f"holds a NUL character (line {line}, character {position}); save it as 'CSV UTF-8'.")
    separator = _separator_of(file, text, is_known)
    records = _records(file, text, separator)
    number, cells = next(records, Row(1, ()))
    notes = () if separator == "," else (f"The table {shown(file)} is read as separated by {SEPARATORS[separator]}.",)
    sheet = Sheet(file, _header(file, cells, limits), (), separator, notes)
    _check_cells(sheet, Row(number, cells))
    return _without_empty_columns(replace(sheet, rows=tuple(_checked_rows(sheet, records, limits))))


def _header(file: str, cells: Sequence[str], limits: Limits) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in cells)
    if len(header) > limits.n_columns:
        _refuse(file, f"has {len(header)} columns; at most {limits.n_columns} are read.")
    first: dict[str, int] = {}
    for i, name in enumerate(header):
        if not name:
            continue
        j = first.setdefault(re.sub(r"[\s_]+", "_", name.casefold()), i)
        if j != i:
            again = "" if header[j] == name else f" (columns {j + 1} and {i + 1}, as {shown(header[j])} too)"
            _refuse(file, f"has the column {shown(name)} twice{again}; keep one.")
    return header


def _checked_rows(sheet: Sheet, rows: Iterable[Row], limits: Limits) -> Iterator[Row]:
    n_rows = 0
    for row in rows:
        if not row.cells:
            continue
        if len(row.cells) != len(sheet.header):
            _refuse(
                sheet.file,
                f"has {len(row.cells)} cell{'s' * (len(row.cells) != 1)} in line {row.number} where the header has "
                f"{len(sheet.header)}; "
                "correct that line.",
            )
        n_rows += 1
        if n_rows > limits.n_rows:
            _refuse(sheet.file, f"has more than {limits.n_rows} rows; split it.")
        _check_cells(sheet, row)
        yield row


def _without_empty_columns(sheet: Sheet) -> Sheet:
    """Leave out columns with neither a name nor a value, as spreadsheets add; one without a name may remain."""
    filled: dict[int, int] = {}
    for i in (i for i, name in enumerate(sheet.header) if not name):
        number = next((row.number for row in sheet.rows if row.cells[i].strip()), None)
        if number is not None:
            filled[i] = number
    if len(filled) > 1:
        i, number = list(filled.items())[1]
        _refuse(sheet.file, f"has a value in {sheet.place(number, i)} below no name of a column; name it or delete it.")
    kept = [i for i, name in enumerate(sheet.header) if name or i in filled]
    if len(kept) == len(sheet.header):
        return sheet
    rows = tuple(Row(row.number, tuple(row.cells[i] for i in kept)) for row in sheet.rows)
    return replace(sheet, header=tuple(sheet.header[i] for i in kept), rows=rows)


def _check_cells(sheet: Sheet, row: Row) -> None:
    if max(map(len, row.cells), default=0) <= MAX_CELL:
        return
    for i, cell in enumerate(row.cells):
        if len(cell) > MAX_CELL:
            place = sheet.place(row.number, i) if i < len(sheet.header) and len(sheet.header[i]) <= MAX_CELL else ""
            _refuse(sheet.file, f"has {len(cell)} characters in {place or 'one cell'}; at most {MAX_CELL} are read.")


# ---------------------------------------------------------------- decimal commas


def with_decimal_points(sheet: Sheet, is_number: Callable[[str], bool]) -> Sheet:
    """Return a sheet whose numbers have decimal points.

    Commas are read as decimal commas only where they cannot be anything else: cells are not separated by commas,
    no number of the file has a point, and every column that has them has one that cannot group thousands
    (``0,45``; but ``1,234`` alone is refused).

    Args:
        sheet: The sheet.
        is_number: Whether a column, by its name, holds numbers; the cells of all others are left as they are.

    Raises:
        TableError: If the commas of a number may be either; the message names the line and the column.
    """
    if sheet.separator in ("", ","):
        return sheet
    columns = [i for i, name in enumerate(sheet.header) if is_number(name)]
    with_commas = [i for i in columns if _check_commas(sheet, i)]
    if not with_commas:
        return sheet
    _check_points(sheet, columns)
    rows = []
    for row in sheet.rows:
        cells = list(row.cells)
        for i in with_commas:
            number = _number_in(cells[i])
            cells[i] = cells[i].replace(",", ".", 1) if "," in number else cells[i]
        rows.append(Row(row.number, tuple(cells)))
    note = f"Numbers of the table {shown(sheet.file)} are read with decimal commas."
    return replace(sheet, rows=tuple(rows), notes=(*sheet.notes, note))


def _number_in(cell: str) -> str:
    match = _NUMBER_START.match(cell)
    return match[1] if match else ""


def _check_commas(sheet: Sheet, column: int) -> bool:
    """Return whether a column has decimal commas, refusing what may be thousands."""
    doubtful, is_clear = None, False
    for row in sheet.rows:
        number = _number_in(row.cells[column])
        if "," not in number:
            continue
        if not _DECIMAL_COMMA.fullmatch(number):
            _refuse_comma(sheet, row.number, column, number)
        is_grouped = _GROUPED.fullmatch(number) is not None
        doubtful = doubtful or ((row.number, number) if is_grouped else None)
        is_clear = is_clear or not is_grouped
    if doubtful and not is_clear:
        _refuse_comma(sheet, doubtful[0], column, doubtful[1])
    return is_clear


def _refuse_comma(sheet: Sheet, row: int, column: int, number: str) -> NoReturn:
    place = sheet.place(row, column)
    _refuse(sheet.file, f"has {shown(number)} in {place}, which may mean decimals or thousands; write a decimal point.")


def _check_points(sheet: Sheet, columns: Sequence[int]) -> None:
    for row in sheet.rows:
        for i in columns:
            number = _number_in(row.cells[i])
            if "." in number:
                place = sheet.place(row.number, i)
                _refuse(
                    sheet.file,
                    f"has {shown(number)} in {place} but decimal commas elsewhere; write all numbers in one way.",
                )


# ---------------------------------------------------------------- XLSX


def _read_workbook(
    file: str, data: bytes, limits: Limits, sheet_name: str | None, is_date: Callable[[str], bool]
) -> Sheet:
    _check_archive(file, data, limits)
    try:
        with warnings.catch_warnings():
            # What openpyxl leaves aside (styles, extensions, macros) holds no cells.
            warnings.simplefilter("ignore")
            return _read_first_sheet(file, data, limits, sheet_name, is_date)
    except (TableError, MemoryError):
        raise
    except Exception as error:
        what = f"is not a sound .xlsx file ({type(error).__name__}); open it in a spreadsheet and save it again."
        raise TableError(f"The table {shown(file)} {what}") from error


def _check_archive(file: str, data: bytes, limits: Limits) -> None:
    """Refuse a workbook that is something else, unpacks to too much, or whose text may expand itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            _check_parts(file, parts, limits)
            _check_types(file, archive.read(_TYPES))
            count = None if limits.n_cells is None else _Count(file, limits.n_cells)
            for part in filter(lambda part: _is_xml(part.filename), parts):
                text = archive.read(part)
                _check_xml(file, part.filename, text)
                if count and _HOLDS_CELLS.fullmatch(part.filename):
                    count.take_in(text)
    except TableError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, SyntaxError, expat.ExpatError
    ) as error:  # fmt: skip
        what = f"is not a sound .xlsx file ({type(error).__name__}: {str(error)[:80]}); save it again."
        raise TableError(f"The table {shown(file)} {what}") from error


def _check_parts(file: str, parts: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    names = [part.filename for part in parts]
    if any(part.flag_bits & 1 for part in parts):
        _refuse(file, "is protected by a password; save it without.")
    if "mimetype" in names:
        _refuse(file, "is an OpenDocument file (.ods); save it as .xlsx or as 'CSV UTF-8'.")
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        _refuse(file, "holds macros (.xlsm); save it as .xlsx without them.")
    if _TYPES not in names:
        _refuse(file, "is a zip archive but not an .xlsx workbook; save it as .xlsx or as 'CSV UTF-8'.")
    if len(names) > MAX_PARTS or len(set(names)) < len(names):
        _refuse(file, f"has {len(names)} parts inside; allowed are {MAX_PARTS}, each once. Save it again.")
    if sum(part.file_size for part in parts) > limits.n_unpacked:
        _refuse(file, f"unpacks to more than {limits.n_unpacked // 10**6} MB; split it.")
    others = [part.file_size for part in parts if _is_xml(part.filename) and not _HOLDS_CELLS.fullmatch(part.filename)]
    if sum(others) > limits.n_other:
        _refuse(file, f"has styles and the like of more than {limits.n_other // 10**6} MB; copy the cells alone into a "
                      "new workbook.")  # fmt: skip
    for part in parts:
        if part.file_size > _SMALL_PART and part.file_size > MAX_RATIO * max(part.compress_size, 1):
            _refuse(
                file, f"has the part {shown(part.filename)} that unpacks more than {MAX_RATIO} times; save it again."
            )


def _is_xml(name: str) -> bool:
    return name.lower().endswith((".xml", ".rels"))


def _check_types(file: str, text: bytes) -> None:
    """Refuse a workbook of which another part goes by the name of one that holds cells, and so by its limit."""
    from defusedxml.ElementTree import fromstring

    _check_xml(file, _TYPES, text)
    for element in fromstring(text, forbid_dtd=True):
        name, kind = element.get("PartName", "").removeprefix("/"), element.get("ContentType", "")
        if _HOLDS_CELLS.fullmatch(name) and not kind.endswith((".worksheet+xml", ".sharedStrings+xml")):
            _refuse(file, f"has the part {shown(name)} of the type {shown(kind)}; save it again in a spreadsheet.")


class _Count:
    """Counts what stands in the sheets and texts of a workbook, keeping nothing, before anything else reads them."""

    def __init__(self, file: str, n_cells: int) -> None:
        self._file, self._limit = file, n_cells
        self._n_cells = self._n_parts = self._n_other = self._n_in_row = self._depth = 0

    def take_in(self, text: bytes) -> None:
        """Count a part, and refuse what is beyond any table of so many cells.

        Raises:
            ExpatError: If it is no XML.
        """
        self._depth = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.Parse(text, True)  # noqa: FBT003 - of expat, whether this is all

    def _start(self, name: str, _attributes: object) -> None:
        self._depth += 1
        tag = name.rpartition(" ")[2]
        if tag == "c":
            self._n_cells += 1
            self._n_in_row += 1
        elif tag in _OF_CELLS:
            self._n_parts += 1
            self._n_in_row = 0 if tag == "row" else self._n_in_row
        else:
            self._n_other += 1
        if self._n_cells > self._limit or self._n_parts > 4 * self._limit:
            _refuse(self._file, f"has more than {self._limit:,} cells in its sheets, empty ones with them; leave out "
                    "sheets, rows or columns, or save it as 'CSV UTF-8'.")  # fmt: skip
        if self._n_other > _MOST_OTHER or self._n_in_row > _MOST_IN_ROW or self._depth > _MOST_DEPTH:
            _refuse(self._file, "holds too much that is no table; copy the cells alone into a new workbook.")

    def _end(self, _name: str) -> None:
        self._depth -= 1


def _check_xml(file: str, part: str, text: bytes) -> None:
    encoding = _XML_ENCODING.match(text.removeprefix(b"\xef\xbb\xbf"))
    is_plain = encoding is None or encoding[1].lower() in {b"utf-8", b"us-ascii", b"ascii"}
    if not is_plain or b"\0" in text or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        _refuse(file, f"has entities or an odd encoding in its part {shown(part)}; save it again in a spreadsheet.")


def _read_first_sheet(
    file: str, data: bytes, limits: Limits, sheet_name: str | None, is_date: Callable[[str], bool]
) -> Sheet:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        chosen, notes = _chosen_sheet(file, book, sheet_name)
        # A sheet says how large it is, and may lie; only what is there counts.
        used = _scan(file, book, chosen, limits)
        chosen.reset_dimensions()
        rows = chosen.iter_rows(min_row=1, max_row=used.n_rows, max_col=used.n_columns) if used.n_columns else ()
        return _sheet_of(file, enumerate(rows, start=1), limits, is_date, notes)
    finally:
        book.close()


def _chosen_sheet(file: str, book: Any, name: str | None) -> tuple[Any, tuple[str, ...]]:  # noqa: ANN401
    sheets = book.worksheets
    visible = [sheet for sheet in sheets if sheet.sheet_state == "visible"]
    if name is not None:
        named = [sheet for sheet in visible if sheet.title == name]
        if not named:
            hidden = " It is hidden." if any(sheet.title == name for sheet in sheets) else ""
            allowed = ", ".join(shown(sheet.title) for sheet in visible)
            _refuse(file, f"has no visible sheet {shown(name)}; choose one of {allowed}.{hidden}")
        return named[0], ()
    if not visible:
        _refuse(file, "has no visible sheet; unhide the one to read.")
    others = ", ".join(shown(sheet.title) for sheet in visible[1:])
    note = f"Of the table {shown(file)} the first sheet {shown(visible[0].title)} is read, not {others}."
    return visible[0], (note,) if others else ()


class _Used(NamedTuple):
    n_rows: int
    n_columns: int


def _scan(file: str, book: Any, sheet: Any, limits: Limits) -> _Used:  # noqa: ANN401
    """Walk the text of a sheet and refuse what openpyxl would pass over; return how far the cells reach."""
    from defusedxml.ElementTree import iterparse

    row = column = n_rows = n_columns = 0
    most = min(limits.n_rows + 1, MAX_WORKBOOK_ROWS)
    with book._archive.open(sheet._worksheet_path) as stream:  # noqa: SLF001 - no public name leads to the part
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            tag = element.tag.rpartition("}")[2]
            if event == "start" and tag == "row":
                row, column = _next_row(file, row, element.get("r"), most), 0
            elif event == "end" and tag == "c":
                column = _next_column(file, row, column, element.get("r"))
                if _is_filled(file, f"{_letters(column)}{row}", element):
                    n_rows, n_columns = row, max(n_columns, column)
            elif event == "end" and tag == "mergeCell":
                _refuse(file, f"has the merged cells {shown(element.get('ref', ''))}; unmerge them.")
            elif event == "end" and tag == "row":
                element.clear()
            if n_columns > limits.n_columns:
                _refuse(
                    file, f"has a value in cell {_letters(column)}{row}; at most {limits.n_columns} columns are read."
                )
            if limits.n_cells is not None and n_rows * n_columns > limits.n_cells:
                _refuse(
                    file,
                    f"reaches to cell {_letters(n_columns)}{n_rows}; at most {limits.n_cells:,} cells are read, empty "
                    "ones with them, so leave out rows or columns.",
                )
    return _Used(n_rows, n_columns)


def _next_row(file: str, last: int, said: str | None, most: int) -> int:
    row = last + 1 if said is None else int(said) if re.fullmatch(r"[0-9]{1,9}", said) else 0
    if row <= last:
        _refuse(file, f"has the row {shown(said or '')} after row {last}; save it again in a spreadsheet.")
    if row > most:
        _refuse(
            file, f"reaches to row {row}; at most {most} rows are read. Split it, or delete what is below the table."
        )
    return row


def _next_column(file: str, row: int, last: int, said: str | None) -> int:
    if said is None:
        return last + 1
    match = _COORDINATE.fullmatch(said)
    column = 0
    for letter in match[1] if match else "":
        column = 26 * column + ord(letter) - 64
    if match is None or int(match[2]) != row or column <= last:
        _refuse(file, f"has the cell {shown(said)} out of order in row {row}; save it again in a spreadsheet.")
    return column


def _is_filled(file: str, cell: str, element: Any) -> bool:  # noqa: ANN401
    found = {child.tag.rpartition("}")[2]: child for child in element}
    value = found.get("v")
    has_value = value is not None and (bool(value.text) or element.get("t") == "str")
    if "f" in found and not has_value:
        _refuse(
            file, f"has a formula without a result in cell {cell}; open it in a spreadsheet, save it, or paste values."
        )
    return has_value or "is" in found


def _sheet_of(
    file: str,
    rows: Iterable[tuple[int, Sequence[Any]]],
    limits: Limits,
    is_date: Callable[[str], bool],
    notes: tuple[str, ...],
) -> Sheet:
    sheet = Sheet(file, (), (), "", notes)
    kept: list[Row] = []
    for number, cells in rows:
        texts = tuple(_cell_text(sheet, number, i, cell, is_date) for i, cell in enumerate(cells))
        if not any(texts):
            continue
        _check_cells(sheet, Row(number, texts))
        if sheet.header:
            kept.append(Row(number, texts))
        else:
            sheet = replace(sheet, header=_header(file, texts, limits))
    return _without_empty_columns(replace(sheet, rows=tuple(kept)))


def _cell_text(sheet: Sheet, row: int, column: int, cell: Any, is_date: Callable[[str], bool]) -> str:  # noqa: ANN401
    value = cell.value
    if isinstance(value, str) and cell.data_type != "e":
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    place = sheet.place(row, column)
    if cell.data_type == "e":
        _refuse(sheet.file, f"has the error {shown(value)} in {place}; correct its formula.")
    name = sheet.header[column] if sheet.header else ""
    if isinstance(value, date) and is_date(name):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    _refuse(
        sheet.file, f"has the date or time {shown(str(value))} in {place}, which holds none; format it as a number."
    )
