"""Routes of the measured data: counts, rows, cards with citations, the points of the plots, columns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Query as QueryField
from pydantic import Field
from starlette.responses import Response

from nascreen import wire_data
from nascreen.catalogue import (
    MOST_OFFSET,
    MOST_ROWS,
    card_values,
    catalogue,
    chart_values,
    column_values,
    record_values,
    statistics,
)
from nascreen.filters import MOST_CHARACTERS
from nascreen.records import MAX_TEXT
from nascreen.routes import Query, answer, gives, in_thread

router = APIRouter(prefix="/v1/data", tags=["data"])

Filter = Annotated[
    str,
    Field(
        alias="filter",
        description=f"Filter in the OPTIMADE grammar, of at most {MOST_CHARACTERS:,} characters; nothing for all.",
        examples=['elements HAS "Sc" AND conductivity_s_cm > 1e-4'],
    ),
]


class RecordsQuery(Query):
    """Which rows of a table."""

    table: Annotated[Literal["literature", "glasses", "lithium"], Field(description="The table, as reviewed.")] = (
        "literature"
    )
    text: Filter = ""
    sort: Annotated[str, Field(max_length=100, description="A column, upwards; column:desc for downwards.")] = (
        "sample_id"
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Most rows returned.")] = 50
    offset: Annotated[int, Field(ge=0, le=MOST_OFFSET, description="Rows passed over.")] = 0


class ChartsQuery(Query):
    """Which points."""

    family: Annotated[str, Field(max_length=MAX_TEXT, description="Only this family of electrolytes.")] = ""
    text: Filter = ""


@router.get("/statistics", summary="Counts of the data", response_model=None,
            responses=gives(wire_data.StatisticsOut, "Counts by table, family, property and decade."))  # fmt: skip
async def data_statistics(request: Request) -> Response:
    """Count rows, texts and stated values of every table as reviewed, and what is known of how samples were made."""
    return answer(await in_thread(request, statistics))


@router.get("/records", summary="Measured rows", response_model=None,
            responses=gives(wire_data.RecordsOut, "The rows that pass, a page at a time."))  # fmt: skip
async def data_records(request: Request, query: Annotated[RecordsQuery, QueryField()]) -> Response:
    """Filter and sort the rows of a table; each has its citation."""

    def work() -> dict[str, Any]:
        page = catalogue(query.table).ask(query.text, query.sort, query.limit, query.offset)
        return {
            "table": query.table, "n_matching": page.n_matching, "offset": query.offset,
            "next_offset": page.next_offset, "records": [record_values(s) for s in page.samples],
        }  # fmt: skip

    return answer(await in_thread(request, work))


@router.get("/records/{sample_id}", summary="One measured row", response_model=None,
            responses=gives(wire_data.CardOfRecordOut, "The row with citation, decisions and card."))  # fmt: skip
async def data_record(request: Request, sample_id: str) -> Response:
    """Return a row by its identifier, excluded ones too: citation, links, terms, decisions, BibTeX."""
    return answer(await in_thread(request, lambda: card_values(sample_id)))


@router.get("/charts", summary="Points of the linked plots", response_model=None,
            responses=gives(wire_data.ChartsOut, "Points, and the record over the years."))  # fmt: skip
async def data_charts(request: Request, query: Annotated[ChartsQuery, QueryField()]) -> Response:
    """Return the measured conductivities of sodium conductors at 15 to 35 °C with what they are plotted against."""
    return answer(await in_thread(request, lambda: chart_values(query.family, query.text)))


@router.get("/columns", summary="Columns of the data", response_model=None,
            responses=gives(wire_data.DataColumnsOut, "Meaning, unit and bounds of every column."))  # fmt: skip
async def data_columns(request: Request) -> Response:
    """Say what every column means, its unit, what it may be, and which tables have it."""
    return answer(await in_thread(request, lambda: {"columns": column_values()}))
