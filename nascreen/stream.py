"""Score a stream of candidates and keep it as Parquet: arrays from the first number to the last.

Nothing here makes a string per candidate; formulas are written for the few that a query returns.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen import __version__
from nascreen.array_features import ArrayFeatures
from nascreen.bulk import BulkModel
from nascreen.chemistry import ATOMIC_NUMBER, FAMILIES
from nascreen.datasets import model_folder
from nascreen.errors import InputError, MissingExtraError, NascreenError, TableError, shown
from nascreen.features import BLOCKS, FEATURE_NAMES, FIELD_NAMES, element_table
from nascreen.lattices import (
    EXCESS,
    FOLDER,
    ROUTE_COLUMNS,
    TEXT_COLUMNS,
    Drawn,
    Lattice,
    Sampling,
    count_lattice,
    joined,
    route_values,
)
from nascreen.listed import any_lattice, draw_space, listed_space
from nascreen.models import (
    DOMAIN_MARGINS,
    ROOM_TEMPERATURE_C,
    WIDEST_TRUSTED_DECADES,
    Models,
    card_hash,
    elements_seen,
    load_card,
    load_models,
)
from nascreen.physics import area_specific_resistance_ohm_cm2, thinnest_thickness_um
from nascreen.recipes import TOXIC_ELEMENTS
from nascreen.screening import REFERENCE_STRENGTH_MPA, REFERENCE_THICKNESS_UM
from nascreen.stability import TRUSTED_DISTANCE, computed_nasicons, nearest_computed

Array = NDArray[np.float64]

BLOCK = 65_536
"""Rows scored at once; the work that does not grow with their number is shared, in some 500 MB."""
PART_ROWS = 131_072
MOST_THREADS = 4
"""Each holds a block, so that memory stays below 2 GB."""
POLL_S = 0.02
"""How often is asked whether the first block has taught what the others use."""
RECORD = "screen.json"
SPACE_COPY = "space.toml"
HULL_ROW = "hull_row"
"""Column with the place of the nearest computed NASICON in its table, -1 for none."""

DOUBTS: tuple[str, ...] = (
    "holds an element never seen in the data",
    "of a family known from too few papers",
    "composition far from all data",
    "a temperature or the porosity is outside the range seen",
    "the interval is too wide",
)
"""Why a prediction has not earned trust; bit i of the column ``doubts`` stands for the i-th."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "oxygen": ("O",), "sulfur": ("S",), "sulfur and selenium": ("S", "Se"), "halogens": ("F", "Cl", "Br", "I"),
    "hydrogen": ("H",),
}  # fmt: skip
_DRAWN_BY_WATER = ("sulfur and selenium", "halogens", "hydrogen")
"""Where there are more of these than of oxygen, water is drawn."""

_PLAIN = (
    "candidate", "system", "log_sigma", "log_sigma_half", "ea_ev", "ea_half", "novelty", "resistance_ohm_cm2",
    "cost_usd_kg", "hhi_production", "hhi_reserve", "radius_mismatch", "hull_distance",
)  # fmt: skip
"""Columns whose values mostly differ from row to row, so that a dictionary of them would save nothing."""
PAGE_BYTES = 4 << 20

_METAL_MISMATCH = BLOCKS["field"].start + FIELD_NAMES.index("dopant_radius_mismatch")
_METAL_RADIUS = BLOCKS["field"].start + FIELD_NAMES.index("metal_radius")


@dataclass(frozen=True, eq=False, slots=True)
class Prices:
    """What elements cost.

    Attributes:
        usd_kg: US dollars per kg by atomic number, NaN where not known, shape (119,).
        source: Where the numbers are from.
        date: Their date, as far as it is known.
    """

    usd_kg: Array
    source: str
    date: str


def default_prices() -> Prices:
    """Return the prices that ship with nascreen: pymatgen's list, most of it of September 2013."""
    return Prices(element_table().cost_usd_kg, "elements.csv, from pymatgen", "2013-09")


def read_prices(path: Path) -> Prices:
    """Read a price list that replaces the shipped prices of the elements that it names.

    Args:
        path: CSV with the columns ``element``, ``usd_kg`` and, if wanted, ``date`` as YYYY-MM-DD.

    Raises:
        TableError: If the file cannot be read, or a row cannot be used; the message names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"The price list {shown(str(path))} cannot be read ({type(error).__name__}).") from error
    if not rows or not {"element", "usd_kg"} <= rows[0].keys():
        raise TableError(
            f"The price list {path.name} needs the columns element and usd_kg, and a row; date is optional."
        )
    usd_kg, dates = default_prices().usd_kg.copy(), set()
    for line, row in enumerate(rows, start=2):
        symbol, price, date = ((row.get(name) or "").strip() for name in ("element", "usd_kg", "date"))
        if symbol not in ATOMIC_NUMBER:
            raise TableError(f"Line {line} of the price list {path.name} names {shown(symbol)}, which is no element.")
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", price) or not float(price):
            raise TableError(
                f"Line {line} of the price list {path.name} has the price {shown(price)}; allowed is a number above 0."
            )
        if date and not re.fullmatch(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?", date):
            raise TableError(
                f"Line {line} of the price list {path.name} has the date {shown(date)}; write it as YYYY-MM-DD."
            )
        usd_kg[ATOMIC_NUMBER[symbol]] = float(price)
        dates.add(date)
    dates.discard("")
    named = f"{min(dates)} to {max(dates)}" if len(dates) > 1 else next(iter(dates), "not stated")
    return Prices(usd_kg, f"{path.name}, other elements as shipped (2013-09)", named)


@dataclass(eq=False, slots=True)
class Clock:
    """Seconds of processor spent in the parts of a screen, by all threads together; the total is of the wall."""

    draw: float = 0.0
    features: float = 0.0
    predict: float = 0.0
    rest: float = 0.0
    write: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    total: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lap(self, name: str, since: float) -> float:
        """Add the time since a moment to a part, and return the moment now."""
        now = time.thread_time()
        with self.lock:
            setattr(self, name, getattr(self, name) + now - since)
        return now


class Scorer:
    """Scores the candidates of one space; what does not change from row to row is looked up once."""

    def __init__(self, lattice: Lattice, models: Models, prices: Prices) -> None:
        """Look up what the rows share."""
        self.lattice, self.models, self.prices = lattice, models, prices
        self.features = ArrayFeatures(lattice)
        self.bulk = BulkModel(models.conductivity)
        self._own = threading.local()
        table, numbers = element_table(), self.features.numbers
        self.mass = table.atomic_mass[numbers]
        self.per_kg = {
            "cost_usd_kg": prices.usd_kg[numbers],
            "hhi_production": table.hhi_production[numbers],
            "hhi_reserve": table.hhi_reserve[numbers],
        }
        domain = models.conductivity.card["domain"]
        self.domain = domain
        self.is_unknown = np.array([[s not in elements_seen(domain, f) for s in lattice.order] for f in FAMILIES])
        papers = domain["papers_by_family"]
        self.is_rare = np.array([papers.get(name, 0) < domain["least_papers"] for name in FAMILIES])
        self.is_outside = np.array([_is_outside(route.sample, domain["ranges"]) for route in lattice.routes])
        self.is_toxic = np.array([s in TOXIC_ELEMENTS for s in lattice.order])
        self.sums = self._sums()

    def score(self, drawn: Drawn, clock: Clock | None = None) -> dict[str, NDArray[Any]]:
        """Return every column but the amounts and the route, each of shape (n,)."""
        clock = clock or Clock()
        now = time.thread_time()
        features, family = self.features(drawn, self._matrix(len(drawn)))
        outside = set(np.unique(family)) - {FAMILIES.index(name) for name in self.lattice.families}
        if outside:
            raise NascreenError(
                f"The space {self.lattice.name} drew a candidate of the family {FAMILIES[min(outside)]}; its families "
                f"are {', '.join(self.lattice.families)}. Add it, or a rule that leaves it out."
            )
        now = clock.lap("features", now)
        found = self.bulk.predict(features, drawn.route)
        now = clock.lap("predict", now)
        out: dict[str, NDArray[Any]] = dict(found)
        out["family"] = family
        out["log_strength"], out["strength_half"] = self._strength(drawn.route, family)
        out["thinnest_um"] = np.asarray(
            thinnest_thickness_um(REFERENCE_THICKNESS_UM, REFERENCE_STRENGTH_MPA, 10 ** out["log_strength"])
        )
        out["resistance_ohm_cm2"] = np.asarray(
            area_specific_resistance_ohm_cm2(out["thinnest_um"], 10 ** out["log_sigma"])
        )
        out["doubts"] = self._doubts(drawn, family, out)
        out |= self._composition(drawn.counts, features)
        out |= self._stability(drawn.counts, family)
        clock.lap("rest", now)
        return out

    def _matrix(self, n: int) -> Array:
        """Return a matrix of at least n rows that is this thread's own, made once."""
        if getattr(self._own, "matrix", None) is None or len(self._own.matrix) < n:
            self._own.matrix = np.empty((n, len(FEATURE_NAMES)))
        return np.asarray(self._own.matrix)

    def _strength(self, route: NDArray[np.intp], family: NDArray[np.intp]) -> tuple[Array, Array]:
        """Strength depends on route and family alone, so each pair is predicted once."""
        pairs, place = np.unique(route * len(FAMILIES) + family, return_inverse=True)
        samples = [self.lattice.routes[pair // len(FAMILIES)].sample for pair in pairs]
        names = [FAMILIES[pair % len(FAMILIES)] for pair in pairs]
        mean, half = self.models.strength.log_strength(samples, names)
        return mean[place], half[place]

    def _doubts(self, drawn: Drawn, family: NDArray[np.intp], found: Mapping[str, Array]) -> NDArray[np.uint8]:
        checks = (
            self._holds_unknown(drawn.counts, family),
            self.is_rare[family],
            found["novelty"] > self.domain["largest_distance"],
            self.is_outside[drawn.route],
            found["log_sigma_half"] > WIDEST_TRUSTED_DECADES,
        )
        return np.asarray(sum(np.uint8(1 << i) * check.astype(np.uint8) for i, check in enumerate(checks)))

    def _holds_unknown(self, counts: NDArray[np.int64], family: NDArray[np.intp]) -> NDArray[np.bool_]:
        out = np.zeros(len(counts), dtype=bool)
        for code in np.unique(family):
            unknown = np.flatnonzero(self.is_unknown[code])
            if len(unknown):
                out |= (family == code) & (counts[:, unknown] > 0).any(axis=1)
        return out

    def _stability(self, counts: NDArray[np.int64], family: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """Return the computed NASICON nearest to each candidate where it says something, -1 and NaN elsewhere."""
        row, energy = np.full(len(counts), -1, dtype=np.int32), np.full(len(counts), math.nan)
        distance = energy.copy()
        framework = np.flatnonzero(family == FAMILIES.index("nasicon"))
        some = counts if len(framework) == len(counts) else counts[framework]
        nearest, apart = nearest_computed(some, self.lattice.order, TRUSTED_DISTANCE)
        kept = nearest >= 0
        row[framework[kept]] = nearest[kept]
        energy[framework[kept]] = computed_nasicons().energies_mev[nearest[kept]]
        distance[framework[kept]] = apart[kept]
        return {HULL_ROW: row, "hull_mev_atom": energy, "hull_distance": distance}

    def _sums(self) -> dict[str, Array]:
        """Return what a unit of each element adds to sums that tell cost, supply risk and hazards."""
        is_of = {name: np.array([float(s in symbols) for s in self.lattice.order]) for name, symbols in _GROUPS.items()}
        known = {name: ~np.isnan(values) for name, values in self.per_kg.items()}
        return {
            "mass": self.mass,
            # A missing index is left out of the mean; a missing price leaves the cost unknown.
            **{f"{name} known": self.mass * of for name, of in known.items()},
            **{name: self.mass * np.nan_to_num(values) for name, values in self.per_kg.items()},
            "unpriced": (~known["cost_usd_kg"]).astype(np.float64),
            "toxic": self.is_toxic.astype(np.float64),
            **is_of,
        }

    def _composition(self, counts: NDArray[np.int64], features: Array) -> dict[str, NDArray[Any]]:
        n = dict(zip(self.sums, (counts.astype(np.float64) @ np.column_stack([*self.sums.values()])).T, strict=True))
        out: dict[str, NDArray[Any]] = {}
        for name in self.per_kg:
            out[name] = n[name] / n["mass" if name == "cost_usd_kg" else f"{name} known"]
        out["cost_usd_kg"][n["unpriced"] > 0] = math.nan
        oxygen = n["oxygen"]
        out["gives_h2s"] = n["sulfur"] > oxygen
        out["is_hygroscopic"] = np.any([n[name] > oxygen for name in _DRAWN_BY_WATER], axis=0)
        out["is_toxic"] = n["toxic"] > 0
        out["system"] = _systems(counts)
        mismatch = np.abs(features[:, _METAL_MISMATCH]) / features[:, _METAL_RADIUS]
        out["radius_mismatch"] = mismatch
        return out


def _systems(counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return which elements each row holds, bit i for the i-th, shape (n,)."""
    # Sums of up to 32 powers of two are exact in double precision.
    place = np.arange(counts.shape[1])
    powers = np.exp2(place % 32)[:, None] * (place[:, None] // 32 == np.arange(2))
    low, high = ((counts > 0).astype(np.float64) @ powers).astype(np.uint64).T
    return np.asarray(low | high << np.uint64(32))


def _is_outside(sample: Any, ranges: Mapping[str, Any]) -> bool:  # noqa: ANN401
    for name, (low, high) in ranges.items():
        value = ROOM_TEMPERATURE_C if name == "meas_temp_c" else getattr(sample, name)
        if value is not None and not low - DOMAIN_MARGINS[name] <= value <= high + DOMAIN_MARGINS[name]:
            return True
    return False


def _parquet() -> Any:  # noqa: ANN401
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(
            "Screens are kept as Parquet; install them with: pip install nascreen[screen]"
        ) from error
    return pa, pq


def _table(lattice: Lattice, drawn: Drawn, found: Mapping[str, NDArray[Any]], first: int) -> Any:  # noqa: ANN401
    pa, _ = _parquet()
    columns: dict[str, Any] = {"candidate": np.arange(first, first + len(drawn), dtype=np.int64)}
    counts = np.ascontiguousarray(drawn.counts.astype(np.int32).T)
    columns |= {f"n_{s}": of for s, of in zip(lattice.order, counts, strict=True)}
    columns["route"] = drawn.route.astype(np.int32)
    for name in (*ROUTE_COLUMNS, EXCESS):
        values = route_values(lattice, name)
        if name in TEXT_COLUMNS:
            distinct = sorted(set(values))
            codes = np.array([distinct.index(v) for v in values], dtype=np.int32)
            columns[name] = pa.DictionaryArray.from_arrays(codes[drawn.route], distinct)
        else:
            columns[name] = _nullable(values.astype(np.float32)[drawn.route])
    for name, numbers in found.items():
        if name == "family":
            columns[name] = pa.DictionaryArray.from_arrays(numbers.astype(np.int32), list(FAMILIES))
        elif numbers.dtype == np.float64:
            columns[name] = _nullable(numbers.astype(np.float32))
        else:
            columns[name] = numbers
    return pa.table(columns)


def _nullable(numbers: NDArray[np.float32]) -> Any:  # noqa: ANN401
    pa, _ = _parquet()
    missing = np.isnan(numbers)
    return pa.array(numbers, mask=missing if missing.any() else None)


def _write_part(tables: list[Any], path: Path) -> None:
    pa, pq = _parquet()
    table = pa.concat_tables(tables)
    pq.write_table(
        table,
        path,
        compression="lz4",
        use_dictionary=[name for name in table.schema.names if name not in _PLAIN],
        column_encoding={"candidate": "DELTA_BINARY_PACKED"},
        data_page_size=PAGE_BYTES,
        max_rows_per_page=PART_ROWS,
    )


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen did.

    Attributes:
        folder: Where it lies.
        n: Candidates scored.
        clock: Seconds by part.
    """

    folder: Path
    n: int
    clock: Clock


def screen(
    space: str,
    n: int,
    out: Path,
    sampling: Sampling = "random",
    seed: int = 0,
    *,
    prices: Prices | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Screen:
    """Draw candidates of a space, score them at 25 °C, and write Parquet parts into a folder.

    Args:
        space: Name of a space, or a TOML file.
        n: How many candidates; a space written in code has no more than `nascreen.spaces.count` says.
        out: Folder, which must not exist or be empty.
        sampling: As `nascreen.listed.draw_space` takes it.
        seed: Seed of the draw.
        prices: Prices of the elements; those shipped if None.
        on_progress: Called with the number of candidates done so far.

    Raises:
        InputError: If the space, the folder or a number cannot be used.
        MissingExtraError: If the packages for Parquet are not installed.
    """
    _parquet()
    lattice = any_lattice(space)
    models, prices = load_models(), prices or default_prices()
    scorer = Scorer(lattice, models, prices)
    blocks = _blocks(draw_space(space, n, sampling, seed))
    clock = Clock()
    now = time.thread_time()
    first = next(blocks)  # so that a wrong request is said before the folder is made
    _make_folder(out)
    now = clock.lap("draw", now)
    done, waiting, n_parts = 0, [], 0
    for drawn, found in _scored(scorer, itertools.chain([first], blocks), clock):
        now = time.thread_time()
        waiting.append(_table(lattice, drawn, found, done))
        done += len(drawn)
        if sum(map(len, waiting)) >= PART_ROWS:
            _write_part(waiting, out / f"part-{n_parts:05d}.parquet")
            waiting, n_parts = [], n_parts + 1
        clock.lap("write", now)
        if on_progress:
            on_progress(done)
    now = time.thread_time()
    if waiting:
        _write_part(waiting, out / f"part-{n_parts:05d}.parquet")
    clock.lap("write", now)
    clock.total = time.perf_counter() - clock.started
    _write_record(lattice, space, out, {"n": done, "asked": n, "sampling": sampling, "seed": seed}, models, prices)
    return Screen(out, done, clock)


def _scored(scorer: Scorer, blocks: Iterator[Drawn], clock: Clock) -> Iterator[tuple[Drawn, dict[str, NDArray[Any]]]]:
    """Yield blocks with their scores, in order; others are scored meanwhile by as many threads as processors."""
    n_threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque[tuple[Drawn, Future[dict[str, NDArray[Any]]]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        while True:
            now = time.thread_time()
            drawn = next(blocks, None)
            clock.lap("draw", now)
            if drawn is not None:
                waiting.append((drawn, pool.submit(scorer.score, drawn, clock)))
            if not waiting:
                return
            # The first block teaches what the others use.
            while not scorer.bulk.has_learned and not waiting[0][1].done():
                wait([waiting[0][1]], timeout=POLL_S)
            if drawn is None or len(waiting) > n_threads or not scorer.bulk.has_learned:
                done, future = waiting.popleft()
                yield done, future.result()


def _blocks(chunks: Iterator[Drawn]) -> Iterator[Drawn]:
    """Yield the same candidates in blocks of about `BLOCK`, without the steps that they were drawn by."""
    waiting: list[Drawn] = []
    for chunk in chunks:
        waiting.append(Drawn(np.empty((len(chunk), 0), dtype=np.int16), chunk.counts, chunk.route))
        if sum(map(len, waiting)) >= BLOCK:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


def _make_folder(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"The folder {shown(str(out))} is there and not empty; give another for this screen.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {shown(str(out))} cannot be made ({error.strerror}); give another.") from error


def model_hashes(models: Models) -> dict[str, str]:
    """Return the sha256 of the card of each model, which changes with anything of the model."""
    return {name: card_hash(getattr(models, name).card) for name in ("conductivity", "strength")}


def present_hashes() -> dict[str, str]:
    """Return what `model_hashes` gives for the promoted models, without loading them."""
    return {name: card_hash(load_card(model_folder() / name, ())) for name in ("conductivity", "strength")}


def _sizes(space: str, lattice: Lattice) -> tuple[int, int]:
    if lattice.sites:
        count = count_lattice(lattice)
        return count.compositions, count.routes
    return len(np.unique(listed_space(space).drawn.counts, axis=0)), len(lattice.routes)


def _write_record(
    lattice: Lattice, space: str, out: Path, request: Mapping[str, object], models: Models, prices: Prices
) -> None:
    """Write the record last, so that a folder without it is one that was not finished."""
    if lattice.sites:
        source = Path(space) if space.endswith(".toml") else FOLDER / f"{space}.toml"
        (out / SPACE_COPY).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    n_compositions, n_routes = _sizes(space, lattice)
    record = {
        "nascreen": __version__,
        "space": lattice.name,
        "title": lattice.title,
        "compositions": n_compositions,
        "routes": n_routes,
        **request,
        "temperature_c": ROOM_TEMPERATURE_C,
        "scale": lattice.scale,
        "elements": list(lattice.order),
        "models": model_hashes(models),
        "prices": {"source": prices.source, "date": prices.date},
        "doubts": list(DOUBTS),
    }
    (out / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
