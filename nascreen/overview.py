"""What the tables hold: counts by family, property, processing and year, coverage, and the record over time.

Pure functions of samples; the command line, the figures and a page draw the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nascreen.records import Sample, citation, name_of

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


def counts_by_decade(samples: Sequence[Sample]) -> dict[str, int]:
    """Return the number of rows by decade of publication; rows without a year come last."""
    known = Counter(s.year // 10 * 10 for s in samples if s.year is not None)
    out = {f"{decade}s": known[decade] for decade in sorted(known)}
    n_unknown = sum(s.year is None for s in samples)
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


@dataclass(frozen=True, slots=True)
class RecordStep:
    """A conductivity above all that were reported before it.

    Attributes:
        year: Year of publication.
        sample: The sample.
        name: Formula or batch.
        source: Citation.
    """

    year: int
    sample: Sample
    name: str
    source: str


def near_room(samples: Sequence[Sample]) -> list[Sample]:
    """Return measured conductivities between 15 and 35 °C of samples with a formula.

    The values that the glass table gives at its standard temperature of 20 °C count as measured.
    """
    low, high = NEAR_ROOM_C
    return [
        s
        for s in samples
        if s.formula
        and s.value_origin in MEASURED_ORIGINS
        and s.conductivity_s_cm is not None
        and s.meas_temp_c is not None
        and low <= s.meas_temp_c <= high
        and s.conductivity_kind != "grain_boundary"
    ]


def dated(samples: Sequence[Sample]) -> list[Sample]:
    """Return measured room-temperature conductivities whose year of publication is known."""
    return [s for s in near_room(samples) if s.year is not None and "#ref" not in s.paper_id]


def record_timeline(samples: Sequence[Sample]) -> list[RecordStep]:
    """Return how the best measured room-temperature conductivity rose over the years.

    Counted are measured values between 15 and 35 °C with a year; a year's best counts if it beats all before it.
    References of a survey are left out: their own year is not recorded.
    """
    best, steps = 0.0, []
    rows = dated(samples)
    for s in sorted(rows, key=lambda s: (s.year or 0, -(s.conductivity_s_cm or 0.0), s.sample_id)):
        if (s.conductivity_s_cm or 0.0) > best:
            best = s.conductivity_s_cm or 0.0
            steps.append(RecordStep(s.year or 0, s, name_of(s), citation(s)))
    return steps
