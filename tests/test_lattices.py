"""Promises of the spaces written as TOML: counted exactly, balanced exactly, each candidate once, slips named."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction
from math import gcd
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen.chemistry import charge_balance, parse_formula
from nascreen.errors import InputError, NascreenError, RangeError, TableError
from nascreen.lattices import (
    SAMPLINGS,
    Drawn,
    Lattice,
    Sampling,
    Site,
    Species,
    _Decoder,
    _Numbering,
    _site_counts,
    _sizes,
    check_candidate,
    check_drawn,
    check_printed,
    count_lattice,
    draw,
    drawn_from,
    formula_of,
    is_kept,
    lattice_names,
    load_lattice,
    read_lattice,
    samples_of,
)

# Written out again, so that a slip in a space or in the package's own table cannot hide.
CHARGES = {
    "Na": 1, "Zr": 4, "Hf": 4, "Ti": 4, "Sn": 4, "Ge": 4, "Sc": 3, "Y": 3, "In": 3, "Al": 3, "Ga": 3, "Fe": 3, "Cr": 3,
    "V": 3, "La": 3, "Ce": 3, "Nd": 3, "Sm": 3, "Eu": 3, "Gd": 3, "Tb": 3, "Dy": 3, "Ho": 3, "Er": 3, "Tm": 3, "Yb": 3,
    "Lu": 3, "Mg": 2, "Zn": 2, "Ca": 2, "Co": 2, "Ni": 2, "Mn": 2, "Cu": 2, "Nb": 5, "Ta": 5, "Mo": 6, "W": 6, "Si": 4,
    "P": 5, "Sb": 5, "As": 5, "B": 3, "O": -2, "S": -2, "Se": -2, "F": -1, "Cl": -1, "Br": -1, "I": -1,
}  # fmt: skip
SULFATE = {**CHARGES, "S": 6}
CAGES = {"B12H12": -2, "B10H10": -2, "CB11H12": -1, "CB9H10": -1, "BH4": -1, "B3H8": -1, "NH2": -1}
PIECE = re.compile(r"([A-Z][a-z]?)([0-9.]*)")

SMALL = """
name = "small"
title = "A small space"
families = ["nasicon"]
mobile = "Na"
mobile_range = [1, 3.5]

[[site]]
name = "M"
occupancy = 2
step = 0.5
at_most = 2
[site.species]
Zr = [0, 2]
Sc = [0, 1]
Mg = [0, 1]

[[site]]
name = "T"
occupancy = 3
step = 1
[site.species]
Si = [0, 3]
P = [0, 3]

[[site]]
name = "anions"
occupancy = 12
step = 12
[site.species]
O = [12, 12]

[[route]]
phase = "crystalline"
sinter_temp_c = [1000, 1200]
sodium_excess_pct = [0, 10]

[[rule]]
sentence = "Excess only when hot."
when = "sodium_excess_pct > 0"
require = "sinter_temp_c >= 1100"
"""

every_space = pytest.mark.parametrize("name", lattice_names())


def read(text: str, folder: Path) -> Lattice:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return read_lattice(path)


def joined(parts: list[Drawn]) -> Drawn:
    return Drawn(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("steps", "counts", "route")))


def everything(lattice: Lattice, n: int, sampling: Sampling = "random", seed: int = 0) -> Drawn:
    return joined(list(draw(lattice, n, sampling, seed)))


def charge_of(name: str, formula: str) -> Fraction:
    charges = SULFATE if name == "nasicon-wide" else CHARGES
    return sum((Fraction(n or 1) * charges[s] for s, n in PIECE.findall(formula)), Fraction(0))


# ---------------------------------------------------------------- charge


@every_space
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_candidate_is_balanced_by_an_independent_sum(name: str, sampling: Sampling) -> None:
    lattice = load_lattice(name)
    drawn = everything(lattice, 2000, sampling, seed=1)
    assert len(drawn) == 2000
    charges = SULFATE if name == "nasicon-wide" else CHARGES
    if name == "hydroborates":
        ions = {**CHARGES, **CAGES}
        per_step = np.array([ions[s.formula] for s in lattice.species])
        sodium = drawn.counts[:, lattice.order.index("Na")]
        assert (sodium == -(drawn.steps @ per_step) * (lattice.scale // 40)).all()
    else:
        assert (drawn.counts @ np.array([charges[symbol] for symbol in lattice.order]) == 0).all()
        assert {charge_of(name, sample.formula) for sample in samples_of(lattice, drawn.take(np.arange(200)))} == {0}


@pytest.mark.parametrize(
    "formula",
    ["Na3.1Zr1.9Sc0.1Si2PO12", "Na3.35Zr1.85Mg0.05Sc0.1Si2.15P0.85O12", "Na2.9Sb0.9W0.1S4", "Na2.25Y0.25Zr0.75Cl6"],
)
def test_fractional_formulas_that_integer_tools_refuse_are_balanced(formula: str) -> None:
    verdict = charge_balance(parse_formula(formula))
    assert (verdict.is_balanced, verdict.charge) == (True, 0.0)
    assert charge_of("", formula) == 0


@every_space
def test_the_package_finds_candidates_balanced_too(name: str) -> None:
    lattice = load_lattice(name)
    for sample in samples_of(lattice, everything(lattice, 60)):
        verdict = charge_balance(parse_formula(sample.formula))
        assert verdict.is_balanced is (None if name == "hydroborates" else True), sample.formula
        assert verdict.charge in {0.0, None}


# ---------------------------------------------------------------- counting


def brute_force(site: Site) -> set[tuple[int, ...]]:
    spans = [range(s.lowest, s.highest + 1) for s in site.species]
    return {f for f in itertools.product(*spans) if sum(f) == site.n_steps and sum(n > 0 for n in f) <= site.at_most}


@st.composite
def sites(draw: st.DrawFn) -> Site:
    n_steps, n = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    species = []
    for i in range(n):
        lowest = draw(st.integers(0, 2))
        highest = draw(st.integers(lowest, max(lowest, n_steps)))
        species.append(Species(f"X{i}", {}, draw(st.integers(-3, 5)), min(lowest, n_steps), min(highest, n_steps)))
    return Site("x", Fraction(1, n_steps), n_steps, draw(st.integers(1, n)), tuple(species))


@given(sites())
@settings(max_examples=80)
def test_fillings_are_counted_and_numbered_as_by_brute_force(site: Site) -> None:
    expected = brute_force(site)
    assert _site_counts(site).sum() == len(expected)
    if expected:
        numbering = _Numbering(site)
        found = numbering.filling(np.arange(numbering.size))
        assert numbering.size == len(expected)
        assert {tuple(row) for row in found.tolist()} == expected


def test_a_small_space_is_counted_and_drawn_whole(tmp_path: Path) -> None:
    lattice = read(SMALL, tmp_path)
    zr, sc, mg = 4, 3, 2
    expected = set()
    for a, b, c in itertools.product(range(5), range(3), range(3)):
        if a + b + c == 4 and (a > 0) + (b > 0) + (c > 0) <= 2:
            for silicon in range(4):
                sodium = 24 - Fraction(a * zr + b * sc + c * mg, 2) - 4 * silicon - 5 * (3 - silicon)
                if 1 <= sodium <= Fraction(7, 2):
                    expected.add((sodium, Fraction(a, 2), Fraction(b, 2), Fraction(c, 2), silicon))
    count = count_lattice(lattice)
    assert (count.compositions, count.routes) == (len(expected), 3)
    for sampling in SAMPLINGS[:2]:
        drawn = everything(lattice, count.candidates, sampling)
        rows = {tuple(Fraction(int(n), lattice.scale) for n in row[:5]) for row in drawn.counts}
        assert len(drawn) == count.candidates
        assert rows == expected
        keys = {(tuple(row), int(r)) for row, r in zip(drawn.counts.tolist(), drawn.route, strict=True)}
        assert len(keys) == len(drawn)


@every_space
def test_a_shipped_space_is_counted_before_anything_is_drawn(name: str) -> None:
    count = count_lattice(load_lattice(name))
    assert 0 < count.compositions <= count.fillings
    assert count.candidates > 100_000


def test_the_wide_nasicon_holds_billions_of_candidates_and_every_metal_of_the_data() -> None:
    lattice = load_lattice("nasicon-wide")
    assert count_lattice(lattice).candidates > 10**10
    metals = {"Zr", "Ti", "Sc", "Hf", "In", "Sn", "Cr", "Ge", "Al", "Fe", "Y", "Yb", "Mg", "Nb", "Mo", "Ga", "Er", "Dy",
              "Zn", "V", "La", "Co", "Ta", "Cu", "Ca", "Lu"}  # fmt: skip
    assert metals <= set(lattice.order)


# ---------------------------------------------------------------- drawing


@every_space
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_no_candidate_comes_twice_and_each_keeps_every_rule(name: str, sampling: Sampling) -> None:
    lattice = load_lattice(name)
    drawn = everything(lattice, 3000, sampling)
    check_drawn(lattice, drawn)
    columns = [
        (*row, lattice.routes[r])
        for row, r in zip(
            (drawn.counts // np.gcd.reduce(drawn.counts, axis=1, keepdims=True)).tolist(), drawn.route, strict=True
        )
    ]
    assert len(set(columns)) == len(drawn) == 3000


def test_compositions_that_two_fillings_share_come_once(tmp_path: Path) -> None:
    text = (
        SMALL.replace("Si = [0, 3]", "Si = [0, 3]\nZr = [0, 1]")
        .replace("Mg = [0, 1]", "Si = [0, 1]")
        .replace('families = ["nasicon"]', 'families = ["nasicon", "other"]')
    )
    lattice = read(text, tmp_path)
    drawn = everything(lattice, count_lattice(lattice).candidates, "grid")
    distinct = {(tuple(row), int(r)) for row, r in zip(drawn.counts.tolist(), drawn.route, strict=True)}
    assert len(distinct) == len(drawn) < count_lattice(lattice).candidates


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_same_seed_gives_the_same_candidates_and_another_seed_others(sampling: Sampling) -> None:
    lattice = load_lattice("sulfides")
    first, again, other = (everything(lattice, 500, sampling, seed) for seed in (3, 3, 4))
    assert (first.counts == again.counts).all()
    assert (first.route == again.route).all()
    assert (first.counts != other.counts).any()


def test_a_grid_is_even_along_the_numbering() -> None:
    lattice = load_lattice("sulfide-glasses")
    share = np.bincount(everything(lattice, 5200, "grid").route, minlength=52)
    assert share.min() >= 95
    assert share.max() <= 105


def test_simple_sampling_gives_as_many_candidates_of_few_metals_as_of_many() -> None:
    lattice = load_lattice("nasicon-wide")
    shares = {}
    for sampling in ("random", "simple"):
        metals = everything(lattice, 5000, sampling).steps[:, : len(lattice.sites[0].species)] > 0
        shares[sampling] = np.bincount(metals.sum(axis=1), minlength=4)[1:] / 5000
    assert shares["random"][2] > 0.9
    assert shares["simple"].max() < 0.5
    assert shares["simple"].min() > 0.1


def test_candidates_come_in_chunks_of_bounded_size() -> None:
    sizes = [len(part) for part in draw(load_lattice("halides"), 50_000)]
    assert sum(sizes) == 50_000
    assert max(sizes) <= 16_384


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.steps.__setitem__((0, 0), d.steps[0, 0] + 1), "the site M is filled"),
        (lambda d: d.counts.__setitem__((0, 0), d.counts[0, 0] + 1), "the charge is zero"),
        (lambda d: d.counts.__setitem__((0, -1), d.counts[0, -1] + 1), "the elements are those of the species"),
        (lambda d: d.steps.__setitem__((0, slice(0, 3)), [1, 3, 0]), "species of M keep their ranges"),
        (lambda d: d.steps.__setitem__((0, slice(0, 3)), [2, 1, 1]), "at most 2 species stand on M"),
    ],
    ids=["overfilled", "charged", "other elements", "out of range", "too many species"],
)
def test_a_candidate_that_breaks_a_promise_is_named(change: object, message: str, tmp_path: Path) -> None:
    lattice = read(SMALL, tmp_path)
    drawn = everything(lattice, 5)
    change(drawn)  # type: ignore[operator]
    with pytest.raises(NascreenError, match=f"The candidate 0 of the space small breaks a rule .* {message}"):
        check_drawn(lattice, drawn)


def test_a_candidate_on_a_route_against_a_rule_is_named(tmp_path: Path) -> None:
    rule = '[[rule]]\nsentence = "Scandium stays cool."\nwhen = "Sc > 0"\nrequire = "sinter_temp_c <= 1000"\n'
    lattice = read(SMALL + rule, tmp_path)
    drawn = everything(lattice, 20)
    hot = [i for i, route in enumerate(lattice.routes) if route.sample.sinter_temp_c == 1200]
    scandium = drawn.counts[:, lattice.order.index("Sc")] > 0
    assert scandium.any()
    assert not np.isin(drawn.route[scandium], hot).any()
    drawn.route[scandium] = hot[0]
    with pytest.raises(NascreenError, match="breaks a rule that all candidates keep: Scandium stays cool"):
        check_drawn(lattice, drawn)


@pytest.mark.parametrize("name", [n for n in lattice_names() if n != "hydroborates"])
def test_a_printed_candidate_is_found_in_its_space_again_and_keeps_every_rule(name: str) -> None:
    lattice = load_lattice(name)
    drawn = everything(lattice, 15, "simple")
    for i, sample in enumerate(samples_of(lattice, drawn)):
        check_candidate(lattice, sample)
        found = drawn_from(lattice, sample)
        assert (found.steps[0] == drawn.steps[i]).all()
        assert (found.counts[0] == drawn.counts[i]).all()
        assert lattice.routes[found.route[0]].sample == lattice.routes[drawn.route[i]].sample


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Na3.01Zr1.99Sc0.01Si2PO12", "no candidate of the space nasicon-wide: its amounts lie between the steps"),
        ("Na3Zr2Si2PO11", "no candidate of the space nasicon-wide: no filling of its sites has these amounts"),
        ("Na3Zr2Si2PO12Cl", "no candidate of the space nasicon-wide: its elements are Na, Zr"),
        ("Na3.8Zr2Si2.4P0.6O12", "breaks a rule that all candidates keep: the charge is zero"),
        ("Na5Zr1.5Mg0.5Si3O12", "breaks a rule that all candidates keep: the mobile ion keeps its range"),
        ("Na3.5Zr1.5Yb0.5Si2PO12", ""),
        ("Na3.6Zr1.4Y0.3Yb0.3Si2PO12", "breaks a rule .*: Ions much larger than zirconium's take at most a quarter"),
    ],
)
def test_a_sample_that_is_no_candidate_is_told_why(formula: str, message: str) -> None:
    lattice = load_lattice("nasicon-wide")
    sample = replace(lattice.routes[0].sample, formula=formula)
    if not message:
        check_candidate(lattice, sample)
        return
    with pytest.raises(NascreenError, match=message):
        check_candidate(lattice, sample)


def test_a_sample_made_otherwise_or_of_unclear_cages_is_refused() -> None:
    lattice = load_lattice("nasicon-wide")
    with pytest.raises(InputError, match="no route of the space makes it in this way"):
        check_candidate(lattice, replace(lattice.routes[0].sample, formula="Na3Zr2Si2PO12", sinter_temp_c=1001.0))
    cages = load_lattice("hydroborates")
    sample = samples_of(cages, everything(cages, 1, "simple"))[0]
    with pytest.raises(InputError, match="which species it holds cannot be told"):
        check_candidate(cages, sample)


def test_other_tools_refuse_the_fractional_formulas_that_are_judged_here() -> None:
    from pymatgen.core import Composition

    for formula in ("Na3.1Zr1.9Sc0.1Si2PO12", "Na2.9Sb0.9W0.1S4"):
        assert charge_balance(parse_formula(formula)).is_balanced
        with pytest.raises(ValueError, match="integer"):
            Composition(formula).oxi_state_guesses()


@every_space
def test_what_is_printed_is_what_was_drawn(name: str) -> None:
    lattice = load_lattice(name)
    drawn = everything(lattice, 100)
    for counts in drawn.counts:
        formula = formula_of(lattice, counts)
        amounts = {s: Fraction(n or 1) for s, n in PIECE.findall(formula)}
        divisor = gcd(*map(int, counts))
        whole = {s: int(n) // divisor for s, n in zip(lattice.order, counts, strict=True) if n}
        ratios = {amounts[s] / n for s, n in whole.items()}
        assert amounts.keys() == whole.keys()
        assert len(ratios) == 1
    other = formula_of(lattice, drawn.counts[1])
    with pytest.raises(NascreenError, match="is not the composition that was drawn"):
        check_printed(lattice, drawn.counts[0], other)


def test_na3bs3_is_printed_as_chemists_write_it() -> None:
    lattice = load_lattice("sulfide-glasses")
    counts = np.array([{"Na": 120, "B": 40, "S": 120}.get(symbol, 0) for symbol in lattice.order])
    assert formula_of(lattice, counts) == "Na3BS3"


# ---------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A small space"', 'titel = "x"', r"own.toml has the key 'titel', which is not known; allowed"),
        ('title = "A small space"', "", "The space file own.toml has no 'title'; add it"),
        ('title = "A small space"', "title = 3", "own.toml has title = '3'; allowed is text in"),
        ('["nasicon"]', '["nasikon"]', r"own.toml has families = .*nasikon.*; allowed is a list of nasicon"),
        ('mobile = "Na"', 'mobile = "Mg"', "own.toml has mobile = 'Mg'; allowed is one of Na, Li, K, Ag"),
        ("[1, 3.5]", "[3, 1]", r"mobile_range = '\[3, 1\]'; allowed is a list of the least and the most"),
        ("[1, 3.5]", "[9, 9]", "own.toml has no charge-balanced member: no filling of its sites leaves Na from 9 to 9"),
        ("step = 0.5", "step = 0.3", "site 1.step = '0.3'; allowed is a part of the occupancy 2"),
        ("at_most = 2", "at_most = 9", "site 1.at_most = '9'; allowed is a whole number from 1 to 3"),
        ("at_most = 2\n[site.species]\nZr = [0, 2]", "at_most = 1\n[site.species]\nZr = [0, 1]",
         r"site 1 \(M\) of .* cannot be filled: no 1 of"),
        ("Sc = [0, 1]", "Sc = [0, 0.7]", r"site 1.species.Sc.range = '\[0, 0.7\]'; allowed is multiples of 0.5"),
        ("Sc = [0, 1]", "Sc = { rang = [0, 1] }", "has the key 'rang' in site 1.species.Sc, which is not known"),
        ("Sc = [0, 1]", "SiO4 = [0, 1]", "site 1.species.SiO4 of the space file own.toml is no neutral"),
        ("Sc = [0, 1]", "Sc = { charge = 2.5 }", "site 1.species.Sc.charge = '2.5'; allowed is a whole number"),
        ("Si = [0, 3]", "Si = [0, 3]\nZr = {range = [0, 1], charge = 3}", "gives Zr the charges 4 and 3"),
        ("Sc = [0, 1]", "Scc = [0, 1]", "The formula 'Scc' cannot be read"),
        ("sinter_temp_c = [1000, 1200]", "sinter_temp_c = []", r"route 1.sinter_temp_c = '\[\]'; allowed is a value"),
        ("sinter_temp_c = [1000, 1200]", "sinter_temp_c = [9000]", "route 1 of the space file own.toml cannot be used"),
        ("sinter_temp_c = [1000, 1200]", "furnace = 3", "has the key 'furnace' in route 1, which is not"),
        ("sinter_temp_c >= 1100", "sinter_temp_c >= 1100 or x", "rule 1.require = .*; allowed is"),
        ("sinter_temp_c >= 1100", "Xx >= 1100", "rule 1.require = 'Xx >= 1100'; allowed is comparisons of Na, Zr"),
        ("sinter_temp_c >= 1100", "phase >= 1100", "allowed is a text compared with == or !="),
        ("sinter_temp_c >= 1100", "sinter_temp_c >= hot", "allowed is a number, or text in single quotation marks"),
        ('when = "sodium_excess_pct > 0"', "", "own.toml has no route that keeps its rules"),
        ("[[route]]", "[[rout]]", "own.toml has the key 'rout', which is not known"),
        ('name = "small"', 'name = "small', "The space file own.toml is not TOML: .*line 2"),
    ],
    ids=range(1, 27),
)  # fmt: skip
def test_a_slip_in_a_space_file_is_named_with_file_key_and_what_is_allowed(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = SMALL.replace(old, new, 1)
    if "no route that keeps" in message:
        text = text.replace("sinter_temp_c = [1000, 1200]", "sinter_temp_c = 1000")
    assert text != SMALL
    with pytest.raises(InputError, match=message):
        read(text, tmp_path)


def test_a_space_without_sites_or_routes_is_refused(tmp_path: Path) -> None:
    head = SMALL.partition("[[site]]")[0]
    with pytest.raises(TableError, match=r"own.toml has no sites; add one under \[\[site\]\]"):
        read(head, tmp_path)
    with pytest.raises(TableError, match=r"own.toml has no route; say how candidates are made under \[\[route\]\]"):
        read(SMALL.partition("[[route]]")[0], tmp_path)


def test_a_space_whose_rules_leave_nothing_is_refused_when_drawn(tmp_path: Path) -> None:
    lattice = read(SMALL + '[[rule]]\nsentence = "Not at all."\nrequire = "O < 1"\n', tmp_path)
    with pytest.raises(InputError, match=r"Nothing in the space small keeps all of its rules: .*Not at all"):
        list(draw(lattice, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), RangeError, "number of candidates is '0'; allowed is a whole number from 1"),
        ((10**9,), RangeError, r"holds at most [0-9,]+ candidates; got 1,000,000,000"),
        ((5, "lattice"), InputError, "no sampling 'lattice'; allowed are random, grid, sobol, simple"),
        ((5, "grid", -1), RangeError, "The seed is '-1'; allowed is a whole number from 0"),
    ],
    ids=["none", "too many", "sampling", "seed"],
)
def test_a_request_that_cannot_be_met_is_refused(
    arguments: tuple[object, ...], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        next(draw(read(SMALL, tmp_path), *arguments))  # type: ignore[arg-type]


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"There is no space 'nasikon'; allowed are composites, .*or a file that ends"):
        load_lattice("nasikon")
    with pytest.raises(TableError, match=r"'/nowhere/x\.toml' cannot be read"):
        load_lattice("/nowhere/x.toml")


@every_space
def test_a_filling_that_is_looked_up_is_the_one_that_is_computed(name: str) -> None:
    rng = np.random.default_rng(0)
    for site in load_lattice(name).sites:
        numbering = _Numbering(site)
        numbers = rng.integers(0, numbering.size, size=300)
        computed = numbering.filling(numbers)
        assert numbering.table is None or numbering.n_ways < 300
        numbering.n_asked = numbering.n_ways
        looked_up = numbering.filling(numbers)
        assert numbering.table is not None
        assert (looked_up == computed).all()


@every_space
def test_of_random_numbers_exactly_those_that_keep_range_and_rules_become_candidates(name: str) -> None:
    lattice = load_lattice(name)
    rng = np.random.default_rng(0)
    digits = [rng.integers(0, size, size=4000) for size in _sizes(lattice)]
    numberings = [_Numbering(site) for site in lattice.sites]
    steps = np.hstack([n.filling(digit) for n, digit in zip(numberings, digits, strict=False)]).astype(np.int64)
    counts = steps @ lattice.matrix
    if lattice.mobile:
        counts[:, lattice.order.index(lattice.mobile)] -= steps @ lattice.charges
    every = Drawn(steps, counts, digits[-1])
    expected = every.take(is_kept(lattice, every))
    found, _ = _Decoder(lattice).placed(digits)
    assert 0 < len(expected) <= len(every)
    assert (found.steps == expected.steps).all()
    assert (found.counts == expected.counts).all()
    assert (found.route == expected.route).all()
