"""What all routes of the service share: its parts, bodies, answers, and how they are written down in OpenAPI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.responses import Response

from nascreen import wire
from nascreen.errors import shown
from nascreen.gatekeeper import Meters, Rules
from nascreen.kept_screens import KeptScreens
from nascreen.problems import MEDIA_TYPE, HttpError, read_json
from nascreen.serving import Batcher, ModelHolder, Workers

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

REQUEST_MODELS: dict[str, type[BaseModel]] = {}
"""Models of bodies by name, for the components of the OpenAPI document."""


class Query(BaseModel):
    """Base of what stands in the query of an address: an unknown name is refused there too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


@dataclass(eq=False)
class Parts:
    """What the routes work with, kept as ``app.state.parts``.

    Attributes:
        holder: The models.
        batcher: Predicts single samples.
        workers: Threads for longer work.
        meters: What is counted.
        rules: What the gatekeeper demands.
        store: Address of the store of campaigns.
        screens: The kept screens; those made here are kept there too.
        scorers: The thread that scores spaces, apart so that nothing else waits for it.
        started: When the service started, in seconds of the monotonic clock.
    """

    holder: ModelHolder
    batcher: Batcher
    workers: Workers
    meters: Meters
    rules: Rules
    store: str
    screens: KeptScreens
    scorers: Workers
    started: float


def parts_of(request: Request) -> Parts:
    """Return the parts of the service that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


@lru_cache(maxsize=64)
def _adapter(model: type[M]) -> TypeAdapter[M]:
    return TypeAdapter(model)


async def body_of(request: Request, model: type[M]) -> M:
    """Read the JSON body of a request.

    Raises:
        HttpError: If it is said to be something else than JSON.
        ValidationError: If it does not have the shape of the model.
    """
    adapter: TypeAdapter[M] = _adapter(model)
    return read_json(adapter, await request.body(), request.headers.get("content-type", ""))


async def bytes_of(request: Request, media_type: str) -> bytes:
    """Return a body of a media type as it came.

    Raises:
        HttpError: If it is said to be something else.
    """
    media_type_of(request, media_type)
    return await request.body()


def media_type_of(request: Request, *allowed: str) -> str:
    """Return which of some media types a body is said to be.

    Raises:
        HttpError: If it is said to be something else.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise HttpError(415, f"The body is {shown(given or 'of no stated type')}; send {' or '.join(allowed)}.")
    return given


def answer(
    values: Mapping[str, Any] | list[Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return plain values as JSON; a number that is not finite would be a defect and is refused."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def csv_answer(text: str, name: str) -> Response:
    """Return a table as a file of the given name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8"), 200, headers, "text/csv; charset=utf-8")


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of a JSON body of a model."""
    REQUEST_MODELS[model.__name__] = model
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def takes_files(*media_types: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is a file of one of some media types."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


def takes_text(media_type: str, example: str) -> dict[str, Any]:
    """Return what OpenAPI says of a text body."""
    content = {media_type: {"schema": {"type": "string"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def gives(model: Any, description: str, status: int = 200) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401 - a type
    """Return what FastAPI is told of the answers of a route: the good one, and problems for all others."""
    return {status: {"model": model, "description": description}, **PROBLEMS}


def gives_text(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """Return the same for a route that answers a text."""
    content = {media_type: {"schema": {"type": "string"}}}
    return {200: {"description": description, "content": content}, **PROBLEMS}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem: one sentence says what, got what, allowed what, and what to do.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
REQUEST_MODELS["Problem"] = wire.Problem


async def in_thread(request: Request, work: Callable[[], T]) -> T:
    """Do longer work in a thread of the service.

    Raises:
        BusyError: If too much is waiting.
    """
    return await parts_of(request).workers.run(work)
