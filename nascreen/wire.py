"""The shapes that travel over HTTP: what a request may hold, what an answer holds; the client reads the same.

Requests are strict: a number is a number (not a text, not TRUE, not infinite), an unknown name is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from nascreen.chemistry import MAX_LENGTH
from nascreen.records import COLUMN_BY_NAME, MAX_TEXT

MOST_SAMPLES = 1000
MOST_CSV_ROWS = 10_000
MOST_CSV_BYTES = 2 * 1024 * 1024
MOST_TEMPERATURES = 500


class Request(BaseModel):
    """Base of what is asked: strict, and closed."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Answer(BaseModel):
    """Base of what is answered; fields may be added in later versions of the service."""

    model_config = ConfigDict(frozen=True)


def _bounds(name: str) -> Any:  # noqa: ANN401 - pydantic's field information
    column = COLUMN_BY_NAME[name]
    unit = f" in {column.unit}" if column.unit else ""
    text = f"{column.description}{unit}."
    if column.is_lower_open:
        return Field(description=text, gt=column.lower, le=column.upper)
    return Field(description=text, ge=column.lower, le=column.upper)


def _described(name: str) -> Any:  # noqa: ANN401 - pydantic's field information
    return Field(description=f"{COLUMN_BY_NAME[name].description}.")


Formula = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LENGTH),
    Field(
        description="Formula of the ion conductor, such as Na3Zr2Si2PO12.",
        examples=["Na3Zr2Si2PO12"],
    ),
]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class SampleIn(Request):
    """A sample to be predicted: formula, state, processing; whatever is not known is left out."""

    formula: Formula
    phase: Annotated[Literal["", "crystalline", "glass", "glass_ceramic", "composite"], _described("phase")] = ""
    structure: Annotated[Text, _described("structure")] = ""
    synthesis: Annotated[Text, _described("synthesis")] = ""
    sinter_temp_c: Annotated[float | None, _bounds("sinter_temp_c")] = None
    sinter_time_h: Annotated[float | None, _bounds("sinter_time_h")] = None
    heat_temp_c: Annotated[float | None, _bounds("heat_temp_c")] = None
    heat_time_h: Annotated[float | None, _bounds("heat_time_h")] = None
    press_mpa: Annotated[float | None, _bounds("press_mpa")] = None
    rel_density_pct: Annotated[float | None, _bounds("rel_density_pct")] = None
    porosity_pct: Annotated[float | None, _bounds("porosity_pct")] = None
    second_phase: Annotated[Text, _described("second_phase")] = ""
    second_phase_wt_pct: Annotated[float | None, _bounds("second_phase_wt_pct")] = None
    second_phase_role: Annotated[Text, _described("second_phase_role")] = ""
    meas_temp_c: Annotated[float | None, _bounds("meas_temp_c")] = None
    conductivity_kind: Annotated[
        Literal["", "total", "bulk", "grain_boundary", "unspecified"], _described("conductivity_kind")
    ] = ""


class Conditions(TypedDict, total=False):
    """State and processing of a `SampleIn`, for callers in Python."""

    phase: str
    structure: str
    synthesis: str
    sinter_temp_c: float
    sinter_time_h: float
    heat_temp_c: float
    heat_time_h: float
    press_mpa: float
    rel_density_pct: float
    porosity_pct: float
    second_phase: str
    second_phase_wt_pct: float
    second_phase_role: str
    meas_temp_c: float
    conductivity_kind: str


class Predicted(Answer):
    """What is predicted of one sample; each ``_lo`` and ``_hi`` is a limit of a 90 % interval."""

    formula: str
    family: str = Field(description="Family of electrolytes.")
    meas_temp_c: float = Field(description="Temperature of the conductivity in °C.")
    conductivity_s_cm: float = Field(description="Conductivity at that temperature in S/cm.")
    conductivity_lo: float
    conductivity_hi: float
    conductivity_25_s_cm: float = Field(description="Conductivity at 25 °C on the same line in S/cm.")
    ea_ev: float = Field(description="Activation energy in eV, of σT = A·exp(-Ea/kT).")
    ea_lo: float
    ea_hi: float
    strength_mpa: float = Field(description="Strength in MPa.")
    strength_lo: float
    strength_hi: float
    thinnest_um: float = Field(description="Thinnest disc that carries what 15 MPa carry at 850 µm, in µm.")
    resistance_ohm_cm2: float = Field(description="Area-specific resistance of that disc at 25 °C in Ω cm².")
    in_domain: bool = Field(description="Whether it lies inside the domain of the models.")
    domain_note: str = Field(description="Why, in words, and notes that do not lessen trust.")
    distance: float = Field(description="Distance to the nearest composition learned from, 0 to 1.41.")
    above_s_cm: float | None = Field(None, description="Conductivity asked about in S/cm.")
    probability_above: float | None = Field(None, description="Probability of more than that.")


class SamplesIn(Request):
    """Up to 1,000 samples."""

    samples: list[SampleIn] = Field(min_length=1, max_length=MOST_SAMPLES)


class PredictedOrError(Answer):
    """One answer of a batch: a prediction, or why there is none."""

    prediction: Predicted | None
    error: str = Field(description="Why the sample cannot be used; empty where it can.")


class BatchOut(Answer):
    """One entry per sample, in order."""

    predictions: list[PredictedOrError]


class CurvePoint(Answer):
    """Conductivity at one temperature in S/cm, with its 90 % interval."""

    temp_c: float
    conductivity_s_cm: float
    conductivity_lo: float
    conductivity_hi: float


class MeasuredPoint(Answer):
    """A measured sample near the one asked about."""

    sample_id: str
    formula: str
    processing: str = Field(description="State and processing, in words.")
    temp_c: float
    conductivity_s_cm: float
    conductivity_kind: str
    ea_ev: float | None
    distance: float = Field(description="Distance in composition, 0 (same) to 1.41; a phase that differs counts 0.3.")
    citation: str


class CurveOut(Answer):
    """An Arrhenius line with its band, and what was measured nearby."""

    formula: str
    ea_ev: float
    points: list[CurvePoint]
    measured: list[MeasuredPoint]


class ContributionOut(Answer):
    """What one group of inputs adds to the prediction, against the background."""

    group: str
    given: str = Field(description="What the sample says of it, in words.")
    log_sigma: float = Field(description="Decades of conductivity at 25 °C.")
    ea_ev: float = Field(description="eV of activation energy.")
    log_strength: float = Field(description="Decades of strength.")
    log_sigma_error: float = Field(description="Standard error of the first from the draw of background samples.")


class BackgroundOut(Answer):
    """What contributions count from."""

    name: str
    n_samples: int
    log_sigma: float
    ea_ev: float
    log_strength: float


class NearestOut(Answer):
    """A measured sample, one per text."""

    sample_id: str
    formula: str
    phase: str
    sinter_temp_c: float | None
    heat_temp_c: float | None
    rel_density_pct: float | None
    meas_temp_c: float | None
    conductivity_s_cm: float | None
    conductivity_kind: str
    ea_ev: float | None
    strength_mpa: float | None
    distance: float
    citation: str


class ChangeOut(Answer):
    """One change of the sample and what is predicted then."""

    change: str
    gain_decades: float
    formula: str
    conductivity_s_cm: float
    conductivity_lo: float
    conductivity_hi: float
    ea_ev: float
    ea_lo: float
    ea_hi: float
    strength_mpa: float
    strength_lo: float
    strength_hi: float
    in_domain: bool
    domain_note: str


class ExplainOut(Answer):
    """Reasons for one prediction."""

    prediction: Predicted
    background: BackgroundOut
    contributions: list[ContributionOut]
    nearest: list[NearestOut]
    limits: list[str] = Field(description="What bounds the prediction, one sentence each.")
    changes: list[ChangeOut]


class ModelOut(Answer):
    """A promoted model."""

    name: str
    title: str
    sha256: str = Field(description="Hash of its card, which holds the hashes of its files.")
    data_hash: str = Field(description="Hash of the data that it learned from, shortened.")
    files: dict[str, str] = Field(description="sha256 by file.")


class ModelsOut(Answer):
    """The models that answer now."""

    models: list[ModelOut]
    refused: str = Field(description="Why newer files in the folder of models are not used; empty where they are.")


class CardOut(Answer):
    """The card of a model."""

    name: str
    card: dict[str, Any]
    text: str = Field(description="The card for people, in Markdown.")


class HealthOut(Answer):
    """Whether the service answers, and with what."""

    status: Literal["ok", "degraded"] = Field(description="degraded where newer model files were refused.")
    version: str
    models: dict[str, str] = Field(description="Hash by model.")
    refused: str
    uptime_s: float


class ProblemItem(Answer):
    """One fault of a request."""

    where: str
    what: str


class Problem(Answer):
    """Every error, as RFC 9457 problem+json."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence: what, got what, allowed what, what to do.")
    errors: list[ProblemItem] | None = None
