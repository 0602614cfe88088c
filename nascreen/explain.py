"""Why a prediction is what it is: signed contributions, nearest measured samples, limits, and what would change it.

Contributions are Shapley values (L. S. Shapley, doi:10.1515/9781400881970-018) of groups of a sample's inputs, with
measured samples as background (S. M. Lundberg and S.-I. Lee, doi:10.48550/arXiv.1705.07874; groups: M. Jullum et al.,
doi:10.48550/arXiv.2106.12228). A coalition is a whole sample: the groups in it are the candidate's, the others those of
one background sample, and all features are computed anew, so that no two features contradict each other. Compositions
are mixed as amounts per anion: sodium, framework metals, network formers, and the kind of anion. Such a mixture need
not be charge balanced. Groups join in a random order and in its reverse, once per background sample (J. Castro et al.,
doi:10.1016/j.cor.2008.04.004; antithetic: R. Mitchell et al., doi:10.48550/arXiv.2104.12199), which is exact where
groups interact in pairs at most. The sum is exact by construction: prediction less mean of the background.

A contribution says what the model makes of an input beside typical samples, not what causes a conductivity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import MOBILE_IONS
from nascreen.datasets import sodium_conductivity_rows
from nascreen.errors import InputError, RangeError, shown
from nascreen.features import Chemistry, chemistry_of, feature_matrix
from nascreen.models import ROOM_TEMPERATURE_C, Models, Prediction, family_of_sample, load_models, require_usable
from nascreen.quality import Ratio, ratio_of
from nascreen.records import Sample
from nascreen.replicates import Spread, replicate_spread
from nascreen.screening import Neighbour, measured_beside, measured_samples, nearest
from nascreen.verdicts import reviewed_table

Array = NDArray[np.float64]

COMPOSITION_GROUPS = ("sodium content", "framework metals", "network formers", "anion")
PROCESSING_GROUPS: dict[str, tuple[str, ...]] = {
    "phase and structure": ("phase", "structure"),
    "sintering and heat treatment": ("synthesis", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h"),
    "density, porosity, pressing": ("press_mpa", "rel_density_pct", "porosity_pct"),
    "second phase": ("second_phase", "second_phase_wt_pct", "second_phase_role"),
    "what was measured": ("conductivity_kind",),
}
GROUPS: tuple[str, ...] = (*COMPOSITION_GROUPS, *PROCESSING_GROUPS)
"""What contributions are named after; the first four together are the formula."""

BACKGROUNDS = ("all", "family")
N_BACKGROUND = 32
LEAST_BACKGROUND = 10
N_NEIGHBOURS = 5
ANIONS_PER_FORMULA = 12
LEAST_AMOUNT = 1e-4

ALWAYS_FORMERS = ("B", "C", "Si", "P", "As")
CHALCOGENIDE_FORMERS = ("Ge", "Sn", "Sb", "Al", "Ga", "W", "Mo", "V")
"""Network formers in sulfides and selenides, metals of the framework in other compounds."""

NORMAL_90 = 1.6448536269514722
"""Half width of the interval that holds 90 % of a normal distribution, in standard deviations."""

DENSE_PCT = 98.0
SINTERING_STEP_C = 50.0
SODIUM_STEP = 0.1
REPLACING = (
    ("P", "Si"), ("Sb", "Sn"), ("W", "Sb"), ("Al", "Mg"), ("Nb", "Zr"), ("Zr", "Sc"), ("Zr", "Y"), ("P", "Ge"),
    ("Cl", "S"), ("Zr", "In"), ("Zr", "Er"),
)  # fmt: skip
"""Pairs of which the second has one charge less: where it replaces the first, one sodium more balances the charge."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one group of inputs adds to a prediction, against the background.

    Attributes:
        group: One of `GROUPS`.
        given: What the sample says, in words; ``not stated`` where nothing.
        log_sigma: Decades of conductivity at 25 °C.
        ea_ev: eV of activation energy.
        log_strength: Decades of strength.
        log_sigma_error: Standard error of ``log_sigma`` from the draw of background samples.
    """

    group: str
    given: str
    log_sigma: float
    ea_ev: float
    log_strength: float
    log_sigma_error: float


@dataclass(frozen=True, slots=True)
class Background:
    """What contributions count from: the mean prediction of measured samples, one per text.

    Attributes:
        name: In words.
        n_samples: How many.
        log_sigma: Mean of log10 σ(25 °C), in S/cm.
        ea_ev: Mean activation energy in eV.
        log_strength: Mean of log10 of strength in MPa.
    """

    name: str
    n_samples: int
    log_sigma: float
    ea_ev: float
    log_strength: float


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a sample and what is predicted of it then.

    Attributes:
        what: The change, in words.
        prediction: The prediction of the changed sample at the same temperature.
        gain_decades: Change of log10 σ at that temperature.
    """

    what: str
    prediction: Prediction
    gain_decades: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Reasons for one prediction.

    Attributes:
        prediction: The prediction.
        background: What contributions count from.
        contributions: One per group, in the order of `GROUPS`; they add up to prediction less background.
        neighbours: Nearest measured samples, one per text.
        limits: What bounds the prediction, one sentence each.
        changes: Single changes, the largest gain of conductivity first.
    """

    prediction: Prediction
    background: Background
    contributions: tuple[Contribution, ...]
    neighbours: tuple[Neighbour, ...]
    limits: tuple[str, ...]
    changes: tuple[Change, ...]


def explain(sample: Sample, models: Models | None = None, *, against: str = "all", seed: int = 0) -> Explanation:
    """Explain the prediction of a sample.

    Args:
        sample: A sample as `Models.predict` takes it.
        models: The models; by default the promoted ones.
        against: ``all`` measured sodium conductors, or those of the sample's own ``family``.
        seed: Seed of the draw of background samples and orders.

    Returns:
        The explanation, the same for the same seed.

    Raises:
        InputError: If the sample cannot be used, or ``against`` names no background that there is.
    """
    if against not in BACKGROUNDS:
        raise InputError(f"A prediction is explained against {' or '.join(BACKGROUNDS)}; got {shown(against)}.")
    if seed < 0:
        raise RangeError(f"The seed must be 0 or more; got {seed}.")
    require_usable(sample)
    models = models or load_models()
    background, contributions = _contributions(sample, models, against, np.random.default_rng(seed))
    changed = possible_changes(sample)
    prediction, *others = models.predict([sample, *(s for _, s in changed)])
    (neighbours,) = nearest([sample], N_NEIGHBOURS)
    gains = [math.log10(p.conductivity_s_cm / prediction.conductivity_s_cm) for p in others]
    changes = [Change(what, p, gain) for (what, _), p, gain in zip(changed, others, gains, strict=True)]
    return Explanation(
        prediction,
        background,
        contributions,
        tuple(neighbours),
        limits_of(prediction, neighbours),
        tuple(sorted(changes, key=lambda change: -change.gain_decades)),
    )


# ---------------------------------------------------------------- contributions


def group_shapley(
    values: Callable[[Sequence[tuple[int, int]]], Array], n_groups: int, n_background: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Estimate the Shapley values of groups.

    Args:
        values: What (background, coalition) pairs are worth, shape (n, k); bit ``g`` of a coalition is group ``g``.
        n_groups: Number of groups.
        n_background: Number of background samples.
        rng: Draws the orders in which groups join.

    Returns:
        Contributions, shape (n_groups, k), their standard errors, and the mean worth of no group, shape (k,).
    """
    chains: list[tuple[int, list[int], list[int]]] = []
    for b in range(n_background):
        order = rng.permutation(n_groups).tolist()
        chains += [(b, way, _joining(way)) for way in (order, order[::-1])]
    asked = list(dict.fromkeys((b, coalition) for b, _, coalitions in chains for coalition in coalitions))
    worth = dict(zip(asked, values(asked), strict=True))
    shares = np.zeros((n_background, n_groups, len(worth[0, 0])))
    for b, way, coalitions in chains:
        for group, before, after in zip(way, coalitions, coalitions[1:], strict=False):
            shares[b, group] += (worth[b, after] - worth[b, before]) / 2
    errors = shares.std(axis=0, ddof=min(1, n_background - 1)) / math.sqrt(n_background)
    return shares.mean(axis=0), errors, np.mean([worth[b, 0] for b in range(n_background)], axis=0)


def _joining(order: Sequence[int]) -> list[int]:
    """Return the coalitions from none to all as groups join in an order."""
    coalitions = [0]
    for group in order:
        coalitions.append(coalitions[-1] | 1 << group)
    return coalitions


def _contributions(
    sample: Sample, models: Models, against: str, rng: np.random.Generator
) -> tuple[Background, tuple[Contribution, ...]]:
    name, others = background_samples(sample, against, rng)
    inputs = _inputs(sample)
    others = [_inputs(s) for s in others]

    def values(asked: Sequence[tuple[int, int]]) -> Array:
        made = [mixed_sample(inputs, others[b], coalition) for b, coalition in asked]
        distinct = {s: i for i, s in enumerate(dict.fromkeys(made))}
        predicted = predicted_logs(list(distinct), models)
        return predicted[[distinct[s] for s in made]]

    found, errors, start = group_shapley(values, len(GROUPS), len(others), rng)
    texts = given_texts(sample)
    contributions = tuple(
        Contribution(group, texts[group], float(row[0]), float(row[1]), float(row[2]), float(error[0]))
        for group, row, error in zip(GROUPS, found, errors, strict=True)
    )
    return Background(name, len(others), *map(float, start)), contributions


def background_samples(sample: Sample, against: str, rng: np.random.Generator) -> tuple[str, list[Sample]]:
    """Draw measured samples of different texts, all or of the sample's family.

    Raises:
        InputError: If the family is known from too few texts.
    """
    by_text: dict[str, list[Sample]] = {}
    family = family_of_sample(sample)
    for measured in measured_samples()[0]:
        if against == "all" or family_of_sample(measured) == family:
            by_text.setdefault(measured.group_id, []).append(measured)
    if len(by_text) < LEAST_BACKGROUND:
        raise InputError(
            f"The family {family} is measured in {len(by_text)} texts, and a background needs {LEAST_BACKGROUND}; "
            "explain against all."
        )
    texts = sorted(by_text)
    chosen = rng.permutation(len(texts))[:N_BACKGROUND]
    drawn = [by_text[texts[i]] for i in chosen]
    name = "measured sodium conductors" if against == "all" else f"measured samples of family {family}"
    return name, [rows[rng.integers(len(rows))] for rows in drawn]


def _inputs(sample: Sample) -> Sample:
    """Return a sample with nothing but what the models read, so that equal inputs are equal samples."""
    fields = ["formula", *(name for names in PROCESSING_GROUPS.values() for name in names)]
    return Sample(**{name: getattr(sample, name) for name in fields})


def mixed_sample(sample: Sample, other: Sample, coalition: int) -> Sample:
    """Return a sample whose groups are those of ``sample`` where the coalition has them, else those of ``other``."""
    taken = [bool(coalition >> g & 1) for g in range(len(GROUPS))]
    fields = {
        name: getattr(sample if is_own else other, name)
        for is_own, names in zip(taken[len(COMPOSITION_GROUPS) :], PROCESSING_GROUPS.values(), strict=True)
        for name in names
    }
    return replace(
        other, formula=mixed_formula(sample.formula, other.formula, taken[: len(COMPOSITION_GROUPS)]), **fields
    )


@lru_cache(maxsize=20_000)
def _mixed(own: str, other: str, taken: tuple[bool, ...]) -> str:
    parts = (composition_parts(own), composition_parts(other))
    amounts: dict[str, float] = {}
    for g, is_own in enumerate(taken):
        for symbol, amount in parts[0 if is_own else 1][g].items():
            amounts[symbol] = amounts.get(symbol, 0.0) + amount * ANIONS_PER_FORMULA
    return "".join(f"{symbol}{amount:.4f}" for symbol, amount in amounts.items() if amount >= LEAST_AMOUNT)


def mixed_formula(own: str, other: str, taken: Sequence[bool]) -> str:
    """Return a formula with some of the four parts of one composition, the rest of another, per anion.

    >>> mixed_formula("Na3PS4", "Na2O", [True, True, True, False])
    'Na9.0000P3.0000O12.0000'
    """
    if all(taken) or not any(taken):
        return own if all(taken) else other
    return _mixed(own, other, tuple(taken))


@lru_cache(maxsize=5_000)
def composition_parts(formula: str) -> tuple[dict[str, float], ...]:
    """Return sodium and other mobile ions, framework metals, network formers and anions, each per anion.

    Anions are the elements with a negative oxidation state; hydrogen in a hydroborate; else all but the mobile ion.

    >>> [list(part) for part in composition_parts("Na3Zr2Si2PO12")]
    [['Na'], ['Zr'], ['Si', 'P'], ['O']]
    """
    chemistry = chemistry_of(formula)
    anions = _anions(chemistry)
    amounts = {s: float(n) for s, n in chemistry.composition.amounts.items()}
    n_anions = sum(amounts[s] for s in anions) or chemistry.composition.n_atoms
    is_chalcogenide = sum(amounts.get(s, 0.0) for s in ("S", "Se", "Te")) > amounts.get("O", 0.0)
    formers = (*ALWAYS_FORMERS, *(CHALCOGENIDE_FORMERS if is_chalcogenide else ()))
    parts: tuple[dict[str, float], ...] = ({}, {}, {}, {})
    for symbol, amount in amounts.items():
        place = 3 if symbol in anions else 0 if symbol in MOBILE_IONS else 2 if symbol in formers else 1
        parts[place][symbol] = amount / float(n_anions)
    return parts


def _anions(chemistry: Chemistry) -> list[str]:
    symbols = list(chemistry.composition.amounts)
    negative = [s for s in symbols if chemistry.states[s] < 0]
    return negative or [s for s in symbols if s == "H"] or [s for s in symbols if s not in MOBILE_IONS]


def predicted_logs(samples: Sequence[Sample], models: Models) -> Array:
    """Return log10 σ(25 °C) in S/cm, Ea in eV and log10 of strength in MPa of each sample, shape (n, 3)."""
    lines = models.conductivity.lines(feature_matrix(samples))
    log_strength, _ = models.strength.log_strength(samples, lines.family)
    return np.column_stack([lines.log_sigma_25, lines.ea_ev, log_strength])


def given_texts(sample: Sample) -> dict[str, str]:
    """Return what a sample says of each group, in words."""
    amounts = chemistry_of(sample.formula).composition.amounts
    texts = {
        group: "".join(f"{s}{'' if amounts[s] == 1 else f'{float(amounts[s]):g}'}" for s in part)
        for group, part in zip(COMPOSITION_GROUPS, composition_parts(sample.formula), strict=True)
    }
    texts = {group: text or "none" for group, text in texts.items()}
    for group, names in PROCESSING_GROUPS.items():
        said = [text for name in names if (text := _said(sample, name))]
        texts[group] = ", ".join(said) or "not stated"
    return texts


_UNITS = {"c": "{:g} °C", "h": "{:g} h", "mpa": "{:g} MPa"}
_PERCENTS = {"rel_density_pct": "{:g} % dense", "porosity_pct": "{:g} % pores", "second_phase_wt_pct": "{:g} wt%"}


def _said(sample: Sample, name: str) -> str:
    value = getattr(sample, name)
    if value is None or isinstance(value, str):
        return (value or "").replace("_", " ")
    return (_PERCENTS.get(name) or _UNITS[name.rpartition("_")[2]]).format(value)


# ---------------------------------------------------------------- limits


@lru_cache(maxsize=1)
def reproducibility() -> dict[str, Spread]:
    """Return the scatter of repeated measurements of the literature, by family and for ``all``."""
    return replicate_spread(sodium_conductivity_rows(reviewed_table("literature")))


def limits_of(prediction: Prediction, neighbours: Sequence[Neighbour]) -> tuple[str, ...]:
    """Say what bounds a prediction, one sentence each.

    Args:
        prediction: The prediction.
        neighbours: Nearest measured samples, nearest first.
    """
    p = prediction
    half = half_width_decades(p)
    sentences = [
        domain_sentence(p.domain_note, is_inside=p.in_domain),
        f"The 90 % interval of the conductivity is ±{half:.2f} decades, a factor of {10**half:.2g} either way.",
        _nearness(p.sample, neighbours),
        _repeats(p.family, half),
    ]
    missing = _not_stated(p.sample)
    if missing:
        sentences.append(f"Not stated, so that the interval covers what texts usually do: {', '.join(missing)}.")
    return tuple(filter(None, sentences))


def domain_sentence(note: str, *, is_inside: bool) -> str:
    """Say whether a prediction may be relied on, and why.

    Args:
        note: Reasons against it, and notes that lessen nothing; may be empty.
        is_inside: Whether it lies inside the domain of the models.

    >>> domain_sentence("never seen in the data: Cs", is_inside=False)
    'Outside the domain of the models, so do not rely on these numbers: never seen in the data: Cs.'
    """
    if not is_inside:
        return f"Outside the domain of the models, so do not rely on these numbers: {note}."
    known = "Inside the domain of the models: they have learned from samples like this one"
    return f"{known}; {note}." if note else f"{known}."


def half_width_decades(prediction: Prediction) -> float:
    """Return half the width of the 90 % interval of log10 σ."""
    return math.log10(prediction.conductivity_hi / prediction.conductivity_lo) / 2


@lru_cache(maxsize=2)
def _texts_by_composition(measured: Callable[[], tuple[tuple[Sample, ...], Array]]) -> dict[Ratio, frozenset[str]]:
    """Return the texts among some measured samples that report a conductivity of each composition."""
    found: dict[Ratio, set[str]] = {}
    for s in measured()[0]:
        found.setdefault(ratio_of(s.formula), set()).add(s.group_id)
    return {ratio: frozenset(texts) for ratio, texts in found.items()}


def _nearness(sample: Sample, neighbours: Sequence[Neighbour]) -> str:
    texts = _texts_by_composition(measured_beside(sample))
    n_texts = len(texts.get(ratio_of(sample.formula), ()))
    if n_texts:
        return f"This very composition was measured in {n_texts} text{'s' * (n_texts != 1)}."
    first = neighbours[0]
    return (
        f"This composition was never measured; the nearest that was is {first.sample.formula} at distance "
        f"{first.distance:.2f} (0 same, 1.4 most)."
    )


def _repeats(family: str, half: float) -> str:
    spreads = reproducibility()
    spread = spreads.get(family, spreads["all"])
    sets = spread.n_sets or spreads["all"].n_sets
    least = NORMAL_90 * spread.between_sd
    return (
        f"Measurements of one composition in different texts scatter by {spread.between_sd:.2f} decades (standard "
        f"deviation, {sets} repeated compositions{'' if spread.n_sets else ' of all families'}): of one new sample "
        f"no model can promise better than ±{least:.2f} decades at 90 %"
        + (", and this interval is near that." if half < 1.15 * least else ".")
    )


def _not_stated(sample: Sample) -> list[str]:
    is_bare = sample.rel_density_pct is None and sample.porosity_pct is None
    is_heated = sample.sinter_temp_c is not None or sample.heat_temp_c is not None
    named = {
        "phase": not sample.phase,
        "sintering or heat treatment": not is_heated and sample.phase != "glass",
        "density or porosity": is_bare and sample.phase != "glass",
        "bulk or total conductivity": not sample.conductivity_kind,
    }
    return [name for name, is_missing in named.items() if is_missing]


# ---------------------------------------------------------------- changes


def possible_changes(sample: Sample) -> list[tuple[str, Sample]]:
    """Return single changes that cost little, in words and as the changed sample: firing, pressing, sodium.

    Args:
        sample: A sample that can be used.

    Returns:
        Only changes that stay within what furnaces and presses do; those of the sodium content keep the charge.
    """
    changes = [*_repaired(sample), *_denser(sample), *_fired(sample), *_sodium_changes(sample)]
    if sample.second_phase:
        phase = "crystalline" if sample.phase == "composite" else sample.phase
        bare = replace(sample, phase=phase, second_phase="", second_phase_wt_pct=None, second_phase_role="")
        changes.append((f"without {sample.second_phase}", bare))
    return changes


def _repaired(sample: Sample) -> list[tuple[str, Sample]]:
    repair = chemistry_of(sample.formula).balance.repair
    return [(f"charge balanced: {repair}", replace(sample, formula=repair))] if repair else []


def _denser(sample: Sample) -> list[tuple[str, Sample]]:
    density = sample.rel_density_pct
    if density is None and sample.porosity_pct is not None:
        density = 100 - sample.porosity_pct
    is_filled = sample.second_phase_role in ("pore_filler", "matrix")
    if sample.phase == "glass" or is_filled or (density is not None and density >= DENSE_PCT):
        return []
    porosity = None if sample.porosity_pct is None else 100 - DENSE_PCT
    return [(f"density {DENSE_PCT:g} %", replace(sample, rel_density_pct=DENSE_PCT, porosity_pct=porosity))]


def _fired(sample: Sample) -> list[tuple[str, Sample]]:
    changes = []
    for name, verb in (("sinter_temp_c", "sintered at"), ("heat_temp_c", "heated at")):
        temp_c = getattr(sample, name)
        if temp_c is not None:
            changes += [
                (f"{verb} {temp_c + step:g} °C ({step:+g})", replace(sample, **{name: temp_c + step}))
                for step in (-SINTERING_STEP_C, SINTERING_STEP_C)
                if 0 < temp_c + step <= 2500
            ]
    return changes


def _sodium_changes(sample: Sample) -> list[tuple[str, Sample]]:
    """Return the sample with a little more and less sodium per formula, balanced as its chemistry allows."""
    balance = chemistry_of(sample.formula).balance
    if balance.is_balanced is not True or balance.repair:
        return []
    amounts = {s: float(n) for s, n in chemistry_of(sample.formula).composition.amounts.items()}
    changes = []
    for step in (SODIUM_STEP, -SODIUM_STEP):
        found = _balanced(amounts, step, is_glass=sample.phase == "glass")
        if found is not None:
            how, formula = found
            if chemistry_of(formula).balance.is_balanced:
                changes.append((f"sodium {step:+g} with {how}: {formula}", replace(sample, formula=formula)))
    return changes


def _balanced(amounts: dict[str, float], step: float, *, is_glass: bool) -> tuple[str, str] | None:
    """Return how a step of sodium is balanced and the formula: by modifier in a glass, else by an exchange."""
    anion = max(("S", "Se", "O"), key=lambda s: amounts.get(s, 0.0))
    if is_glass:
        changes = {"Na": step, anion: step / 2}
        return (f"Na2{anion}", _formula(amounts, changes)) if _is_possible(amounts, changes) else None
    pairs = sorted(REPLACING, key=lambda pair: not (pair[0] in amounts and pair[1] in amounts))
    for higher, lower in pairs:
        out, into = (higher, lower) if step > 0 else (lower, higher)
        changes = {"Na": step, out: -abs(step), into: abs(step)}
        if _is_possible(amounts, changes):
            return f"{into} for {out}", _formula(amounts, changes)
    return None


def _is_possible(amounts: dict[str, float], changes: dict[str, float]) -> bool:
    return all(amounts.get(s, 0.0) + change >= -1e-9 for s, change in changes.items())


def _formula(amounts: dict[str, float], changes: dict[str, float]) -> str:
    symbols = list(dict.fromkeys([*amounts, *changes]))
    # A new cation stands before the anion, where chemists look for it.
    symbols.sort(key=lambda s: (s in ("O", "S", "Se", "F", "Cl", "Br", "I"), list({**amounts, **changes}).index(s)))
    after = {s: round(amounts.get(s, 0.0) + changes.get(s, 0.0), 6) for s in symbols}
    return "".join(f"{s}{'' if n == 1 else f'{n:g}'}" for s, n in after.items() if n > 0)


# ---------------------------------------------------------------- probability


def probability_above(
    prediction: Prediction, threshold_s_cm: float, temp_c: float | None = None, models: Models | None = None
) -> float:
    """Return the probability that a measured conductivity exceeds a threshold.

    log10 σ is taken as normal around the prediction, with the standard deviation that makes its 90 % interval the
    calibrated one. How often that comes true on papers left out stands in ``experiments/domain/results.csv``.

    Args:
        prediction: The prediction.
        threshold_s_cm: Conductivity in S/cm.
        temp_c: Temperature in °C; by default that of the prediction.
        models: The models that predict at another temperature; by default the promoted ones.

    Raises:
        RangeError: If the threshold or the temperature is not possible.
    """
    if not 0 < threshold_s_cm <= 100:
        raise RangeError(
            f"The threshold of the conductivity is {shown(threshold_s_cm)}; allowed is a number above 0 and up to 100 "
            "S/cm, such as 1e-3."
        )
    own_c = prediction.sample.meas_temp_c
    if temp_c is not None and temp_c != (ROOM_TEMPERATURE_C if own_c is None else own_c):
        (prediction,) = (models or load_models()).predict([replace(prediction.sample, meas_temp_c=temp_c)])
    centre = math.log10(prediction.conductivity_s_cm) - math.log10(threshold_s_cm)
    return normal_probability(centre * NORMAL_90 / half_width_decades(prediction))


def normal_probability(z: float) -> float:
    """Return the normal distribution function."""
    return math.erfc(-z / math.sqrt(2)) / 2
