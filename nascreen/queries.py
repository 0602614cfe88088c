"""Ask scored candidates: filter, sort, vary, and show the few that come out.

A screen's Parquet parts are read by DuckDB, which is locked to the folder of the screen. The same query serves
Python, the command and the service.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import InputError, MissingExtraError, RangeError, TableError, shown
from nascreen.filters import Condition, FilterColumn, read_filter
from nascreen.lattices import (
    EXCESS,
    ROUTE_COLUMNS,
    TEXT_COLUMNS,
    Drawn,
    Lattice,
    Sampling,
    check_printed,
    formula_of,
    read_lattice,
    samples_of,
)
from nascreen.listed import any_lattice, default_request
from nascreen.records import COLUMN_BY_NAME, Sample
from nascreen.spaces import SPACES
from nascreen.stability import computed_nasicons
from nascreen.stream import DOUBTS, HULL_ROW, RECORD, SPACE_COPY, Prices, default_prices, present_hashes, screen

Array = NDArray[np.float64]

HIGHER_IS_BETTER: dict[str, bool] = {
    "conductivity_s_cm": True, "conductivity_lo": True, "conductivity_hi": True, "ea_ev": False, "ea_lo": False,
    "ea_hi": False, "strength_mpa": True, "strength_lo": True, "strength_hi": True, "resistance_ohm_cm2": False,
    "thinnest_um": False, "novelty": False, "cost_usd_kg": False, "hhi_production": False, "hhi_reserve": False,
    "radius_mismatch": False, "hull_mev_atom": False, "hull_distance": False, "probability": True,
}  # fmt: skip
"""What is better, for sorting best first; other columns go upwards."""

NORMAL_90 = 1.6448536269514722
"""Half width of a 90 % interval in standard deviations."""
MOST_TOP = 100_000
USUAL_N = 20_000
"""Candidates scored of a space that is too large to score whole, where nothing else is said."""
FIRST_LOOK = 2000
LEAST_LOOKED_UP = 64
"""Candidates whose compositions are looked up at once, where they may be the same."""
MOST_PARETO = 4
FORMATS = ("table", "csv", "json", "parquet")

_TARGET = re.compile(r"\s*([a-z_]+)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*")
_TARGETED = {
    "conductivity_s_cm": ("log_sigma", "log_sigma_half", True),
    "ea_ev": ("ea_ev", "ea_half", False),
    "strength_mpa": ("log_strength", "strength_half", True),
}
_PARETO = re.compile(r"\s*pareto\(([^()]*)\)\s*")

_LOWER, _UPPER = "Lower 90 % limit of the conductivity in S/cm", "Upper 90 % limit of the conductivity in S/cm"
_DERIVED: tuple[tuple[str, str, str], ...] = (
    ("conductivity_s_cm", "10 ** log_sigma::DOUBLE", "Conductivity at 25 °C in S/cm"),
    ("conductivity_lo", "10 ** (log_sigma - log_sigma_half)::DOUBLE", _LOWER),
    ("conductivity_hi", "10 ** (log_sigma + log_sigma_half)::DOUBLE", _UPPER),
    ("ea_lo", "greatest(ea_ev - ea_half, 0)", "Lower 90 % limit of the activation energy in eV"),
    ("ea_hi", "ea_ev + ea_half", "Upper 90 % limit of the activation energy in eV"),
    ("strength_mpa", "10 ** log_strength::DOUBLE", "Strength in MPa"),
    ("strength_lo", "10 ** (log_strength - strength_half)::DOUBLE", "Lower 90 % limit of the strength in MPa"),
    ("strength_hi", "10 ** (log_strength + strength_half)::DOUBLE", "Upper 90 % limit of the strength in MPa"),
    ("in_domain", "doubts = 0", "Whether it lies inside the domain of the models"),
)
_KEPT: tuple[FilterColumn, ...] = (
    FilterColumn("candidate", "number", "Number of the candidate in its screen"),
    FilterColumn("family", "text", "Family of electrolytes"),
    FilterColumn("ea_ev", "number", "Activation energy in eV"),
    FilterColumn("thinnest_um", "number", "Thinnest self-supporting disc in µm"),
    FilterColumn("resistance_ohm_cm2", "number", "Area-specific resistance of that disc at 25 °C in Ω cm²"),
    FilterColumn("novelty", "number", "Distance in composition to the nearest measured sample, 0 to 1.41"),
    FilterColumn("cost_usd_kg", "number", "Price of its elements in US dollars per kg", may_be_missing=True),
    FilterColumn("hhi_production", "number", "Concentration of the production of its elements, 0 to 10,000"),
    FilterColumn("hhi_reserve", "number", "Concentration of the reserves of its elements, 0 to 10,000"),
    FilterColumn("gives_h2s", "flag", "Whether it gives off H2S with moisture"),
    FilterColumn("is_hygroscopic", "flag", "Whether it takes up water from air"),
    FilterColumn("is_toxic", "flag", "Whether it holds a toxic element"),
    FilterColumn("radius_mismatch", "number", "Mean radius mismatch of dopants with the host", may_be_missing=True),
)

_HULL: tuple[FilterColumn, ...] = (
    FilterColumn(
        "hull_mev_atom",
        "number",
        "Computed energy above the hull of the nearest computed NASICON in meV/atom, a hint; none elsewhere",
        may_be_missing=True,
    ),
    FilterColumn("hull_distance", "number", "Distance in composition to that NASICON", may_be_missing=True),
)
"""Columns that screens of earlier versions do not have: nothing is known there."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a query returns.

    Attributes:
        rows: Candidates, best first, each a mapping of column to number, text or Boolean, as JSON has them; what
            is not known is left out.
        n_matching: Candidates that pass the filter, every way of making counted.
        n_all: Candidates of the screen.
        record: The record of the screen.
        has_more: Whether more would follow the last row.
        notes: What is to be said beside the rows, such as that they were scored with other models.
    """

    rows: list[dict[str, Any]]
    n_matching: int
    n_all: int
    record: dict[str, Any]
    has_more: bool = False
    notes: tuple[str, ...] = ()


def filter_columns(lattice: Lattice) -> list[FilterColumn]:
    """Return what a filter or a sort may name of the scored candidates of a space."""
    routes = [
        FilterColumn(
            name,
            "text" if name in TEXT_COLUMNS else "number",
            "Sodium weighed beyond the formula in %" if name == EXCESS else COLUMN_BY_NAME[name].description,
            may_be_missing=True,
        )
        for name in (*ROUTE_COLUMNS, EXCESS)
    ]
    derived = [FilterColumn(n, "flag" if n == "in_domain" else "number", text) for n, _, text in _DERIVED]
    amounts = [FilterColumn(f"amount_{s.lower()}", "number", f"{s} per formula unit") for s in lattice.order]
    return [*_KEPT, *_HULL, *routes, *derived, FilterColumn("nelements", "number", "Number of elements"), *amounts]


def check_query(lattice: Lattice, text: str, sort: str, targets: Sequence[str]) -> Condition:
    """Read the texts of a query before anything is scored for it.

    Args:
        lattice: The space.
        text: As `Screened.query` takes it.
        sort: As `Screened.query` takes it.
        targets: As `Screened.query` takes them.

    Returns:
        The filter as a condition.

    Raises:
        FilterError: If the filter cannot be used.
        InputError: If a column or a target is unknown.
    """
    columns = [*filter_columns(lattice), *([_PROBABILITY] if _probability(targets) else [])]
    _sort_columns(sort, columns)
    return read_filter(text, columns, lattice.order)


class Screened:
    """A folder that `nascreen.stream.screen` wrote, open for queries."""

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            InputError: If it holds no finished screen.
            MissingExtraError: If the database is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("Queries need a database; install it with: pip install nascreen[screen]") from error
        self.record = _record(folder)
        self.lattice: Lattice = _lattice(folder, self.record)
        self.notes = _notes(self.record)
        if (list(self.lattice.order), self.lattice.scale) != (self.record["elements"], self.record["scale"]):
            raise InputError(f"The folder {shown(str(folder))} holds another space than its record; screen again.")
        self.parts = sorted(str(path.resolve()) for path in folder.glob("part-*.parquet"))
        if not self.parts:
            raise InputError(f"The folder {shown(str(folder))} has lost its Parquet parts; screen again.")
        self._database = duckdb.connect(":memory:")
        # What the database may open is fixed before any query: this folder, and nothing else.
        self._database.execute("SET allowed_directories = ?", [[str(folder.resolve())]])
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")
        self.columns = filter_columns(self.lattice)
        named = self._execute("SELECT * FROM read_parquet(?) LIMIT 0", [self.parts]).description
        self._has_hull = HULL_ROW in {column[0] for column in named}

    def _source(self, targets: str) -> str:
        amounts = [f'n_{s} / {self.lattice.scale}.0::DOUBLE AS "amount_{s.lower()}"' for s in self.lattice.order]
        derived = [f"{sql} AS {name}" for name, sql, _ in _DERIVED]
        files = ", ".join(f"'{part.replace(chr(39), chr(39) * 2)}'" for part in self.parts)
        hull = [] if self._has_hull else [f"-1 AS {HULL_ROW}", *(f"NULL::FLOAT AS {c.name}" for c in _HULL)]
        extra = ", ".join([*amounts, *derived, *hull, "bit_count(system) AS nelements", *filter(None, [targets])])
        return f"(SELECT *, {extra} FROM read_parquet([{files}]))"  # noqa: S608 - nothing of a person's text

    def query(
        self,
        text: str = "",
        sort: str = "conductivity_lo",
        top: int = 20,
        *,
        offset: int = 0,
        per_system: int | None = None,
        targets: Sequence[str] = (),
    ) -> Found:
        """Return the best candidates that pass a filter.

        Args:
            text: Filter in the OPTIMADE grammar; nothing for all.
            sort: A column, best first (``column:asc`` and ``column:desc`` force the direction), or
                ``pareto(column, column)`` for the fronts of several. Equal values share a rank.
            top: Most candidates returned.
            offset: How many of the best are passed over, for the next page of the same query.
            per_system: Most candidates with the same elements; None for any number. Of one composition only the
                best way of making is returned.
            targets: Conditions such as ``conductivity_s_cm > 1e-3``, whose probability becomes the column
                ``probability`` (the errors of different properties taken as independent).

        Raises:
            FilterError: If the filter cannot be used.
            InputError: If a column or a target is unknown.
            RangeError: If a number is out of range.
        """
        for what, number in (("candidates", top), ("candidates per system", per_system)):
            if number is not None and not 1 <= number <= MOST_TOP:
                raise RangeError(f"The number of {what} is {number}; allowed is 1 to {MOST_TOP:,}.")
        if not 0 <= offset <= MOST_TOP - top:
            raise RangeError(f"The offset is {offset}; with {top} candidates allowed is 0 to {MOST_TOP - top:,}.")
        probability = _probability(targets)
        columns = [*self.columns, *([_PROBABILITY] if probability else [])]
        condition = read_filter(text, columns, self.lattice.order)
        source = self._source(probability)
        names = _sort_columns(sort, columns)
        limit, last = per_system or MOST_TOP, offset + top
        if len(names) > 1:
            chosen, n_matching = self._pareto(source, condition, names, last + 1, limit)
        else:
            chosen, n_matching = self._sorted(source, condition, names[0], last + 1, limit)
        rows = self._rows(source, chosen[offset:last], probability)
        return Found(rows, n_matching, self.record["n"], self.record, len(chosen) > last, self.notes)

    def sample(self, candidate: int) -> Sample:
        """Return a candidate as a sample.

        Raises:
            RangeError: If the screen has no candidate of this number.
        """
        if not 0 <= candidate < self.record["n"]:
            last = self.record["n"] - 1
            raise RangeError(f"There is no candidate {candidate} in the screen; allowed is 0 to {last}.")
        counts = ", ".join(f"n_{s}" for s in self.lattice.order)
        sql = f"SELECT route, {counts} FROM read_parquet(?) WHERE candidate = ?"  # noqa: S608 - values are bound
        route, *amounts = self._execute(sql, [self.parts, candidate]).fetchone()
        drawn = Drawn(np.empty((1, 0), np.int64), np.array([amounts], dtype=np.int64), np.array([route], dtype=np.intp))
        return samples_of(self.lattice, drawn)[0]

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> Any:  # noqa: ANN401
        # A cursor of its own for each, so that several threads may ask at once.
        return self._database.cursor().execute(sql, list(values))

    def _sorted(
        self, source: str, condition: Condition, column: tuple[str, bool], top: int, limit: int
    ) -> tuple[list[tuple[int, int]], int]:
        """Return (candidate, rank) of the first ones that may stand together, and how many match the filter."""
        name, is_down = column
        n, known = max(FIRST_LOOK, 4 * top), dict[int, bytes]()
        # All are counted in the record; of a filter, what matches is found once, to be counted and sorted.
        selected = f'SELECT candidate, system, "{name}" AS value FROM {source}'  # noqa: S608 - nothing of a person's text
        matching, total = f"({selected})", str(self.record["n"])
        if condition.sql != "TRUE":
            matching, total = "matching", "(SELECT count(*) FROM matching)"
        prefix = f"WITH matching AS MATERIALIZED ({selected} WHERE {condition.sql}) " if matching == "matching" else ""
        while True:
            sql = (
                f"{prefix}SELECT candidate, system, value, {total} AS total FROM {matching} "  # noqa: S608 - values are bound
                f"ORDER BY value {'DESC' if is_down else 'ASC'} NULLS LAST, candidate LIMIT {n}"
            )
            arrays = self._execute(sql, condition.values).fetchnumpy()
            found = _Variety(self._compositions, limit, known).passing(arrays["candidate"], arrays["system"], top)
            if len(found) >= top or len(arrays["candidate"]) < n:
                n_matching = int(arrays["total"][0]) if len(arrays["total"]) else 0
                return _ranked(arrays["candidate"], _plain(arrays["value"]), found), n_matching
            n *= 20

    def _compositions(self, candidates: Sequence[int]) -> NDArray[np.int64]:
        """Return the composition of each candidate in its lowest terms, shape (n, elements)."""
        counts = ", ".join(f"n_{s}" for s in self.lattice.order)
        sql = f"SELECT candidate, {counts} FROM read_parquet(?) WHERE candidate IN (SELECT unnest(?))"  # noqa: S608
        arrays = self._execute(sql, [self.parts, list(candidates)]).fetchnumpy()
        order = np.argsort(arrays["candidate"])
        table = np.column_stack([arrays[f"n_{s}"] for s in self.lattice.order]).astype(np.int64)[order]
        table //= np.gcd.reduce(table, axis=1, keepdims=True) if len(table) else 1
        return table[np.searchsorted(arrays["candidate"][order], candidates)]

    def _pareto(
        self, source: str, condition: Condition, columns: Sequence[tuple[str, bool]], top: int, limit: int
    ) -> tuple[list[tuple[int, int]], int]:
        names = ", ".join(f'"{name}"' for name, _ in columns)
        sql = f"SELECT candidate, system, {names} FROM {source} WHERE {condition.sql}"  # noqa: S608 - values are bound
        arrays = self._execute(sql, condition.values).fetchnumpy()
        values = np.column_stack([_plain(arrays[n]).astype(np.float64) * (1 if d else -1) for n, d in columns])
        known = np.flatnonzero(~np.isnan(values).any(axis=1))
        found: list[tuple[int, int]] = []
        front, variety = 1, _Variety(self._compositions, limit, {})
        while len(known) and len(found) < top:
            here = pareto_front(values[known])
            rows = known[here]
            rows = rows[np.lexsort((arrays["candidate"][rows], -values[rows, 0]))]
            candidates = arrays["candidate"][rows]
            passing = variety.passing(candidates, arrays["system"][rows], top - len(found))
            found += [(int(candidates[i]), front) for i in passing]
            mask = np.ones(len(known), dtype=np.bool_)
            mask[here] = False
            known, front = known[mask], front + 1
        return found, len(values)

    def _rows(self, source: str, chosen: Sequence[tuple[int, int]], probability: str) -> list[dict[str, Any]]:
        names = [c.name for c in self.columns if not c.name.startswith("amount_")]
        names += ["probability"] if probability else []
        counts = [f"n_{s}" for s in self.lattice.order]
        listed = ", ".join([*(f'"{n}"' for n in names), "doubts", HULL_ROW, *counts])
        sql = f"SELECT {listed} FROM {source} WHERE candidate IN (SELECT unnest(?))"  # noqa: S608 - values are bound
        cursor = self._execute(sql, [[candidate for candidate, _ in chosen]])
        keys = [d[0] for d in cursor.description]
        by_candidate = {row[0]: dict(zip(keys, row, strict=True)) for row in cursor.fetchall()}
        return [self._row(by_candidate[candidate], rank, counts) for candidate, rank in chosen]

    def _row(self, row: dict[str, Any], rank: int, counts: Sequence[str]) -> dict[str, Any]:
        amounts = np.array([row.pop(name) for name in counts], dtype=np.int64)
        formula = formula_of(self.lattice, amounts)
        check_printed(self.lattice, amounts, formula)
        doubts, hull = row.pop("doubts"), row.pop(HULL_ROW)
        if hull >= 0:
            row["hull_formula"] = computed_nasicons().formulas[hull]
        values = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items() if v not in (None, "")}
        reasons = [text for i, text in enumerate(DOUBTS) if doubts >> i & 1]
        return {"rank": rank, "formula": formula, **values, "domain_note": "; ".join(reasons)}


class _Variety:
    """Lets through one candidate per composition and so many per system.

    Only candidates of the same system may share a composition, so that only theirs are looked up.
    """

    def __init__(
        self, compositions: Callable[[Sequence[int]], NDArray[np.int64]], limit: int, known: dict[int, bytes]
    ) -> None:
        self.compositions, self.limit, self.known = compositions, limit, known
        self.kept: dict[int, list[int]] = {}

    def passing(self, candidates: NDArray[Any], systems: NDArray[Any], most: int) -> list[int]:
        """Return the places of the first ones that pass, in order."""
        found: list[int] = []
        size, stop = max(LEAST_LOOKED_UP, 2 * most), 0
        while stop < len(candidates):
            part = slice(stop, stop + size)
            start, stop, size = stop, stop + size, 4 * size
            here = [(int(c), int(s)) for c, s in zip(candidates[part], systems[part], strict=True)]
            self._look_up(here)
            for place, (candidate, system) in enumerate(here, start):
                if len(found) == most:
                    return found
                if self._passes(candidate, system):
                    self.kept.setdefault(system, []).append(candidate)
                    found.append(place)
        return found

    def _passes(self, candidate: int, system: int) -> bool:
        kept = self.kept.get(system, [])
        return not kept or (
            len(kept) < self.limit and self.known[candidate] not in {self.known[other] for other in kept}
        )

    def _look_up(self, here: Sequence[tuple[int, int]]) -> None:
        if self.limit == 1:
            return
        times = Counter(system for _, system in here if len(self.kept.get(system, [])) < self.limit)
        shared = {system for system, n in times.items() if n > 1 or system in self.kept}
        wanted = {candidate for candidate, system in here if system in shared}
        wanted |= {candidate for system in shared for candidate in self.kept.get(system, [])}
        new = sorted(wanted - self.known.keys())
        if new:
            rows = self.compositions(new)
            self.known |= {candidate: row.tobytes() for candidate, row in zip(new, rows, strict=True)}


def _ranked(candidates: NDArray[Any], values: NDArray[Any], places: Sequence[int]) -> list[tuple[int, int]]:
    """Return each candidate with its rank, which those of equal value share."""
    found: list[tuple[int, int]] = []
    for number, place in enumerate(places, 1):
        is_tied = bool(found) and values[place] == values[places[number - 2]]
        found.append((int(candidates[place]), found[-1][1] if is_tied else number))
    return found


_PROBABILITY = FilterColumn("probability", "number", "Probability that all targets are met")


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if not path.is_file():
        raise InputError(
            f"The folder {shown(str(folder))} holds no finished screen (no {RECORD}); make one with: nascreen screen"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = {"n": int(record["n"]), "elements": list(record["elements"]), "scale": int(record["scale"])}
        return {**record, **known, "space": str(record["space"]), "models": dict(record["models"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"The record {shown(str(path))} cannot be read ({type(error).__name__}); screen again."
        ) from error


def _lattice(folder: Path, record: Mapping[str, Any]) -> Lattice:
    is_listed = record["space"] in SPACES and not (folder / SPACE_COPY).exists()
    return any_lattice(record["space"]) if is_listed else read_lattice(folder / SPACE_COPY)


def _notes(record: Mapping[str, Any]) -> tuple[str, ...]:
    present = present_hashes()
    others = [name for name, sha256 in present.items() if record["models"].get(name) != sha256]
    if not others:
        return ()
    said = ", ".join(f"{name} {str(record['models'].get(name, 'unknown'))[:12]}" for name in others)
    now = ", ".join(f"{name} {present[name][:12]}" for name in others)
    return (f"scored with other models ({said}) than the present ones ({now}); screen again for theirs",)


def scored_space(
    space: str,
    n: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    *,
    sampling: Sampling | None = None,
    prices: Prices | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Screened:
    """Score a space of either kind and open it for queries.

    Args:
        space: Name of a space (`nascreen.listed.space_names`), or a TOML file.
        n: How many candidates; None for all of a space written in code, and `USUAL_N` of another.
        seed: Seed of the draw.
        folder: Where the scored candidates are kept, new or empty; a finished screen of the same request by the
            present models is opened as it is. None for a folder that goes with the process.
        sampling: How candidates are drawn; ``random`` for a space written in code and ``simple`` for another if None.
        prices: Prices of the elements; those shipped if None.
        on_progress: Called with the number of candidates done so far.

    Raises:
        InputError: If the space, the folder or a number cannot be used, or the folder holds another screen.
        MissingExtraError: If the packages for Parquet or the database are not installed.

    >>> scored_space("thioborate", n=40).query('elements HAS "Ge"', "ea_ev", top=1).rows[0]["family"]
    'thioborate'
    """
    lattice = any_lattice(space)
    size, usual = default_request(space, n, USUAL_N)
    sampling, prices = sampling or usual, prices or default_prices()
    if folder is not None and (folder / RECORD).is_file():
        request = {"space": lattice.name, "asked": size, "sampling": sampling, "seed": seed}
        return _opened(folder, {**request, "prices": {"source": prices.source, "date": prices.date}})
    if folder is not None:
        screen(space, size, folder, sampling, seed, prices=prices, on_progress=on_progress)
        return Screened(folder)
    scratch = Path(tempfile.mkdtemp(prefix="nascreen-"))
    try:
        screen(space, size, scratch, sampling, seed, prices=prices, on_progress=on_progress)
        screened = Screened(scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    weakref.finalize(screened, shutil.rmtree, scratch, ignore_errors=True)
    return screened


def _opened(folder: Path, request: Mapping[str, object]) -> Screened:
    screened = Screened(folder)
    others = [
        f"{name} {shown(screened.record.get(name))}" for name in request if screened.record.get(name) != request[name]
    ]
    if others or screened.notes:
        raise InputError(
            f"The folder {shown(str(folder))} holds another screen ({'; '.join([*others, *screened.notes])}); give "
            "another folder, or query that one as it is."
        )
    return screened


def _plain(values: Any) -> NDArray[Any]:  # noqa: ANN401
    """Return what the database gave as a plain array, NaN where there is no value."""
    if isinstance(values, np.ma.MaskedArray):
        is_number = values.dtype.kind in "fiub"
        return np.asarray(np.ma.filled(values.astype(np.float64), math.nan) if is_number else np.ma.filled(values, ""))
    return np.asarray(values)


def _sort_columns(sort: str, columns: Sequence[FilterColumn]) -> list[tuple[str, bool]]:
    """Return the columns to sort by and whether each goes downwards."""
    several = _PARETO.fullmatch(sort)
    names = [part.strip() for part in several[1].split(",")] if several else [sort.strip()]
    if several and not 2 <= len(names) <= MOST_PARETO:
        raise InputError(f"The sort {shown(sort)} has {len(names)} columns; pareto(…) takes 2 to {MOST_PARETO}.")
    known = {c.name: c for c in columns}
    out = []
    for written in names:
        name, _, way = written.removeprefix("_nascreen_").partition(":")
        if name not in known or way not in {"", "asc", "desc"}:
            allowed = ", ".join(c for c in known if not c.startswith("amount_"))
            raise InputError(
                f"The sort names {shown(written)}; allowed are {allowed}, amount_ with an element in lower case, each "
                "with :asc or :desc if wanted, or pareto(column, column)."
            )
        if several and known[name].kind != "number":
            raise InputError(f"The sort names {shown(name)} in pareto(…), which is no number.")
        out.append((name, way == "desc" if way else HIGHER_IS_BETTER.get(name, False)))
    return out


def _probability(targets: Sequence[str]) -> str:
    """Return the probability of meeting all targets as a column in SQL.

    The normal distribution function is that of Abramowitz and Stegun, 7.1.26, to 1.5e-7.
    """
    factors = []
    for text in targets:
        match = _TARGET.fullmatch(text)
        try:
            value = float(match[3]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or match[1] not in _TARGETED or not 0 < value < math.inf:
            raise InputError(
                f"The target {shown(text)} cannot be used; write one such as conductivity_s_cm > 1e-3, with one of "
                f"{', '.join(_TARGETED)}."
            )
        mean, half, is_log = _TARGETED[match[1]]
        sign = 1 if match[2].startswith(">") else -1
        goal = math.log10(value) if is_log else value
        z = f"({sign * NORMAL_90 / math.sqrt(2)!r} * ({mean} - ({goal!r})) / {half})::DOUBLE"
        t = f"(1 / (1 + 0.3275911 * abs({z})))"
        series = f"{t} * 1.061405429"
        for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            series = f"{t} * ({coefficient} + {series})"
        factors.append(f"(0.5 * (1 + sign({z}) * (1 - {series} * exp(-{z} * {z}))))")
    return f"{' * '.join(factors)} AS probability" if factors else ""


def pareto_front(values: Array) -> NDArray[np.intp]:
    """Return the places of the rows that no other row beats, higher being better; equal rows beat each other not.

    Args:
        values: Shape (n, k), without NaN.

    >>> pareto_front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [3.0, 1.0]])).tolist()
    [0, 1, 3]
    """
    left = np.lexsort(tuple(-values[:, j] for j in reversed(range(values.shape[1]))))
    front: list[int] = []
    while len(left):
        best = left[0]
        front.append(int(best))
        here = values[left]
        is_beaten = (here <= values[best]).all(axis=1) & (here < values[best]).any(axis=1)
        is_beaten[0] = True
        left = left[~is_beaten]
    return np.array(sorted(front), dtype=np.intp)
