"""Collections that cannot be shipped, read from what their publishers give out: SciGlass and OBELiX.

Nothing is fetched unless a person asks for it. No publisher prints a sha256, so the hash of a file is the one that
is given, else the one recorded when the collection was fetched first. What was read is kept as a table with its
record in the folder ``collections`` of `user_folder`, in the columns of `nascreen.records`.

SciGlass is read from a zip archive of its tables as text, such as that of https://doi.org/10.5281/zenodo.8287159,
whatever the folders and whether each table is a zip archive of its own: ``SciGK`` (properties: log10 of the
resistivity in Ω·cm, temperatures in °C, moduli in GPa), ``AtMol`` (atomic percent) and, where they are there,
``Gcomp`` (batch) and ``Kod2Ref`` (which text a glass comes from). OBELiX is read from its ``all.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import json
import math
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nascreen.chemistry import SYMBOLS, family_of, format_formula, parse_formula
from nascreen.datasets import user_folder
from nascreen.errors import InputError, IntegrityError, MissingExtraError, RangeError, TableError, shown
from nascreen.records import COLUMN_BY_NAME, Sample, cells_from_sample, sample_from_cells

MAX_DOWNLOAD_BYTES = 1 << 30
MAX_UNPACKED_BYTES = 4 << 30
MAX_MEMBERS = 10_000
MAX_RATIO = 300
"""Text tables that are mostly empty shrink up to about a hundredfold; deflate can reach a thousand."""
_SMALL_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_SUM_TOLERANCE_PCT = 1.0
_TIMEOUT_S = 60

SCIGLASS_COLUMNS = (
    "sample_id", "paper_id", "group_id", "value_origin", "source_kind", "first_author", "year", "formula", "label",
    "family", "phase", "modifier_mol_pct", "meas_temp_c", "conductivity_s_cm", "tg_c", "density_g_cm3",
    "hardness_gpa", "youngs_modulus_gpa", "collection",
)  # fmt: skip
OBELIX_COLUMNS = (
    "sample_id", "paper_id", "group_id", "collection", "value_origin", "source_kind", "doi", "journal", "formula",
    "label", "family", "space_group", "meas_temp_c", "conductivity_s_cm", "conductivity_kind",
)  # fmt: skip

_RESISTIVITY_TEMP_C = {"RO20": 20, "RO100": 100, "RO150": 150, "RO300": 300}
_PROPERTIES = {
    "TG": "tg_c",
    "DENSITY": "density_g_cm3",
    "MOD_UNG": "youngs_modulus_gpa",
    "MIKROTV": "hardness_gpa",
}
_SCIGLASS_TABLES = ("scigk", "atmol", "gcomp", "kod2ref")
_SYMBOL_BY_COLUMN = {str(z): symbol for z, symbol in enumerate(SYMBOLS, start=1)}
_ANIONS = frozenset({"N", "O", "F", "S", "Cl", "Se", "Br", "Te", "I"})
_OTHER_ALKALIS = frozenset({"Li", "K", "Rb", "Cs"})

_OBELIX_SIGMA = "Ionic conductivity (S cm-1)"
_OBELIX_NEEDED = (
    "ID", "Reduced Composition", _OBELIX_SIGMA, "IC (Total)", "IC (Bulk)", "Space group", "Family", "DOI",
)  # fmt: skip
_ROOM_TEMP_C = "25"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOI = re.compile(r"10\.[0-9]{4,}/\S+")

Cells = dict[str, str]
_Lines = tuple[list[str], Iterator[list[str]]]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that can be fetched.

    Attributes:
        title: One line for people.
        licence: Terms, and who holds the rights.
        citation: What to cite.
        doi: DOI of that; None if it has none.
        columns: Columns of the table that is kept.
        where: Where to get it, for people.
    """

    title: str
    licence: str
    citation: str
    doi: str | None
    columns: tuple[str, ...]
    where: str


COLLECTIONS: dict[str, Collection] = {
    "sciglass": Collection(
        title="Glasses with conductivity at standard temperatures, Tg, density, modulus and hardness, from SciGlass",
        licence="Open Database License 1.0 (http://opendatacommons.org/licenses/odbl/1.0/); © EPAM Systems, SciGlass",
        citation="SciGlass, glass property database, © EPAM Systems, https://github.com/epam/SciGlass",
        doi=None,
        columns=SCIGLASS_COLUMNS,
        where="its tables as text are at https://doi.org/10.5281/zenodo.8287159",
    ),
    "obelix": Collection(
        title="Experimental lithium-ion conductors at room temperature, from OBELiX",
        licence="CC-BY-4.0 (https://creativecommons.org/licenses/by/4.0/), changed: columns renamed, bounds marked",
        citation="F. Therrien et al., OBELiX: A curated dataset of crystal structures and experimentally measured "
        "ionic conductivities for lithium solid-state electrolytes, Digital Discovery (2026)",
        doi="10.1039/d5dd00441a",
        columns=OBELIX_COLUMNS,
        where="its all.csv is at https://github.com/NRC-Mila/OBELiX",
    ),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read from a file of a publisher.

    Attributes:
        samples: The samples, in the order of the file.
        sha256: Hash of the file.
        left_out: How many entries were left out, by the reason.
    """

    samples: tuple[Sample, ...]
    sha256: str
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A collection that was fetched and kept.

    Attributes:
        loaded: What was read.
        path: The table.
        hash_from: What the hash of the file was compared with: ``given``, ``recorded``, or ``first`` for nothing.
    """

    loaded: Loaded
    path: Path
    hash_from: str


# ---------------------------------------------------------------- files and hashes


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in pieces.

    Raises:
        TableError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise TableError(f"The file {shown(path.name)} cannot be read ({error.strerror}); check its path.") from error
    return digest.hexdigest()


def _verified(path: Path, sha256: str | None) -> str:
    """Return the hash of a file, which must be the promised one if there is one."""
    promised = sha256.lower() if sha256 is not None else None
    if promised is not None and not _SHA256.fullmatch(promised):
        raise TableError(f"The sha256 {shown(sha256)} is none; give 64 hexadecimal digits.")
    found = sha256_of(path)
    if promised is not None and found != promised:
        raise IntegrityError(
            f"The file {shown(path.name)} has the sha256 {found} where {promised} was promised; fetch it again, or "
            "give --sha256 with its own hash if the publisher has changed it."
        )
    return found


def download(address: str, target: Path) -> None:
    """Fetch a file over https.

    Args:
        address: Address, starting with ``https://``.
        target: Where the file goes.

    Raises:
        TableError: If the address is of another kind, cannot be reached, or gives more than `MAX_DOWNLOAD_BYTES`.
    """
    import urllib.request

    if not address.startswith("https://"):
        raise TableError(f"The address {shown(address)} cannot be fetched from; allowed are https addresses and files.")
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310
            if not answer.geturl().startswith("https://"):
                raise TableError(f"The address {shown(address)} leads away from https; fetch the file by hand.")
            n_bytes = 0
            while chunk := answer.read(_CHUNK_BYTES):
                n_bytes += len(chunk)
                if n_bytes > MAX_DOWNLOAD_BYTES:
                    raise TableError(f"The file at {shown(address)} is larger than {MAX_DOWNLOAD_BYTES >> 20} MB.")
                file.write(chunk)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, TableError):
            raise
        why = getattr(error, "reason", None) or type(error).__name__
        raise TableError(f"The file at {shown(address)} cannot be fetched ({why}); give a file with --from.") from error


# ---------------------------------------------------------------- archives


@contextmanager
def _readable_zip(file: Path | IO[bytes], name: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive that a stranger made; nothing of it is ever written to disk."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check_members(archive, name)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise TableError(
            f"The archive {shown(name)} is no complete zip archive ({type(error).__name__}); fetch it again."
        ) from error


def _check_members(archive: zipfile.ZipFile, name: str) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise TableError(f"The archive {shown(name)} holds more than a collection can; it is not the published one.")
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename.startswith(("/", "\\")) or ":" in member.filename:
            raise TableError(
                f"The archive {shown(name)} holds {shown(member.filename)}, which leads out of its folder; "
                "it is not the published one."
            )
        if member.file_size > max(_SMALL_BYTES, MAX_RATIO * member.compress_size):
            raise TableError(
                f"The archive {shown(name)} holds {shown(member.filename)}, which unpacks to more than {MAX_RATIO} "
                "times its size; it is not the published one."
            )
        if member.flag_bits & 1:
            raise TableError(f"The archive {shown(name)} is encrypted; give the published one.")


def _table_of(filename: str) -> str:
    stem = PurePosixPath(filename).name.lower()
    for ending in (".zip", ".csv", ".txt"):
        stem = stem.removesuffix(ending)
    return stem.removeprefix("select_")


@contextmanager
def _opened_table(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[_Lines]:
    """Open a table of an archive, which may be an archive of its own: names of the columns in capitals, and lines."""
    if not member.filename.lower().endswith(".zip"):
        with archive.open(member) as file:
            yield _reader(file, member.filename)
        return
    with _readable_zip(io.BytesIO(archive.read(member)), member.filename) as inner:
        tables = [entry for entry in inner.infolist() if not entry.is_dir()]
        if len(tables) != 1:
            raise TableError(f"The archive {shown(member.filename)} holds {len(tables)} files; allowed is one table.")
        with inner.open(tables[0]) as file:
            yield _reader(file, member.filename)


def _reader(file: IO[bytes], name: str) -> _Lines:
    # A few names are in no known encoding; what cannot be read in them is marked and does no harm.
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    header = lines.readline()
    delimiter = "\t" if "\t" in header else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not names:
        raise TableError(f"The table {shown(name)} is empty; fetch the archive again.")
    return [column.strip().upper() for column in names], csv.reader(lines, delimiter=delimiter)


@contextmanager
def _rows(
    archive: zipfile.ZipFile, tables: Mapping[str, zipfile.ZipInfo], table: str, *needed: str
) -> Iterator[Iterator[Cells]]:
    """Open the rows of a table, after checking that it has the columns that are needed; no table has no rows."""
    if table not in tables:
        yield iter(())
        return
    name = tables[table].filename
    with _opened_table(archive, tables[table]) as reader:
        columns, lines = reader
        missing = [column for column in needed if column not in columns]
        if missing:
            raise TableError(f"The table {shown(name)} lacks the column {missing[0]}; give the published archive.")
        try:
            # The tables are wide and mostly empty, so only what is filled is carried on.
            yield (
                {column: cell.strip() for column, cell in zip(columns, line, strict=False) if cell} for line in lines
            )
        except csv.Error as error:
            raise TableError(f"The table {shown(name)} cannot be read ({error}); fetch the archive again.") from error


# ---------------------------------------------------------------- SciGlass


def load_sciglass(archive: Path, *, sha256: str | None = None, sodium_only: bool = False) -> Loaded:
    """Read the glasses of a SciGlass archive: one sample a glass and standard temperature.

    A glass whose resistivity is not known gives one sample without temperature if Tg, density, modulus or hardness
    is. Left out, and counted, are glasses that appear twice, whose elements do not add up to 100 %, or that have a
    value out of bounds.

    Args:
        archive: The zip archive.
        sha256: Its hash; it is not compared if None.
        sodium_only: Whether to keep only glasses with sodium and no other alkali metal.

    Returns:
        The samples with the hash of the archive.

    Raises:
        IntegrityError: If the archive has another hash.
        TableError: If it is incomplete, unsafe to read, or lacks a table or a column.
    """
    found = _verified(archive, sha256)
    left_out: Counter[str] = Counter()
    with _readable_zip(archive, archive.name) as opened:
        tables = {_table_of(m.filename): m for m in opened.infolist() if _table_of(m.filename) in _SCIGLASS_TABLES}
        missing = [name for name in ("SciGK", "AtMol") if name.lower() not in tables]
        if missing:
            raise TableError(f"The archive {shown(archive.name)} lacks the table {missing[0]}; {_where('sciglass')}.")
        with _rows(opened, tables, "atmol", "KOD", "GLASNO", "8", "11") as rows:
            formulas = _formulas(rows, left_out, sodium_only=sodium_only)
        with _rows(opened, tables, "gcomp", "KOD", "GLASNO", "COMPOSITION") as rows:
            batches = _batches(rows)
        with _rows(opened, tables, "kod2ref", "KOD", "REFID") as rows:
            texts = _texts(rows)
        with _rows(opened, tables, "scigk", "KOD", "GLASNO", *_RESISTIVITY_TEMP_C, *_PROPERTIES) as rows:
            samples = _glasses(rows, formulas, batches, texts, left_out)
    return Loaded(samples, found, dict(+left_out))


def _where(name: str) -> str:
    return COLLECTIONS[name].where


def _whole(cell: str) -> str:
    """Return a number such as 205 or 205.0 as the text 205."""
    try:
        return str(int(float(cell)))
    except (ValueError, OverflowError) as error:
        raise TableError(f"The archive names a glass {shown(cell)}, which is no number; fetch it again.") from error


def _key(row: Cells) -> str:
    return f"{_whole(row.get('KOD', ''))}_{_whole(row.get('GLASNO', ''))}"


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _formulas(rows: Iterable[Cells], left_out: Counter[str], *, sodium_only: bool) -> dict[str, str]:
    """Return the formula in atomic percent of each glass that is wanted."""
    formulas: dict[str, str] = {}
    twins = set()
    for row in rows:
        key = _key(row)
        if key in formulas:
            twins.add(key)
        numbers = {symbol: _number(row[z]) or 0.0 for z, symbol in _SYMBOL_BY_COLUMN.items() if z in row}
        amounts = {symbol: amount for symbol, amount in numbers.items() if amount > 0}
        if sodium_only and ("Na" not in amounts or _OTHER_ALKALIS & amounts.keys()):
            continue
        if abs(sum(amounts.values()) - 100) > _SUM_TOLERANCE_PCT:
            left_out["the elements do not add up to 100 %"] += 1
            continue
        order = sorted(amounts, key=lambda symbol: (symbol in _ANIONS, symbol != "Na"))
        formulas[key] = format_formula({symbol: amounts[symbol] for symbol in order})
    left_out["the composition stands in it twice"] += len(twins)
    return {key: formula for key, formula in formulas.items() if key not in twins}


def _batches(rows: Iterable[Cells]) -> dict[str, tuple[str, str]]:
    """Return the batch of each glass in mol% as text, and its Na2O or Na2S where it has one of them."""
    batches = {}
    for row in rows:
        # Name, unit, mass percent and mole percent of each compound, between delete characters.
        parts = row.get("COMPOSITION", "").strip("\x7f").split("\x7f")
        shares = {name: _number(mol) for name, mol in zip(parts[::4], parts[3::4], strict=False)}
        known = {name: mol for name, mol in shares.items() if mol}
        if abs(sum(known.values()) - 100) > _SUM_TOLERANCE_PCT:
            continue
        text = " + ".join(f"{mol:g} {name}" for name, mol in sorted(known.items(), key=lambda item: -item[1]))
        modifiers = [known[name] for name in ("Na2O", "Na2S") if name in known]
        batches[_key(row)] = f"{text} (mol%)", f"{modifiers[0]:g}" if len(modifiers) == 1 else ""
    return batches


def _texts(rows: Iterable[Cells]) -> dict[str, str]:
    return {_whole(row.get("KOD", "")): f"sciglass-ref-{_whole(row['REFID'])}" for row in rows if "REFID" in row}


def _glasses(
    rows: Iterable[Cells],
    formulas: Mapping[str, str],
    batches: Mapping[str, tuple[str, str]],
    texts: Mapping[str, str],
    left_out: Counter[str],
) -> tuple[Sample, ...]:
    found: dict[str, list[Sample]] = {}
    twins = set()
    for row in rows:
        key = _key(row)
        if key not in formulas:
            continue
        if key in found:
            twins.add(key)
            continue
        found[key] = []
        label, modifier = batches.get(key, ("", ""))
        common = {"formula": formulas[key], "label": label, "modifier_mol_pct": modifier, **_common_cells(row, texts)}
        try:
            for own in _measurements(key, row):
                family = _glass_family(formulas[key])
                found[key].append(sample_from_cells({**common, "family": family, **own}))
        except InputError:
            found[key] = []
            left_out["a value is out of bounds"] += 1
    left_out["the glass stands in it twice"] += len(twins)
    return tuple(sample for key, samples in found.items() if key not in twins for sample in samples)


@lru_cache(maxsize=4096)
def _glass_family(formula: str) -> str:
    return family_of(parse_formula(formula), "glass")


def _common_cells(row: Cells, texts: Mapping[str, str]) -> Cells:
    number = _whole(row["KOD"])
    paper = texts.get(number, f"sciglass-kod-{number}")
    author = "".join(filter(str.isprintable, row.get("AUTHOR", "")))
    return {
        "paper_id": paper,
        "group_id": paper,
        "source_kind": "dataset",
        "first_author": author[: COLUMN_BY_NAME["first_author"].text_limit],
        "year": row.get("YEAR", "").removesuffix(".0"),
        "phase": "glass",
        "collection": "SciGlass",
        **{name: row[column] for column, name in _PROPERTIES.items() if column in row},
    }


def _measurements(key: str, row: Cells) -> Iterator[Cells]:
    """Yield what is different from sample to sample of one glass."""
    is_measured = False
    for column, temp_c in _RESISTIVITY_TEMP_C.items():
        if not row.get(column):
            continue
        log_resistivity = _number(row[column])
        if log_resistivity is None:
            raise RangeError(f"The column {column} has the value {shown(row[column])}; allowed is a number.")
        is_measured = True
        hundredths = 100 * log_resistivity
        is_rounded = abs(hundredths - round(hundredths)) < 1e-3
        yield {
            "sample_id": f"sciglass-{key}-{temp_c}",
            "value_origin": "tabulated_2_decimals" if is_rounded else "computed_or_interpolated",
            "meas_temp_c": str(temp_c),
            "conductivity_s_cm": f"{_power_of_ten(-log_resistivity):.5g}",
        }
    if not is_measured and any(row.get(column) for column in _PROPERTIES):
        yield {"sample_id": f"sciglass-{key}", "value_origin": "cited"}


def _power_of_ten(exponent: float) -> float:
    # Beyond these limits a value is out of bounds anyway, and must not overflow or become zero.
    return math.pow(10.0, min(max(exponent, -90.0), 90.0))


# ---------------------------------------------------------------- OBELiX


def load_obelix(table: Path, *, sha256: str | None = None) -> Loaded:
    """Read the entries of OBELiX from its ``all.csv``.

    A conductivity printed as below a limit becomes an upper bound. OBELiX collects room temperature: 25 °C here.

    Args:
        table: The table.
        sha256: Its hash; it is not compared if None.

    Returns:
        The samples with the hash of the table.

    Raises:
        IntegrityError: If the table has another hash.
        TableError: If it cannot be read or lacks a column.
    """
    found = _verified(table, sha256)
    left_out: Counter[str] = Counter()
    samples = []
    for row in _obelix_rows(table):
        if not row[_OBELIX_SIGMA]:
            left_out["no conductivity is given"] += 1
            continue
        try:
            samples.append(sample_from_cells(_obelix_cells(row)))
        except InputError:
            left_out["a value cannot be read or is out of bounds"] += 1
    return Loaded(tuple(samples), found, dict(+left_out))


def _obelix_rows(table: Path) -> list[Cells]:
    try:
        reader = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline=""), strict=True)
        rows = [{name: (row[name] or "").strip() for name in reader.fieldnames or ()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"The table {shown(table.name)} cannot be read ({error}); {_where('obelix')}.") from error
    missing = [name for name in _OBELIX_NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise TableError(f"The table {shown(table.name)} lacks the column {missing[0]!r}; {_where('obelix')}.")
    return rows


def _obelix_cells(row: Cells) -> Cells:
    doi = row["DOI"].lower().removeprefix("https://doi.org/")
    is_doi = _DOI.fullmatch(doi) is not None
    paper = doi if is_doi else f"obelix-{row['ID']}"
    kind = "total" if row["IC (Total)"] else "bulk" if row["IC (Bulk)"] else "unspecified"
    sigma = row[_OBELIX_SIGMA]
    return {
        "sample_id": f"obelix-{row['ID']}",
        "paper_id": paper,
        "group_id": paper,
        "collection": "OBELiX",
        "value_origin": "upper_bound" if sigma.startswith("<") else "measured",
        "source_kind": "dataset",
        "doi": doi if is_doi else "",
        "journal": "" if is_doi else row["DOI"],
        "formula": _checked_formula(row["Reduced Composition"]),
        "label": row["Reduced Composition"],
        "family": row["Family"].lower(),
        "space_group": row["Space group"],
        "meas_temp_c": _ROOM_TEMP_C,
        "conductivity_s_cm": sigma.removeprefix("<"),
        "conductivity_kind": kind,
    }


def _checked_formula(text: str) -> str:
    parse_formula(text)
    return text


def _obelix_by_package(folder: Path) -> Path:
    """Let the package of OBELiX download its data into a folder, and return its table."""
    try:
        from obelix import OBELiX
    except ImportError as error:
        raise MissingExtraError(
            "OBELiX comes by its package; run: pip install 'nascreen[obelix]', or give its all.csv with --from."
        ) from error
    try:
        # The package takes a folder that exists for a complete one, hence one within.
        with redirect_stdout(io.StringIO()):
            OBELiX(data_path=folder / "obelix", no_cifs=True, unspecified_low_value=None)
    except Exception as error:
        raise TableError(
            f"The package of OBELiX could not fetch its data ({type(error).__name__}); give its all.csv with --from."
        ) from error
    return folder / "obelix" / "all.csv"


# ---------------------------------------------------------------- fetching


def fetch(name: str, source: str = "", *, sha256: str | None = None, sodium_only: bool = False) -> Fetched:
    """Fetch a collection and keep it as a table in the user's folder, replacing an older one.

    Args:
        name: One of `COLLECTIONS`.
        source: A file, or an address that starts with ``https://``. Without it OBELiX comes by its package.
        sha256: Hash that the file must have; without it, the one recorded when the collection was fetched first.
        sodium_only: Whether to keep only glasses with sodium and no other alkali metal.

    Returns:
        The samples, where they are kept, and what their file was compared with.

    Raises:
        IntegrityError: If the file has another hash than given or recorded.
        MissingExtraError: If OBELiX is to come by its package and that is not installed.
        TableError: If the collection or the file cannot be used.
    """
    _check_collection(name)
    promised = sha256 or _recorded_hash(name)
    with tempfile.TemporaryDirectory(prefix="nascreen-") as folder:
        path = _file_of(name, source, Path(folder))
        loaded = (
            load_sciglass(path, sha256=promised, sodium_only=sodium_only)
            if name == "sciglass"
            else load_obelix(path, sha256=promised)
        )
    if not loaded.samples:
        raise TableError(f"The file has no sample of {name} that can be used; {_where(name)}.")
    hash_from = "given" if sha256 else "recorded" if promised else "first"
    return Fetched(loaded, _keep(name, loaded, source or "its package", hash_from), hash_from)


def _check_collection(name: str) -> None:
    if name not in COLLECTIONS:
        raise TableError(f"There is no collection {shown(name)}; choose one of {', '.join(COLLECTIONS)}.")


def _file_of(name: str, source: str, folder: Path) -> Path:
    if not source:
        if name == "obelix":
            return _obelix_by_package(folder)
        raise TableError(f"Give --from with the archive of {name}, a file or an https address; {_where(name)}.")
    if "://" in source:
        target = folder / f"{name}.download"
        download(source, target)
        return target
    if not Path(source).is_file():
        raise TableError(f"There is no file {shown(source)}; give --from with the file or an https address.")
    return Path(source)


def collection_folder() -> Path:
    """Return the folder of the collections that were fetched, which need not exist yet."""
    return user_folder() / "collections"


def _recorded_hash(name: str) -> str | None:
    path = collection_folder() / f"{name}.json"
    return str(_kept_record(name)["archive"]["sha256"]) if path.is_file() else None


def _kept_record(name: str) -> dict[str, Any]:
    path = collection_folder() / f"{name}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not _SHA256.fullmatch(record["archive"]["sha256"]) or not _SHA256.fullmatch(record["sha256"]):
            raise ValueError("sha256")  # noqa: TRY301 - one sentence for all that a record can lack
    except FileNotFoundError as error:
        raise TableError(f"{name} is not fetched yet; run: nascreen data fetch {name}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"The record {path.name} in {shown(str(path.parent))} cannot be read ({type(error).__name__}); "
            f"remove it and fetch {name} again."
        ) from error
    return dict(record)


def _keep(name: str, loaded: Loaded, source: str, hash_from: str) -> Path:
    """Write the table and its record, of the form of the shipped ones; the record last, since it vouches."""
    about = COLLECTIONS[name]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, about.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells_from_sample(sample, about.columns) for sample in loaded.samples)
    data = out.getvalue().encode()
    record = {
        "name": name,
        "title": about.title,
        "file": f"{name}.csv",
        "rows": len(loaded.samples),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": about.licence,
        "sources": [{"citation": about.citation, "doi": about.doi}],
        "columns": _described(about.columns),
        "notes": [f"Left out: {count} where {reason}." for reason, count in loaded.left_out.items()],
        "archive": {"source": source, "sha256": loaded.sha256, "compared_with": hash_from},
    }
    folder = collection_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / f"{name}.csv", data)
        _replace(folder / f"{name}.json", (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode())
    except OSError as error:
        raise TableError(
            f"The folder {shown(str(folder))} cannot be written ({error.strerror}); set NASCREEN_HOME to another one."
        ) from error
    return folder / f"{name}.csv"


def _described(columns: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"name": name, "unit": COLUMN_BY_NAME[name].unit, "description": COLUMN_BY_NAME[name].description}
        for name in columns
    ]


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def fetched_table(name: str) -> tuple[Sample, ...]:
    """Return the samples of a collection that was fetched, after checking its table against its record.

    Args:
        name: One of `COLLECTIONS`.

    Raises:
        TableError: If there is no such collection, or it is not fetched yet.
        IntegrityError: If the table or its record was changed.
    """
    _check_collection(name)
    record = _kept_record(name)
    path = collection_folder() / f"{name}.csv"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _changed(path, name) from error
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise _changed(path, name)
    reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    return tuple(sample_from_cells(row) for row in reader)


def _changed(path: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"The table {path.name} in {shown(str(path.parent))} is not the one that was fetched; fetch {name} again."
    )
