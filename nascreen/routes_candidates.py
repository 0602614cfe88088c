"""Route of tables of candidates: what was read of one, before a campaign is made of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from nascreen import wire_campaign as wire
from nascreen.routes import answer, body_of, gives, in_thread, takes

router = APIRouter(prefix="/v1/candidates", tags=["campaigns"])


@router.post(
    "",
    summary="Read a table of candidates",
    openapi_extra=takes(wire.TableIn),
    response_model=None,
    responses=gives(wire.OwnRowsOut, "What was read."),
)
async def candidates_read(request: Request) -> Response:
    """Read a table as a campaign would, and say what its columns are; nothing is kept."""
    given = await body_of(request, wire.TableIn)

    def work() -> Response:
        from nascreen.own_rows import read_own_rows

        return answer(read_own_rows(given.csv).values())

    return await in_thread(request, work)
