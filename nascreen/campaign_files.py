"""A campaign as files: the TOML file that makes it, and the spreadsheet that goes to the furnace and comes back."""

from __future__ import annotations

import io
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from nascreen.campaigns import Campaign, Experiment, Options, Outcome
from nascreen.errors import InputError, TableError, shown
from nascreen.goals import check_bounds, column_of, is_log, read_constraint, result_heading, unit_of
from nascreen.history import checked_text
from nascreen.proposals import Constraint, Objective
from nascreen.recipes import make_recipe, recipe_text
from nascreen.records import sample_from_cells
from nascreen.spreadsheets import (
    Limits,
    Row,
    Sheet,
    is_workbook,
    read_sheet,
    sheet_of_bytes,
    with_decimal_points,
)
from nascreen.units import cell_in_column_unit, read_heading

DEFAULT_STORE = "sqlite:///campaigns.db"
SHEET = "batch"
ERROR = "± "
"""What the head of a column begins with that holds the standard uncertainty of a property."""

RECIPE_G = 10.0
_OWN = ("id", "recipe", "predicted", "failure", "note")
_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(.*)")
_HEAD = re.compile(r"(.*?)\s*\[([^\[\]]*)\]")

# ---------------------------------------------------------------- TOML

_KEYS = ("name", "store", "pool", "seed", "goal", "acquisition", "engine", "prior", "cost", "n", "measure", "objective",
         "constraint", "batch", "columns", "units")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """A table of a campaign file that knows where it stands, so that every slip can be named."""

    file: str
    where: str
    values: Mapping[str, Any]

    def refuse(self, key: str, allowed: str) -> NoReturn:
        place = f"{self.where}.{key}" if self.where else key
        got = f"= {shown(self.values[key])}" if key in self.values else "missing"
        raise TableError(f"The campaign file {self.file} has {place} {got}; allowed is {allowed}.")

    def only(self, allowed: Sequence[str]) -> None:
        for key in self.values:
            if key not in allowed:
                place = f" in {self.where}" if self.where else ""
                raise TableError(f"The campaign file {self.file} has the key {shown(key)}{place}, which is not known; "
                                 f"allowed are {', '.join(allowed)}.")  # fmt: skip

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or (not value.strip() and default is None):
            self.refuse(key, "text in quotation marks")
        return value

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not is_number:
            self.refuse(key, "a number")
        return value

    def whole(self, key: str, lowest: int) -> int | None:
        value = self.values.get(key)
        is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= lowest
        if value is not None and not is_whole:
            self.refuse(key, f"a whole number from {lowest}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, 'a list of texts, such as ["sinter_temp_c"]')
        return tuple(value)

    def table(self, key: str) -> _Part:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, f"a table, under [{key}]")
        return _Part(self.file, key, value)

    def tables(self, key: str) -> list[_Part]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, f"tables, each under [[{key}]]")
        return [_Part(self.file, f"{key} {i}", item) for i, item in enumerate(value, start=1)]


def create_from_file(path: Path, store: str = "", author: str = "") -> tuple[Campaign, str]:
    """Make a campaign from its TOML file.

    Args:
        path: The file, see the README.
        store: Address of the store; that of the file, else ``sqlite:///campaigns.db``, if empty.
        author: Who makes it.

    Returns:
        The campaign, and the address of its store.

    Raises:
        TableError: If the file cannot be read; the message names file, key, what it got and what is allowed.
        InputError: If the pool or an option cannot be used; the message names the file.
        ConflictError: If there is a campaign of this name.
    """
    part = _read_toml(path)
    part.only(_KEYS)
    objectives = [_objective(one) for one in part.tables("objective")]
    if not objectives:
        part.refuse("objective", 'at least one table under [[objective]] with property = "log_conductivity"')
    options = _options(part, author)
    pool = part.text("pool")
    if Path(pool).suffix in {".csv", ".xlsx", ".toml"}:
        pool = str(path.parent / pool)
    url = store or part.text("store", DEFAULT_STORE)
    try:
        return Campaign.create(url, part.text("name"), pool, objectives, **options), url
    except InputError as error:
        raise type(error)(f"The campaign file {path.name} cannot be used: {error}") from error


def _read_toml(path: Path) -> _Part:
    try:
        return _Part(path.name, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"The campaign file {shown(str(path))} cannot be read ({type(error).__name__}).") from error
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"The campaign file {path.name} is not TOML: {error}.") from error


def _objective(part: _Part) -> Objective:
    part.only(("property", "mode", "target"))
    mode = part.text("mode", "max")
    if mode not in {"max", "min", "target"}:
        part.refuse("mode", "max, min or target")
    target = part.number("target")
    if (mode == "target") != (target is not None):
        part.refuse("target", "a number where mode is target, and nothing otherwise")
    return Objective(part.text("property"), mode, target)  # type: ignore[arg-type]


def _constraint(part: _Part) -> Constraint:
    part.only(("property", "at_least", "at_most"))
    lower, upper = part.number("at_least"), part.number("at_most")
    if lower is None and upper is None:
        part.refuse("at_least", "a number, unless at_most is one")
    return read_constraint(Constraint(part.text("property"), lower, upper))


def _options(part: _Part, author: str) -> Options:
    batch, columns, units = part.table("batch"), part.table("columns"), part.table("units")
    batch.only(("shared", "distinct"))
    options: Options = {
        "constraints": [_constraint(one) for one in part.tables("constraint")],
        "measure": part.texts("measure"),
        "shared": batch.texts("shared"),
        "distinct": batch.texts("distinct"),
        "cost": part.text("cost", ""),
        "units": {name: units.text(name) for name in units.values},
        "kinds": {name: columns.text(name) for name in columns.values},
        "prior": part.text("prior", "auto"),
        "seed": part.whole("seed", 0) or 0,
        "n": part.whole("n", 1),
        "author": author,
    }
    # Names that Python's types know are checked when the campaign is made.
    options["goal"] = part.text("goal", "top")  # type: ignore[typeddict-item]
    options["acquisition"] = part.text("acquisition", "auto")  # type: ignore[typeddict-item]
    options["engine"] = part.text("engine", "own")  # type: ignore[typeddict-item]
    return options


# ---------------------------------------------------------------- a batch as a sheet


def _heads(campaign: Campaign) -> list[str]:
    settings = campaign.settings
    results: list[str] = []
    for name in settings.properties:
        results += [result_heading(name, settings.units), _error_heading(name, settings.units)]
    if clash := [name for name in campaign.pool.visible if name in {*_OWN, *results}]:
        raise TableError(f"The column {shown(clash[0])} of the pool is a column of every batch sheet too; use tell.")
    recipe = ["recipe"] if campaign.pool.formula_column else []
    return ["id", *campaign.pool.visible, *recipe, "predicted", *results, "failure", "note"]


def write_batch(campaign: Campaign, batch: Sequence[Experiment], path: Path) -> None:
    """Write suggestions as a sheet to be filled in: ids and values locked, results empty, units in the heads.

    Args:
        campaign: The campaign.
        batch: Suggestions of it.
        path: File ending in ``.xlsx``; an existing one is not overwritten.

    Raises:
        TableError: If the name ends otherwise, the file exists or cannot be written.
    """
    data = batch_sheet(campaign, batch)
    check_place(path)
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise TableError(f"The sheet {shown(str(path))} cannot be written: {error.strerror}.") from error


def batch_sheet(campaign: Campaign, batch: Sequence[Experiment]) -> bytes:
    """Return the sheet of `write_batch` as the bytes of its file.

    Raises:
        TableError: If a column of the pool is a column of every sheet too.
    """
    return _workbook(campaign, batch, _heads(campaign))


def check_place(path: Path) -> None:
    """Refuse a place for a sheet that cannot be written, before anything is handed out.

    Raises:
        TableError: If the name does not end in ``.xlsx``, the folder is missing, or the file exists.
    """
    if path.suffix.lower() != ".xlsx":
        raise TableError(f"The sheet {shown(path.name)} must end in .xlsx.")
    if path.exists():
        raise TableError(f"The sheet {shown(str(path))} exists already and may hold results; name a new file.")
    if not path.parent.is_dir():
        raise TableError(f"The folder of the sheet {shown(str(path))} does not exist; make it, or name another.")


def _workbook(campaign: Campaign, batch: Sequence[Experiment], heads: Sequence[str]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill, Protection

    book = Workbook()
    sheet = book.active
    sheet.title = SHEET
    first = heads.index("predicted") + 1
    for row, cells in enumerate([heads, *(_batch_cells(campaign, one, heads) for one in batch)], start=1):
        for column, value in enumerate(cells, start=1):
            cell = sheet.cell(row, column, value)
            if isinstance(value, str):
                cell.data_type = "s"  # so that no text is run as a formula
            cell.alignment = Alignment(vertical="top", wrap_text=True)
            is_open = row > 1 and column > first
            cell.protection = Protection(locked=not is_open)
            cell.fill = PatternFill("solid", fgColor="FFF8E1" if is_open else "ECEFF1")
            cell.font = Font(bold=row == 1, name="Consolas" if heads[column - 1] == "recipe" and row > 1 else "Calibri")
    for column, name in enumerate(heads, start=1):
        width = {"recipe": 62, "predicted": 40, "id": 6, "note": 30, "failure": 20}.get(name, max(len(name) + 2, 12))
        sheet.column_dimensions[sheet.cell(1, column).column_letter].width = width
    sheet.freeze_panes = sheet.cell(2, 2)
    sheet.protection.sheet = True
    sheet.protection.formatColumns = sheet.protection.formatRows = False
    _add_reasons(book.create_sheet("why"), batch)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _add_reasons(sheet: Any, batch: Sequence[Experiment]) -> None:  # noqa: ANN401 - of openpyxl, which has no types
    sheet.append(["id", "reason or check"])
    for one in batch:
        for text in (*one.reasons, *(f"checked: {check}" for check in one.checks)):
            sheet.append([one.id, ""])
            cell = sheet.cell(sheet.max_row, 2, text)
            cell.data_type = "s"
    sheet.column_dimensions["B"].width = 140


def _batch_cells(campaign: Campaign, one: Experiment, heads: Sequence[str]) -> list[Any]:
    settings = campaign.settings
    predicted = [f"{campaign.value_text(name, p.mean)} (90 %: {p.lo:.3g} to {p.hi:.3g})"
                 for name, p in one.prediction.items()]  # fmt: skip
    cells: dict[str, Any] = {**one.values, "id": one.id, "predicted": "\n".join(predicted)}
    cells["recipe"] = _recipe(campaign, one)
    for name, value in one.results.items():
        cells[result_heading(name, settings.units)] = 10.0**value if is_log(name) else value
        cells[_error_heading(name, settings.units)] = one.error.get(name)
    cells |= {"failure": one.failure or None, "note": one.note or None}
    return [cells.get(head) for head in heads]


def _error_heading(name: str, units: Mapping[str, str]) -> str:
    unit = unit_of(name, units)
    return f"{ERROR}{name}{f' [{unit}]' if unit else ''}"


def _recipe(campaign: Campaign, one: Experiment) -> str | None:
    column = campaign.pool.formula_column
    formula = one.values.get(column) if column else None
    if not formula:
        return None
    try:
        return recipe_text(make_recipe(str(formula), RECIPE_G))
    except InputError as error:
        return f"no recipe: {error}"


# ---------------------------------------------------------------- reading it back

_Reader = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class _Place:
    """What a column of a sheet holds: a property, or its uncertainty, and how a cell of it is read."""

    name: str
    is_error: bool
    read: _Reader


def read_batch(campaign: Campaign, path: Path) -> tuple[Outcome, ...]:
    """Read a sheet that `write_batch` wrote and people filled in; empty rows and cells are for later.

    Args:
        campaign: The campaign.
        path: XLSX, or the same table as CSV.

    Returns:
        What came of each suggestion that the sheet says something of.

    Raises:
        TableError: If a cell cannot be used: an unknown id, a value that was changed, a wrong unit, no number; the
            message names the cell. Then nothing is stored.
    """
    name = SHEET if path.suffix.lower() == ".xlsx" else None
    return _outcomes(campaign, read_sheet(path, sheet_name=name, is_known=_known_heads(campaign)))


def _known_heads(campaign: Campaign) -> Callable[[str], bool]:
    """Return what knows the heads that every sheet of a campaign has, by which the separator of a CSV file is found."""
    return {*_OWN, *campaign.pool.visible}.__contains__


def _outcomes(campaign: Campaign, sheet: Sheet) -> tuple[Outcome, ...]:
    sheet = with_decimal_points(sheet, lambda name: name not in _OWN)
    places = _places(campaign, sheet)
    known = {one.id: one for one in campaign.experiments()}
    outcomes, seen = [], set()
    for row in sheet.rows:
        if not any(cell.strip() for cell in row.cells):
            continue
        one = _suggestion_at(sheet, row, known)
        if one.id in seen:
            _refuse(sheet, row, sheet.header.index("id"), f"the id {one.id} stands twice; keep one row of it.")
        seen.add(one.id)
        _check_unchanged(campaign, sheet, row, one)
        found = _outcome(sheet, row, one, places)
        if found.values or found.failure:
            outcomes.append(found)
    if not outcomes:
        raise TableError(f"The sheet {shown(sheet.file)} has no result and no failure; fill in a cell first.")
    return tuple(outcomes)


def tell_batch(campaign: Campaign, path: Path, author: str = "") -> tuple[Experiment, ...]:
    """Store what a filled sheet says, all of it or nothing, even if stopped midway; the same sheet again adds nothing.

    Args:
        campaign: The campaign.
        path: The sheet.
        author: Who tells.

    Returns:
        The suggestions that the sheet says something of, as they stand afterwards.

    Raises:
        TableError: If a cell cannot be used.
        ConflictError: If another value is stored, or a suggestion has ended.
        StoreError: If the store cannot be written.
    """
    return _tell(campaign, read_batch(campaign, path), author)


def tell_sheet(
    campaign: Campaign, name: str, data: bytes, author: str = "", limits: Limits | None = None
) -> tuple[Experiment, ...]:
    """Store what the bytes of a filled sheet say, which came under a name; see `tell_batch`."""
    named = SHEET if is_workbook(data) else None
    sheet = sheet_of_bytes(name, data, limits, sheet_name=named, is_known=_known_heads(campaign))
    return _tell(campaign, _outcomes(campaign, sheet), author)


def _tell(campaign: Campaign, outcomes: Sequence[Outcome], author: str) -> tuple[Experiment, ...]:
    told = {one.id: one for one in campaign.tell_many(outcomes, author)}
    return tuple(told[number] for number in sorted(told))


def _refuse(sheet: Sheet, row: Row | None, column: int, reason: str) -> NoReturn:
    place = sheet.place(1 if row is None else row.number, column)
    raise TableError(f"The sheet {shown(sheet.file)}, {place}: {reason} Nothing was stored.")


def _places(campaign: Campaign, sheet: Sheet) -> dict[int, _Place]:
    if "id" not in sheet.header:
        raise TableError(f"The sheet {shown(sheet.file)} has no column 'id'; use the one that ask wrote.")
    places: dict[int, _Place] = {}
    for i, head in enumerate(sheet.header):
        if head in _OWN or head in campaign.pool.visible or not head:
            continue
        try:
            place = _place_of(campaign, head)
        except InputError as error:
            _refuse(sheet, None, i, str(error))
        twice = [j for j, other in places.items() if (other.name, other.is_error) == (place.name, place.is_error)]
        if twice:
            _refuse(sheet, None, i, f"{place.name} has a column already, {shown(sheet.header[twice[0]])}; keep one.")
        places[i] = place
    return places


def _place_of(campaign: Campaign, head: str) -> _Place:
    settings = campaign.settings
    match = _HEAD.fullmatch(head)
    plain, unit = (match[1], match[2]) if match else (head, "")
    if head.startswith(ERROR.strip()):
        name = plain.removeprefix(ERROR.strip()).strip()
        if name in settings.properties:
            return _Place(name, True, _own_unit(unit_of(name, settings.units), unit))  # noqa: FBT003
    elif plain in settings.properties and column_of(plain) is None:
        return _Place(plain, False, _own_unit(settings.units.get(plain, ""), unit))  # noqa: FBT003
    elif plain in settings.properties and is_log(plain):
        return _Place(plain, False, _own_unit("decades", unit or "decades"))  # noqa: FBT003
    else:
        heading = read_heading(head)
        for name in settings.properties:
            column = column_of(name)
            if column is not None and column.name == heading.column:
                return _Place(name, False, partial(_quantity, name, heading))  # noqa: FBT003
    allowed = ", ".join(result_heading(name, settings.units) for name in settings.properties)
    raise TableError(f"no property of the campaign is named so; allowed are {allowed}, each once more after '{ERROR}'.")


def _own_unit(wanted: str, given: str) -> _Reader:
    """Return a reader of numbers in one unit, which a cell may repeat.

    Raises:
        TableError: If the head has another unit.
    """
    if given != wanted:
        raise TableError(f"the unit is {shown(given)}; allowed is {shown(wanted)}." if wanted else
                         f"the unit is {shown(given)}; the property has none.")  # fmt: skip

    def read(text: str) -> float:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise TableError(f"{shown(text)} is no number; write it such as 0.45.")
        if match[2] not in {"", wanted}:
            raise TableError(f"{shown(text)} has the unit {shown(match[2])}; allowed is {shown(wanted)}.")
        return float(match[1])

    return read


def _quantity(name: str, heading: Any, text: str) -> float:  # noqa: ANN401 - a `Heading`
    column = heading.column
    cell = cell_in_column_unit(heading, text)
    value = getattr(sample_from_cells({column: cell}), column)
    if not isinstance(value, int | float):
        raise TableError(f"{shown(text)} is no number; write it such as 0.45.")
    return math.log10(value) if is_log(name) else float(value)


def _suggestion_at(sheet: Sheet, row: Row, known: Mapping[int, Experiment]) -> Experiment:
    column = sheet.header.index("id")
    text = row.cells[column].strip()
    if not re.fullmatch(r"[0-9]{1,15}(\.0)?", text) or int(text.removesuffix(".0")) not in known:
        _refuse(sheet, row, column, f"there is no suggestion {shown(text)} in this campaign; keep the ids as written.")
    return known[int(text.removesuffix(".0"))]


def _check_unchanged(campaign: Campaign, sheet: Sheet, row: Row, one: Experiment) -> None:
    """Refuse a row whose candidate is another than that of its id: ids were moved, or the sample was made otherwise."""
    for i, head in enumerate(sheet.header):
        if head not in campaign.pool.visible:
            continue
        text, stored = row.cells[i].strip(), one.values.get(head)
        if not _is_same(text, stored):
            _refuse(sheet, row, i, f"{shown(text)} is not the {shown(stored)} of suggestion {one.id}; restore it, or "
                    "attach what was made instead.")  # fmt: skip


def _is_same(text: str, stored: object) -> bool:
    if stored is None or text == str(stored):
        return not text or stored is not None
    try:
        return math.isclose(float(text), float(str(stored)), rel_tol=1e-9)
    except ValueError:
        return text.casefold() == str(stored).casefold() and isinstance(stored, bool)


def _outcome(sheet: Sheet, row: Row, one: Experiment, places: Mapping[int, _Place]) -> Outcome:
    values: dict[str, float] = {}
    error: dict[str, float] = {}
    for i, place in places.items():
        text = row.cells[i].strip()
        if not text:
            continue
        try:
            if text.startswith("="):
                raise TableError(f"{shown(text)} is a formula of a spreadsheet; give its value.")
            number = place.read(text)
            if place.is_error and number < 0:
                raise TableError(f"{shown(text)} is below 0; give a standard deviation.")
            if not place.is_error:
                check_bounds(place.name, number, f"suggestion {one.id}")
        except InputError as problem:
            _refuse(sheet, row, i, str(problem))
        (error if place.is_error else values)[place.name] = number
    for i, place in places.items():
        if place.is_error and place.name in error and place.name not in values:
            _refuse(sheet, row, i, f"an uncertainty of {place.name} needs its value; fill it in too.")
    return _as_stored(Outcome(one.id, values, error, _text(sheet, row, "note"), _failure(sheet, row, one)), one)


def _as_stored(found: Outcome, one: Experiment) -> Outcome:
    """Return results in which those that the sheet repeats from the store are as the store has them."""
    values, error = dict(found.values), dict(found.error)
    for name, stored in one.results.items():
        if name in values and math.isclose(values[name], stored, rel_tol=1e-9):
            values[name] = stored
            if name not in error and name in one.error:
                error[name] = one.error[name]
    return replace(found, values=values, error=error)


def _text(sheet: Sheet, row: Row, head: str) -> str:
    if head not in sheet.header:
        return ""
    column = sheet.header.index(head)
    text = " ".join(row.cells[column].split())
    try:
        return checked_text(text, head)
    except InputError as problem:
        _refuse(sheet, row, column, str(problem))


def _failure(sheet: Sheet, row: Row, one: Experiment) -> str:
    reason = _text(sheet, row, "failure")
    if reason and one.status == "abandoned":
        _refuse(sheet, row, sheet.header.index("failure"), f"suggestion {one.id} was given back; reopen it first.")
    if reason and one.status == "failed" and reason != one.failure:
        told = f"suggestion {one.id} has failed already ({shown(one.failure)}); reopen it to change that."
        _refuse(sheet, row, sheet.header.index("failure"), told)
    return reason


__all__ = [
    "DEFAULT_STORE", "batch_sheet", "check_place", "create_from_file", "read_batch", "tell_batch", "tell_sheet",
    "write_batch",
]  # fmt: skip
