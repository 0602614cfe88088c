"""Score candidates, rank them, and name the measured samples nearest to each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.datasets import has_sodium, sodium_conductivity_rows
from nascreen.errors import RangeError, shown
from nascreen.features import BLOCKS, chemistry_of, feature_matrix
from nascreen.models import GLASS, ROOM_TEMPERATURE_C, Prediction, family_of_sample, load_models
from nascreen.physics import area_specific_resistance_ohm_cm2, thinnest_thickness_um
from nascreen.records import CENSORED_ORIGINS, Sample, citation
from nascreen.verdicts import reviewed_table

Array = NDArray[np.float64]

REFERENCE_THICKNESS_UM = 850.0
REFERENCE_STRENGTH_MPA = 15.0
"""A bare NASICON disc of this strength just carries the assembly load at this thickness (the epoxy-NASICON study)."""

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with what is predicted of it at 25 °C.

    Attributes:
        prediction: The prediction; its sample is the candidate.
        thinnest_um: Thinnest disc that carries the load that a 15 MPa ceramic carries at 850 µm, in µm.
        resistance_ohm_cm2: Area-specific resistance of that disc at 25 °C in Ω cm².
    """

    prediction: Prediction
    thinnest_um: float
    resistance_ohm_cm2: float

    @property
    def sample(self) -> Sample:
        """The candidate."""
        return self.prediction.sample


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A measured sample near a candidate.

    Attributes:
        sample: The measured sample.
        distance: Distance in composition (0 same, up to 1.41), a phase that differs counts 0.3.
        citation: Where it was reported.
    """

    sample: Sample
    distance: float
    citation: str


def score(candidates: Sequence[Sample], on_progress: Callable[[int], None] | None = None) -> list[Scored]:
    """Predict every candidate at 25 °C.

    Args:
        candidates: Samples to be made.
        on_progress: Called with the number of candidates done so far.
    """
    models = load_models()
    out: list[Scored] = []
    for start in range(0, len(candidates), CHUNK):
        part = [replace(s, meas_temp_c=ROOM_TEMPERATURE_C) for s in candidates[start : start + CHUNK]]
        out.extend(scored(prediction) for prediction in models.predict(part))
        if on_progress:
            on_progress(len(out))
    return out


def scored(prediction: Prediction) -> Scored:
    """Return a prediction with the thinnest disc and its area-specific resistance at 25 °C."""
    thickness = float(thinnest_thickness_um(REFERENCE_THICKNESS_UM, REFERENCE_STRENGTH_MPA, prediction.strength_mpa))
    resistance = area_specific_resistance_ohm_cm2(thickness, prediction.conductivity_25_s_cm)
    return Scored(prediction, thickness, float(resistance))


SORT_KEYS: dict[str, Callable[[Scored], float]] = {
    "conductivity": lambda s: -s.prediction.conductivity_s_cm,
    "conductivity_lo": lambda s: -s.prediction.conductivity_lo,
    "ea": lambda s: s.prediction.ea_ev,
    "strength": lambda s: -s.prediction.strength_mpa,
    "resistance": lambda s: s.resistance_ohm_cm2,
}
"""What a ranking can be sorted by, best first."""


def rank(scored: Iterable[Scored], by: str = "conductivity_lo", n: int = 20, per_system: int = 2) -> list[Scored]:
    """Return the best candidates, one per composition and a few per system.

    Args:
        scored: Scored candidates.
        by: One of `SORT_KEYS`.
        n: How many to return.
        per_system: Most candidates of one system (the part of the label before the comma).

    Returns:
        At most ``n`` candidates, best first; those outside the domain of the models come last.

    Raises:
        RangeError: If ``by`` is unknown or a number is below 1.
    """
    if by not in SORT_KEYS:
        raise RangeError(f"A ranking can be sorted by {', '.join(SORT_KEYS)}; got {shown(by)}.")
    if n < 1 or per_system < 1:
        raise RangeError(f"The numbers of candidates must be at least 1; got {n} and {per_system} per system.")
    key = SORT_KEYS[by]
    ordered = sorted(scored, key=lambda s: (not s.prediction.in_domain, key(s), s.sample.formula))
    chosen: list[Scored] = []
    systems: dict[str, int] = {}
    formulas: set[str] = set()
    for candidate in ordered:
        system = candidate.sample.label.partition(",")[0]
        if candidate.sample.formula in formulas or systems.get(system, 0) >= per_system:
            continue
        formulas.add(candidate.sample.formula)
        systems[system] = systems.get(system, 0) + 1
        chosen.append(candidate)
        if len(chosen) == n:
            break
    return chosen


@lru_cache(maxsize=1)
def measured_samples() -> tuple[tuple[Sample, ...], Array]:
    """Return the measured sodium conductors near room temperature, with what their distances are taken on."""
    literature = sodium_conductivity_rows(reviewed_table("literature"))
    samples = [s for s in (*literature, *filter(_is_chalcogenide, _glasses())) if s.value_origin != "extrapolated"]
    return tuple(samples), _position(feature_matrix(samples))


@lru_cache(maxsize=1)
def _samples_and_oxide_glasses() -> tuple[tuple[Sample, ...], Array]:
    """Return the same with the thousands of oxide glasses of the glass table."""
    samples, known = measured_samples()
    oxides = [s for s in _glasses() if s.conductivity_s_cm and not _is_chalcogenide(s)]
    return (*samples, *oxides), np.vstack([known, _position(feature_matrix(oxides))])


def measured_beside(sample: Sample) -> Callable[[], tuple[tuple[Sample, ...], Array]]:
    """Return what reads the measured samples a sample is compared with: for oxide glasses the glass table's too."""
    return _samples_and_oxide_glasses if family_of_sample(sample) == GLASS else measured_samples


def _glasses() -> list[Sample]:
    return [s for s in reviewed_table("glasses") if s.quality == "ok" and has_sodium(s)]


def _is_chalcogenide(sample: Sample) -> bool:
    get = chemistry_of(sample.formula).composition.get
    return max(get("S"), get("Se")) > get("O")


def _position(features: Array) -> Array:
    return np.hstack([np.sqrt(features[:, BLOCKS["fraction"]]), 0.3 / np.sqrt(2) * features[:, BLOCKS["phase"]]])


def nearest(candidates: Sequence[Sample], n: int = 3) -> list[list[Neighbour]]:
    """Return the measured samples nearest to each candidate, one per text, the one nearest to 25 °C first.

    Args:
        candidates: Samples with a formula.
        n: How many per candidate.
    """
    here = _position(feature_matrix(candidates))
    out = []
    for candidate, position in zip(candidates, here, strict=True):
        samples, known = measured_beside(candidate)()
        off_room = np.array([abs((s.meas_temp_c or 0) - ROOM_TEMPERATURE_C) for s in samples])
        distance = np.sqrt(((known - position) ** 2).sum(axis=1))
        furnace = np.array([_furnace_gap(candidate, s) for s in samples])
        order = np.argsort(distance + 1e-4 * furnace + 1e-4 * off_room, kind="stable")
        found: list[Neighbour] = []
        seen: set[str] = set()
        for i in order:
            if samples[i].group_id not in seen:
                seen.add(samples[i].group_id)
                found.append(Neighbour(samples[i], float(distance[i]), citation(samples[i])))
            if len(found) == n:
                break
        out.append(found)
    return out


def best_measured(families: Sequence[str]) -> tuple[float, Sample]:
    """Return the best measured log10 σ at 15 to 35 °C among families, and its sample.

    Raises:
        RangeError: If nothing was measured there.
    """
    samples, _ = measured_samples()
    rows = [
        s
        for s in samples
        if s.value_origin not in {"cited", *CENSORED_ORIGINS}
        and s.conductivity_kind != "bulk"
        and s.meas_temp_c is not None
        and 15 <= s.meas_temp_c <= 35
        and family_of_sample(s) in families
        and s.second_phase_role != "matrix"
    ]
    if not rows:
        raise RangeError(f"No conductivity near 25 °C was measured in {shown(', '.join(families))}.")
    best = max(rows, key=lambda s: s.conductivity_s_cm or 0)
    return float(np.log10(best.conductivity_s_cm or 1)), best


def _furnace_gap(candidate: Sample, other: Sample) -> float:
    pairs = ((candidate.sinter_temp_c, other.sinter_temp_c), (candidate.heat_temp_c, other.heat_temp_c))
    return sum(abs(a - b) if a is not None and b is not None else 100.0 for a, b in pairs if (a, b) != (None, None))
