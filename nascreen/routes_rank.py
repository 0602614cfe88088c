"""Routes of candidates: spaces, rankings with reasons, recipes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Query as QueryField
from pydantic import Field
from starlette.responses import Response

from nascreen import wire_rank
from nascreen.errors import InputError
from nascreen.filters import MOST_CHARACTERS
from nascreen.kept_screens import MOST_N, USUAL_N, KeptScreens
from nascreen.listed import any_lattice, space_names
from nascreen.problems import HttpError
from nascreen.queries import Found, Screened, check_query
from nascreen.ranking import (
    AMOUNT,
    column_values,
    ranked_rows,
    recipe_values,
    require_space,
    space_summary,
    space_values,
)
from nascreen.recipes import make_recipe
from nascreen.routes import Parts, Query, answer, body_of, csv_answer, gives, in_thread, parts_of, takes
from nascreen.tables import table_text

router = APIRouter(prefix="/v1", tags=["rank"])

MOST_ROWS = 1000
MOST_OFFSET = 10_000
PATIENCE = 2 / 3
"""The share of the time for an answer that the first scoring of a space may take of it; it goes on all the same."""
RETRY_SECONDS = 5


class RankQuery(Query):
    """What is ranked, and how."""

    space: Annotated[str, Field(max_length=100, description="Name of a space.")] = ""
    screen: Annotated[str, Field(max_length=100, description="Name of a screen that people made, instead.")] = ""
    text: Annotated[
        str,
        Field(
            alias="filter",
            description=f"Filter in the OPTIMADE grammar, of at most {MOST_CHARACTERS:,} characters; nothing for all.",
            examples=['NOT elements HAS "Sc" AND sinter_temp_c < 1150'],
        ),
    ] = ""
    sort: Annotated[
        str,
        Field(
            max_length=200,
            description="A column, best first, :asc or :desc after it if wanted; or pareto(column, column). "
            "By default the probability of the targets, else conductivity_lo.",
        ),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Most rows returned.")] = 20
    offset: Annotated[int, Field(ge=0, le=MOST_OFFSET, description="Rows passed over.")] = 0
    per_system: Annotated[int | None, Field(ge=1, le=1000, description="Most rows with the same elements.")] = None
    target: list[Annotated[str, Field(max_length=100)]] = Field(
        default_factory=list,
        max_length=3,
        description="Such as conductivity_s_cm > 1e-3; the probability that all are met becomes a column.",
    )
    n: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_N,
            description=f"Candidates scored; all of a space written in code and {USUAL_N:,} of another if left out.",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**31, description="Seed of the draw.")] = 0
    format: Annotated[Literal["json", "csv"], Field(description="csv for a file ranking.csv.")] = "json"


@router.get("/spaces", summary="Spaces of candidates", response_model=None,
            responses=gives(wire_rank.SpacesOut, "The spaces there are."))  # fmt: skip
async def spaces_list(request: Request) -> Response:
    """List the spaces of candidates that come with nascreen, and the screens that people made."""
    screens = parts_of(request).screens

    def work() -> dict[str, Any]:
        return {"spaces": [space_summary(name) for name in space_names()], "screens": screens.names()}

    return answer(await in_thread(request, work))


@router.get("/spaces/{name}", summary="One space", response_model=None,
            responses=gives(wire_rank.SpaceFileOut, "The space, its file, and what a filter may name."))  # fmt: skip
async def space_one(request: Request, name: str) -> Response:
    """Return a space with its file and the columns of its candidates."""
    require_space(name)
    return answer(await in_thread(request, lambda: space_values(name)))


_RANKED = gives(wire_rank.RankOut, "A page of the ranking; a table with format=csv.")
_RANKED[200]["content"] = {"text/csv": {"schema": {"type": "string"}}}


@router.get("/rank", summary="Ranked candidates", response_model=None, responses=_RANKED)
async def rank(request: Request, query: Annotated[RankQuery, QueryField()]) -> Response:
    """Filter and sort the candidates of a space; the first question to a space scores it, which takes some seconds."""
    screened = await _screened(request, query)
    sort = query.sort or ("probability" if query.target else "conductivity_lo")

    def work() -> tuple[Found, list[dict[str, Any]]]:
        found = screened.query(
            query.text, sort, query.limit, offset=query.offset, per_system=query.per_system, targets=query.target
        )
        return found, ranked_rows(found)

    found, rows = await in_thread(request, work)
    if query.format == "csv":
        return csv_answer(_table(rows), "ranking.csv")
    return answer(_page(query, screened, found, rows, parts_of(request).holder.hashes))


async def _screened(request: Request, query: RankQuery) -> Screened:
    """Return the scored candidates that a ranking is about.

    Raises:
        InputError: If the query names neither a space nor a screen, or both, or cannot be used.
        HttpError: If the space is still being scored: 429, as for all that may succeed in a moment.
    """
    if bool(query.space) == bool(query.screen):
        raise InputError("The ranking needs either space or screen; /v1/spaces lists both.")
    parts = parts_of(request)
    if query.screen:
        if query.n is not None or query.seed:
            raise InputError("A screen has been drawn already, so n and seed say nothing of it; leave them out.")
        return await in_thread(request, lambda: parts.screens.named(query.screen))
    require_space(query.space)
    await in_thread(request, lambda: _check(query))
    return await _scored(parts, query)


def _check(query: RankQuery) -> None:
    """Refuse a query that cannot be used before a space is scored for it."""
    check_query(any_lattice(query.space), query.text, query.sort or "conductivity_lo", query.target)


async def _scored(parts: Parts, query: RankQuery) -> Screened:
    screens: KeptScreens = parts.screens
    work = asyncio.ensure_future(
        parts.scorers.run(lambda: screens.scored(query.space, query.n, query.seed, parts.holder.hashes))
    )
    work.add_done_callback(_heard)
    done, _ = await asyncio.wait([work], timeout=PATIENCE * parts.rules.request_seconds)
    if done:
        return work.result()
    detail = f"The space {query.space} is being scored for the first time; ask again in {RETRY_SECONDS} seconds."
    raise HttpError(429, detail, {"Retry-After": str(RETRY_SECONDS)})


def _heard(work: asyncio.Future[Screened]) -> None:
    """Take note of how the scoring ended where nobody waits for it any more; who asks next meets the same end."""
    if not work.cancelled():
        work.exception()


def _page(
    query: RankQuery, screened: Screened, found: Found, rows: list[dict[str, Any]], models: dict[str, str]
) -> dict[str, Any]:
    record, last = found.record, query.offset + query.limit
    columns = [c for c in column_values(screened.lattice) if not c["name"].startswith(AMOUNT)]
    return {
        "space": record["space"], "n_scored": found.n_all, "n_matching": found.n_matching, "offset": query.offset,
        "next_offset": last if found.has_more and last <= MOST_OFFSET else None, "columns": columns, "rows": rows,
        "scored_with": record["models"], "note": _note(record, models),
    }  # fmt: skip


def _note(record: dict[str, Any], models: dict[str, str]) -> str:
    prices = record.get("prices")
    said = [f"Prices: {prices['source']}, of {prices['date']}."] if prices else []
    if record["models"] != models:
        said.append("The candidates were scored by other models than those that answer now; screen again for theirs.")
    return " ".join(said)


def _table(rows: list[dict[str, Any]]) -> str:
    header = [name for name in wire_rank.RankedOut.model_fields if any(name in row for row in rows)]
    return table_text(header, ({name: _cell(row.get(name)) for name in header} for row in rows))


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


@router.post("/recipe", summary="What to weigh out", openapi_extra=takes(wire_rank.RecipeIn), response_model=None,
             responses=gives(wire_rank.RecipeOut, "The balanced recipe."))  # fmt: skip
async def recipe(request: Request) -> Response:
    """Balance precursors exactly for a batch, corrected for excess and purity, and say what the balance makes of it."""
    given = await body_of(request, wire_rank.RecipeIn)

    def work() -> dict[str, Any]:
        made = make_recipe(
            given.formula, given.batch_g, precursors=given.precursors, excess_pct=given.excess_pct,
            purity_pct=given.purity_pct, balance_mg=given.balance_mg,
        )  # fmt: skip
        return recipe_values(made)

    return answer(await in_thread(request, work))
