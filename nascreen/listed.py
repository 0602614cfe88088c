"""The spaces that are written in code, as lattices whose candidates are listed: one screen and one query serve all.

A listed space has no sites to fill; its candidates, generated and checked in `nascreen.spaces`, are turned into the
integers and routes that a drawn candidate has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from nascreen.chemistry import OXIDATION_STATES, parse_formula
from nascreen.errors import InputError, shown
from nascreen.lattices import (
    CHUNK,
    ROUTE_COLUMNS,
    Drawn,
    Lattice,
    Route,
    Sampling,
    draw,
    lattice_names,
    load_lattice,
)
from nascreen.records import Sample
from nascreen.spaces import DOPANTS, SPACES, generate, listed_order

FORMULA_ORDER = ("Na", "Zr", "B", *(dopant.symbol for dopant in DOPANTS), "Si", "P", "O", "S")
"""Order in which the formulas of `nascreen.spaces` name their elements."""


@dataclass(frozen=True, eq=False, slots=True)
class Listed:
    """A space written in code, as integers.

    Attributes:
        lattice: The space without sites; its routes are those that occur.
        drawn: All candidates, in the order of `nascreen.spaces.generate`.
    """

    lattice: Lattice
    drawn: Drawn


@lru_cache(maxsize=len(SPACES))
def listed_space(name: str) -> Listed:
    """Return a space of `nascreen.spaces.SPACES` as a lattice and its candidates.

    Args:
        name: One of `SPACES`.

    Raises:
        InputError: If there is no such space.
    """
    samples = generate(name)
    amounts = {formula: parse_formula(formula).amounts for formula in {s.formula for s in samples}}
    found = set().union(*amounts.values())
    order = tuple(s for s in FORMULA_ORDER if s in found)
    scale = math.lcm(*(n.denominator for of in amounts.values() for n in of.values()))
    counts = {
        formula: [int(of.get(symbol, Fraction(0)) * scale) for symbol in order] for formula, of in amounts.items()
    }
    routes: dict[Sample, int] = {}
    places = [routes.setdefault(_processing(sample), len(routes)) for sample in samples]
    space = SPACES[name]
    lattice = Lattice(
        name=name, title=space.title, families=(space.family,), mobile="Na", mobile_range=(Fraction(0), Fraction(0)),
        per=(), order=order, sites=(), routes=tuple(Route(sample) for sample in routes), rules=(),
        states={symbol: OXIDATION_STATES[symbol][0] for symbol in order}, units=scale,
    )  # fmt: skip
    table = np.array([counts[s.formula] for s in samples], dtype=np.int64)
    none = np.empty((len(samples), 0), dtype=np.int64)
    return Listed(lattice, Drawn(none, table, np.array(places, dtype=np.intp)))


def _processing(sample: Sample) -> Sample:
    return replace(Sample(), **{name: getattr(sample, name) for name in ROUTE_COLUMNS})


def space_names() -> tuple[str, ...]:
    """Return the names of all spaces: those written in code and those that ship as files."""
    return (*SPACES, *lattice_names())


def any_lattice(space: str) -> Lattice:
    """Return a space of either kind by its name, or from a TOML file of the user.

    Raises:
        InputError: If there is no such space.
        TableError: If the file cannot be used.
    """
    if space not in space_names() and not space.endswith(".toml"):
        raise InputError(
            f"There is no space {shown(space)}; allowed are {', '.join(space_names())}, or a file that ends in .toml."
        )
    return listed_space(space).lattice if space in SPACES else load_lattice(space)


def with_sites(lattice: Lattice) -> Lattice:
    """Return a space with sites whose series run through a listed one; a space that has sites is itself returned."""
    return lattice if lattice.sites else load_lattice(_WITH_SITES[lattice.name])


_WITH_SITES = {"nasicon": "nasicon-wide", "thioborate": "sulfide-glasses"}


def default_request(space: str, n: int | None, most: int) -> tuple[int, Sampling]:
    """Return how many candidates are scored and how they are drawn, where a person has not said.

    Args:
        space: Name of a space, or a TOML file.
        n: What was asked for; None for all of a space written in code, and for `most` of another.
        most: How many of a space that is too large to score whole.
    """
    if space in SPACES:
        return (len(listed_space(space).drawn) if n is None else n), "random"
    return (most if n is None else n), "simple"


def draw_space(space: str, n: int, sampling: Sampling = "random", seed: int = 0) -> Iterator[Drawn]:
    """Yield candidates of a space of either kind in chunks, each once.

    Args:
        space: Name of a space, or a TOML file.
        n: How many in all.
        sampling: As `nascreen.lattices.draw` takes it; ``random`` for a space written in code.
        seed: Seed of the draw.

    Raises:
        InputError: If the space or the sampling cannot be used.
        RangeError: If `n` or `seed` is out of range.
    """
    lattice = any_lattice(space)
    if space not in SPACES:
        yield from draw(lattice, n, sampling, seed)
        return
    if sampling != "random":
        raise InputError(
            f"The space {space} is a list, so that it is taken whole or at random; got the sampling {shown(sampling)}. "
            "Use random."
        )
    drawn = listed_space(space).drawn
    order = listed_order(space, n, seed)
    yield from (drawn.take(order[start : start + CHUNK]) for start in range(0, len(order), CHUNK))
