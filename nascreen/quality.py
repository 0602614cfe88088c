"""Checks that a reviewer would run over tables of samples, and what was decided about each finding.

A check yields findings; a finding is settled by a verdict (`nascreen.verdicts`) on its row, on its key or on
all findings of that check in that table. Thresholds are module constants, each with its reason.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import median

from nascreen.chemistry import Composition, charge_balance, parse_formula
from nascreen.physics import BOLTZMANN_EV_K, ZERO_CELSIUS_K, activation_energy_ev, arrhenius_slope
from nascreen.records import CENSORED_ORIGINS, Sample, citation, name_of
from nascreen.verdicts import EVERY, Verdict

SAME_TEMPERATURE_K = 3.0
"""Rooms are between 22 and 27 °C, and a text seldom says which."""
CONFLICT_DECADES = 1.0
EA_TOLERANCE_EV = 0.10
"""The slope of two conductivities read to two digits is good to some 0.03 eV over 50 K."""
ONE_LINE_DECADES = 0.004
"""Points that were measured scatter about a line by more than the second digit that is printed."""
DENSITY_TOLERANCE_PCT = 3.0
LARGEST_PLAUSIBLE_S_CM = 0.15
"""At room temperature; the best sodium conductors reach 0.04 to 0.1 S/cm."""
SMALLEST_PLAUSIBLE_S_CM = 1e-14
EA_PLAUSIBLE_EV = (0.08, 1.4)
OUTLIER_DEVIATIONS = 4.0
LEAST_FOR_TREND = 8
QUOTE_TOLERANCE = 0.012
"""A value is quoted as printed, or rounded in its third digit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: Name of the check, a key of `CHECKS`.
        table: Name of the table.
        key: The ``sample_id`` of the row, or what several rows have in common.
        sample_ids: The rows.
        text: The finding in one sentence.
        size: How large, in the unit of the check; findings are listed by it.
    """

    check: str
    table: str
    key: str
    sample_ids: tuple[str, ...]
    text: str
    size: float


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it asks, and how it looks for an answer."""

    question: str
    find: Callable[[str, Sequence[Sample]], Iterator[Finding]]


Ratio = tuple[tuple[str, float], ...]


@lru_cache(maxsize=20_000)
def composition_of(formula: str) -> Composition:
    """Return the composition of a formula; parsed once per process."""
    return parse_formula(formula)


@lru_cache(maxsize=20_000)
def ratio_of(formula: str) -> Ratio:
    """Return the atomic fractions of a formula to three decimals, which tells near-duplicates apart no more.

    >>> ratio_of("Na3.0Zr2(SiO4)2(PO4)") == ratio_of("Na3Zr2Si2PO12")
    True
    """
    amounts = composition_of(formula).amounts
    total = sum(amounts.values())
    return tuple(sorted((symbol, round(float(amount / total), 3)) for symbol, amount in amounts.items()))


def _is_exact(sample: Sample) -> bool:
    return sample.value_origin not in CENSORED_ORIGINS


def same_sample(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the rows of each sample together: one text, one composition, one way of making, one kind of value."""
    found: dict[tuple[object, ...], list[Sample]] = defaultdict(list)
    for s in samples:
        if s.formula:
            key = (
                s.paper_id, s.formula, s.label if s.modifier_mol_pct is not None else "", s.phase, s.synthesis,
                s.sinter_temp_c, s.sinter_time_h, s.heat_temp_c, s.heat_time_h, s.press_mpa, s.rel_density_pct,
                s.porosity_pct, s.second_phase, s.second_phase_wt_pct, s.conductivity_kind, s.structure,
            )  # fmt: skip
            found[key].append(s)
    return list(found.values())


def same_composition(samples: Sequence[Sample]) -> dict[tuple[Ratio, str, str], list[Sample]]:
    """Return exact conductivities by composition, phase and second phase."""
    found: dict[tuple[Ratio, str, str], list[Sample]] = defaultdict(list)
    for s in samples:
        if s.formula and s.conductivity_s_cm is not None and s.meas_temp_c is not None and _is_exact(s):
            found[ratio_of(s.formula), s.phase, s.second_phase].append(s)
    return found


def _one(check: str, table: str, sample: Sample, text: str, size: float = 1.0) -> Finding:
    return Finding(check, table, sample.sample_id, (sample.sample_id,), text, size)


def _named(sample: Sample) -> str:
    return name_of(sample) or sample.label or sample.sample_id


def _unread(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for s in samples:
        if not s.formula:
            said = f": it is called {s.label!r}" if s.label else ""
            yield _one("formula", table, s, f"The row has no formula{said}.")


def _unbalanced(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for formula in dict.fromkeys(s.formula for s in samples if s.formula):
        balance = charge_balance(composition_of(formula))
        if balance.is_balanced is not True:
            rows = tuple(s.sample_id for s in samples if s.formula == formula)
            what = "is not charge balanced" if balance.is_balanced is False else "cannot be judged"
            yield Finding(
                "charge", table, formula, rows, f"{formula} {what}: {balance.note}.", abs(balance.charge or 0)
            )


def _anonymous(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    texts: dict[str, list[Sample]] = defaultdict(list)
    for s in samples:
        if citation(s).startswith("text of unknown identity"):
            texts[s.paper_id].append(s)
    for paper, rows in texts.items():
        text = f"The text {paper} ({len(rows)} rows) is of unknown identity."
        yield Finding("source", table, paper, tuple(s.sample_id for s in rows), text, len(rows))


def _no_temperature(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for s in samples:
        if s.conductivity_s_cm is not None and s.meas_temp_c is None:
            yield _one("temperature", table, s, f"{s.conductivity_s_cm:g} S/cm of {_named(s)} has no temperature.")


def _magnitudes(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for s in samples:
        sigma, temp_c = s.conductivity_s_cm, s.meas_temp_c
        if sigma is not None and temp_c is not None and temp_c <= 40 and sigma > LARGEST_PLAUSIBLE_S_CM:
            yield _one("magnitude", table, s, f"{name_of(s)} conducts {sigma:g} S/cm at {temp_c:g} °C.", sigma)
        if sigma is not None and sigma < SMALLEST_PLAUSIBLE_S_CM and _is_exact(s):
            yield _one("magnitude", table, s, f"{name_of(s)} conducts {sigma:g} S/cm.", 1.0)
        low, high = EA_PLAUSIBLE_EV
        if s.ea_ev is not None and not low <= s.ea_ev <= high:
            yield _one("magnitude", table, s, f"{_named(s)} has an activation energy of {s.ea_ev:g} eV.", s.ea_ev)


def _points(rows: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return the exact conductivities of a sample as (°C, S/cm), coldest first."""
    return sorted(
        {
            (s.meas_temp_c, s.conductivity_s_cm)
            for s in rows
            if s.meas_temp_c is not None and s.conductivity_s_cm is not None and _is_exact(s)
        }
    )


def _slopes(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for rows in same_sample(samples):
        energies = {s.ea_ev for s in rows if s.ea_ev is not None}
        points = _points(rows)
        if len(energies) != 1 or len(points) < 2 or points[-1][0] - points[0][0] < 20:
            continue
        (energy,) = energies
        (t1, s1), (t2, s2) = points[0], points[-1]
        ratio = s2 * (t2 + ZERO_CELSIUS_K) / (s1 * (t1 + ZERO_CELSIUS_K))
        slope = float(activation_energy_ev(1.0, t1, ratio, t2))
        if abs(slope - energy) > EA_TOLERANCE_EV:
            text = (
                f"{name_of(rows[0])} goes from {s1:g} S/cm at {t1:g} °C to {s2:g} at {t2:g} °C, which is "
                f"{slope:.2f} eV where {energy:.2f} eV is printed."
            )
            ids = tuple(s.sample_id for s in rows)
            yield Finding("slope", table, ids[0], ids, text, abs(slope - energy))


def _lines(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for rows in same_sample(samples):
        points = _points(rows)
        if len({t for t, _ in points}) < 3 or len(points) != len({t for t, _ in points}):
            continue
        x = [1 / (t + ZERO_CELSIUS_K) for t, _ in points]
        y = [math.log10(s) for _, s in points]
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        gap = max(abs(b - y[0] - slope * (a - x[0])) for a, b in zip(x, y, strict=True))
        if gap < ONE_LINE_DECADES:
            ids = tuple(s.sample_id for s in rows)
            text = f"The {len(points)} temperatures of {name_of(rows[0])} are one line: two degrees of freedom."
            yield Finding("line", table, ids[0], ids, text, len(points))


def at_one_temperature(rows: Sequence[Sample]) -> list[list[Sample]]:
    """Return the rows of one composition in sets of one temperature, within `SAME_TEMPERATURE_K`."""
    ordered = sorted(rows, key=lambda s: (s.meas_temp_c or 0.0, s.sample_id))
    out: list[list[Sample]] = []
    for s in ordered:
        if out and (s.meas_temp_c or 0.0) - (out[-1][0].meas_temp_c or 0.0) <= SAME_TEMPERATURE_K:
            out[-1].append(s)
        else:
            out.append([s])
    return out


def _key(rows: Sequence[Sample]) -> str:
    first = min(rows, key=lambda s: (len(s.formula), s.formula))
    parts = [first.formula, first.phase or "phase not stated", first.second_phase]
    return f"{' '.join(filter(None, parts))} at {median(s.meas_temp_c or 0.0 for s in rows):g} °C"


def _conflicts(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for same in same_composition(samples).values():
        for rows in at_one_temperature(same):
            if len({s.group_id for s in rows}) < 2:
                continue
            low = min(rows, key=lambda s: s.conductivity_s_cm or 0.0)
            high = max(rows, key=lambda s: s.conductivity_s_cm or 0.0)
            decades = math.log10((high.conductivity_s_cm or 1.0) / (low.conductivity_s_cm or 1.0))
            if decades > CONFLICT_DECADES and low.group_id != high.group_id:
                text = (
                    f"{_key(rows)}: {low.conductivity_s_cm:g} S/cm ({low.sample_id}, {citation(low)}) against "
                    f"{high.conductivity_s_cm:g} S/cm ({high.sample_id}, {citation(high)}), {decades:.1f} decades."
                )
                yield Finding("conflict", table, _key(rows), tuple(s.sample_id for s in rows), text, decades)


def _is_told_apart(value: float) -> bool:
    """Return whether a value has two digits: 1e-4 or 2e-3 stands in many texts by chance."""
    return f"{value:.1e}"[2] != "0"


def _may_be_one(a: Sample, b: Sample) -> bool:
    """Return whether two rows of different texts may be one measurement, first-hand and quoted."""
    x, y = a.conductivity_s_cm or 0.0, b.conductivity_s_cm or 0.0
    if a.paper_id == b.paper_id or abs(x - y) > QUOTE_TOLERANCE * max(x, y):
        return False
    if a.phase and b.phase and a.phase != b.phase:
        return False
    made = [(a.sinter_temp_c, b.sinter_temp_c), (a.heat_temp_c, b.heat_temp_c), (a.porosity_pct, b.porosity_pct)]
    if any(p is not None and q is not None and p != q for p, q in made):
        return False
    return _is_told_apart(x) or "cited" in (a.value_origin, b.value_origin)


def _quotes(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    by_ratio: dict[Ratio, list[Sample]] = defaultdict(list)
    for (ratio, _, _), rows in same_composition(samples).items():
        by_ratio[ratio].extend(rows)
    for same in by_ratio.values():
        for rows in at_one_temperature(same):
            for twins in _linked(rows):
                ids = tuple(s.sample_id for s in twins)
                n_groups = len({s.group_id for s in twins})
                where = f"in {n_groups} groups" if n_groups > 1 else "in one group"
                text = f"{_key(twins)}: {twins[0].conductivity_s_cm:g} S/cm stands in {', '.join(ids)} {where}."
                yield Finding("quote", table, f"{_key(twins)} {twins[0].conductivity_s_cm:g}", ids, text, n_groups)


def _linked(rows: Sequence[Sample]) -> list[list[Sample]]:
    """Return the sets of rows that may be one measurement, directly or through others."""
    sets: list[list[Sample]] = [[s] for s in rows]
    for a, b in combinations(rows, 2):
        if _may_be_one(a, b):
            first = next(part for part in sets if a in part)
            second = next(part for part in sets if b in part)
            if first is not second:
                first.extend(second)
                sets.remove(second)
    return [sorted(part, key=lambda s: s.sample_id) for part in sets if len(part) > 1]


def _repeats(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Find rows of one text that say the same twice."""
    seen: dict[tuple[object, ...], Sample] = {}
    for s in samples:
        if not s.formula:
            continue
        key = (
            s.paper_id, ratio_of(s.formula), s.label if s.modifier_mol_pct is not None else "", s.phase,
            s.sinter_temp_c, s.heat_temp_c, s.porosity_pct, s.rel_density_pct, s.second_phase,
            s.second_phase_wt_pct, s.meas_temp_c,
            s.conductivity_s_cm, s.conductivity_kind, s.ea_ev, s.strength_mpa, s.hardness_gpa, s.youngs_modulus_gpa,
        )  # fmt: skip
        if key in seen:
            yield _one("repeat", table, s, f"{name_of(s)} says the same as {seen[key].sample_id} of the same text.")
        seen.setdefault(key, s)


def _densities(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for s in samples:
        if s.rel_density_pct is None or s.porosity_pct is None:
            continue
        gap = abs(s.rel_density_pct + s.porosity_pct - 100)
        if gap > DENSITY_TOLERANCE_PCT:
            text = f"{_named(s)}: density {s.rel_density_pct:g} % and porosity {s.porosity_pct:g} % are not 100 %."
            yield _one("density", table, s, text, gap)


def _log_at_25(sample: Sample, energy: float) -> float:
    slope = float(arrhenius_slope(sample.meas_temp_c or 25.0))
    scaled = (
        (sample.conductivity_s_cm or 1.0) * ((sample.meas_temp_c or 25.0) + ZERO_CELSIUS_K) / (25.0 + ZERO_CELSIUS_K)
    )
    return math.log10(scaled) - slope * energy


def _deviations(values: Mapping[str, float]) -> dict[str, float]:
    """Return how many robust standard deviations each value lies from the median."""
    centre = median(values.values())
    spread = 1.4826 * median(abs(v - centre) for v in values.values()) + 1e-9
    return {name: (v - centre) / spread for name, v in values.items()}


def _outliers(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    families: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for s in samples:
        if s.formula and s.conductivity_s_cm is not None and s.meas_temp_c is not None and _is_exact(s):
            families[s.family, s.phase].append(s)
    for (family, phase), rows in families.items():
        energies = [s.ea_ev for s in rows if s.ea_ev is not None]
        if len(rows) < LEAST_FOR_TREND or not energies:
            continue
        usual = median(energies)
        at_25 = {s.sample_id: _log_at_25(s, usual if s.ea_ev is None else s.ea_ev) for s in rows}
        lines = {s.sample_id: _log_prefactor(s) for s in rows if s.ea_ev is not None}
        by_id = {s.sample_id: s for s in rows}
        kinds = {"log10 σ(25 °C)": at_25, "log10 prefactor": lines if len(lines) >= LEAST_FOR_TREND else {}}
        for what, values in kinds.items():
            for sample_id, far in (_deviations(values) if values else {}).items():
                if abs(far) > OUTLIER_DEVIATIONS:
                    s = by_id[sample_id]
                    text = (
                        f"{name_of(s)}: {what} is {values[sample_id]:.1f}, {far:+.1f} robust deviations from the "
                        f"median of {phase or 'any'} {family or 'unnamed'}."
                    )
                    yield _one("outlier", table, s, text, abs(far))


def _log_prefactor(sample: Sample) -> float:
    """Return log10 of A in σT = A·exp(-Ea/kT), in S K/cm."""
    kelvins = (sample.meas_temp_c or 25.0) + ZERO_CELSIUS_K
    return math.log10((sample.conductivity_s_cm or 1.0) * kelvins) + (sample.ea_ev or 0.0) / (
        BOLTZMANN_EV_K * math.log(10) * kelvins
    )


def _calculated(table: str, samples: Sequence[Sample]) -> Iterator[Finding]:
    for s in samples:
        if s.value_origin == "extrapolated":
            text = (
                f"{s.conductivity_s_cm or 0:g} S/cm of {name_of(s)} was calculated by the survey's authors from an Ea."
            )
            yield _one("calculated", table, s, text)


CHECKS: dict[str, Check] = {
    "formula": Check("Does every row have a formula?", _unread),
    "charge": Check("Is every formula charge balanced?", _unbalanced),
    "source": Check("Is the text behind every row known?", _anonymous),
    "temperature": Check("Has every conductivity its temperature?", _no_temperature),
    "magnitude": Check("Are units and orders of magnitude plausible?", _magnitudes),
    "slope": Check("Do conductivities and activation energy of one sample agree?", _slopes),
    "line": Check("Are temperatures of one sample more than points of one line?", _lines),
    "conflict": Check("Do texts on one composition agree within a decade?", _conflicts),
    "quote": Check("Does one value stand in several texts?", _quotes),
    "repeat": Check("Does a text say the same twice?", _repeats),
    "density": Check("Do porosity and relative density add up?", _densities),
    "outlier": Check("Does every value follow the trend of its family?", _outliers),
    "calculated": Check("Was every value measured?", _calculated),
}
"""The checks in the order of the report."""


def find_all(tables: Mapping[str, Sequence[Sample]], checks: Sequence[str] = tuple(CHECKS)) -> list[Finding]:
    """Return what the checks find, by check, table and falling size."""
    found = [f for name in checks for table, samples in tables.items() for f in CHECKS[name].find(table, samples)]
    place = {name: i for i, name in enumerate(CHECKS)}
    order = {name: i for i, name in enumerate(tables)}
    return sorted(found, key=lambda f: (place[f.check], order[f.table], -f.size, f.key))


def settled_by(finding: Finding, verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the decision about a finding: on its key, else on any of its rows, else on all of that check.

    Of several rows of a finding, one that was corrected or left out says more than one that was kept.
    """
    about = [v for v in verdicts if v.check == finding.check and v.table == finding.table]
    for subjects in ((finding.key,), finding.sample_ids, (EVERY,)):
        found = [v for v in about if v.subject in subjects]
        if found:
            return next((v for v in found if v.verdict != "kept"), found[0])
    return None
