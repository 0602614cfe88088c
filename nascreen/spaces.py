"""Candidate spaces: what may be made next, written from site substitutions and processing steps.

A candidate is a `Sample` without measured values. Amounts are exact fractions until they are printed, and
each candidate is checked again from its printed formula, so that what a laboratory reads is what balances.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import Composition, charge_balance, family_of, format_formula, parse_formula
from nascreen.errors import InputError, NascreenError, RangeError, shown
from nascreen.records import Sample, check_sample


@dataclass(frozen=True, slots=True)
class Dopant:
    """An ion that takes the place of zirconium.

    Attributes:
        symbol: Element.
        charge: Its charge as an ion.
        radius: Shannon radius in angstrom for coordination 6 (R. D. Shannon, Acta Cryst. A 32, 751 (1976),
            doi:10.1107/S0567739476001551).
    """

    symbol: str
    charge: int
    radius: float

    @property
    def mismatch(self) -> float:
        """Difference from the radius of zirconium, as a fraction of it."""
        return abs(self.radius - ZIRCONIUM_RADIUS) / ZIRCONIUM_RADIUS


ZIRCONIUM_RADIUS = 0.72
ZIRCONIUM_CHARGE = 4

DOPANTS: tuple[Dopant, ...] = (
    Dopant("Hf", 4, 0.71), Dopant("Ti", 4, 0.605), Dopant("Sn", 4, 0.69), Dopant("Ge", 4, 0.53),
    Dopant("Sc", 3, 0.745), Dopant("Y", 3, 0.9), Dopant("In", 3, 0.8), Dopant("Al", 3, 0.535), Dopant("Ga", 3, 0.62),
    Dopant("La", 3, 1.032), Dopant("Nd", 3, 0.983), Dopant("Gd", 3, 0.938), Dopant("Dy", 3, 0.912),
    Dopant("Yb", 3, 0.868), Dopant("Lu", 3, 0.861),
    Dopant("Mg", 2, 0.72), Dopant("Zn", 2, 0.74), Dopant("Ca", 2, 1.0),
    Dopant("Nb", 5, 0.64), Dopant("Ta", 5, 0.64),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SolubilityStep:
    """The most zirconium that dopants up to a radius mismatch replace before a second phase is likely."""

    highest_mismatch: float
    highest_amount: Fraction


SOLUBILITY: tuple[SolubilityStep, ...] = (
    SolubilityStep(0.165, Fraction(1, 2)),
    SolubilityStep(0.31, Fraction(1, 5)),
    SolubilityStep(0.45, Fraction(1, 20)),
)
"""Goldschmidt's 15 %, taken wide enough for titanium, whose NASICON mixes with zirconium's in all proportions."""

DOPANT_AMOUNTS = tuple(Fraction(n, 20) for n in (1, 2, 4, 6, 8, 10))
CODOPANT_AMOUNTS = (Fraction(1, 10), Fraction(1, 5))
SILICON_UNDOPED = tuple(Fraction(n, 5) for n in range(16))
SILICON_DOPED = tuple(Fraction(n, 5) for n in (5, 8, 9, 10, 11, 12, 13))
SILICON_CODOPED = (Fraction(2), Fraction(11, 5))
SODIUM_RANGE = (Fraction(1, 2), Fraction(4))
SINTER_TIMES_H = (5.0, 10.0, 24.0)


@dataclass(frozen=True, slots=True)
class Firing:
    """A sintering temperature and the open porosity that it leaves; None where the body comes out dense."""

    temp_c: float
    porosity_pct: float | None


FIRINGS: tuple[Firing, ...] = (
    Firing(900.0, 20.0), Firing(1000.0, 20.0), Firing(1050.0, 15.0), Firing(1100.0, 10.0), Firing(1150.0, 7.0),
    Firing(1200.0, None), Firing(1260.0, None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PorosityBand:
    """Porosity that sintering between two temperatures may leave, limits included."""

    lowest_temp_c: float
    highest_temp_c: float
    lowest_pct: float
    highest_pct: float


POROSITY_BANDS: tuple[PorosityBand, ...] = (
    PorosityBand(800.0, 1000.0, 20.0, 40.0),
    PorosityBand(1050.0, 1050.0, 10.0, 20.0),
    PorosityBand(1100.0, 1100.0, 10.0, 10.0),
    PorosityBand(1150.0, 1150.0, 5.0, 10.0),
    PorosityBand(1200.0, 1300.0, 0.0, 5.0),
)
"""Na3Zr2Si2PO12 kept over 20 % of pores at 900 °C and about 10 % at 1100 °C, and was denser at 1260 °C."""

LEAST_POROSITY_TO_FILL_PCT = 5.0
EPOXY_CURE_TEMP_C, EPOXY_CURE_TIME_H = 150.0, 24.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What every candidate of a space keeps to.

    Attributes:
        name: Short name.
        sentence: The rule, for people.
        holds: Tells whether a candidate keeps to it.
    """

    name: str
    sentence: str
    holds: Callable[[Sample], bool]


@lru_cache(maxsize=4096)
def _composition(formula: str) -> Composition:
    return parse_formula(formula)


def _is_charge_balanced(sample: Sample) -> bool:
    verdict = charge_balance(_composition(sample.formula))
    return verdict.is_balanced is True and verdict.charge == 0.0


def _has_sodium_in_range(sample: Sample) -> bool:
    lowest, highest = SODIUM_RANGE
    return lowest <= _composition(sample.formula).amounts.get("Na", Fraction(0)) <= highest


def _is_porosity_of_firing(sample: Sample) -> bool:
    porosity = sample.porosity_pct or 0.0
    return sample.sinter_temp_c is not None and any(
        band.lowest_temp_c <= sample.sinter_temp_c <= band.highest_temp_c
        and band.lowest_pct <= porosity <= band.highest_pct
        for band in POROSITY_BANDS
    )


def _is_fillable(sample: Sample) -> bool:
    has_filler = sample.second_phase_role == "pore_filler"
    if not has_filler:
        return sample.phase == "crystalline" and sample.second_phase == ""
    return sample.phase == "composite" and (sample.porosity_pct or 0.0) >= LEAST_POROSITY_TO_FILL_PCT


def _is_bare_body_dense(sample: Sample) -> bool:
    return sample.second_phase_role == "pore_filler" or (sample.porosity_pct or 0.0) <= LEAST_POROSITY_TO_FILL_PCT


def _is_heat_of_phase(sample: Sample) -> bool:
    is_heated = sample.heat_temp_c is not None and sample.heat_time_h is not None
    is_unheated = sample.heat_temp_c is None and sample.heat_time_h is None
    return is_unheated if sample.phase == "glass" else sample.phase == "glass_ceramic" and is_heated


BALANCED_RULE = Rule("balanced", "The printed formula is charge balanced exactly.", _is_charge_balanced)
NASICON_RULES: tuple[Rule, ...] = (
    BALANCED_RULE,
    Rule("sodium", "A formula unit holds 0.5 to 4 sodium.", _has_sodium_in_range),
    Rule("porosity", "The porosity is what the sintering temperature leaves.", _is_porosity_of_firing),
    Rule("filler", "A filler needs at least 5 % of open pores and makes a composite.", _is_fillable),
    Rule("dense", "A body without filler is sintered dense.", _is_bare_body_dense),
)
THIOBORATE_RULES: tuple[Rule, ...] = (
    BALANCED_RULE,
    Rule("heat", "A glass stays below its crystallisation temperature; a glass ceramic is heated.", _is_heat_of_phase),
)


def _highest_amount(dopant: Dopant) -> Fraction:
    steps = (step.highest_amount for step in SOLUBILITY if dopant.mismatch <= step.highest_mismatch)
    return max(steps, default=Fraction(0))


def nasicon_amounts(silicon: Fraction, dopants: Mapping[Dopant, Fraction]) -> dict[str, Fraction]:
    """Return the balanced amounts of a substituted NASICON.

    Na(1 + y + sum (4 - q) x) Zr(2 - sum x) M(x) Si(y) P(3 - y) O12 for dopants M of charge q; elements that
    are absent are left out.

    Args:
        silicon: y, from 0 to 3.
        dopants: x of each dopant.

    Returns:
        Amounts per formula unit, in the order in which NASICONs are written.

    >>> format_formula(nasicon_amounts(Fraction(2), {Dopant("Sc", 3, 0.745): Fraction(1, 10)}))
    'Na3.1Zr1.9Sc0.1Si2PO12'
    """
    sodium = 1 + silicon + sum((ZIRCONIUM_CHARGE - d.charge) * x for d, x in dopants.items())
    amounts = {
        "Na": sodium,
        "Zr": 2 - sum(dopants.values(), Fraction(0)),
        **{dopant.symbol: x for dopant, x in dopants.items()},
        "Si": silicon,
        "P": 3 - silicon,
        "O": Fraction(12),
    }
    return {symbol: amount for symbol, amount in amounts.items() if amount}


def _nasicon_substitutions(dopants: Sequence[Dopant]) -> Iterator[tuple[Fraction, dict[Dopant, Fraction]]]:
    for silicon in SILICON_UNDOPED:
        yield silicon, {}
    for dopant, x, silicon in itertools.product(dopants, DOPANT_AMOUNTS, SILICON_DOPED):
        if x <= _highest_amount(dopant):
            yield silicon, {dopant: x}
    soluble = [dopant for dopant in dopants if _highest_amount(dopant) >= 2 * max(CODOPANT_AMOUNTS)]
    for pair, x, silicon in itertools.product(itertools.combinations(soluble, 2), CODOPANT_AMOUNTS, SILICON_CODOPED):
        yield silicon, dict.fromkeys(pair, x)


def _fired(body: Sample, firing: Firing, time_h: float) -> Sample:
    if firing.porosity_pct is None:
        return replace(body, phase="crystalline", sinter_temp_c=firing.temp_c, sinter_time_h=time_h)
    return replace(
        body,
        phase="composite",
        sinter_temp_c=firing.temp_c,
        sinter_time_h=time_h,
        porosity_pct=firing.porosity_pct,
        second_phase="epoxy",
        second_phase_role="pore_filler",
        heat_temp_c=EPOXY_CURE_TEMP_C,
        heat_time_h=EPOXY_CURE_TIME_H,
    )


def nasicon_candidates(
    dopants: Sequence[Dopant] = DOPANTS,
    firings: Sequence[Firing] = FIRINGS,
    sinter_times_h: Sequence[float] = SINTER_TIMES_H,
) -> Iterator[Sample]:
    """Yield NASICONs with one or two dopants on the zirconium site, dense or porous and filled with epoxy.

    Args:
        dopants: Ions on the zirconium site, each up to the amount that `SOLUBILITY` allows.
        firings: Sintering temperatures with the porosity that they leave.
        sinter_times_h: Sintering times.

    Yields:
        Candidates; the heat treatment of a filled body is the curing of its epoxy.
    """
    lowest, highest = SODIUM_RANGE
    for silicon, substitution in _nasicon_substitutions(dopants):
        amounts = nasicon_amounts(silicon, substitution)
        if not lowest <= amounts["Na"] <= highest:
            continue
        site = "/".join(["Zr", *(dopant.symbol for dopant in substitution)])
        body = Sample(
            formula=format_formula(amounts),
            label=f"{site}, Si {float(silicon):.1f}",
            family="nasicon",
            synthesis="solid_state",
        )
        for firing, time_h in itertools.product(firings, sinter_times_h):
            yield _fired(body, firing, time_h)


@dataclass(frozen=True, slots=True)
class Former:
    """A sulfide that may stand for part of the B2S3 of a glass.

    Attributes:
        formula: Its formula, as in a batch.
        symbol: The network-forming element.
        n_cations: Network-forming cations per formula.
        n_sulfur: Sulfur per formula.
    """

    formula: str
    symbol: str
    n_cations: int
    n_sulfur: int


BORON_SULFIDE = Former("B2S3", "B", 2, 3)
REPLACING_FORMERS = (Former("P2S5", "P", 2, 5), Former("SiS2", "Si", 1, 2), Former("GeS2", "Ge", 1, 2))
MODIFIER_FRACTIONS = tuple(sorted({*(Fraction(n, 20) for n in range(1, 17)), Fraction(2, 3)}))
REPLACED_FRACTIONS = tuple(Fraction(n, 10) for n in (1, 2, 3))
CRYSTALLISATION_TEMPS_C = (200.0, 250.0, 300.0)
CRYSTALLISATION_TIME_H = 1.0
PRESSURE_MPA = 360.0


def _batch_amounts(modifier: Fraction, parts: Mapping[Former, Fraction]) -> dict[str, Fraction]:
    sulfur = modifier + sum(n * former.n_sulfur for former, n in parts.items())
    return {"Na": 2 * modifier, **{f.symbol: n * f.n_cations for f, n in parts.items()}, "S": sulfur}


def _is_printed_exactly(amounts: Iterable[Fraction]) -> bool:
    return all((amount * 10_000).denominator == 1 for amount in amounts)


def readable_amounts(amounts: Mapping[str, Fraction], formers: Iterable[str]) -> dict[str, Fraction]:
    """Scale a composition so that four decimals print it exactly.

    One network-forming cation where that is exact (Na3BS3), else the least whole multiple of the amounts given.

    Args:
        amounts: Amounts in any scale.
        formers: The network-forming elements.

    Returns:
        The same composition, scaled.

    >>> format_formula(readable_amounts({"Na": Fraction(4, 3), "B": Fraction(2, 3), "S": Fraction(5, 3)}, ["B"]))
    'Na2BS2.5'
    """
    per_former = 1 / sum((amounts[symbol] for symbol in formers), Fraction(0))
    for scale in itertools.chain([per_former], map(Fraction, itertools.count(1))):
        scaled = {symbol: amount * scale for symbol, amount in amounts.items()}
        if _is_printed_exactly(scaled.values()):
            return scaled
    raise AssertionError


def _mol_pct(amount: Fraction) -> str:
    return f"{float(100 * amount):.2f}".rstrip("0").rstrip(".")


def _thioborate_batches() -> Iterator[tuple[Fraction, dict[Former, Fraction]]]:
    for modifier in MODIFIER_FRACTIONS:
        rest = 1 - modifier
        yield modifier, {BORON_SULFIDE: rest}
        for former, replaced in itertools.product(REPLACING_FORMERS, REPLACED_FRACTIONS):
            yield modifier, {BORON_SULFIDE: rest * (1 - replaced), former: rest * replaced}


def thioborate_candidates(
    heat_temps_c: Sequence[float] = CRYSTALLISATION_TEMPS_C,
    heat_time_h: float = CRYSTALLISATION_TIME_H,
    press_mpa: float = PRESSURE_MPA,
) -> Iterator[Sample]:
    """Yield glasses x Na2S - (1 - x) B2S3 and their neighbours, as milled and crystallised by heat.

    Args:
        heat_temps_c: Temperatures at which a glass is turned into a glass ceramic.
        heat_time_h: Time at that temperature.
        press_mpa: Pressure under which the powder becomes a pellet.

    Yields:
        Candidates; up to 30 mol% of the B2S3 is replaced by P2S5, SiS2 or GeS2.
    """
    for modifier, parts in _thioborate_batches():
        amounts = readable_amounts(_batch_amounts(modifier, parts), [former.symbol for former in parts])
        batch = [f"{_mol_pct(modifier)} Na2S", *(f"{_mol_pct(n)} {former.formula}" for former, n in parts.items())]
        glass = Sample(
            formula=format_formula(amounts),
            label=f"{' - '.join(batch)} (mol%)",
            family="thioborate",
            phase="glass",
            synthesis="ball_mill",
            press_mpa=press_mpa,
            modifier_mol_pct=float(100 * modifier),
        )
        yield glass
        ceramic = replace(glass, phase="glass_ceramic", synthesis="mechanochemical+anneal", heat_time_h=heat_time_h)
        for temp_c in heat_temps_c:
            yield replace(ceramic, heat_temp_c=temp_c)


@dataclass(frozen=True, slots=True)
class Space:
    """A named set of candidates.

    Attributes:
        name: Short name.
        title: One line for people.
        family: Family of electrolytes of its candidates.
        candidates: Yields the candidates.
        rules: What each of them keeps to.
    """

    name: str
    title: str
    family: str
    candidates: Callable[[], Iterator[Sample]]
    rules: tuple[Rule, ...]


SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space(
            "nasicon",
            "Substituted Na3Zr2Si2PO12, sintered dense or porous and filled with epoxy",
            "nasicon",
            nasicon_candidates,
            NASICON_RULES,
        ),
        Space(
            "thioborate",
            "Na2S-B2S3 glasses and glass ceramics, with P2S5, SiS2 or GeS2",
            "thioborate",
            thioborate_candidates,
            THIOBORATE_RULES,
        ),
    )
}


_PROCESSING = (
    "phase", "synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa", "porosity_pct",
    "second_phase", "second_phase_wt_pct", "second_phase_role",
)  # fmt: skip


def check_candidate(space: Space, sample: Sample) -> None:
    """Check a candidate against the bounds of every column and the rules of its space.

    Args:
        space: The space that it belongs to.
        sample: The candidate.

    Raises:
        FormulaError: If its formula cannot be read.
        RangeError: If a value is out of the bounds of its column.
        NascreenError: If it breaks a rule or is of another family; the message names the rule.
    """
    check_sample(sample)
    broken = next((rule.sentence for rule in space.rules if not rule.holds(sample)), None)
    if broken is None and family_of(_composition(sample.formula), sample.phase) != space.family:
        broken = f"The family is {space.family}."
    if broken:
        raise NascreenError(
            f"The candidate {shown(sample.formula)} ({sample.phase}) of the space {space.name} breaks a rule that all "
            f"candidates keep: {broken} Correct the generator or the rule."
        )


@lru_cache(maxsize=4096)
def _canonical(formula: str) -> tuple[tuple[str, float], ...]:
    amounts = _composition(formula).amounts
    total = sum(amounts.values(), Fraction(0))
    return tuple(sorted((symbol, round(float(n / total), 6)) for symbol, n in amounts.items()))


def _key(sample: Sample) -> tuple[object, ...]:
    """Return what makes two candidates the same thing to make: composition and processing, however written."""
    return (_canonical(sample.formula), *(getattr(sample, name) for name in _PROCESSING))


@lru_cache(maxsize=len(SPACES))
def _all_candidates(name: str) -> tuple[Sample, ...]:
    found: dict[tuple[object, ...], Sample] = {}
    for sample in SPACES[name].candidates():
        check_candidate(SPACES[name], sample)
        found.setdefault(_key(sample), sample)
    return tuple(found.values())


def _known(name: object) -> str:
    if not isinstance(name, str) or name not in SPACES:
        raise InputError(f"There is no candidate space {shown(name)}; allowed are {', '.join(SPACES)}.")
    return name


def _is_whole(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def count(space_name: str) -> int:
    """Return the number of candidates in a space.

    Args:
        space_name: One of `SPACES`.

    Returns:
        How many `generate` returns.

    Raises:
        InputError: If there is no such space.
    """
    return len(_all_candidates(_known(space_name)))


def generate(name: str, n: int | None = None, seed: int = 0) -> list[Sample]:
    """Return the candidates of a space, all of them or some taken at random.

    The same arguments give the same candidates, and a larger `n` begins with those of a smaller one.

    Args:
        name: One of `SPACES`.
        n: How many to take, none of them twice; None for all, in the order of the space.
        seed: Seed of the random choice, 0 or above.

    Returns:
        Candidates, each checked against the rules of its space.

    Raises:
        InputError: If there is no such space.
        RangeError: If `n` is not a whole number from 1 to the size of the space, or `seed` not one from 0.

    >>> [sample.formula for sample in generate("thioborate") if sample.label.startswith("75 Na2S - 25 B2S3")][0]
    'Na3BS3'
    """
    candidates = _all_candidates(_known(name))
    if n is None:
        return list(candidates)
    return [candidates[i] for i in listed_order(name, n, seed)]


def listed_order(name: str, n: int, seed: int = 0) -> NDArray[np.intp]:
    """Return which candidates `generate` takes, as their places in the space, shape (n,).

    Raises:
        InputError: If there is no such space.
        RangeError: If `n` is not a whole number from 1 to the size of the space, or `seed` not one from 0.
    """
    size = len(_all_candidates(_known(name)))
    if not _is_whole(n, 1, size):
        raise RangeError(
            f"The space {name} cannot give {shown(n)} candidates; allowed is a whole number from 1 to "
            f"{size}, or nothing for all of them."
        )
    if not _is_whole(seed, 0, 2**63):
        raise RangeError(f"The seed is {shown(seed)}; allowed is a whole number from 0. Leave it out for 0.")
    return np.random.default_rng(seed).permutation(size)[:n]
