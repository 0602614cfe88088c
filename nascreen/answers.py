"""Answers to single questions as plain values: a prediction, a curve, an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.explain import Explanation, probability_above
from nascreen.features import feature_matrix
from nascreen.models import ROOM_TEMPERATURE_C, Lines, Models, Prediction, require_usable
from nascreen.records import Sample, processing_line
from nascreen.screening import Neighbour, nearest, scored
from nascreen.tables import result_values

Array = NDArray[np.float64]

N_MEASURED = 12
_NEAREST = (
    "sample_id", "formula", "phase", "sinter_temp_c", "heat_temp_c", "rel_density_pct", "meas_temp_c",
    "conductivity_s_cm", "conductivity_kind", "ea_ev", "strength_mpa",
)  # fmt: skip


def rounded(value: float, digits: int = 6) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")


def prediction_values(prediction: Prediction, above_s_cm: float | None = None) -> dict[str, Any]:
    """Return a prediction as plain values.

    Args:
        prediction: The prediction.
        above_s_cm: Conductivity in S/cm of whose excess the probability is wanted.
    """
    temp_c = prediction.sample.meas_temp_c
    disc = scored(prediction)
    return {
        "formula": prediction.sample.formula,
        "family": prediction.family,
        "meas_temp_c": ROOM_TEMPERATURE_C if temp_c is None else temp_c,
        **result_values(prediction),
        "conductivity_25_s_cm": rounded(prediction.conductivity_25_s_cm),
        "distance": rounded(prediction.distance),
        "thinnest_um": rounded(disc.thinnest_um),
        "resistance_ohm_cm2": rounded(disc.resistance_ohm_cm2),
        "above_s_cm": above_s_cm,
        "probability_above": None if above_s_cm is None else round(probability_above(prediction, above_s_cm), 4),
    }


def curve_values(sample: Sample, temps_c: Sequence[float], models: Models) -> dict[str, Any]:
    """Return the Arrhenius line of a sample with its 90 % band, and the measured samples nearest to it.

    Args:
        sample: The sample; its own temperature does not count.
        temps_c: Temperatures in °C.
        models: The models.

    Raises:
        InputError: If the sample cannot be used.
    """
    require_usable(sample)
    one = models.conductivity.lines(feature_matrix([sample]))
    n = len(temps_c)
    lines = Lines(
        np.repeat(one.log_sigma_25, n), np.repeat(one.ea_ev, n), np.repeat(one.covariance, n, axis=0), one.family * n
    )
    centre, half = models.conductivity.log_sigma(lines, np.asarray(temps_c, dtype=np.float64))
    (near,) = nearest([sample], N_MEASURED)
    return {
        "formula": sample.formula,
        "ea_ev": rounded(float(one.ea_ev[0])),
        "points": [
            {
                "temp_c": float(t), "conductivity_s_cm": rounded(10**c), "conductivity_lo": rounded(10 ** (c - h)),
                "conductivity_hi": rounded(10 ** (c + h)),
            }
            for t, c, h in zip(temps_c, centre, half, strict=True)
        ],
        "measured": [measured_values(one) for one in near if one.sample.conductivity_s_cm is not None],
    }  # fmt: skip


def measured_values(near: Neighbour) -> dict[str, Any]:
    """Return a measured sample as a point beside a curve."""
    s = near.sample
    made = processing_line(s)
    return {
        "sample_id": s.sample_id, "formula": s.formula, "processing": made or s.phase.replace("_", "-"),
        "temp_c": s.meas_temp_c, "conductivity_s_cm": s.conductivity_s_cm, "conductivity_kind": s.conductivity_kind,
        "ea_ev": s.ea_ev, "distance": round(near.distance, 4), "citation": near.citation,
    }  # fmt: skip


def explanation_answer(found: Explanation, above_s_cm: float | None = None) -> dict[str, Any]:
    """Return an explanation as plain values.

    Args:
        found: The explanation.
        above_s_cm: As for `prediction_values`.
    """
    return {"prediction": prediction_values(found.prediction, above_s_cm), **reason_values(found)}


def reason_values(found: Explanation) -> dict[str, Any]:
    """Return what an explanation says beside its prediction as plain values, numbers with six significant digits."""
    return {
        "background": _rounded(asdict(found.background)),
        "contributions": [_rounded(asdict(c)) for c in found.contributions],
        "nearest": [_nearest_values(near) for near in found.neighbours],
        "limits": list(found.limits),
        "changes": [
            {
                "change": c.what, "gain_decades": rounded(c.gain_decades), "formula": c.prediction.sample.formula,
                **result_values(c.prediction),
            }
            for c in found.changes
        ],
    }  # fmt: skip


def _nearest_values(near: Neighbour) -> dict[str, Any]:
    values = {name: getattr(near.sample, name) for name in _NEAREST}
    return {**values, "distance": round(near.distance, 4), "citation": near.citation}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: rounded(v) if isinstance(v, float) else v for name, v in values.items()}
