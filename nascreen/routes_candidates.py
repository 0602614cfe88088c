"""Route of tables of candidates: what was read of one, before a campaign is made of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nascreen import wire_campaign as wire
from nascreen.routes import answer, body_of, gives, in_thread, media_type_of, takes, takes_files
from nascreen.spreadsheets import XLSX

router = APIRouter(prefix="/v1/candidates", tags=["campaigns"])

JSON = "application/json"


def _takes() -> dict[str, Any]:
    """Return what OpenAPI says of the body: a table as text, or a workbook."""
    text, book = takes(wire.TableIn), takes_files(XLSX)
    text["requestBody"]["content"] |= book["requestBody"]["content"]
    return text


@router.post(
    "",
    summary="Read a table of candidates",
    openapi_extra=_takes(),
    response_model=None,
    responses=gives(wire.OwnRowsOut, "What was read."),
)
async def candidates_read(request: Request) -> Response:
    """Read a table as a campaign would, and say what its columns are; nothing is kept.

    Of a workbook the first visible sheet is read, and answered as the text that a campaign may be made of.
    """
    if media_type_of(request, JSON, XLSX) == XLSX:
        return await _workbook_read(request)
    given = await body_of(request, wire.TableIn)

    def work() -> Response:
        from nascreen.own_rows import read_own_rows

        return answer({**read_own_rows(given.csv).values(), "csv": None})

    return await in_thread(request, work)


async def _workbook_read(request: Request) -> Response:
    data = await request.body()

    def work() -> Response:
        from nascreen.own_rows import read_own_rows, text_of_workbook

        text, notes = text_of_workbook(data)
        found = read_own_rows(text).values()
        return answer({**found, "notes": [*notes, *found["notes"]], "csv": text})

    return await in_thread(request, work)
