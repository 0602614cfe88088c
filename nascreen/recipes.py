"""Weigh-out sheets: precursors of a composition, balanced exactly, in grams for a batch.

Moles are exact fractions, found by linear algebra over the elements; only masses are floats. In air an oxide
may lose CO2, H2O and NH3 and exchange O2; everything else is made sealed, and what goes in stays in.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nascreen.chemistry import (
    ATOMIC_NUMBER,
    OXIDATION_STATES,
    Composition,
    charge_balance,
    family_of,
    format_formula,
    parse_formula,
)
from nascreen.errors import FormulaError, InputError, RangeError, shown
from nascreen.features import element_table

HALOGENS = ("F", "Cl", "Br", "I")
BALANCE_MG = 1.0
"""Readability of a common analytical balance."""
BATCH_RANGE_G = (0.001, 100_000.0)
EXCESS_RANGE_PCT = (0.0, 50.0)
PURITY_RANGE_PCT = (50.0, 100.0)

GASES: Mapping[str, Mapping[str, Fraction]] = {
    "CO2": {"C": Fraction(1), "O": Fraction(2)},
    "H2O": {"H": Fraction(2), "O": Fraction(1)},
    "NH3": {"N": Fraction(1), "H": Fraction(3)},
    "O2": {"O": Fraction(2)},
}
"""What an open crucible releases; O2 may be taken up as well."""

OXIDE_SOURCES: Mapping[str, str] = {
    "Na": "Na2CO3", "Li": "Li2CO3", "K": "K2CO3", "P": "NH4H2PO4", "B": "H3BO3", "Si": "SiO2", "Zr": "ZrO2",
    "Hf": "HfO2", "Ti": "TiO2", "Sn": "SnO2", "Ge": "GeO2", "Sc": "Sc2O3", "Y": "Y2O3", "In": "In2O3", "Al": "Al2O3",
    "Ga": "Ga2O3", "Fe": "Fe2O3", "Cr": "Cr2O3", "La": "La2O3", "Ce": "CeO2", "Pr": "Pr6O11", "Nd": "Nd2O3",
    "Sm": "Sm2O3", "Eu": "Eu2O3", "Gd": "Gd2O3", "Tb": "Tb4O7", "Dy": "Dy2O3", "Ho": "Ho2O3", "Er": "Er2O3",
    "Tm": "Tm2O3", "Yb": "Yb2O3", "Lu": "Lu2O3", "Mg": "MgO", "Zn": "ZnO", "Ca": "CaCO3", "Sr": "SrCO3",
    "Ba": "BaCO3", "Nb": "Nb2O5", "Ta": "Ta2O5", "V": "V2O5", "Mo": "MoO3", "W": "WO3", "As": "As2O5", "Sb": "Sb2O3",
    "Te": "TeO2", "Co": "Co3O4", "Ni": "NiO", "Mn": "MnO2", "Cu": "CuO", "Bi": "Bi2O3", "Cd": "CdO", "S": "Na2SO4",
}  # fmt: skip
SULFIDE_SOURCES: Mapping[str, str] = {
    "Na": "Na2S", "Li": "Li2S", "K": "K2S", "P": "P2S5", "B": "B", "Si": "SiS2", "Ge": "GeS2", "Sn": "SnS2",
    "Sb": "Sb2S3", "W": "WS2", "Mo": "MoS2", "As": "As2S3", "Al": "Al2S3", "Ga": "Ga2S3", "In": "In2S3", "Zn": "ZnS",
    "Cd": "CdS", "Ca": "CaS", "Mg": "MgS", "Sr": "SrS", "Ba": "BaS", "Ti": "TiS2", "Zr": "ZrS2", "Hf": "HfS2",
    "Ta": "TaS2", "Cu": "Cu2S", "Ag": "Ag2S", "Bi": "Bi2S3", "Y": "Y2S3", "La": "La2S3",
}  # fmt: skip
CAGES = ("NaBH4", "Na2B12H12", "Na2B10H10", "NaCB11H12", "NaCB9H10", "NaB3H8", "NaNH2", "NaCl", "NaBr", "NaI")
"""Sodium hydroborates as they are bought, and what is milled with them."""

HAZARDS: Mapping[str, str] = {
    "NH4H2PO4": "gives off ammonia and foams between 200 and 300 °C: calcine slowly, in a large crucible, ventilated",
    "Na2S": "corrosive; toxic H2S with moisture or acid",
    "P2S5": "toxic H2S and heat with moisture",
    "P": "red phosphorus: flammable, do not grind in air",
    "B": "amorphous boron powder is flammable and often oxidised: state its purity",
    "SiS2": "toxic H2S with moisture, at once",
    "B2S3": "toxic H2S with moisture, at once",
    "Al2S3": "toxic H2S with moisture, at once",
    "V2O5": "toxic by inhalation",
    "As2O5": "toxic and carcinogenic",
    "As2S3": "toxic and carcinogenic",
    "NaBH4": "hydrogen with water or acid",
    "NaNH2": "reacts violently with water; old material may hold explosive peroxides",
    "Na2O": "caustic; takes up water and CO2 from air",
}
TOXIC_ELEMENTS = frozenset({"As", "Be", "Cd", "Hg", "Pb", "Sb", "Se", "Te", "Tl", "V", "Co", "Ni", "Cr"})

_PART = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)?(.+)")
Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Precursor:
    """A reagent as it stands in the bottle.

    Attributes:
        formula: As written, water of crystallisation included.
        amounts: Exact atoms per formula.
        molar_mass: In g/mol.
    """

    formula: str
    amounts: Amounts
    molar_mass: float


@dataclass(frozen=True, slots=True)
class Weighing:
    """One line of the sheet.

    Attributes:
        precursor: The reagent.
        moles: Moles per mole of product, exact.
        purity_pct: Purity that its mass is corrected for.
        exact_g: Mass in g before rounding.
        weigh_g: Mass in g to be weighed, rounded to the balance.
    """

    precursor: Precursor
    moles: Fraction
    purity_pct: float
    exact_g: float
    weigh_g: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """A balanced sheet.

    Attributes:
        formula: What is to be made.
        batch_g: Mass of product, in g.
        is_open: Whether it is fired in air (gases leave, oxygen is exchanged) or sealed.
        weighings: What to weigh.
        gases: Moles released per mole of product; negative where taken from the air.
        loss_pct: Loss on ignition of the mixture, mass %.
        weighed: Atoms per formula unit that the rounded masses hold and that stay, exact.
        charge: Net charge of `weighed` with the usual oxidation states, oxygen of open firing taken as nominal;
            None where oxidation states cannot be told.
        excess_pct: Excess of elements that evaporate, in % of their amount.
        hazards: Sentences on handling.
    """

    formula: str
    batch_g: float
    is_open: bool
    weighings: tuple[Weighing, ...]
    gases: Amounts
    loss_pct: float
    weighed: Amounts
    charge: float | None
    excess_pct: Mapping[str, float]
    hazards: tuple[str, ...]


class _UnsolvableError(Exception):
    """Why a set of precursors cannot give a composition, as the end of a sentence."""


def molar_mass(amounts: Amounts) -> float:
    """Return the mass of one mole of a formula in g."""
    masses = element_table().atomic_mass
    return float(sum(float(n) * masses[ATOMIC_NUMBER[symbol]] for symbol, n in amounts.items()))


def read_precursor(text: str) -> Precursor:
    """Read the formula of a reagent; water follows a centred dot or an asterisk.

    Raises:
        FormulaError: If it cannot be read.

    >>> read_precursor("Na3PO4·12H2O").amounts["O"]
    Fraction(16, 1)
    """
    amounts: dict[str, Fraction] = {}
    for part in re.split(r"[·*•]", text.strip()):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise FormulaError(f"The precursor {shown(text)} cannot be read; write it such as Na3PO4·12H2O.")
        times = Fraction(match[1] or 1)
        for symbol, n in parse_formula(match[2]).amounts.items():
            amounts[symbol] = amounts.get(symbol, Fraction(0)) + times * n
    return Precursor(text.strip().replace("*", "·"), amounts, molar_mass(amounts))


def _rows(columns: Sequence[Amounts], target: Amounts) -> tuple[list[str], list[list[Fraction]]]:
    named = {symbol for part in (*columns, target) for symbol in part}
    elements = sorted(named, key=lambda symbol: (ATOMIC_NUMBER.get(symbol, 0), symbol))
    zero = Fraction(0)
    return elements, [[*(c.get(s, zero) for c in columns), target.get(s, zero)] for s in elements]


def balance(columns: Sequence[Amounts], target: Amounts) -> list[Fraction]:
    """Return the moles of each column that add up to a target, exactly.

    Gauss-Jordan elimination over the elements.

    Args:
        columns: Atoms per mole of what goes in; what leaves stands with negative atoms.
        target: Atoms of what is made.

    Raises:
        InputError: If no moles do, or more than one choice does; the message says what is in the way.

    >>> balance([{"Na": Fraction(2), "S": Fraction(1)}, {"S": Fraction(1)}], {"Na": Fraction(2), "S": Fraction(3)})
    [Fraction(1, 1), Fraction(2, 1)]
    """
    try:
        return _solved(columns, target)
    except _UnsolvableError as error:
        raise InputError(f"The reaction cannot be balanced: {error}.") from error


def _solved(columns: Sequence[Amounts], target: Amounts) -> list[Fraction]:
    elements, rows = _rows(columns, target)
    unbrought = [s for s, row in zip(elements, rows, strict=True) if not any(row[:-1]) and row[-1]]
    if unbrought:
        raise _UnsolvableError(f"nothing brings {', '.join(unbrought)}")
    n_pivots = 0
    for j in range(len(columns)):
        pivot = next((i for i in range(n_pivots, len(rows)) if rows[i][j]), None)
        if pivot is None:
            raise _UnsolvableError("the amounts are not determined; leave one of the precursors out")
        rows[n_pivots], rows[pivot] = rows[pivot], rows[n_pivots]
        lead = rows[n_pivots]
        rows[n_pivots] = lead = [value / lead[j] for value in lead]
        for i, row in enumerate(rows):
            if i != n_pivots and row[j]:
                rows[i] = [a - row[j] * b for a, b in zip(row, lead, strict=True)]
        n_pivots += 1
    if any(row[-1] for row in rows[n_pivots:]):
        raise _UnsolvableError(f"the amounts of {', '.join(elements)} cannot all be met at once")
    return [row[-1] for row in rows[:n_pivots]]


@dataclass(frozen=True, slots=True)
class _Route:
    """A way to make a composition: a class of sources, in order of preference."""

    is_open: bool
    anion: str
    choices: Callable[[], Iterator[dict[str, str]]]


def _main(symbols: Iterable[str], target: Amounts) -> str | None:
    return max((s for s in symbols if s in target), key=lambda s: target[s], default=None)


def _oxide_route(target: Amounts) -> _Route:
    def choices() -> Iterator[dict[str, str]]:
        halides = {x: f"Na{x}" for x in HALOGENS if x in target}
        yield {s: OXIDE_SOURCES[s] for s in target if s in OXIDE_SOURCES} | halides

    return _Route(is_open=True, anion="O", choices=choices)


def _antiperovskite_route(target: Amounts) -> _Route:
    def choices() -> Iterator[dict[str, str]]:
        halides = {x: f"Na{x}" for x in HALOGENS if x in target}
        others = {s: f"{s}O" for s in ("Mg", "Ca", "Sr", "Ba") if s in target}
        yield {"Na": "Na2O"} | halides | others

    return _Route(is_open=False, anion="O", choices=choices)


def _former_oxide(target: Amounts, states: Mapping[str, float]) -> str | None:
    former = _main((s for s in states if states[s] > 0 and s != "Na"), target)
    if former is None:
        return None
    return _binary(former, round(states[former]), "O", 2)


def _binary(cation: str, charge: int, anion: str, anion_charge: int) -> str:
    """Name a binary compound, as ``Ta2O5``.

    >>> _binary("Ta", 5, "Cl", 1), _binary("Sn", 4, "O", 2)
    ('TaCl5', 'SnO2')
    """
    ratio = Fraction(anion_charge, charge)
    return format_formula({cation: Fraction(ratio.numerator), anion: Fraction(ratio.denominator)})


def _chalcogenide_route(target: Amounts, states: Mapping[str, float], chalcogen: str) -> _Route:
    def choices() -> Iterator[dict[str, str]]:
        base = {s: SULFIDE_SOURCES.get(s, s) if chalcogen == "S" else s for s in target if states.get(s, 1) > 0}
        base |= {"Na": f"Na2{chalcogen}"} | {x: f"Na{x}" for x in HALOGENS if x in target}
        base |= {c: c for c in ("S", "Se") if c in target}
        oxide = _former_oxide(target, states) if "O" in target else None
        base |= {"O": oxide} if oxide else {}
        yield base
        yield base | {s: s for s in base if s in {"P", "Sb", "As", "Sn", "Ge", "W", "Mo", "Ti"}}

    return _Route(is_open=False, anion=chalcogen, choices=choices)


def _halide_route(target: Amounts, states: Mapping[str, float]) -> _Route:
    halogen = _main(HALOGENS, target) or "Cl"

    def choices() -> Iterator[dict[str, str]]:
        base = {s: _binary(s, round(states[s]), halogen, 1) for s in target if states.get(s, 0) > 0}
        base |= {x: f"Na{x}" for x in HALOGENS if x in target and x != halogen}
        oxide = _former_oxide(target, states) if "O" in target else None
        yield base | ({"O": oxide} if oxide else {})

    return _Route(is_open=False, anion=halogen, choices=choices)


def _hydroborate_route(target: Amounts) -> _Route:
    def choices() -> Iterator[dict[str, str]]:
        cages = [c for c in CAGES if parse_formula(c).amounts.keys() <= target.keys()]
        for n in (1, 2, 3):
            yield from (dict(zip(part, part, strict=True)) for part in itertools.combinations(cages, n))

    return _Route(is_open=False, anion="", choices=choices)


def _route(composition: Composition, states: Mapping[str, float]) -> _Route:
    target, family = composition.amounts, family_of(composition)
    if family == "hydroborate":
        return _hydroborate_route(target)
    if family == "antiperovskite":
        return _antiperovskite_route(target)
    if family in {"halide", "oxyhalide"} or (_main(("O", *HALOGENS), target) not in {"O", None} and "S" not in target):
        return _halide_route(target, states)
    if "O" in target and target["O"] >= target.get("S", 0) + target.get("Se", 0):
        return _oxide_route(target)
    if "S" in target or "Se" in target:
        return _chalcogenide_route(target, states, "Se" if target.get("Se", 0) > target.get("S", 0) else "S")
    raise InputError(
        f"No precursors are known for {shown(composition.text)} (family {family}); recipes are kept for oxides, "
        "sulfides, selenides, halides, oxyhalides, antiperovskites and hydroborates."
    )


def _with_excess(
    target: Amounts, excess_pct: Mapping[str, float], states: Mapping[str, float], anion: str
) -> dict[str, Fraction]:
    """Add the binary compound of each element in excess, so that the charge stays what it was."""
    out = dict(target)
    for symbol, percent in excess_pct.items():
        if not anion or states.get(symbol, 0) <= 0:
            raise InputError(f"An excess of {symbol} has no meaning here; leave --excess out.")
        extra = target[symbol] * Fraction(str(percent)) / 100
        out[symbol] += extra
        per_anion = 2 if anion in {"O", "S", "Se"} else 1
        out[anion] += extra * Fraction(str(states[symbol])) / per_anion
    return out


def _signed(gas: Amounts) -> dict[str, Fraction]:
    return {symbol: -n for symbol, n in gas.items()}


def _attempt(
    sources: Mapping[str, str], target: Amounts, *, is_open: bool
) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    precursors = {text: read_precursor(text).amounts for text in dict.fromkeys(sources.values())}
    held = {symbol for amounts in precursors.values() for symbol in amounts}
    gases = {name: gas for name, gas in GASES.items() if gas.keys() <= held} if is_open else {}
    solution = _solved([*precursors.values(), *map(_signed, gases.values())], target)
    moles = dict(zip([*precursors, *gases], solution, strict=True))
    short = [f"{float(n):.4g} {name}" for name, n in moles.items() if n < 0 and name != "O2"]
    if short:
        raise _UnsolvableError(f"it would need {' and '.join(short)}, less than nothing")
    return {name: moles[name] for name in precursors if moles[name]}, {g: moles[g] for g in gases if moles[g]}


def _chosen(
    composition: Composition, route: _Route, target: Amounts, overrides: Mapping[str, str]
) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    reasons: list[str] = []
    for choice in route.choices():
        sources = {**choice, **overrides}
        try:
            return _attempt(sources, target, is_open=route.is_open)
        except _UnsolvableError as error:
            reasons.append(f"from {', '.join(dict.fromkeys(sources.values()))} {error}")
    why = reasons[0] if reasons else "no precursor is known for it"
    raise InputError(
        f"No combination of precursors gives {shown(composition.text)}: {why}. "
        "Choose others with --precursor, such as --precursor P=NH4H2PO4."
    )


def _check_keys(what: str, given: Mapping[str, object], allowed: Iterable[str]) -> None:
    names = list(allowed)
    for key in given:
        if key not in names:
            raise InputError(f"The {what} names {shown(key)}; allowed are {', '.join(names)}.")


def _check_number(what: str, value: float, limits: tuple[float, float], unit: str) -> None:
    lowest, highest = limits
    if not lowest <= value <= highest:
        raise RangeError(f"The {what} is {value:g} {unit}; allowed is {lowest:g} to {highest:g} {unit}.")


def _states(composition: Composition) -> tuple[Mapping[str, float], bool]:
    verdict = charge_balance(composition)
    if verdict.is_balanced is False:
        raise InputError(
            f"The formula {shown(composition.text)} is not charge balanced ({verdict.note}), so it has no recipe; "
            "give the balanced formula, and an excess of an element that evaporates by --excess."
        )
    usual = {s: float(OXIDATION_STATES.get(s, (0,))[0]) for s in composition.amounts}
    return verdict.oxidation_states or usual, bool(verdict.oxidation_states)


def make_recipe(
    formula: str,
    batch_g: float = 10.0,
    *,
    precursors: Mapping[str, str] | None = None,
    excess_pct: Mapping[str, float] | None = None,
    purity_pct: Mapping[str, float] | None = None,
    balance_mg: float = BALANCE_MG,
) -> Recipe:
    """Return what to weigh for a batch.

    Args:
        formula: What is to be made; charge balanced where that can be judged.
        batch_g: Mass of product in g.
        precursors: Reagent by element, where another than the usual one is wanted.
        excess_pct: Excess in % of the amount of an element, against evaporation.
        purity_pct: Purity in mass % by reagent; 100 where not given. The rest is taken as inert.
        balance_mg: Readability of the balance in mg.

    Raises:
        FormulaError: If a formula cannot be read.
        RangeError: If a number is out of bounds.
        InputError: If the formula is unbalanced, or no combination of precursors gives it.

    >>> [(w.precursor.formula, str(w.moles)) for w in make_recipe("Na3BS3").weighings]
    [('Na2S', '3/2'), ('B', '1'), ('S', '3/2')]
    """
    overrides, excess, purity = dict(precursors or {}), dict(excess_pct or {}), dict(purity_pct or {})
    composition = parse_formula(formula)
    _check_number("batch", batch_g, BATCH_RANGE_G, "g")
    _check_number("readability of the balance", balance_mg, (0.001, 1000.0), "mg")
    _check_keys("precursor", overrides, composition.amounts)
    _check_keys("excess", excess, composition.amounts)
    for symbol, percent in excess.items():
        _check_number(f"excess of {symbol}", percent, EXCESS_RANGE_PCT, "%")
    for symbol, text in overrides.items():
        if symbol not in read_precursor(text).amounts:
            raise InputError(f"The precursor {shown(text)} was given for {symbol}, which it does not hold.")
    states, is_judged = _states(composition)
    route = _route(composition, states)
    target = _with_excess(composition.amounts, excess, states, route.anion)
    moles, gases = _chosen(composition, route, target, overrides)
    purity = {read_precursor(text).formula: percent for text, percent in purity.items()}
    _check_keys("purity", purity, [read_precursor(text).formula for text in moles])
    for text, percent in purity.items():
        _check_number(f"purity of {text}", percent, PURITY_RANGE_PCT, "%")
    batch_mol = batch_g / molar_mass(composition.amounts)
    weighings = tuple(_weighing(read_precursor(text), n, batch_mol, purity, balance_mg) for text, n in moles.items())
    _check_weighable(weighings, balance_mg)
    weighed = _weighed(weighings, batch_mol, composition.amounts, is_open=route.is_open)
    return Recipe(
        formula=composition.text,
        batch_g=batch_g,
        is_open=route.is_open,
        weighings=weighings,
        gases=gases,
        loss_pct=_loss_pct(weighings, gases),
        weighed=weighed,
        charge=float(sum(n * Fraction(str(states[s])) for s, n in weighed.items())) if is_judged else None,
        excess_pct=excess,
        hazards=tuple(_hazards(composition, weighings, gases, is_open=route.is_open)),
    )


def _weighing(
    precursor: Precursor, moles: Fraction, batch_mol: float, purity: Mapping[str, float], balance_mg: float
) -> Weighing:
    percent = purity.get(precursor.formula, 100.0)
    exact_g = float(moles) * batch_mol * precursor.molar_mass * 100 / percent
    step = Fraction(str(balance_mg)) / 1000
    return Weighing(precursor, moles, percent, exact_g, float(round(Fraction(exact_g) / step) * step))


def _check_weighable(weighings: Sequence[Weighing], balance_mg: float) -> None:
    for w in weighings:
        if not w.weigh_g:
            raise RangeError(
                f"The batch needs {1000 * w.exact_g:.3g} mg of {w.precursor.formula}, less than half of the "
                f"{balance_mg:g} mg that the balance reads; make a larger batch."
            )


def _weighed(weighings: Sequence[Weighing], batch_mol: float, nominal: Amounts, *, is_open: bool) -> Amounts:
    """Return the atoms per formula unit in the rounded masses; the oxygen of open firing is the nominal one."""
    found = dict.fromkeys(nominal, Fraction(0))
    for w in weighings:
        moles = Fraction(w.weigh_g * w.purity_pct / 100 / w.precursor.molar_mass / batch_mol)
        for symbol in found.keys() & w.precursor.amounts.keys():
            found[symbol] += moles * w.precursor.amounts[symbol]
    return {**found, "O": nominal["O"]} if is_open else found


def _loss_pct(weighings: Sequence[Weighing], gases: Amounts) -> float:
    mixture = sum(float(w.moles) * w.precursor.molar_mass for w in weighings)
    return 100 * sum(float(n) * molar_mass(GASES[name]) for name, n in gases.items()) / mixture


def _hazards(
    composition: Composition, weighings: Sequence[Weighing], gases: Amounts, *, is_open: bool
) -> Iterator[str]:
    names = [w.precursor.formula for w in weighings]
    family = family_of(composition)
    if not is_open:
        yield "Weigh, mix and press in a glove box (H2O and O2 below 1 ppm); heat in a closed vessel."
    if "S" in composition.amounts and not is_open:
        yield "Sulfides give off toxic H2S with moisture, also when old samples are thrown away."
    if family in {"halide", "oxyhalide"}:
        yield "Metal halides take up water and give off acid fumes in moist air."
    if family == "hydroborate":
        yield "Hydroborates give off hydrogen when heated, or with acid."
    yield from (f"{name}: {HAZARDS[name]}." for name in names if name in HAZARDS)
    if gases.get("O2", 0) > 0:
        yield "Oxygen has to leave: where air does not reduce the oxide by itself, fire in argon or a reducing gas."
    toxic = [s for s in composition.amounts if s in TOXIC_ELEMENTS]
    if toxic:
        yield f"Compounds of {', '.join(toxic)} are toxic: no dust, collect the waste."


def recipe_text(recipe: Recipe) -> str:
    """Return a sheet to be printed."""
    width = max(len(w.precursor.formula) for w in recipe.weighings)
    lines = [f"{recipe.formula}: {recipe.batch_g:g} g of product, {'fired in air' if recipe.is_open else 'sealed'}"]
    for symbol, percent in recipe.excess_pct.items():
        lines.append(f"  with {percent:g} % more {symbol}, which evaporates")
    lines.append(f"  {'precursor':{max(width, 9)}}  mol per mol  purity %  weigh / g")
    for w in recipe.weighings:
        name, moles = w.precursor.formula, float(w.moles)
        lines.append(f"  {name:{max(width, 9)}}  {moles:11.5g}  {w.purity_pct:8g}  {w.weigh_g:9.3f}")
    total = sum(w.weigh_g for w in recipe.weighings)
    lines.append(f"  {'sum':{max(width, 9)}}  {'':11}  {'':8}  {total:9.3f}")
    out = [f"{float(n):.4g} {name}" for name, n in recipe.gases.items() if n > 0]
    taken = [f"{-float(n):.4g} {name}" for name, n in recipe.gases.items() if n < 0]
    if out:
        lines.append(f"  gases per formula unit: {', '.join(out)}; loss on ignition {recipe.loss_pct:.2f} %")
    if taken:
        lines.append(f"  taken from the air per formula unit: {', '.join(taken)}")
    charge = "" if recipe.charge is None else f", charge {recipe.charge:+.4f}"
    lines.append(f"  weighed composition: {format_formula(recipe.weighed)}{charge}")
    return "\n".join([*lines, *(f"  ! {sentence}" for sentence in recipe.hazards)])


RECIPE_COLUMNS = ("precursor", "mol_per_mol", "molar_mass_g_mol", "purity_pct", "weigh_g", "done_g")


def recipe_rows(recipe: Recipe) -> list[dict[str, str]]:
    """Return a sheet as cells of a table; ``done_g`` is left for the hand of who weighs."""
    return [
        {
            "precursor": w.precursor.formula,
            "mol_per_mol": f"{float(w.moles):.6g}",
            "molar_mass_g_mol": f"{w.precursor.molar_mass:.4f}",
            "purity_pct": f"{w.purity_pct:g}",
            "weigh_g": f"{w.weigh_g:.6g}",
            "done_g": "",
        }
        for w in recipe.weighings
    ]
