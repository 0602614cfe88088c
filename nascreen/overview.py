"""What the tables hold: counts by family, property, processing and year, coverage, and the record over time.

Functions of samples; the command line, the figures and a page draw the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nascreen.chemistry import modifier_fraction
from nascreen.datasets import has_sodium
from nascreen.founding import EPOXY_PAPER, THIOBORATE_PAPER
from nascreen.quality import composition_of
from nascreen.records import Sample, citation, name_of
from nascreen.verdicts import reviewed_table

PROPERTIES: Mapping[str, str] = {
    "conductivity_s_cm": "conductivity", "ea_ev": "activation energy", "strength_mpa": "strength",
    "hardness_gpa": "hardness", "youngs_modulus_gpa": "Young's modulus", "fracture_toughness_mpa_m05": "toughness",
    "tg_c": "glass transition", "density_g_cm3": "density",
}  # fmt: skip
PROCESSING: Mapping[str, str] = {
    "phase": "phase", "structure": "structure", "synthesis": "synthesis", "sinter_temp_c": "sintering temperature",
    "sinter_time_h": "sintering time", "heat_temp_c": "heat treatment", "press_mpa": "pressure",
    "rel_density_pct": "relative density", "porosity_pct": "porosity", "second_phase": "second phase",
    "modifier_mol_pct": "Na2O or Na2S", "meas_temp_c": "measuring temperature",
}  # fmt: skip
FOUNDING: Mapping[str, str] = {EPOXY_PAPER: "epoxy-filled NASICON", THIOBORATE_PAPER: "Na3BS3"}
"""The two papers that nascreen began with, and what they are about."""
NEAR_ROOM_C = (15.0, 35.0)
MEASURED_ORIGINS = frozenset({"measured", "computed_or_interpolated", "tabulated_2_decimals"})


def is_stated(sample: Sample, column: str) -> bool:
    """Return whether a sample states a column."""
    return getattr(sample, column) not in ("", None)


def counts_by_family(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Return the number of rows, texts and stated values by family, the largest family first."""
    families = [name for name, _ in Counter(s.family for s in samples).most_common()]
    out = {}
    for family in families:
        rows = [s for s in samples if s.family == family]
        out[family or "not stated"] = {
            "rows": len(rows),
            "texts": len({s.paper_id for s in rows}),
            **{name: sum(is_stated(s, name) for s in rows) for name in PROPERTIES},
        }
    return out


def coverage(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Return, for each property, the share of its rows that state each processing column, 0 to 1."""
    out = {}
    for name in PROPERTIES:
        rows = [s for s in samples if is_stated(s, name)]
        if rows:
            out[name] = {column: sum(is_stated(s, column) for s in rows) / len(rows) for column in PROCESSING}
    return out


def year_of(sample: Sample) -> int | None:
    """Return the year in which a value was published; None for the references of a survey, whose year is its own."""
    return None if "#ref" in sample.paper_id else sample.year


def counts_by_decade(samples: Sequence[Sample]) -> dict[str, int]:
    """Return the number of rows by decade of publication; rows without a year come last.

    The year beside a reference of a survey is that of the survey, so that it counts as not known.
    """
    years = [year_of(s) for s in samples]
    known = Counter(year // 10 * 10 for year in years if year is not None)
    out = {f"{decade}s": known[decade] for decade in sorted(known)}
    n_unknown = years.count(None)
    return {**out, "year not known": n_unknown} if n_unknown else out


def counts_of(samples: Sequence[Sample], column: str) -> dict[str, int]:
    """Return the number of rows by what a text column says, the most frequent first."""
    return {name or "not stated": n for name, n in Counter(getattr(s, column) for s in samples).most_common()}


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return all counts of a table, ready for JSON."""
    return {
        "rows": len(samples),
        "texts": len({s.paper_id for s in samples}),
        "groups": len({s.group_id for s in samples}),
        "properties": {name: sum(is_stated(s, name) for s in samples) for name in PROPERTIES},
        "families": counts_by_family(samples),
        "value_origin": counts_of(samples, "value_origin"),
        "phase": counts_of(samples, "phase"),
        "decades": counts_by_decade(samples),
        "coverage": coverage(samples),
    }


def near_room(samples: Sequence[Sample]) -> list[Sample]:
    """Return measured conductivities of sodium conductors between 15 and 35 °C.

    The values that the glass table gives at its standard temperature of 20 °C count as measured; those of a grain
    boundary alone do not.
    """
    low, high = NEAR_ROOM_C
    return [
        s
        for s in samples
        if has_sodium(s)
        and s.value_origin in MEASURED_ORIGINS
        and s.conductivity_s_cm is not None
        and s.meas_temp_c is not None
        and low <= s.meas_temp_c <= high
        and s.conductivity_kind != "grain_boundary"
    ]


# Two quantities of each sample, for a figure or a page.

Place = Callable[[Sample], float | None]


def na2s_fraction(sample: Sample) -> float | None:
    """Return the mole fraction of Na2S in the batch of a sulfide glass or glass ceramic, 0 to 1; None for others."""
    if not sample.formula or sample.phase not in ("glass", "glass_ceramic"):
        return None
    composition = composition_of(sample.formula)
    is_sulfide = composition.get("S") > 0 and composition.get("O") == 0 and composition.get("Na") > 0
    return modifier_fraction(composition) if is_sulfide else None


def sodium_pct(sample: Sample) -> float | None:
    """Return the share of sodium among the atoms of a formula in at.%; None where it names none."""
    composition = composition_of(sample.formula)
    sodium = composition.get("Na")
    return 100 * sodium / composition.n_atoms if sodium else None


def density_pct(sample: Sample) -> float | None:
    """Return the relative density in %, or what the porosity leaves of 100; None where neither is stated."""
    if sample.rel_density_pct is not None:
        return sample.rel_density_pct
    return None if sample.porosity_pct is None else 100 - sample.porosity_pct


def reviewed_samples() -> list[Sample]:
    """Return what the figures show: the literature table as reviewed, and the sulfide glasses of SciGlass."""
    glasses = [s for s in reviewed_table("glasses") if s.quality == "ok" and na2s_fraction(s) is not None]
    return [*reviewed_table("literature"), *glasses]


@dataclass(frozen=True, slots=True)
class Axis:
    """A quantity that conductivity is set against.

    Attributes:
        title: What it is, with its unit.
        stated: What texts must state for their samples to be drawn, as words.
        place: Its value for a sample; None where it has none.
    """

    title: str
    stated: str
    place: Place


AXES: Mapping[str, Axis] = {
    "sinter": Axis("Sintering temperature (°C)", "that state the sintering temperature", lambda s: s.sinter_temp_c),
    "density": Axis("Relative density (%)", "that state density or porosity", density_pct),
    "sodium": Axis("Sodium among all atoms (at.%)", "that state a formula", sodium_pct),
    "na2s": Axis("x in x Na₂S · (1−x) glass former (mol/mol)", "on sulfide glasses and their ceramics", na2s_fraction),
}
"""What conductivity is drawn against, by name."""


@dataclass(frozen=True, slots=True)
class Point:
    """A sample at its place in a figure.

    Attributes:
        x: Horizontal value, in the unit of the axis.
        y: Vertical value.
        sample: The sample.
    """

    x: float
    y: float
    sample: Sample

    @property
    def founding(self) -> str:
        """What the founding paper that the sample comes from is about; empty for other papers."""
        return FOUNDING.get(self.sample.paper_id, "")

    def row(self) -> dict[str, Any]:
        """Return the point with what it is and where it was reported, ready for JSON."""
        s = self.sample
        return {
            "x": self.x, "y": self.y, "sample_id": s.sample_id, "name": name_of(s), "family": s.family,
            "phase": s.phase, "meas_temp_c": s.meas_temp_c, "citation": citation(s), "founding": self.founding,
        }  # fmt: skip


def _placed(samples: Sequence[Sample], x: Place, y: Place) -> list[Point]:
    placed = ((x(s), y(s), s) for s in near_room(samples))
    return [Point(at, value, s) for at, value, s in placed if at is not None and value is not None]


def conductivity_against(name: str, samples: Sequence[Sample]) -> list[Point]:
    """Return the measured room-temperature conductivities (S/cm) over one of `AXES`.

    Args:
        name: Name of the axis.
        samples: Any samples; those that `near_room` leaves out are left out.
    """
    return _placed(samples, AXES[name].place, lambda s: s.conductivity_s_cm)


def ea_against_conductivity(samples: Sequence[Sample]) -> list[Point]:
    """Return the activation energies (eV) over the measured room-temperature conductivities (S/cm)."""
    return _placed(samples, lambda s: s.conductivity_s_cm, lambda s: s.ea_ev)


# The record over time.


@dataclass(frozen=True, slots=True)
class RecordStep:
    """A conductivity above all that were reported before it.

    Attributes:
        year: Year of publication.
        sample: The sample.
        name: Its formula.
        source: Citation.
    """

    year: int
    sample: Sample
    name: str
    source: str


def conductivity_over_years(samples: Sequence[Sample]) -> list[Point]:
    """Return the measured room-temperature conductivities (S/cm) of crystalline sodium conductors over their year."""
    crystals = [s for s in samples if s.phase == "crystalline"]
    return _placed(crystals, year_of, lambda s: s.conductivity_s_cm)


def record_timeline(samples: Sequence[Sample]) -> list[RecordStep]:
    """Return how the best measured room-temperature conductivity of crystalline sodium conductors rose.

    Counted are measured values between 15 and 35 °C whose year is known; of a year only its best counts, and only
    if it beats all years before.
    """
    best, steps = 0.0, []
    points = conductivity_over_years(samples)
    for point in sorted(points, key=lambda p: (p.x, -p.y, p.sample.sample_id)):
        if point.y > best:
            best = point.y
            steps.append(RecordStep(int(point.x), point.sample, name_of(point.sample), citation(point.sample)))
    return steps


def chart_data(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the numbers behind all figures, ready for JSON: rows of points, the coverage, and the record.

    Args:
        samples: Rows of one table, or of several.
    """
    return {
        "ea_against_conductivity": [p.row() for p in ea_against_conductivity(samples)],
        **{f"conductivity_against_{name}": [p.row() for p in conductivity_against(name, samples)] for name in AXES},
        "conductivity_over_years": [p.row() for p in conductivity_over_years(samples)],
        "record_timeline": [
            {"year": step.year, "conductivity_s_cm": step.sample.conductivity_s_cm, "name": step.name,
             "sample_id": step.sample.sample_id, "citation": step.source}
            for step in record_timeline(samples)
        ],
        "coverage": coverage(samples),
    }  # fmt: skip
