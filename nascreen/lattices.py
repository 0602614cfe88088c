"""Spaces written by chemists as TOML: sites, species, steps, routes and rules; counted, then drawn as integers.

A site is filled with whole numbers of steps, the mobile ion takes what the charge leaves, and a route says how
the body is made. Nothing is listed out: fillings are numbered by combinatorics and a number is turned into a
filling where it is drawn, so a space of 10^12 candidates costs no more memory than one of 10^3.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import (
    FAMILIES,
    MOBILE_IONS,
    OXIDATION_STATES,
    charge_balance,
    format_formula,
    parse_formula,
)
from nascreen.errors import InputError, NascreenError, RangeError, TableError, shown
from nascreen.recipes import balance
from nascreen.records import Sample, check_sample

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Array = NDArray[np.float64]
Short = NDArray[np.int16]
Sampling = Literal["random", "grid", "sobol", "simple"]
SAMPLINGS: tuple[Sampling, ...] = ("random", "grid", "sobol", "simple")

FOLDER = Path(__file__).parent / "spaces"
CHUNK = 16_384
"""Rows drawn at once, a power of two for Sobol points."""
SAMPLED = 256
"""Rows from which the most common elements are known well enough."""
NEAR = 1e-9
"""Sums this close to the value of a rule are taken as equal to it."""
SLICE = 4096
"""Numbers whose candidates are given out at once."""
MOST_SUPPORTS = 100_000
MOST_ROUTES = 10_000
MOST_STEPS = 1000
MOST_TABULATED = 40_000_000
"""Amounts on one site that are written down, in 80 MB, where so many are asked for."""
MOST_CHOICES_TABULATED = 4_000_000
"""Fillings of one site up to which the choice of species of each is written down, in 16 MB."""
LARGEST_SPACE = 2**62
PERMUTED = 4_000_000
"""Spaces up to this size are shuffled whole; larger ones are drawn from."""
RUN_GROWTH = 4
"""How many times as long as the next a run of keys is kept."""
FRUITLESS_DRAWS = 2_000_000

ROUTE_COLUMNS: tuple[str, ...] = (
    "phase", "structure", "synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa",
    "rel_density_pct", "porosity_pct", "second_phase", "second_phase_wt_pct", "second_phase_role",
)  # fmt: skip
TEXT_COLUMNS = frozenset({"phase", "structure", "synthesis", "second_phase", "second_phase_role"})
EXCESS = "sodium_excess_pct"
"""Column of a route that no sample has: sodium weighed beyond the formula, in %."""

_SPACE_KEYS = ("name", "title", "families", "mobile", "mobile_range", "per", "order", "site", "route", "rule")
_SITE_KEYS = ("name", "occupancy", "step", "at_most", "species")
_SPECIES_KEYS = ("range", "charge")
_RULE_KEYS = ("sentence", "when", "require")


@dataclass(frozen=True, slots=True)
class Species:
    """What may stand on a site: an element, an ion of several, or a compound of a batch.

    Attributes:
        formula: Its formula; ``vacancy`` for nothing.
        atoms: Atoms of each element.
        charge: Its charge.
        lowest: Fewest steps of it.
        highest: Most steps of it.
    """

    formula: str
    atoms: Mapping[str, Fraction]
    charge: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Site:
    """A site and its species.

    Attributes:
        name: Name for people.
        step: Smallest change of an amount.
        n_steps: Occupancy in steps.
        at_most: Most species at once.
        species: What may stand on it.
    """

    name: str
    step: Fraction
    n_steps: int
    at_most: int
    species: tuple[Species, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a condition: a weighted sum of amounts or columns, or a text, against a value."""

    weights: tuple[tuple[str, float], ...]
    operator: str
    value: float | str


@dataclass(frozen=True, slots=True)
class LatticeRule:
    """Where `when` holds, `require` must hold.

    Attributes:
        sentence: The rule, for people.
        when: Comparisons that must all hold for the rule to apply; none for always.
        require: Comparisons that must then all hold.
    """

    sentence: str
    when: tuple[Term, ...]
    require: tuple[Term, ...]

    @property
    def names(self) -> frozenset[str]:
        """Elements and columns that the rule speaks of."""
        return frozenset(name for term in (*self.when, *self.require) for name, _ in term.weights)


@dataclass(frozen=True, slots=True)
class Route:
    """A way of making: the columns of a sample and the sodium excess in %."""

    sample: Sample
    excess_pct: float = 0.0

    def value(self, name: str) -> float | str | None:
        """Return a column, None where it is not given."""
        return self.excess_pct if name == EXCESS else getattr(self.sample, name)


@dataclass(frozen=True, eq=False)
class Lattice:
    """A space of candidates.

    Attributes:
        name: Short name.
        title: One line for people.
        families: Families that its candidates may belong to.
        mobile: The ion that balances the charge; empty where every species is neutral or balanced.
        mobile_range: Least and most of it per formula unit.
        per: Elements by whose sum a formula is scaled for reading; none for as it is.
        order: Order of elements in a formula.
        sites: The sites.
        routes: Ways of making, those against the rules left out.
        rules: The rules.
        states: Charge of each element as the features see it.
        units: Units per atom where they are given, as for candidates that are listed; 0 for what the steps need.
    """

    name: str
    title: str
    families: tuple[str, ...]
    mobile: str
    mobile_range: tuple[Fraction, Fraction]
    per: tuple[str, ...]
    order: tuple[str, ...]
    sites: tuple[Site, ...]
    routes: tuple[Route, ...]
    rules: tuple[LatticeRule, ...]
    states: Mapping[str, int]
    units: int = 0

    @cached_property
    def species(self) -> tuple[Species, ...]:
        """All species, site by site."""
        return tuple(species for site in self.sites for species in site.species)

    @cached_property
    def scale(self) -> int:
        """Units per atom: an element's count divided by this is its amount per formula unit."""
        if self.units:
            return self.units
        steps = [site.step * n for site in self.sites for s in site.species for n in s.atoms.values()]
        charges = [site.step for site in self.sites]
        return math.lcm(*(value.denominator for value in (*steps, *charges)))

    @cached_property
    def matrix(self) -> Integers:
        """Return the units of each element that one step of each species brings, shape (species, elements)."""
        rows = [
            [int(site.step * s.atoms.get(symbol, 0) * self.scale) for symbol in self.order]
            for site in self.sites
            for s in site.species
        ]
        return np.array(rows, dtype=np.int64)

    @cached_property
    def charges(self) -> Integers:
        """Return the charge units that one step of each species brings, shape (species,)."""
        return np.array([int(site.step * self.scale) * s.charge for site in self.sites for s in site.species])

    @cached_property
    def whole(self) -> NDArray[np.floating]:
        """Return `matrix` and `charges` side by side, in the shortest numbers that hold all sums of them exactly."""
        both = np.column_stack([self.matrix, self.charges])
        largest = sum(site.n_steps for site in self.sites) * int(np.abs(both).max(initial=0))
        return both.astype(np.float32 if largest < 2**24 else np.float64)


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """Candidates as integers.

    Attributes:
        steps: Steps of each species, shape (n, species).
        counts: Units of each element in the lattice's order, shape (n, elements); divided by its scale, atoms.
        route: Which of the lattice's routes, shape (n,).
    """

    steps: Integers | Short
    counts: Integers
    route: NDArray[np.intp]

    def take(self, rows: Bools | NDArray[np.intp] | slice) -> Drawn:
        """Return some of the candidates."""
        return Drawn(self.steps[rows], self.counts[rows], self.route[rows])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.route)


def joined(parts: Sequence[Drawn]) -> Drawn:
    """Return several chunks of candidates as one."""
    if len(parts) == 1:
        return parts[0]
    return Drawn(
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.route for part in parts]),
    )


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a TOML file that knows where it stands, so that every slip can be named."""

    file: str
    where: str
    values: Mapping[str, Any]

    def refuse(self, key: str, got: object, allowed: str) -> TableError:
        place = f"{self.where}.{key}" if self.where else key
        return TableError(f"The space file {self.file} has {place} = {shown(got)}; allowed is {allowed}.")

    def only(self, allowed: Sequence[str]) -> None:
        for key in self.values:
            if key not in allowed:
                place = f" in {self.where}" if self.where else ""
                raise TableError(
                    f"The space file {self.file} has the key {shown(key)}{place}, which is not known; "
                    f"allowed are {', '.join(allowed)}."
                )

    def need(self, key: str) -> Any:  # noqa: ANN401
        if key not in self.values:
            place = f"{self.where} of the space file {self.file}" if self.where else f"space file {self.file}"
            raise TableError(f"The {place} has no {shown(key)}; add it.")
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.need(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, value, "text in quotation marks")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refuse(key, value, "a list of texts")
        return tuple(value)

    def tables(self, key: str) -> list[_Table]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.refuse(key, value, f"tables, each under [[{key}]]")
        return [_Table(self.file, f"{key} {i}", item) for i, item in enumerate(value, start=1)]

    def number(self, key: str, value: object) -> Fraction:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(key, value, "a number")
        return Fraction(str(value)).limit_denominator(10_000)

    def amount(self, key: str) -> Fraction:
        value = self.need(key)
        number = self.number(key, value)
        if not 0 < number <= MOST_STEPS:
            raise self.refuse(key, value, f"a number above 0 and up to {MOST_STEPS}")
        return number

    def range(self, key: str, value: object) -> tuple[Fraction, Fraction]:
        if not isinstance(value, list) or len(value) != 2:
            raise self.refuse(key, value, "a list of the least and the most")
        lowest, highest = (self.number(key, item) for item in value)
        if not 0 <= lowest <= highest:
            raise self.refuse(key, value, "a list of the least and the most, neither below 0, the least first")
        return lowest, highest


def read_lattice(path: Path) -> Lattice:
    """Read a space from its TOML file.

    Args:
        path: The file.

    Returns:
        The space; it has at least one member before its rules.

    Raises:
        TableError: If the file cannot be read, a key is unknown or missing, or a value cannot be used; the message
            names file, key, what it got and what is allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"The space file {shown(str(path))} cannot be read ({type(error).__name__}).") from error
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"The space file {path.name} is not TOML: {error}.") from error
    return _lattice(_Table(path.name, "", values))


def _lattice(table: _Table) -> Lattice:
    table.only(_SPACE_KEYS)
    families = table.texts("families")
    if not families or not set(families) <= set(FAMILIES):
        raise table.refuse("families", list(families), f"a list of {', '.join(FAMILIES)}")
    mobile = table.text("mobile") if "mobile" in table.values else ""
    if mobile and mobile not in MOBILE_IONS:
        raise table.refuse("mobile", mobile, f"one of {', '.join(MOBILE_IONS)}")
    mobile_range = table.range("mobile_range", table.need("mobile_range")) if mobile else (Fraction(0), Fraction(0))
    sites = tuple(_site(part) for part in table.tables("site"))
    if not sites:
        raise TableError(f"The space file {table.file} has no sites; add one under [[site]].")
    states = _states(table, sites, mobile)
    order = _order(table, states, mobile)
    rules = tuple(_rule(part, states) for part in table.tables("rule"))
    per = table.texts("per")
    if not set(per) <= set(order):
        raise table.refuse("per", list(per), f"a list of {', '.join(order)}")
    lattice = Lattice(
        name=table.text("name"),
        title=table.text("title"),
        families=families,
        mobile=mobile,
        mobile_range=mobile_range,
        per=per,
        order=order,
        sites=sites,
        routes=tuple(_routes(table, rules)),
        rules=rules,
        states=states,
    )
    _check_size(table, lattice)
    return lattice


def _site(table: _Table) -> Site:
    table.only(_SITE_KEYS)
    occupancy, step = table.amount("occupancy"), table.amount("step")
    if (occupancy / step).denominator != 1 or occupancy / step > MOST_STEPS:
        raise table.refuse("step", table.values["step"], f"a part of the occupancy {float(occupancy):g}, 1 to 1/1000")
    given = table.need("species")
    if not isinstance(given, dict) or not given:
        raise table.refuse("species", given, "species with their ranges, such as Zr = [0, 2]")
    species = tuple(_species(table, name, value, step, occupancy) for name, value in given.items())
    n_steps = int(occupancy / step)
    at_most = table.values.get("at_most", len(species))
    if isinstance(at_most, bool) or not isinstance(at_most, int) or not 1 <= at_most <= len(species):
        raise table.refuse("at_most", at_most, f"a whole number from 1 to {len(species)}, the number of species")
    site = Site(table.text("name"), step, n_steps, at_most, species)
    if sum(math.comb(len(species), k) for k in range(1, at_most + 1)) > MOST_SUPPORTS:
        raise table.refuse("at_most", at_most, f"a number that leaves at most {MOST_SUPPORTS:,} choices of species")
    if not _site_counts(site).sum():
        raise TableError(
            f"The {table.where} ({site.name}) of the space file {table.file} cannot be filled: no {at_most} of its "
            f"species within their ranges add up to {float(occupancy):g}. Widen a range or raise at_most."
        )
    return site


def _species(table: _Table, name: str, value: object, step: Fraction, occupancy: Fraction) -> Species:
    part = _Table(table.file, f"{table.where}.species.{name}", value if isinstance(value, dict) else {"range": value})
    part.only(_SPECIES_KEYS)
    atoms: Mapping[str, Fraction] = {} if name == "vacancy" else parse_formula(name).amounts
    lowest, highest = part.range("range", part.values.get("range", [0, float(occupancy)]))
    if (lowest / step).denominator != 1 or (highest / step).denominator != 1 or highest > occupancy:
        raise part.refuse("range", part.values["range"], f"multiples of {float(step):g} up to {float(occupancy):g}")
    return Species(name, atoms, _charge(part, name, atoms), int(lowest / step), int(highest / step))


def _charge(part: _Table, name: str, atoms: Mapping[str, Fraction]) -> int:
    if "charge" in part.values:
        charge = part.values["charge"]
        if isinstance(charge, bool) or not isinstance(charge, int) or abs(charge) > 8:
            raise part.refuse("charge", charge, "a whole number from -8 to 8")
        return charge
    if not atoms:
        return 0
    if len(atoms) == 1:
        (symbol,) = atoms
        if symbol not in OXIDATION_STATES:
            raise TableError(f"The {part.where} of the space file {part.file} has no known charge; add charge = ….")
        return int(OXIDATION_STATES[symbol][0] * atoms[symbol])
    verdict = charge_balance(parse_formula(name))
    if verdict.is_balanced and verdict.charge == 0:
        return 0
    raise TableError(f"The {part.where} of the space file {part.file} is no neutral compound; add charge = ….")


def _states(table: _Table, sites: Sequence[Site], mobile: str) -> dict[str, int]:
    states: dict[str, int] = {mobile: 1} if mobile else {}
    for species in (s for site in sites for s in site.species):
        for symbol, n in species.atoms.items():
            if symbol not in OXIDATION_STATES:
                raise TableError(f"The space file {table.file} has the element {symbol}, whose charge is not known.")
            charge = Fraction(species.charge) / n if len(species.atoms) == 1 else Fraction(OXIDATION_STATES[symbol][0])
            if charge.denominator != 1 or states.setdefault(symbol, int(charge)) != charge:
                raise TableError(
                    f"The space file {table.file} gives {symbol} the charges {states[symbol]} and {charge}; "
                    "an element has one charge in a space."
                )
    return states


def _order(table: _Table, states: Mapping[str, int], mobile: str) -> tuple[str, ...]:
    order = table.texts("order")
    if order:
        if set(order) != set(states):
            raise table.refuse("order", list(order), f"a list of exactly {', '.join(states)}")
        return order
    first = [mobile or "Na"] if (mobile or "Na") in states else []
    rest = sorted((s for s in states if s not in first), key=lambda symbol: states[symbol] < 0)
    return (*first, *rest)


_TERM = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)\s*\*\s*)?([A-Za-z_]+)\s*")
_COMPARISON = re.compile(r"(.+?)(<=|>=|==|!=|<|>)(.+)")


def _rule(table: _Table, states: Mapping[str, int]) -> LatticeRule:
    table.only(_RULE_KEYS)
    when = _condition(table, "when", states) if "when" in table.values else ()
    return LatticeRule(table.text("sentence"), when, _condition(table, "require", states))


def _condition(table: _Table, key: str, states: Mapping[str, int]) -> tuple[Term, ...]:
    text = table.text(key)
    known = (*states, *ROUTE_COLUMNS, EXCESS)
    terms = []
    for clause in re.split(r"\s+and\s+", text):
        match = _COMPARISON.fullmatch(clause.strip())
        if match is None:
            raise table.refuse(key, text, "comparisons such as Sc + Y <= 0.5, joined by and")
        weights = []
        for part in match[1].split("+"):
            term = _TERM.fullmatch(part)
            if term is None or term[2] not in known:
                raise table.refuse(key, text, f"comparisons of {', '.join(known)}")
            weights.append((term[2], float(term[1] or 1)))
        value = _condition_value(table, key, match[3].strip())
        is_text = any(name in TEXT_COLUMNS for name, _ in weights)
        if is_text != isinstance(value, str) or (is_text and (len(weights) > 1 or match[2] not in {"==", "!="})):
            raise table.refuse(key, text, "a text compared with == or != to 'text', a number with a number")
        terms.append(Term(tuple(weights), match[2], value))
    return tuple(terms)


def _condition_value(table: _Table, key: str, text: str) -> float | str:
    quoted = re.fullmatch(r"'([^']*)'", text)
    if quoted:
        return quoted[1]
    try:
        return float(text)
    except ValueError:
        raise table.refuse(key, text, "a number, or text in single quotation marks") from None


def _routes(table: _Table, rules: Sequence[LatticeRule]) -> Iterator[Route]:
    parts = table.tables("route")
    if not parts:
        raise TableError(f"The space file {table.file} has no route; say how candidates are made under [[route]].")
    columns = {*ROUTE_COLUMNS, EXCESS}
    own = [rule for rule in rules if rule.names <= columns]
    n = 0
    for part in parts:
        part.only((*ROUTE_COLUMNS, EXCESS))
        lists = {key: value if isinstance(value, list) else [value] for key, value in part.values.items()}
        for key, options in lists.items():
            if not options:
                raise part.refuse(key, options, "a value, or a list of at least one")
        for values in itertools.product(*lists.values()):
            route = _route(part, dict(zip(lists, values, strict=True)))
            if all(_holds_for_route(rule, route) for rule in own):
                yield route
                n += 1
            if n > MOST_ROUTES:
                raise TableError(f"The space file {table.file} has more than {MOST_ROUTES:,} routes; use fewer steps.")
    if not n:
        raise TableError(f"The space file {table.file} has no route that keeps its rules; widen a list or a rule.")


def _route(part: _Table, values: Mapping[str, Any]) -> Route:
    columns: dict[str, Any] = {}
    excess = 0.0
    for key, value in values.items():
        if key in TEXT_COLUMNS:
            columns[key] = value
        elif key == EXCESS:
            excess = float(part.number(key, value))
        else:
            columns[key] = float(part.number(key, value))
    sample = Sample(**columns)
    try:
        check_sample(sample)
    except RangeError as error:
        raise TableError(f"The {part.where} of the space file {part.file} cannot be used: {error}") from error
    return Route(sample, excess)


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b, ">": lambda a, b: a > b,
}  # fmt: skip


def _holds_for_route(rule: LatticeRule, route: Route) -> bool:
    def holds(term: Term) -> bool:
        found = [route.value(name) for name, _ in term.weights]
        if isinstance(term.value, str):
            return bool(_OPERATORS[term.operator](found[0], term.value))
        numbers = [math.nan if value is None else float(value) for value in found]
        total = sum(w * value for (_, w), value in zip(term.weights, numbers, strict=True))
        return bool(_OPERATORS[term.operator](total, term.value)) and not math.isnan(total)

    return not all(map(holds, rule.when)) or all(map(holds, rule.require))


# ---------------------------------------------------------------- counting


def _site_counts(site: Site) -> Integers:
    """Return the number of fillings by charge, in charges times steps from the most negative, shape (span,)."""
    lowest = min(0, *(s.charge for s in site.species)) * site.n_steps
    highest = max(0, *(s.charge for s in site.species)) * site.n_steps
    table = np.zeros((site.at_most + 1, site.n_steps + 1, highest - lowest + 1), dtype=np.int64)
    table[0, 0, -lowest] = 1
    for species in site.species:
        grown = np.zeros_like(table) if species.lowest else table.copy()
        for n in range(max(species.lowest, 1), min(species.highest, site.n_steps) + 1):
            shift = species.charge * n
            source = table[:-1, : site.n_steps + 1 - n]
            target = grown[1:, n:]
            if shift >= 0:
                target[..., shift:] += source[..., : source.shape[2] - shift]
            else:
                target[..., :shift] += source[..., -shift:]
        table = grown
    return np.asarray(table[:, site.n_steps].sum(axis=0))


def _charge_histogram(site: Site) -> dict[Fraction, int]:
    lowest = min(0, *(s.charge for s in site.species)) * site.n_steps
    return {site.step * (lowest + i): int(n) for i, n in enumerate(_site_counts(site)) if n}


@dataclass(frozen=True, slots=True)
class Count:
    """How many candidates a space holds, by combinatorics, before anything is drawn.

    Attributes:
        fillings: Fillings of all sites, whatever the charge.
        compositions: Those whose mobile ion is within its range; rules that speak of elements, and compositions
            that two fillings share, may lessen it.
        routes: Ways of making.
    """

    fillings: int
    compositions: int
    routes: int

    @property
    def candidates(self) -> int:
        """Compositions times routes."""
        return self.compositions * self.routes


@lru_cache(maxsize=8)
def count_lattice(lattice: Lattice) -> Count:
    """Count a space without listing it: generating functions of the charge of each site, convolved."""
    histogram: dict[Fraction, int] = {Fraction(0): 1}
    for site in lattice.sites:
        grown: dict[Fraction, int] = {}
        for (a, n), (b, m) in itertools.product(histogram.items(), _charge_histogram(site).items()):
            grown[a + b] = grown.get(a + b, 0) + n * m
        histogram = grown
    lowest, highest = lattice.mobile_range
    kept = sum(n for charge, n in histogram.items() if lowest <= -charge <= highest)
    return Count(sum(histogram.values()), kept, len(lattice.routes))


def _check_size(table: _Table, lattice: Lattice) -> None:
    found = count_lattice(lattice)
    if not found.compositions:
        what = f"{lattice.mobile} from {float(lattice.mobile_range[0]):g} to {float(lattice.mobile_range[1]):g}"
        raise TableError(
            f"The space file {table.file} has no charge-balanced member: no filling of its sites leaves "
            f"{what if lattice.mobile else 'no charge'}. Widen a range, or change the charge of a species."
        )
    if found.fillings * found.routes > LARGEST_SPACE:
        raise TableError(
            f"The space file {table.file} holds {found.fillings * found.routes:.1e} combinations; at most "
            f"{LARGEST_SPACE:.1e} can be numbered. Use coarser steps or a smaller at_most."
        )


# ---------------------------------------------------------------- numbering


class _Numbering:
    """Numbers the fillings of one site from 0: first by which species stand on it, then by their amounts.

    Choices of species with the same ranges share one table of ways, so that tables stay small.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        needed = {i for i, s in enumerate(site.species) if s.lowest}
        kinds: dict[tuple[tuple[int, int], ...], int] = {}
        tables: list[Integers] = []
        supports, kind_of = [], []
        for k in range(max(1, len(needed)), site.at_most + 1):
            for support in itertools.combinations(range(len(site.species)), k):
                if not needed <= set(support):
                    continue
                ranges = tuple((max(s.lowest, 1), s.highest) for s in (site.species[i] for i in support))
                if ranges not in kinds:
                    kinds[ranges] = len(tables)
                    tables.append(self._ways(ranges))
                if tables[kinds[ranges]][0, site.n_steps, -1]:
                    supports.append([*support, *[len(site.species)] * (site.at_most - k)])
                    kind_of.append(kinds[ranges])
        self.supports = np.array(supports, dtype=np.intp)
        self.kind = np.array(kind_of, dtype=np.intp)
        self.ways = np.array(tables)
        self.first = np.concatenate(([0], np.cumsum(self.ways[self.kind, 0, site.n_steps, -1])))
        n_species = (self.supports < len(site.species)).sum(axis=1)
        last = np.flatnonzero(np.append(n_species[1:] != n_species[:-1], True))
        self.strata = np.concatenate(([0], self.first[last + 1]))
        self.size = int(self.first[-1])
        sizes = self.ways[:, 0, site.n_steps, -1]
        self.n_ways = int(sizes.sum())
        # From the number of a filling to the place of its amounts among those of all kinds, one after another.
        self.to_place = (np.cumsum(sizes) - sizes)[self.kind] - self.first[:-1]
        self.n_asked = 0
        self.choices: NDArray[np.int32] | None = None
        self.table: Short | None = None

    def _ways(self, ranges: Sequence[tuple[int, int]]) -> Integers:
        """Return in how many ways parts fill up, cumulated over the amount of the first of them.

        Entry (j, r, n) counts the ways in which the parts from the j-th on add up to r steps with at most n steps of
        the j-th. A part beyond the last has one way, to be absent.
        """
        most = self.site.n_steps
        table = np.zeros((self.site.at_most, most + 1, most + 1), dtype=np.int64)
        table[len(ranges) :, 0] = 1
        after = np.zeros(most + 1, dtype=np.int64)
        after[0] = 1
        for j in reversed(range(len(ranges))):
            lowest, highest = ranges[j]
            for n in range(lowest, min(highest, most) + 1):
                table[j, n:, n] = after[: most + 1 - n]
            np.cumsum(table[j], axis=1, out=table[j])
            after = table[j, :, -1].copy()
        return table

    def filling(self, number: Integers) -> Short:
        """Return the steps of each species for each number, shape (n, species)."""
        chosen, amounts = self.parts(number)
        steps = np.zeros((len(number), len(self.site.species) + 1), dtype=np.int16)
        rows = np.arange(len(number))
        for species, amount in zip(self.supports.T, amounts, strict=True):
            steps[rows, species[chosen]] = amount
        return steps[:, :-1]

    def parts(self, number: Integers) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Return which choice of species each number stands for and the steps of each, shapes (n,) and (at_most, n).

        Once more fillings were asked for than there are ways to fill up, the ways are written down and looked up from
        then on.
        """
        self.n_asked += len(number)
        if self.table is None and self.n_asked > self.n_ways and self.n_ways * self.site.at_most <= MOST_TABULATED:
            self.table = self._tabulated()
        chosen = self._chosen(number)
        if self.table is None:
            return chosen, self._amounts(number - self.first[chosen], self.kind[chosen])
        return chosen, self.table.take(number + self.to_place[chosen], axis=1)

    def _chosen(self, number: Integers) -> NDArray[np.intp]:
        if self.table is None or self.size > MOST_CHOICES_TABULATED:
            return np.searchsorted(self.first, number, side="right") - 1
        if self.choices is None:
            self.choices = np.repeat(np.arange(len(self.kind), dtype=np.int32), np.diff(self.first))
        return self.choices.take(number).astype(np.intp)

    def _tabulated(self) -> Short:
        sizes = self.ways[:, 0, self.site.n_steps, -1].tolist()
        table = np.empty((self.site.at_most, self.n_ways), dtype=np.int16)
        start = 0
        for kind, size in enumerate(sizes):
            table[:, start : start + size] = self._amounts(np.arange(size), np.full(size, kind))
            start += size
        return table

    def _amounts(self, inner: Integers, kind: NDArray[np.intp]) -> Integers:
        """Return the steps of each part, given the number of the filling among those of its kind."""
        site = self.site
        found = np.empty((site.at_most, len(inner)), dtype=np.int64)
        rest = np.full(len(inner), site.n_steps)
        width = site.n_steps + 1
        flat = self.ways.reshape(-1)
        for j in range(site.at_most - 1):
            start = ((kind * site.at_most + j) * width + rest) * width
            low, high = np.zeros_like(rest), np.full_like(rest, site.n_steps)
            for _ in range(site.n_steps.bit_length()):
                middle = (low + high) // 2
                is_past = flat[start + middle] <= inner
                low, high = np.where(is_past, middle + 1, low), np.where(is_past, high, middle)
                np.minimum(low, high, out=low)
            inner = inner - np.where(low > 0, flat[start + np.maximum(low - 1, 0)], 0)
            found[j] = low
            rest = rest - low
        # The last takes what is left; where fewer stand on the site, nothing is.
        found[-1] = rest
        return found


@lru_cache(maxsize=8)
def _numberings(lattice: Lattice) -> tuple[_Numbering, ...]:
    return tuple(_Numbering(site) for site in lattice.sites)


# ---------------------------------------------------------------- rules


@lru_cache(maxsize=256)
def route_values(lattice: Lattice, name: str) -> NDArray[Any]:
    """Return a column of the routes, shape (routes,): text as objects, numbers with NaN where not given."""
    values = [route.value(name) for route in lattice.routes]
    if name in TEXT_COLUMNS:
        return np.array(values, dtype=object)
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _compared(term: Term, total: Array) -> Bools:
    value = float(term.value)
    total = np.where(np.abs(total - value) < NEAR, value, total)
    return np.asarray(_OPERATORS[term.operator](total, value) & ~np.isnan(total))


class _Rules:
    """The rules of a space for many candidates at once: what speaks of routes alone is decided once for each."""

    def __init__(self, lattice: Lattice) -> None:
        self.rules = lattice.rules
        terms = list(dict.fromkeys(term for rule in lattice.rules for term in (*rule.when, *rule.require)))
        self.place: dict[Term, int] = {}
        self.of_route: dict[Term, Array] = {}
        self.decided: dict[Term, Bools] = {}
        weights: list[Array] = []
        for term in terms:
            of_elements = [(lattice.order.index(n), w) for n, w in term.weights if n in lattice.order]
            columns = [(route_values(lattice, n), w) for n, w in term.weights if n not in lattice.order]
            if isinstance(term.value, str):
                self.decided[term] = np.asarray(_OPERATORS[term.operator](columns[0][0], term.value), dtype=np.bool_)
                continue
            of_route = np.asarray(sum((w * values for values, w in columns), np.zeros(len(lattice.routes))))
            if not of_elements:
                self.decided[term] = _compared(term, of_route)
                continue
            self.place[term] = len(weights)
            weight = np.zeros(len(lattice.order))
            for i, w in of_elements:
                weight[i] += w / lattice.scale
            weights.append(weight)
            if columns:
                self.of_route[term] = of_route
        self.weights = np.array(weights).reshape(len(weights), len(lattice.order)).T
        """What a unit of each element adds to the sum of each term that speaks of elements, shape (elements, sums)."""

    def verdicts(self, totals: Sequence[Array], route: NDArray[np.intp]) -> Iterator[tuple[LatticeRule, Bools]]:
        """Yield each rule and which candidates keep it, given the sums of the elements."""
        for rule in self.rules:
            if all(term in self.decided for term in (*rule.when, *rule.require)):
                applies, met = (
                    np.logical_and.reduce([self.decided[t] for t in terms]) if terms else np.True_
                    for terms in (rule.when, rule.require)
                )
                yield rule, np.asarray(~applies | met)[route]
                continue
            met = np.logical_and.reduce([self._holds(term, totals, route) for term in rule.require])
            if rule.when:
                met |= ~np.logical_and.reduce([self._holds(term, totals, route) for term in rule.when])
            yield rule, met

    def _holds(self, term: Term, totals: Sequence[Array], route: NDArray[np.intp]) -> Bools:
        if term in self.decided:
            return self.decided[term][route]
        total = totals[self.place[term]]
        return _compared(term, total + self.of_route[term][route] if term in self.of_route else total)


@lru_cache(maxsize=8)
def _rules_of(lattice: Lattice) -> _Rules:
    return _Rules(lattice)


def _verdicts(lattice: Lattice, drawn: Drawn) -> Iterator[tuple[LatticeRule, Bools]]:
    rules = _rules_of(lattice)
    return rules.verdicts([*(drawn.counts.astype(np.float64) @ rules.weights).T], drawn.route)


# ---------------------------------------------------------------- decoding


class _Decoder:
    """Turns the number of each site's filling and of the route into candidates, those that keep range and rules.

    What a candidate is judged by are sums over the few species that stand on its sites; only those that are kept are
    written out.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice, self.numberings, self.rules = lattice, _numberings(lattice), _rules_of(lattice)
        n_species, first = len(lattice.species), 0
        self.species: list[NDArray[np.intp]] = []
        for site, numbering in zip(lattice.sites, self.numberings, strict=True):
            absent = numbering.supports == len(site.species)
            # One row more for what is absent, which brings nothing.
            self.species.append(np.where(absent, n_species, numbering.supports + first).T)
            first += len(site.species)
        balancing = -lattice.charges.astype(np.float64)
        brought = lattice.matrix.astype(np.float64)
        if lattice.mobile:
            brought[:, lattice.order.index(lattice.mobile)] += balancing
        sums = np.column_stack([balancing, brought @ self.rules.weights])
        self.sums = [np.append(column, 0.0) for column in sums.T]

    def placed(self, digits: Sequence[Integers]) -> tuple[Drawn, NDArray[np.intp]]:
        """Return candidates, and the place of each among the numbers, shape (n,)."""
        lattice, route = self.lattice, digits[-1].astype(np.intp)
        slots: list[list[tuple[NDArray[np.intp], Array]]] = []
        for numbering, species, digit in zip(self.numberings, self.species, digits, strict=False):
            chosen, amounts = numbering.parts(digit)
            of_site = zip(species, amounts.astype(np.float64), strict=True)
            slots.append([(of.take(chosen), amount) for of, amount in of_site])
        balancing, *totals = (self._sum(slots, column) for column in self.sums)
        lowest, highest = (float(value * lattice.scale) for value in lattice.mobile_range)
        kept = (balancing >= lowest) & (balancing <= highest)
        for _, holds in self.rules.verdicts(totals, route):
            kept &= holds
        rows = np.flatnonzero(kept)
        steps = np.zeros((len(rows), len(lattice.species) + 1), dtype=np.int16)
        here = np.arange(len(rows))
        for species, amount in itertools.chain.from_iterable(slots):
            steps[here, species.take(rows)] = amount.take(rows)
        steps = steps[:, :-1]
        made = (steps.astype(lattice.whole.dtype) @ lattice.whole).astype(np.int64)
        counts = made[:, :-1]
        if lattice.mobile:
            counts[:, lattice.order.index(lattice.mobile)] -= made[:, -1]
        return Drawn(steps, counts, route.take(rows)), rows

    def _sum(self, slots: Sequence[Sequence[tuple[NDArray[np.intp], Array]]], brought: Array) -> Array:
        """Return what the species of each candidate bring in all, given what one step of each brings."""
        total = np.zeros(len(slots[0][0][0]) if slots else 0)
        for species, of_site in zip(self.species, slots, strict=True):
            if brought[species].any():
                for here, amount in of_site:
                    total += brought.take(here) * amount
        return total


@lru_cache(maxsize=8)
def _decoder(lattice: Lattice) -> _Decoder:
    return _Decoder(lattice)


# ---------------------------------------------------------------- checking


def _is_in_range(lattice: Lattice, balancing: NDArray[Any]) -> Bools:
    # What balances is counted; the mobile ion may stand on a site besides.
    lowest, highest = (value * lattice.scale for value in lattice.mobile_range)
    return np.asarray((math.ceil(lowest) <= balancing) & (balancing <= math.floor(highest)))


def is_kept(lattice: Lattice, drawn: Drawn) -> Bools:
    """Tell which candidates have their mobile ion in its range and keep every rule, shape (n,)."""
    kept = _is_in_range(lattice, -(drawn.steps @ lattice.charges))
    for _, holds in _verdicts(lattice, drawn):
        kept &= holds
    return kept


def check_drawn(lattice: Lattice, drawn: Drawn) -> None:
    """Check candidates again against everything that their space promises, in whole numbers.

    Args:
        lattice: The space.
        drawn: Candidates.

    Raises:
        NascreenError: If a site is over- or underfilled, a species out of its range, too many species stand on a
            site, the elements are not those of the species, the charge is not zero, or a rule is broken.
    """
    steps = drawn.steps.astype(lattice.whole.dtype)
    _check_sites(lattice, steps)
    made = steps @ lattice.whole
    charge = made[:, -1]
    balancing = -charge
    made = made[:, :-1]
    if lattice.mobile:
        place = lattice.order.index(lattice.mobile)
        charge = charge + (drawn.counts[:, place] - made[:, place])
        made[:, place] = drawn.counts[:, place]
    _demand(lattice, drawn.counts == made, "the elements are those of the species")
    _demand(lattice, charge == 0, "the charge is zero")
    _demand(lattice, drawn.counts >= 0, "no amount is below zero")
    _demand(lattice, _is_in_range(lattice, balancing), "the mobile ion keeps its range")
    for rule, holds in _verdicts(lattice, drawn):
        _demand(lattice, holds, rule.sentence)


def _check_sites(lattice: Lattice, steps: NDArray[np.floating]) -> None:
    # Sums over the species of each site, as a product of matrices.
    on_site = np.eye(len(lattice.sites), dtype=steps.dtype)
    on_site = np.repeat(on_site, [len(site.species) for site in lattice.sites], axis=0)
    filled, standing = steps @ on_site, (steps > 0).astype(steps.dtype) @ on_site
    first = 0
    for i, site in enumerate(lattice.sites):
        part = steps[:, first : first + len(site.species)]
        first += len(site.species)
        _demand(lattice, filled[:, i] == site.n_steps, f"the site {site.name} is filled")
        _demand(lattice, standing[:, i] <= site.at_most, f"at most {site.at_most} species stand on {site.name}")
        lowest, highest = (
            np.array([getattr(s, name) for s in site.species], dtype=steps.dtype) for name in ("lowest", "highest")
        )
        _demand(lattice, (part >= lowest) & (part <= highest), f"species of {site.name} keep their ranges")


def _demand(lattice: Lattice, holds: Bools, rule: str) -> None:
    """Refuse candidates for which a rule does not hold, given for each, shape (n,), or for each of its parts (n, k)."""
    if not holds.all():
        first = int(np.argmin(holds.reshape(len(holds), -1).all(axis=1)))
        raise NascreenError(
            f"The candidate {first} of the space {lattice.name} breaks a rule that all candidates "
            f"keep: {rule.rstrip('.')}. Correct the generator or the rule."
        )


# ---------------------------------------------------------------- drawing


def candidate_keys(lattice: Lattice, drawn: Drawn) -> NDArray[np.uint64]:
    """Return a number for each candidate that is the same for the same thing to make, however written, shape (n,)."""
    canonical, divisor = drawn.counts, _divisors(drawn.counts)
    large = np.flatnonzero(divisor > 1)
    if len(large):
        canonical = canonical.copy()
        canonical[large] //= divisor[large, None]
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 2**63, size=len(lattice.order), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    routes = rng.integers(1, 2**63, size=len(lattice.routes), dtype=np.uint64)
    key = canonical.view(np.uint64) @ weights + routes[drawn.route]
    key ^= key >> np.uint64(31)
    return np.asarray(key * np.uint64(0x9E3779B97F4A7C15))


def _divisors(counts: Integers) -> Integers:
    """Return the greatest common divisor of each row, shape (n,)."""
    # The elements that most rows hold leave few rows with a divisor above 1 for the others.
    order = np.argsort((counts[:SAMPLED] == 0).sum(axis=0), kind="stable")
    found = counts[:, order[0]].copy()
    rows = np.arange(len(counts))
    for column in order[1:]:
        left = np.gcd(found[rows], counts[rows, column])
        found[rows] = left
        rows = rows[left != 1]
        if not len(rows):
            break
    return found


class _Seen:
    """The keys of what was drawn before, as sorted runs of which each is several times as long as the next."""

    def __init__(self) -> None:
        self.runs: list[NDArray[np.uint64]] = []

    def new(self, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the places of keys not met before, each once, in order; they are met from now on."""
        distinct, places = np.unique(keys, return_index=True)
        is_new = np.ones(len(distinct), dtype=np.bool_)
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            is_new &= run[at] != distinct
        if is_new.any():
            self.runs.append(distinct[is_new])
        while len(self.runs) > 1 and len(self.runs[-2]) < RUN_GROWTH * len(self.runs[-1]):
            # A stable sort finds the two runs and merges them.
            self.runs[-2:] = [np.sort(np.concatenate(self.runs[-2:]), kind="stable")]
        return np.sort(places[is_new])


def _is_whole(value: object, lowest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value < 2**63


def _check_request(lattice: Lattice, n: int, sampling: str, seed: int) -> None:
    if not _is_whole(n, 1):
        raise RangeError(f"The number of candidates is {shown(n)}; allowed is a whole number from 1.")
    if not _is_whole(seed, 0):
        raise RangeError(f"The seed is {shown(seed)}; allowed is a whole number from 0. Leave it out for 0.")
    if sampling not in SAMPLINGS:
        raise InputError(f"There is no sampling {shown(sampling)}; allowed are {', '.join(SAMPLINGS)}.")
    most = count_lattice(lattice).candidates
    if n > most:
        raise RangeError(f"The space {lattice.name} holds at most {most:,} candidates; got {n:,}. Ask for fewer.")


def _sizes(lattice: Lattice) -> list[int]:
    return [*(numbering.size for numbering in _numberings(lattice)), len(lattice.routes)]


def _digits(flat: Integers, sizes: Sequence[int]) -> list[Integers]:
    digits: list[Integers] = []
    for size in reversed(sizes):
        rest = flat // size  # dividing is what takes long, so that it is done once
        digits.append(flat - rest * size)
        flat = rest
    return digits[::-1]


def _random_digits(sizes: Sequence[int], seed: int) -> Iterator[list[Integers]]:
    rng, total = np.random.default_rng(seed), math.prod(sizes)
    if total <= PERMUTED:
        order = rng.permutation(total)
        yield from (_digits(order[start : start + CHUNK], sizes) for start in range(0, total, CHUNK))
        return
    while True:
        yield _digits(rng.integers(0, total, size=CHUNK), sizes)


def _grid_digits(sizes: Sequence[int], n: int, seed: int) -> Iterator[list[Integers]]:
    """Step through the numbers by a stride without a common divisor with their total, which meets each once."""
    total = math.prod(sizes)
    stride = max(total // n, 1)
    while math.gcd(stride, total) != 1:
        stride -= 1
    block = max(1, min(CHUNK, LARGEST_SPACE // stride))
    start = int(np.random.default_rng(seed).integers(0, total)) if seed else 0
    for first in range(0, total, block):
        here = np.arange(min(block, total - first), dtype=np.int64)
        yield _digits(((start + first * stride) % total + here * stride) % total, sizes)


def _sobol_digits(sizes: Sequence[int], seed: int) -> Iterator[list[Integers]]:
    from scipy.stats import qmc

    engine = qmc.Sobol(len(sizes), scramble=True, rng=np.random.default_rng(seed))
    for _ in range(2**30 // CHUNK):
        points = engine.random(CHUNK)
        yield [np.minimum((points[:, i] * size).astype(np.int64), size - 1) for i, size in enumerate(sizes)]


def _simple_digits(lattice: Lattice, seed: int) -> Iterator[list[Integers]]:
    """Draw the number of species on each site evenly first, since most fillings are of as many as may be."""
    rng = np.random.default_rng(seed)
    while True:
        digits = []
        for numbering in _numberings(lattice):
            stratum = rng.integers(0, len(numbering.strata) - 1, size=CHUNK)
            first, after = numbering.strata[stratum], numbering.strata[stratum + 1]
            digits.append(first + (rng.random(CHUNK) * (after - first)).astype(np.int64))
        yield [*digits, rng.integers(0, len(lattice.routes), size=CHUNK)]


def draw(lattice: Lattice, n: int, sampling: Sampling = "random", seed: int = 0) -> Iterator[Drawn]:
    """Yield candidates in chunks, each once, balanced exactly and checked against every rule.

    Args:
        lattice: The space.
        n: How many in all; fewer come where rules and shared compositions leave fewer.
        sampling: ``random``, ``grid`` (evenly along the numbering, all of the space if `n` is its size) or
            ``sobol`` (low discrepancy over sites and routes), or ``simple`` (random, with as many candidates of one
            species on a site as of two or three).
        seed: Seed of the draw; the same arguments give the same candidates.

    Yields:
        Chunks of up to `SLICE` candidates: what comes of so many numbers, however many are decoded at once.

    Raises:
        RangeError: If `n` or `seed` is out of range.
        InputError: If there is no such sampling, or nothing that is drawn keeps the rules.
    """
    _check_request(lattice, n, sampling, seed)
    sizes = _sizes(lattice)
    source = {
        "random": lambda: _random_digits(sizes, seed),
        "grid": lambda: _grid_digits(sizes, n, seed),
        "sobol": lambda: _sobol_digits(sizes, seed),
        "simple": lambda: _simple_digits(lattice, seed),
    }[sampling]()
    seen, n_found, n_fruitless = _Seen(), 0, 0
    for digits in source:
        drawn, places = _decoder(lattice).placed(digits)
        new = seen.new(candidate_keys(lattice, drawn))[: n - n_found]
        drawn, places = drawn.take(new), places[new]
        check_drawn(lattice, drawn)
        bounds = np.searchsorted(places, range(0, len(digits[0]) + SLICE, SLICE)).tolist()
        for first, last in itertools.pairwise(bounds):
            n_fruitless = 0 if last > first else n_fruitless + SLICE
            if last > first:
                n_found += last - first
                yield drawn.take(slice(first, last))
            if n_found == n or n_fruitless > FRUITLESS_DRAWS:
                break
        if n_found == n or n_fruitless > FRUITLESS_DRAWS:
            break
    if not n_found:
        sentences = " ".join(rule.sentence for rule in lattice.rules)
        raise InputError(f"Nothing in the space {lattice.name} keeps all of its rules: {sentences}")


# ---------------------------------------------------------------- to people


def formula_of(lattice: Lattice, counts: Integers) -> str:
    """Return the formula of one row of counts, exact to the last digit where six decimals allow it."""
    amounts = {s: Fraction(int(n), lattice.scale) for s, n in zip(lattice.order, counts, strict=True) if n}
    formers = sum((amounts.get(s, Fraction(0)) for s in lattice.per), Fraction(0))
    if formers:
        scaled = {s: n / formers for s, n in amounts.items()}
        if all((n * 10_000).denominator == 1 for n in scaled.values()):
            return format_formula(scaled, decimals=6)
    if all((n * 10**6).denominator == 1 for n in amounts.values()):
        return format_formula(amounts, decimals=6)
    return format_formula({s: n * lattice.scale for s, n in amounts.items()}, decimals=0)


def check_printed(lattice: Lattice, counts: Integers, formula: str) -> None:
    """Check that a formula says exactly what a row of counts is, and that it is balanced.

    Raises:
        NascreenError: If it does not.
    """
    amounts = parse_formula(formula).amounts
    per_unit = {amounts[s] / int(n) if s in amounts else 0 for s, n in zip(lattice.order, counts, strict=True) if n}
    charge = sum((n * lattice.states[s] for s, n in amounts.items()), Fraction(0))
    is_balanced = charge == 0 or any(len(s.atoms) > 1 for s in lattice.species)
    if len(per_unit) != 1 or 0 in per_unit or amounts.keys() - set(lattice.order) or not is_balanced:
        raise NascreenError(
            f"The formula {shown(formula)} of the space {lattice.name} is not the composition that was drawn; "
            "use steps that six decimals can print."
        )


def drawn_from(lattice: Lattice, sample: Sample) -> Drawn:
    """Return the candidate that a sample is, as the steps of its species and its route.

    The amounts of the species, and the scale of the formula, follow from the amounts of the elements and the
    occupancy of the sites, exactly.

    Raises:
        FormulaError: If the formula cannot be read.
        InputError: If it is no composition of the space: other elements, amounts between steps, another way of
            making, or an element on several sites whose shares cannot be told.
    """
    amounts = parse_formula(sample.formula).amounts
    refused = f"{shown(sample.formula)} is no candidate of the space {lattice.name}"
    if amounts.keys() - set(lattice.order):
        raise InputError(f"{refused}: its elements are {', '.join(lattice.order)}.")
    made = [i for i, route in enumerate(lattice.routes) if _is_made_by(route.sample, sample)]
    if not made:
        raise InputError(f"{refused}: no route of the space makes it in this way.")
    placed = [(i, site, s) for i, site in enumerate(lattice.sites) for s in site.species]
    is_open = [s.atoms.keys() <= amounts.keys() and (bool(s.atoms) or s.highest > 0) for _, _, s in placed]
    columns = [{**s.atoms, f"site {i}": Fraction(1)} for (i, _, s), used in zip(placed, is_open, strict=True) if used]
    columns += [{lattice.mobile: Fraction(1)}] if lattice.mobile in amounts else []
    columns.append({symbol: -n for symbol, n in amounts.items()})
    occupancy = {f"site {i}": site.step * site.n_steps for i, site in enumerate(lattice.sites)}
    try:
        solution = iter(balance(columns, occupancy))
    except InputError as error:
        is_open_question = "not determined" in str(error)
        why = (
            "which species it holds cannot be told" if is_open_question else "no filling of its sites has these amounts"
        )
        raise InputError(f"{refused}: {why}.") from error
    filled = [next(solution) if used else Fraction(0) for used in is_open]
    steps = [n / site.step for n, (_, site, _) in zip(filled, placed, strict=True)]
    if any(n.denominator != 1 for n in steps):
        raise InputError(f"{refused}: its amounts lie between the steps of the sites.")
    whole = np.array([[int(n) for n in steps]])
    counts = whole @ lattice.matrix
    if lattice.mobile:
        mobile = next(solution) if lattice.mobile in amounts else Fraction(0)
        counts[0, lattice.order.index(lattice.mobile)] += int(mobile * lattice.scale)
    return Drawn(whole, counts, np.array(made[:1], dtype=np.intp))


def _is_made_by(route: Sample, sample: Sample) -> bool:
    return all(getattr(route, name) == getattr(sample, name) for name in ROUTE_COLUMNS)


def check_candidate(lattice: Lattice, sample: Sample) -> None:
    """Check a sample, from its printed formula, against everything that a space promises.

    Raises:
        FormulaError: If the formula cannot be read.
        InputError: If it is no composition of the space.
        NascreenError: If it breaks a promise; the message names it.
    """
    check_sample(sample)
    check_drawn(lattice, drawn_from(lattice, sample))


def samples_of(lattice: Lattice, drawn: Drawn) -> list[Sample]:
    """Return candidates as samples, for the few that people look at."""
    samples = []
    for counts, route in zip(drawn.counts, drawn.route, strict=True):
        formula = formula_of(lattice, counts)
        check_printed(lattice, counts, formula)
        samples.append(replace(lattice.routes[route].sample, formula=formula))
    return samples


def lattice_names() -> tuple[str, ...]:
    """Return the names of the spaces that ship with nascreen."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@lru_cache(maxsize=32)
def load_lattice(name: str) -> Lattice:
    """Return a space by its name, or from a TOML file of the user.

    Args:
        name: A name that `lattice_names` returns, or the path of a file that ends in ``.toml``.

    Raises:
        InputError: If there is no such space.
        TableError: If the file cannot be used.
    """
    if name.endswith(".toml"):
        return read_lattice(Path(name))
    if name not in lattice_names():
        raise InputError(
            f"There is no space {shown(name)}; allowed are {', '.join(lattice_names())}, or a file that ends in .toml."
        )
    return read_lattice(FOLDER / f"{name}.toml")
