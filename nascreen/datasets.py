"""The tables that ship with nascreen: found, verified against their records, read, and split by group.

Beside each ``NAME.csv`` lies a record ``NAME.json`` with columns, sources, licence, row count and sha256. A
table that differs from its record is refused, since every promoted model was trained on exactly these rows.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nascreen.errors import InputError, IntegrityError, RangeError, TableError, shown
from nascreen.records import Sample, sample_from_cells

TABLE_NAMES = ("literature", "glasses", "lithium")
USABLE_ORIGINS = frozenset({"measured", "cited", "extrapolated"})
CERAMIC_FAMILIES = frozenset({"nasicon", "beta_alumina", "oxide_other"})

_PACKAGE = Path(__file__).resolve().parent
_CHUNK_BYTES = 1 << 20


def _shipped_folder(name: str) -> Path:
    checkout = _PACKAGE.parent
    # Another package's "datasets" may lie beside an installed nascreen, so the record is looked for.
    is_checkout = (checkout / "datasets" / "literature.json").is_file()
    return checkout / name if is_checkout else _PACKAGE / "_data" / name


def data_folder() -> Path:
    """Return the folder of the shipped tables: that of the checkout, else the installed copy."""
    return _shipped_folder("datasets")


def model_folder() -> Path:
    """Return the folder of the promoted models: that of the checkout, else the installed copy."""
    return _shipped_folder("models")


def user_folder() -> Path:
    """Return the folder of the user's own data, which need not exist yet.

    It is ``NASCREEN_HOME`` where that is set, else ``nascreen`` in ``XDG_DATA_HOME``, else in ``~/.local/share``.

    Raises:
        TableError: If there is neither such a setting nor a home folder.
    """
    own, shared = os.environ.get("NASCREEN_HOME"), os.environ.get("XDG_DATA_HOME")
    if own:
        return Path(own)
    try:
        return (Path(shared) if shared else Path.home() / ".local" / "share") / "nascreen"
    except RuntimeError as error:
        raise TableError("There is no home folder for your own data; set NASCREEN_HOME to a folder.") from error


def _damaged(path: Path, what: str) -> IntegrityError:
    where = f"The file {path.name} in {shown(str(path.parent))}"
    return IntegrityError(f"{where} {what}; restore the file that came with nascreen.")


def verify_file(path: Path, sha256: str) -> None:
    """Check that a file is the promised one, reading it in pieces.

    Args:
        path: The file.
        sha256: Promised hash, 64 hexadecimal digits.

    Raises:
        IntegrityError: If the file cannot be read or has another hash; the message names it.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise _damaged(path, f"cannot be read ({type(error).__name__})") from error
    _compare(path, digest.hexdigest(), sha256)


def _compare(path: Path, found: str, promised: str) -> None:
    if found != promised:
        raise _damaged(path, f"has the sha256 {found[:12]}... where {promised[:12]}... was promised")


def _check_name(name: str) -> None:
    if name not in TABLE_NAMES:
        raise TableError(f"There is no table {shown(name)}; choose one of {', '.join(TABLE_NAMES)}.")


def table_record(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the record of a table: title, rows, sha256, licence, sources, columns and notes.

    Args:
        name: One of `TABLE_NAMES`.
        folder: Folder of the tables; that of `data_folder` if None.

    Raises:
        TableError: If there is no such table.
        IntegrityError: If the record cannot be read.
    """
    _check_name(name)
    path = (folder or data_folder()) / f"{name}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read ({type(error).__name__})") from error
    if not isinstance(record, dict) or not {"file", "rows", "sha256", "columns", "licence", "sources"} <= record.keys():
        raise _damaged(path, "lacks a part that the record of a table has")
    return record


def load_table(name: str, folder: Path | None = None) -> tuple[Sample, ...]:
    """Return the samples of a table, after checking it against its record.

    A table is read once per process.

    Args:
        name: One of `TABLE_NAMES`.
        folder: Folder of the tables; that of `data_folder` if None.

    Returns:
        The samples in the order of the rows.

    Raises:
        TableError: If there is no such table.
        IntegrityError: If the table or its record cannot be read or they differ; the message names the file.
    """
    _check_name(name)
    return _load(name, folder or data_folder())


@lru_cache(maxsize=16)
def _load(name: str, folder: Path) -> tuple[Sample, ...]:
    record = table_record(name, folder)
    path = folder / f"{name}.csv"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"cannot be read ({type(error).__name__})") from error
    # One reading serves the hash and the rows, so that nothing can change in between.
    _compare(path, hashlib.sha256(data).hexdigest(), str(record["sha256"]))
    return _read_samples(path, data, record)


def _read_samples(path: Path, data: bytes, record: dict[str, Any]) -> tuple[Sample, ...]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        samples = tuple(sample_from_cells(row, allow_unknown_columns=False) for row in reader)
    except (UnicodeDecodeError, csv.Error, InputError) as error:
        raise _damaged(path, f"has a row that cannot be read ({error})") from error
    if len(samples) != record["rows"]:
        raise _damaged(path, f"has {len(samples)} rows where its record promises {record['rows']}")
    if [column["name"] for column in record["columns"]] != list(reader.fieldnames or ()):
        raise _damaged(path, "has other columns than its record describes")
    return samples


def data_hash(*names: str) -> str:
    """Return 12 hexadecimal digits that change when one of the tables changes, whatever their order.

    Args:
        names: Tables; all of them if none is given.
    """
    parts = sorted(f"{name}:{table_record(name)['sha256']}" for name in names or TABLE_NAMES)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def distinct_formulas(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Return each formula once, in the order of first appearance; samples without one are left out."""
    return tuple(dict.fromkeys(sample.formula for sample in samples if sample.formula))


def has_sodium(sample: Sample) -> bool:
    """Return whether the formula of a sample names sodium."""
    # A capital always begins an element symbol, so "Na" in a formula is sodium wherever it stands.
    return "Na" in sample.formula


def sodium_conductivity_rows(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that teach conductivity: sodium, a temperature, not censored, not the grain boundary's."""
    return [
        sample
        for sample in samples
        if has_sodium(sample)
        and sample.conductivity_s_cm is not None
        and sample.meas_temp_c is not None
        and sample.value_origin in USABLE_ORIGINS
        and sample.conductivity_kind != "grain_boundary"
    ]


def sodium_ea_rows(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that teach the activation energy, chosen as for conductivity; no temperature is needed."""
    return [
        sample
        for sample in samples
        if has_sodium(sample)
        and sample.ea_ev is not None
        and sample.value_origin in USABLE_ORIGINS
        and sample.conductivity_kind != "grain_boundary"
    ]


def strength_rows(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that teach strength: ceramics, filled or not, of lithium too; no neat polymer."""
    return [
        sample
        for sample in samples
        if sample.strength_mpa is not None and (sample.formula or sample.family in CERAMIC_FAMILIES)
    ]


def grouped_folds(groups: Sequence[str], n_folds: int, seed: int) -> list[int]:
    """Deal rows into folds such that no group is on both sides of a split.

    Folds hold equal numbers of groups, give or take one; the order of the rows does not matter.

    Args:
        groups: Group of each row.
        n_folds: Number of folds, from 2 to the number of groups.
        seed: Seed of the shuffle.

    Returns:
        The fold of each row, from 0.

    Raises:
        RangeError: If there cannot be that many folds.

    >>> folds = grouped_folds(["a", "b", "a", "c"], n_folds=2, seed=1)
    >>> folds[0] == folds[2]
    True
    """
    names = sorted(set(groups))
    if not 2 <= n_folds <= len(names):
        raise RangeError(
            f"The number of folds is {n_folds}; allowed is 2 to {len(names)}, the number of groups. "
            "Give more groups or fewer folds."
        )
    random.Random(seed).shuffle(names)  # noqa: S311 - a reproducible split, no secret
    fold = {name: position % n_folds for position, name in enumerate(names)}
    return [fold[group] for group in groups]
