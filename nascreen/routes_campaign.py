"""Routes of campaigns: make one, ask what to measure next, tell what came out, and see how it stands."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Request
from fastapi import Query as QueryField
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nascreen import wire_campaign as wire
from nascreen.errors import InputError, shown
from nascreen.routes import (
    PROBLEMS,
    Parts,
    Query,
    answer,
    body_of,
    csv_answer,
    gives,
    in_thread,
    media_type_of,
    parts_of,
    takes,
    takes_files,
)
from nascreen.spreadsheets import XLSX

if TYPE_CHECKING:
    from nascreen.campaign_answers import OpenCampaigns
    from nascreen.campaigns import Campaign, Experiment

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

CSV = "text/csv"
MOST_IDS = 200
_IDS = re.compile(rf"[0-9]{{1,15}}(,[0-9]{{1,15}}){{0,{MOST_IDS - 1}}}", re.ASCII)
_opened: WeakKeyDictionary[Parts, OpenCampaigns] = WeakKeyDictionary()
_opening = threading.Lock()


class OutlookQuery(Query):
    """What an outlook is of."""

    n: Annotated[int, Field(ge=1, le=wire.MOST_ASKED, description="Size of the next batch.")] = 4
    gain: Annotated[float | None, Field(ge=0, description="Gain of which the probability is wanted.")] = None


class ExportQuery(Query):
    """How a campaign leaves."""

    format: Annotated[Literal["json", "csv"], Field(description="All reasons, or a table.")] = "json"


class SheetQuery(Query):
    """What a sheet is of."""

    ids: Annotated[str, Field(description="Such as 1,2; all that are being made where none is named.")] = ""


class FilledQuery(Query):
    """Of whom a filled sheet is."""

    author: wire.Author = ""


def _campaigns(parts: Parts) -> OpenCampaigns:
    """Return the campaigns of a service; what they need is imported with the first request for one."""
    from nascreen.campaign_answers import OpenCampaigns

    with _opening:
        if parts not in _opened:
            _opened[parts] = OpenCampaigns(parts.store)
        return _opened[parts]


async def _answered(
    request: Request, name: str, work: Callable[[Campaign], dict[str, Any]], status: int = 200
) -> Response:
    """Do something with a campaign in a thread, writing of the answer with it."""
    parts = parts_of(request)
    return await in_thread(request, lambda: answer(work(_campaigns(parts).campaign(name)), status))


def _one(campaign: Campaign, one: Experiment) -> dict[str, Any]:
    from nascreen.campaign_answers import one_experiment

    return one_experiment(campaign, one)


def _author(request: Request, given: str) -> str:
    """Return who does it: who says so, else whose token it is."""
    token = getattr(request.state, "token", None)
    return given or (token.label if token else "")


def _request_key(request: Request, given: str | None) -> str | None:
    return given if given is not None else request.headers.get("idempotency-key")


# ---------------------------------------------------------------- all of them


@router.get(
    "",
    summary="The campaigns",
    response_model=None,
    responses=gives(wire.CampaignsOut, "The campaigns in the order of their making."),
)
async def campaigns_list(request: Request) -> Response:
    """List the campaigns with what is open, told and failed; a token for one campaign alone does not allow it."""
    parts = parts_of(request)
    return await in_thread(request, lambda: answer({"campaigns": _campaigns(parts).summaries()}))


@router.post(
    "",
    summary="Make a campaign",
    openapi_extra=takes(wire.CampaignIn),
    response_model=None,
    status_code=201,
    responses=gives(wire.CampaignOut, "The campaign as made.", 201),
)
async def campaign_new(request: Request) -> Response:
    """Make a campaign over a space that ships, or over rows.

    To draw much of a space may take longer than a request may: then the answer is 504, the work goes on, and the
    campaign is listed when it is made.
    """
    given = await body_of(request, wire.CampaignIn)
    parts, author = parts_of(request), _author(request, given.author)

    def work() -> Response:
        from nascreen.campaign_answers import campaign_values

        return answer(campaign_values(_campaigns(parts).create(given, author)), 201)

    return await in_thread(request, work)


@router.api_route("", methods=["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "QUERY"], include_in_schema=False)
async def campaigns_otherwise() -> Response:
    """Refuse any other method with both that there are; of two routes on one address the first alone would be named."""
    raise HTTPException(405, headers={"Allow": "GET, POST"})


# ---------------------------------------------------------------- one of them


@router.get(
    "/{name}",
    summary="A campaign as it stands",
    response_model=None,
    responses=gives(wire.CampaignOut, "Settings, experiments, the best, and progress."),
)
async def campaign_one(request: Request, name: str) -> Response:
    """Return a campaign: what it wants, what was asked and told, the best so far after each result."""

    def work(campaign: Campaign) -> dict[str, Any]:
        from nascreen.campaign_answers import campaign_values

        return campaign_values(campaign)

    return await _answered(request, name, work)


@router.post(
    "/{name}/ask",
    summary="What to measure next",
    openapi_extra=takes(wire.AskIn),
    response_model=None,
    responses=gives(wire.ExperimentsOut, "Suggestions with reasons, handed out to nobody else."),
)
async def campaign_ask(request: Request, name: str) -> Response:
    """Ask what to measure next; fewer come where the rules leave fewer.

    With a request_key, or the header Idempotency-Key, the same request again gets the same answer.
    """
    given = await body_of(request, wire.AskIn)
    author, key = _author(request, given.author), _request_key(request, given.request_key)

    def work(campaign: Campaign) -> dict[str, Any]:
        from nascreen.campaign_answers import ask

        return {"experiments": [_one(campaign, one) for one in ask(campaign, given, key, author)]}

    return await _answered(request, name, work)


@router.post(
    "/{name}/tell",
    summary="Tell results",
    openapi_extra=takes(wire.TellIn),
    response_model=None,
    responses=gives(wire.ExperimentOut, "The suggestion as it stands."),
)
async def campaign_tell(request: Request, name: str) -> Response:
    """Tell results of a suggestion; the same again changes nothing, another value for a told one is refused."""
    given = await body_of(request, wire.TellIn)
    author = _author(request, given.author)

    def work(campaign: Campaign) -> dict[str, Any]:
        told = campaign.tell(given.id, given.values, given.error, author=author, note=given.note)
        return _one(campaign, told)

    return await _answered(request, name, work)


@router.post(
    "/{name}/fail",
    summary="Say that a sample failed",
    openapi_extra=takes(wire.FailIn),
    response_model=None,
    responses=gives(wire.ExperimentOut, "The suggestion as it stands."),
)
async def campaign_fail(request: Request, name: str) -> Response:
    """Say that a sample failed, such as cracked; the campaign learns where samples succeed."""
    given = await body_of(request, wire.FailIn)
    author = _author(request, given.author)
    return await _answered(request, name, lambda c: _one(c, c.fail(given.id, given.reason, author)))


@router.post(
    "/{name}/abandon",
    summary="Give a suggestion back",
    openapi_extra=takes(wire.AbandonIn),
    response_model=None,
    responses=gives(wire.ExperimentOut, "The suggestion as it stands."),
)
async def campaign_abandon(request: Request, name: str) -> Response:
    """Give a suggestion back unmade, so that its candidate may be handed out again."""
    given = await body_of(request, wire.AbandonIn)
    author = _author(request, given.author)
    return await _answered(request, name, lambda c: _one(c, c.abandon(given.id, given.reason, author)))


@router.post(
    "/{name}/correct",
    summary="Correct told results",
    openapi_extra=takes(wire.CorrectIn),
    response_model=None,
    responses=gives(wire.ExperimentOut, "The suggestion as it stands."),
)
async def campaign_correct(request: Request, name: str) -> Response:
    """Replace told results, or withdraw them with null; the former ones stay in the history."""
    given = await body_of(request, wire.CorrectIn)

    def work(campaign: Campaign) -> dict[str, Any]:
        corrected = campaign.correct(given.id, given.values, given.error, author=given.author, reason=given.reason)
        return _one(campaign, corrected)

    return await _answered(request, name, work)


@router.post(
    "/{name}/reopen",
    summary="Take back a failure or an abandonment",
    openapi_extra=takes(wire.ReopenIn),
    response_model=None,
    responses=gives(wire.ExperimentOut, "The suggestion as it stands."),
)
async def campaign_reopen(request: Request, name: str) -> Response:
    """Take back a failure or an abandonment that was said by mistake."""
    given = await body_of(request, wire.ReopenIn)
    return await _answered(
        request, name, lambda c: _one(c, c.reopen(given.id, author=given.author, reason=given.reason))
    )


@router.post(
    "/{name}/attach",
    summary="Add samples made before",
    openapi_extra=takes(wire.AttachIn),
    response_model=None,
    responses=gives(wire.ExperimentsOut, "The samples in order."),
)
async def campaign_attach(request: Request, name: str) -> Response:
    """Add samples made before, all of them or none; the same rows again add nothing."""
    given = await body_of(request, wire.AttachIn)
    author, key = _author(request, given.author), _request_key(request, given.request_key)

    def work(campaign: Campaign) -> dict[str, Any]:
        from nascreen.campaign_answers import checked_rows

        attached = campaign.attach(checked_rows(given.rows), author=author, request_key=key)
        return {"experiments": [_one(campaign, one) for one in attached]}

    return await _answered(request, name, work)


@router.get(
    "/{name}/outlook",
    summary="What the next batch promises",
    response_model=None,
    responses=gives(wire.OutlookOut, "One promise per objective."),
)
async def campaign_outlook(request: Request, name: str, query: Annotated[OutlookQuery, QueryField()]) -> Response:
    """Say what the next batch is expected to gain, and how likely any untested candidate gains so much."""

    def work(campaign: Campaign) -> dict[str, Any]:
        from nascreen.campaign_answers import outlook_values

        return outlook_values(campaign, query.n, query.gain)

    return await _answered(request, name, work)


# ---------------------------------------------------------------- files


@router.get(
    "/{name}/export",
    summary="Everything as a file",
    response_model=None,
    responses={
        200: {
            "description": "Every experiment, with all reasons or as a table.",
            "content": {
                "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **PROBLEMS,
    },
)
async def campaign_export(request: Request, name: str, query: Annotated[ExportQuery, QueryField()]) -> Response:
    """Return everything that was asked and told as a file, as nascreen campaign export writes it."""
    parts = parts_of(request)

    def work() -> str:
        from nascreen.campaign_answers import export_text

        return export_text(_campaigns(parts).campaign(name), query.format)

    text = await in_thread(request, work)
    if query.format == "csv":
        return csv_answer(text, f"{name}.csv")
    return _file(text.encode("utf-8", "backslashreplace"), f"{name}.json", "application/json")


@router.get(
    "/{name}/sheet",
    summary="A sheet to be filled in",
    response_model=None,
    responses={
        200: {
            "description": "XLSX with recipes and places for results.",
            "content": {XLSX: {"schema": {"type": "string", "format": "binary"}}},
        },
        **PROBLEMS,
    },
)
async def campaign_sheet(request: Request, name: str, query: Annotated[SheetQuery, QueryField()]) -> Response:
    """Return suggestions as a sheet with recipes, units in its heads, to be filled in at the furnace."""
    if query.ids and not _IDS.fullmatch(query.ids):
        raise InputError(f"The ids are {shown(query.ids)}; give up to {MOST_IDS} ids with commas between, such as 1,2.")
    ids = [int(number) for number in query.ids.split(",")] if query.ids else []
    parts = parts_of(request)

    def work() -> bytes:
        from nascreen.campaign_answers import sheet

        return sheet(_campaigns(parts).campaign(name), ids)

    return _file(await in_thread(request, work), f"{name}-batch.xlsx", XLSX)


@router.post(
    "/{name}/sheet",
    summary="Give back a filled sheet",
    openapi_extra=takes_files(XLSX, CSV),
    response_model=None,
    responses=gives(wire.ExperimentsOut, "The suggestions that the sheet says something of, as they stand."),
)
async def campaign_sheet_back(request: Request, name: str, query: Annotated[FilledQuery, QueryField()]) -> Response:
    """Tell what a filled sheet says, XLSX or the same table as CSV, all of it or nothing.

    Rows and cells that are empty are for later; the same sheet again changes nothing.
    """
    kind = {XLSX: "xlsx", CSV: "csv"}[media_type_of(request, XLSX, CSV)]
    data, author = await request.body(), _author(request, query.author)

    def work(campaign: Campaign) -> dict[str, Any]:
        from nascreen.campaign_answers import tell_sheet

        return {"experiments": [_one(campaign, one) for one in tell_sheet(campaign, data, kind, author)]}

    return await _answered(request, name, work)


@router.api_route(
    "/{name}/sheet", methods=["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "QUERY"], include_in_schema=False
)
async def campaign_sheet_otherwise(name: str) -> Response:  # noqa: ARG001 - part of the address
    """Refuse any other method with both that there are."""
    raise HTTPException(405, headers={"Allow": "GET, POST"})


def _file(data: bytes, name: str, media_type: str) -> Response:
    return Response(data, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, media_type)
