"""What follows from the columns of `nascreen.records`: JSON records, their model, and descriptions of the tables.

The columns stay plain tuples, since every prediction reads them: importing pydantic and building a model would
cost three times what reading the columns costs, a quarter of a whole prediction. Everything here is made from
them: a JSON record and its model, the Frictionless data package, the Croissant description and the reference
page. `write_descriptors` writes the last three beside the tables; a test compares them with what is made, so
that a changed column cannot be forgotten.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nascreen import __version__
from nascreen.datasets import TABLE_NAMES
from nascreen.errors import IntegrityError, MissingExtraError, RangeError, TableError, shown
from nascreen.records import (
    ALIASES,
    COLUMN_BY_NAME,
    FIELD_NAMES,
    VALUE_ORIGINS,
    Column,
    Sample,
    Value,
    check_sample,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

Record = dict[str, str | float | int]
Json = dict[str, Any]

MAX_RECORD_LENGTH = 100_000
"""Characters that the JSON text of one record may have: more than all columns can fill."""

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
PACKAGE_PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
CROISSANT = "http://mlcommons.org/croissant/1.1"
TITLE = "Measured solid electrolytes of sodium and lithium: composition, processing, conductivity, strength"
KEYWORDS = ("solid electrolyte", "sodium battery", "NASICON", "thioborate glass", "ionic conductivity", "strength")

ORIGIN_MEANINGS: dict[str, str] = {
    "measured": "measured by the authors of the text",
    "cited": "quoted by the text from another one",
    "extrapolated": "calculated by the authors from an activation energy; can be ten times too low",
    "upper_bound": "the true value is at most this: a censored measurement",
    "lower_bound": "the true value is at least this: a censored measurement",
    "computed_or_interpolated": "read, interpolated or computed at a standard temperature by the collection",
    "tabulated_2_decimals": "tabulated by the collection as a logarithm with two decimals: good to about 1 %",
}
"""What each of `VALUE_ORIGINS` means."""

OTHER_TABLES = ("stability", "elements")
"""Tables that hold no samples: computed stabilities of NASICONs, properties of the elements."""

LICENCES: dict[str, tuple[str, str]] = {
    "Open Database License 1.0": ("ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
    "CC-BY-4.0": ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "licence of nascreen": ("BSD-3-Clause", "https://opensource.org/license/bsd-3-clause"),
    "modified BSD licence": ("BSD-3-Clause-LBNL", "https://spdx.org/licenses/BSD-3-Clause-LBNL.html"),
    "MIT licence": ("MIT", "https://opensource.org/license/mit"),
}
"""Identifier and address of a licence by the words that name it in the record of a table."""


# ---------------------------------------------------------------- JSON records


def record_from_sample(sample: Sample) -> Record:
    """Return a sample as a JSON object that holds what is stated and nothing else.

    Args:
        sample: The sample.

    Returns:
        Name of the column to text or number, in the order of `FIELD_NAMES`; `sample_from_record` reads it back.

    Raises:
        RangeError: If a value is out of bounds or not a number.

    >>> record_from_sample(Sample(formula="Na3PS4", press_mpa=360))
    {'formula': 'Na3PS4', 'press_mpa': 360.0}
    """
    check_sample(sample)
    record: Record = {}
    for name in FIELD_NAMES:
        value = getattr(sample, name)
        if value is not None and value != "":
            # A number of numpy is no number for json.
            record[name] = float(value) if COLUMN_BY_NAME[name].kind == "number" else value
    return record


def sample_from_record(record: Mapping[str, object]) -> Sample:
    """Read a JSON object into a sample, as strictly as a row of a table.

    A missing name, null or an empty text is a value that is not known. The older names in `ALIASES` are read too.

    Args:
        record: Name of the column to text, number or None, as ``json.loads`` yields.

    Returns:
        The sample, within all bounds.

    Raises:
        RangeError: If a value is of the wrong kind, out of bounds or not finite.
        TableError: If a name is unknown or one quantity is given twice.

    >>> sample_from_record({"formula": "Na3PS4", "press_mpa": 360}).press_mpa
    360.0
    """
    values: dict[str, Value] = {}
    for name, value in record.items():
        column = COLUMN_BY_NAME.get(ALIASES.get(name, name))
        if column is None:
            raise TableError(f"A record has no {shown(name)}; allowed are {', '.join(COLUMN_BY_NAME)}.")
        if column.name in values:
            raise TableError(f"The record gives {column.name!r} twice, once as {name!r}; keep one of them.")
        values[column.name] = _plain_value(column, value)
    sample = Sample(**{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
    check_sample(sample)
    return sample


def _plain_value(column: Column, value: object) -> Any:  # noqa: ANN401 - check_sample refuses what is of no use
    if column.kind != "number" or not isinstance(value, int | float) or isinstance(value, bool):
        return value
    try:
        # Adding zero turns -0.0 into 0.0, so that one number has one text.
        return float(value) + 0.0
    except OverflowError:
        return float("inf")


def sample_from_json(text: str) -> Sample:
    """Read the JSON text of one record.

    Args:
        text: A JSON object, of at most `MAX_RECORD_LENGTH` characters.

    Returns:
        The sample, within all bounds.

    Raises:
        TableError: If the text is not JSON, is too long, or names something twice or that is not known.
        RangeError: If a value is of the wrong kind, out of bounds, NaN or infinite.
    """
    if len(text) > MAX_RECORD_LENGTH:
        raise TableError(f"A record has {len(text)} characters; allowed are {MAX_RECORD_LENGTH}. Give one record.")
    try:
        record = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_twins)
    # A number of very many digits is a ValueError that json does not make its own.
    except (json.JSONDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else f"{error.msg} at {error.pos}"
        raise TableError(f"The record is not JSON ({why}); write an object such as {{'formula': 'Na3PS4'}}.") from error
    except ValueError as error:
        if isinstance(error, RangeError | TableError):
            raise
        raise RangeError("The record has a number of too many digits; write it as 1.2e-4.") from error
    if not isinstance(record, dict):
        raise TableError(f"A record is a JSON object with columns as names; got {shown(record)}.")
    return sample_from_record(record)


def _refuse_constant(name: str) -> None:
    raise RangeError(f"The record has the number {name}; allowed are finite numbers. Leave out what is not known.")


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise TableError(f"The record gives {shown(twin)} twice; keep one of them.")
    return record


def json_from_sample(sample: Sample) -> str:
    """Return a sample as the JSON text that `sample_from_json` reads back."""
    return json.dumps(record_from_sample(sample), ensure_ascii=False, allow_nan=False)


def record_model(columns: Sequence[Column], name: str = "SampleRecord") -> type[BaseModel]:
    """Make the pydantic model of a JSON record from columns, with their bounds, choices and units.

    The model accepts what `sample_from_record` accepts of these columns, but for the older names of `ALIASES`.

    Args:
        columns: Columns of the record.
        name: Name of the class.

    Returns:
        A frozen model that refuses other names. Its ``model_json_schema()`` is JSON Schema 2020-12.

    Raises:
        MissingExtraError: If pydantic is not installed.
    """
    try:
        from pydantic import ConfigDict, create_model, model_validator
    except ImportError as error:
        raise MissingExtraError(
            "JSON models need pydantic; install it with: pip install 'nascreen[records]'."
        ) from error
    validators: dict[str, Any] = {"within_all_bounds": model_validator(mode="after")(_within_all_bounds)}
    fields: dict[str, Any] = {column.name: _model_field(column) for column in columns}
    return create_model(
        name,
        __config__=ConfigDict(extra="forbid", frozen=True, title=name),
        __doc__="One sample at one temperature; what is not stated is left out.",
        __validators__=validators,
        **fields,
    )


def _model_field(column: Column) -> tuple[Any, Any]:
    from pydantic import AfterValidator, Field

    extra: Json = {"unit": column.unit} if column.unit else {}
    about: Json = {"description": _described(column), "strict": True, "json_schema_extra": extra}
    if column.kind == "choice":
        return Annotated[Literal["", *column.choices], Field(description=about["description"])] | None, ""
    if column.kind == "text":
        return Annotated[str, Field(max_length=column.text_limit, **about), AfterValidator(_printable)] | None, ""
    bounds: Json = {"le": column.upper, ("gt" if column.is_lower_open else "ge"): column.lower}
    bounds = {key: value for key, value in bounds.items() if value is not None}
    if column.kind == "integer":
        return Annotated[int, Field(**bounds, **about)] | None, None
    return Annotated[float, Field(**bounds, **about, allow_inf_nan=False)] | None, None


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a line break or another character that cannot be printed")
    return text


def _within_all_bounds(model: Any) -> Any:  # noqa: ANN401 - the class is made at run time
    # Rules that join columns stand in one place only, beside the columns.
    stated = {name: value for name in FIELD_NAMES if (value := getattr(model, name, None)) is not None}
    check_sample(Sample(**stated))
    return model


def json_schema() -> Json:
    """Return the JSON Schema (2020-12) of a record with every column there is.

    Raises:
        MissingExtraError: If pydantic is not installed.
    """
    model = record_model(tuple(COLUMN_BY_NAME.values()))
    return {"$schema": JSON_SCHEMA_DIALECT, **model.model_json_schema()}


# ---------------------------------------------------------------- the tables


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the folder as its record describes it.

    Attributes:
        record: Title, licence, sources, rows and sha256, as ``NAME.json`` holds them.
        columns: Its columns, with the descriptions of the record.
        n_bytes: Size of the CSV file.
    """

    record: Json
    columns: tuple[Column, ...]
    n_bytes: int

    @property
    def name(self) -> str:
        """Name of the table."""
        return str(self.record["name"])

    @property
    def file(self) -> str:
        """Name of the CSV file."""
        return str(self.record["file"])

    @property
    def licences(self) -> list[tuple[str, str]]:
        """Identifier and address of every licence that the record names.

        Raises:
            IntegrityError: If it names none of `LICENCES`.
        """
        found = [licence for words, licence in LICENCES.items() if words in self.record["licence"]]
        if not found:
            raise IntegrityError(
                f"The record of {self.name} names no known licence: {shown(self.record['licence'])}; "
                "add it to LICENCES in schema.py."
            )
        return found


def read_tables(folder: Path) -> tuple[Table, ...]:
    """Return the tables of a folder: those of samples, and `OTHER_TABLES` where they are there.

    Args:
        folder: Folder with ``NAME.csv`` and ``NAME.json``.

    Raises:
        IntegrityError: If a record or its table cannot be read.
    """
    names = [*TABLE_NAMES, *(name for name in OTHER_TABLES if (folder / f"{name}.json").is_file())]
    return tuple(_read_table(folder, name) for name in names)


def _read_table(folder: Path, name: str) -> Table:
    try:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        data = (folder / str(record["file"])).read_bytes()
        rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
        cells = list(rows) if any(described["name"] not in COLUMN_BY_NAME for described in record["columns"]) else []
        return Table(record, tuple(_column_of(described, cells) for described in record["columns"]), len(data))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"The table {name} in {shown(str(folder))} cannot be described ({type(error).__name__}); "
            "restore the files that came with nascreen."
        ) from error


def _column_of(described: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> Column:
    """Return a column of a record; one that samples do not have is a number where all its cells are."""
    name = described["name"]
    if name in COLUMN_BY_NAME:
        return replace(COLUMN_BY_NAME[name], description=described["description"])
    is_number = all(_is_number(row[name]) for row in rows if row[name])
    return Column(name, "number" if is_number else "text", described["unit"], described["description"])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _described(column: Column) -> str:
    return f"{column.description} ({column.unit})" if column.unit else column.description


def _cited(source: Mapping[str, str | None]) -> str:
    doi = f", doi:{source['doi']}" if source["doi"] and source["doi"] not in str(source["citation"]) else ""
    return f"{source['citation']}{doi}"


# ---------------------------------------------------------------- Frictionless


def data_package(tables: Sequence[Table]) -> Json:
    """Return the Frictionless Data Package (version 2) of the tables, as ``datapackage.json`` holds it.

    Args:
        tables: What `read_tables` returns.
    """
    return {
        "$schema": PACKAGE_PROFILE,
        "name": "nascreen",
        "title": TITLE,
        "version": __version__,
        "keywords": list(KEYWORDS),
        "licenses": _unique_licences(tables),
        "resources": [_resource(table) for table in tables],
    }


def _licence_objects(licences: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "path": path} for name, path in licences]


def _unique_licences(tables: Sequence[Table]) -> list[Json]:
    return _licence_objects(list(dict.fromkeys(licence for table in tables for licence in table.licences)))


def _resource(table: Table) -> Json:
    record = table.record
    return {
        "name": table.name,
        "type": "table",
        "path": table.file,
        "title": record["title"],
        "description": " ".join([f"{record['licence']}.", *record.get("notes", [])]),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": table.n_bytes,
        "hash": f"sha256:{record['sha256']}",
        "licenses": _licence_objects(table.licences),
        "sources": [
            {"title": source["citation"], **({"path": f"https://doi.org/{source['doi']}"} if source["doi"] else {})}
            for source in record["sources"]
        ],
        "schema": {
            "fields": [frictionless_field(column) for column in table.columns],
            "primaryKey": [table.columns[0].name],
            "missingValues": [""],
        },
    }


def frictionless_field(column: Column) -> Json:
    """Return a column as a field of a Frictionless table schema, its unit and bounds included."""
    field: Json = {
        "name": column.name,
        "type": column.kind if column.kind in ("number", "integer") else "string",
        "description": column.description,
        **({"unit": column.unit} if column.unit else {}),
    }
    if column.choices:
        return {**field, "constraints": {"enum": list(column.choices)}}
    if column.kind == "text":
        return {**field, "constraints": {"maxLength": column.text_limit}}
    lower = "exclusiveMinimum" if column.is_lower_open else "minimum"
    bounds = {lower: column.lower, "maximum": column.upper}
    constraints = {name: bound for name, bound in bounds.items() if bound is not None}
    return {**field, **({"constraints": constraints} if constraints else {})}


# ---------------------------------------------------------------- Croissant

_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the Croissant 1.1 specification gives."""

_DATA_TYPES = {"number": "sc:Float", "integer": "sc:Integer", "text": "sc:Text", "choice": "sc:Text"}


def croissant(tables: Sequence[Table]) -> Json:
    """Return the Croissant 1.1 description of the tables (JSON-LD), as ``croissant.json`` holds it.

    Croissant has no term for a unit or a bound, so both stand in the description of a field.

    Args:
        tables: What `read_tables` returns.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "nascreen",
        "conformsTo": CROISSANT,
        "description": f"{TITLE}. " + " ".join(f"{table.name}: {table.record['title']}." for table in tables),
        "version": __version__,
        "license": [licence["path"] for licence in _unique_licences(tables)],
        "citeAs": _cite_as(tables),
        "keywords": list(KEYWORDS),
        "isLiveDataset": False,
        "distribution": [_file_object(table) for table in tables],
        "recordSet": [_record_set(table) for table in tables],
    }


def _cite_as(tables: Sequence[Table]) -> str:
    own = f"nascreen {__version__}, tables of solid electrolytes. Cite the text that doi or title of a row names."
    collections = [
        f"Rows of {table.name}: {'; '.join(_cited(source) for source in table.record['sources'])}."
        for table in tables
        if table.name != "literature"
    ]
    return " ".join([own, *collections])


def _file_object(table: Table) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": table.file,
        "name": table.file,
        "description": f"{table.record['title']}. {table.record['licence']}.",
        "contentSize": f"{table.n_bytes} B",
        "contentUrl": table.file,
        "encodingFormat": "text/csv",
        "sha256": table.record["sha256"],
    }


def _record_set(table: Table) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.record["title"],
        "key": {"@id": f"{table.name}/{table.columns[0].name}"},
        "field": [_croissant_field(table, column) for column in table.columns],
    }


def _croissant_field(table: Table, column: Column) -> Json:
    # Texts are bounded too, but by the form of a table and not by what the quantity is.
    bounds = "" if column.kind == "text" else f"; {column.allowed}"
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": column.name,
        "description": f"{column.description}{bounds}",
        "dataType": _DATA_TYPES[column.kind],
        "source": {"fileObject": {"@id": table.file}, "extract": {"column": column.name}},
    }


# ---------------------------------------------------------------- the reference page


_PREAMBLE = """# Tables

Made by `nascreen data schema --write` from the columns in `nascreen/records.py` and the record beside each table;
do not edit. `datapackage.json` (Frictionless) and `croissant.json` (Croissant 1.1) say the same to programs, and
`nascreen data schema --format jsonschema` prints the schema of a JSON record.

One row is one sample at one temperature, but for `elements` and `stability`. An empty cell is a value that the text
does not state.

The tables hold what their sources print. `verdicts.csv` holds the reviewed decisions about single rows and about
findings of the quality checks (kept, corrected, excluded), each with its reason; what learns, ranks or compares reads
the tables with these applied (`nascreen.verdicts.reviewed_table`). `nascreen data check` prints findings and decisions.
"""


def reference_page(tables: Sequence[Table]) -> str:
    """Return the reference page of tables and columns in Markdown, as ``README.md`` beside the tables holds it.

    Args:
        tables: What `read_tables` returns.
    """
    used = {column.name for table in tables for column in table.columns}
    samples = [_column_row(column, tables) for column in COLUMN_BY_NAME.values()]
    origins = [(f"`{name}`", ORIGIN_MEANINGS[name]) for name in VALUE_ORIGINS]
    parts = [
        _PREAMBLE,
        _markdown(("table", "rows", "what", "terms"), [_table_row(table) for table in tables]),
        "## Columns of samples\n",
        _markdown(("column", "unit", "allowed", "meaning", "in"), samples),
        "" if used >= COLUMN_BY_NAME.keys() else "A column that names no table is for samples of your own.\n",
        "## value_origin\n",
        _markdown(("value", "meaning"), origins),
        *(_own_section(table) for table in tables),
    ]
    return "\n".join(filter(None, parts))


def _table_row(table: Table) -> tuple[str, ...]:
    return f"[{table.name}]({table.file})", f"{table.record['rows']:,}", table.record["title"], table.record["licence"]


def _column_row(column: Column, tables: Sequence[Table]) -> tuple[str, ...]:
    holders = [table.name for table in tables if any(column.name == own.name for own in table.columns)]
    choices = ", ".join(f"`{choice}`" for choice in column.choices)
    allowed = choices or (f"up to {column.text_limit} characters" if column.kind == "text" else column.allowed)
    return f"`{column.name}`", column.unit, allowed, column.description, ", ".join(holders)


def _own_section(table: Table) -> str:
    own = [c for c in table.columns if c.name not in COLUMN_BY_NAME or c != COLUMN_BY_NAME[c.name]]
    notes = "".join(f"- {note}\n" for note in table.record.get("notes", []))
    rows = [(f"`{column.name}`", column.unit, column.description) for column in own]
    columns = "" if not rows else "Here these columns mean:\n\n" + _markdown(("column", "unit", "meaning"), rows)
    return "\n".join(filter(None, [f"## {table.name}\n", notes, columns]))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# ---------------------------------------------------------------- files


def _json_text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


DESCRIPTORS: dict[str, Callable[[Sequence[Table]], str]] = {
    "datapackage.json": lambda tables: _json_text(data_package(tables)),
    "croissant.json": lambda tables: _json_text(croissant(tables)),
    "README.md": reference_page,
}
"""What each file that describes the tables holds."""

FORMATS: dict[str, Callable[[Sequence[Table]], str]] = {
    "frictionless": DESCRIPTORS["datapackage.json"],
    "croissant": DESCRIPTORS["croissant.json"],
    "markdown": DESCRIPTORS["README.md"],
    "jsonschema": lambda _: _json_text(json_schema()),
}
"""What `nascreen data schema --format` prints."""


def write_descriptors(folder: Path) -> tuple[Path, ...]:
    """Write the files that describe the tables of a folder.

    Args:
        folder: Folder with the tables and their records.

    Returns:
        The files written.

    Raises:
        IntegrityError: If a record or its table cannot be read.
    """
    tables = read_tables(folder)
    for name, describe in DESCRIPTORS.items():
        (folder / name).write_text(describe(tables), encoding="utf-8", newline="\n")
    return tuple(folder / name for name in DESCRIPTORS)
