"""Routes that predict: one sample, a batch, a table, a curve, reasons; and what the models are."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Query as QueryField
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field, ValidationError
from starlette.responses import Response

from nascreen import __version__, wire
from nascreen.answers import curve_values, explanation_answer, prediction_values
from nascreen.errors import InputError, RangeError, UnknownNameError, shown
from nascreen.explain import explain
from nascreen.models import Models, Prediction, require_usable
from nascreen.records import Sample, sample_from_cells, with_values
from nascreen.routes import (
    Parts,
    Query,
    answer,
    body_of,
    bytes_of,
    csv_answer,
    gives,
    gives_text,
    in_thread,
    parts_of,
    takes,
    takes_text,
)
from nascreen.serving import predicted_or_error
from nascreen.spreadsheets import Limits
from nascreen.tables import (
    MAX_COLUMNS,
    RESULT_COLUMNS,
    merged_rows,
    predicted_rows,
    require_balanced,
    table_of_bytes,
    table_text,
)

router = APIRouter(prefix="/v1")

Above = Annotated[float | None, Field(gt=0, le=100, description="Probability of more than this, in S/cm.")]
Strict = Annotated[bool, Field(description="Refuse a formula that is not charge balanced.")]
Temperature = Annotated[float, Field(ge=-200, le=1000, description="Temperature in °C.")]


class PredictQuery(Query):
    """Options of a prediction."""

    above_s_cm: Above = None
    strict: Strict = False


NO_QUERY = PredictQuery()


class CurveQuery(Query):
    """Temperatures of a curve."""

    from_c: Temperature = -25.0
    to_c: Temperature = 300.0
    n: Annotated[int, Field(ge=2, le=wire.MOST_TEMPERATURES, description="Number of temperatures.")] = 66


class ExplainQuery(PredictQuery):
    """Options of an explanation."""

    against: Annotated[Literal["all", "family"], Field(description="What contributions count from.")] = "all"
    seed: Annotated[int, Field(ge=0, le=2**31, description="Seed of the draw of background samples.")] = 0


def sample_of(given: wire.SampleIn, *, strict: bool = False) -> Sample:
    """Return a request's sample; its texts pass the same gate as those of a table.

    Raises:
        InputError: If it cannot be used.
    """
    values = given.model_dump(exclude_none=True)
    texts = sample_from_cells({name: value for name, value in values.items() if isinstance(value, str) and value})
    sample = with_values(texts, {name: value for name, value in values.items() if not isinstance(value, str)})
    if strict:
        require_usable(sample)
        require_balanced(sample)
    return sample


@router.post(
    "/predict",
    summary="Predict one sample",
    openapi_extra=takes(wire.SampleIn),
    response_model=None,
    responses=gives(wire.Predicted, "What is predicted."),
    tags=["predict"],
)
async def predict(request: Request, query: Annotated[PredictQuery, QueryField()]) -> Response:
    """Predict conductivity, activation energy and strength of one sample, each with its 90 % interval."""
    return await _predicted(request, query)


async def predict_quickly(request: Request) -> Response:
    """Answer `predict` without the machinery of a general route, which costs as much as the prediction."""
    try:
        query = PredictQuery.model_validate(dict(request.query_params)) if request.scope["query_string"] else NO_QUERY
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in error.errors()]) from error
    return await _predicted(request, query)


async def _predicted(request: Request, query: PredictQuery) -> Response:
    sample = sample_of(await body_of(request, wire.SampleIn), strict=query.strict)
    prediction = await parts_of(request).batcher.predict(sample)
    return answer(prediction_values(prediction, query.above_s_cm))


@router.post(
    "/predict/batch",
    summary="Predict up to 1,000 samples",
    openapi_extra=takes(wire.SamplesIn),
    response_model=None,
    responses=gives(wire.BatchOut, "One entry per sample, in order."),
    tags=["predict"],
)
async def predict_batch(request: Request, query: Annotated[PredictQuery, QueryField()]) -> Response:
    """Predict many samples; one that cannot be used keeps its place with the reason."""
    given = await body_of(request, wire.SamplesIn)
    models = parts_of(request).holder.models
    return answer(await in_thread(request, lambda: _batch(given, query, models)))


def _batch(given: wire.SamplesIn, query: PredictQuery, models: Models) -> dict[str, Any]:
    samples: list[Sample | InputError] = []
    for one in given.samples:
        try:
            samples.append(sample_of(one, strict=query.strict))
        except InputError as error:
            samples.append(error)
    found = iter(predicted_or_error(models, [s for s in samples if isinstance(s, Sample)]))
    outcomes: list[Prediction | Exception] = [next(found) if isinstance(s, Sample) else s for s in samples]
    return {"predictions": [_entry(one, query) for one in outcomes]}


def _entry(outcome: Prediction | Exception, query: PredictQuery) -> dict[str, Any]:
    if isinstance(outcome, InputError):
        return {"prediction": None, "error": str(outcome)}
    if isinstance(outcome, Exception):
        raise outcome
    return {"prediction": prediction_values(outcome, query.above_s_cm), "error": ""}


QUICK = {("POST", "/v1/predict"): predict_quickly}
"""Routes that the service answers itself; all others, and the document of these, are FastAPI's."""


class TableQuery(Query):
    """Options of a table."""

    strict: Strict = False


@router.post(
    "/predict/csv",
    summary="Predict a table",
    response_model=None,
    tags=["predict"],
    openapi_extra=takes_text("text/csv", "formula,sinter_temp_c\nNa3Zr2Si2PO12,1200\n"),
    responses=gives_text("text/csv", "The table with predictions, as of nascreen predict --csv."),
)
async def predict_csv(request: Request, query: Annotated[TableQuery, QueryField()]) -> Response:
    """Predict a table of up to 10,000 rows with a column ``formula``; a bad row has its reason."""
    data = await bytes_of(request, "text/csv")
    models = parts_of(request).holder.models
    text = await in_thread(request, lambda: _predicted_table(data, models, strict=query.strict))
    return csv_answer(text, "predictions.csv")


def _predicted_table(data: bytes, models: Models, *, strict: bool) -> str:
    table = table_of_bytes(data, "body.csv", Limits(wire.MOST_CSV_BYTES, wire.MOST_CSV_ROWS, MAX_COLUMNS))
    header, rows = merged_rows(table, predicted_rows(table.rows, models, strict=strict))
    return table_text([*header, *RESULT_COLUMNS], rows)


@router.post(
    "/curve",
    summary="Conductivity over temperature",
    openapi_extra=takes(wire.SampleIn),
    response_model=None,
    responses=gives(wire.CurveOut, "The Arrhenius line with its band, and measured neighbours."),
    tags=["predict"],
)
async def curve(request: Request, query: Annotated[CurveQuery, QueryField()]) -> Response:
    """Predict the Arrhenius line of a sample with its 90 % band, and name measured samples near it."""
    if query.from_c >= query.to_c:
        raise RangeError(f"The curve goes from {query.from_c:g} to {query.to_c:g} °C; from_c must be below to_c.")
    sample = sample_of(await body_of(request, wire.SampleIn))
    step = (query.to_c - query.from_c) / (query.n - 1)
    temps = [query.from_c + i * step for i in range(query.n)]
    models = parts_of(request).holder.models
    return answer(await in_thread(request, lambda: curve_values(sample, temps, models)))


@router.post(
    "/explain",
    summary="Reasons for a prediction",
    openapi_extra=takes(wire.SampleIn),
    response_model=None,
    responses=gives(wire.ExplainOut, "Contributions, nearest samples, limits and changes."),
    tags=["predict"],
)
async def explain_one(request: Request, query: Annotated[ExplainQuery, QueryField()]) -> Response:
    """Say what each input adds, which measured samples are nearest, what bounds it, and what would change it."""
    sample = sample_of(await body_of(request, wire.SampleIn), strict=query.strict)
    models = parts_of(request).holder.models

    def work() -> dict[str, Any]:
        found = explain(sample, models, against=query.against, seed=query.seed)
        return explanation_answer(found, query.above_s_cm)

    return answer(await in_thread(request, work))


# ---------------------------------------------------------------- what answers


def _cards(parts: Parts) -> dict[str, dict[str, Any]]:
    models = parts.holder.models
    return {"conductivity": models.conductivity.card, "strength": models.strength.card}


@router.get(
    "/models",
    summary="The promoted models",
    response_model=None,
    responses=gives(wire.ModelsOut, "The models that answer now."),
    tags=["models"],
)
async def models_list(request: Request) -> Response:
    """List the models with the hashes of their cards, data and files."""
    parts = parts_of(request)
    hashes = parts.holder.hashes
    listed = [
        {"name": name, "title": card["title"], "sha256": hashes[name], "data_hash": card["data_hash"],
         "files": card["files"]}
        for name, card in _cards(parts).items()
    ]  # fmt: skip
    return answer({"models": listed, "refused": parts.holder.refused})


@router.get(
    "/models/{name}",
    summary="The card of a model",
    response_model=None,
    responses=gives(wire.CardOut, "Card for programs and for people."),
    tags=["models"],
)
async def model_card(request: Request, name: str) -> Response:
    """Return the card of a model: data, protocol, scores per family, intended use."""
    parts = parts_of(request)
    cards = _cards(parts)
    if name not in cards:
        raise UnknownNameError(f"There is no model {shown(name)}; there are {', '.join(cards)}.")
    # The text is of the folder's present files, which may be newer than the models that answer.
    path = parts.holder.folder / name / "card.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return answer({"name": name, "card": json.loads(json.dumps(cards[name])), "text": text})


@router.get(
    "/health",
    summary="Whether the service answers",
    response_model=None,
    responses=gives(wire.HealthOut, "It answers."),
    tags=["service"],
)
async def health(request: Request) -> Response:
    """Say that the service answers, and with which models."""
    parts = parts_of(request)
    refused = parts.holder.refused
    return answer(
        {
            "status": "degraded" if refused else "ok",
            "version": __version__,
            "models": parts.holder.hashes,
            "refused": refused,
            "uptime_s": round(time.monotonic() - parts.started, 1),
        }
    )


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_model=None,
    responses=gives_text("text/plain", "Prometheus text format."),
    tags=["service"],
)
async def metrics(request: Request) -> Response:
    """Return counts and times of requests by route."""
    return Response(generate_latest(parts_of(request).meters.registry), media_type=CONTENT_TYPE_LATEST)
