"""The OPTIMADE door: the measured rows for the clients of that standard, version 1.2."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Query as QueryField
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nascreen import __version__
from nascreen.errors import shown
from nascreen.filters import PREFIX, UnsupportedFilterError
from nascreen.problems import OPTIMADE, OPTIMADE_TYPE, OPTIMADE_VERSION, HttpError
from nascreen.routes import answer, in_thread
from nascreen.structures import BY_NAME, ENTRY_TYPE, Listing, info_properties, structures

router = APIRouter(prefix=OPTIMADE, tags=["optimade"])

BASE = f"{OPTIMADE}/v1"
MOST_LIMIT = 500
USUAL_LIMIT = 100
MOST_OFFSET = 1_000_000
PROVIDER = {
    "name": "nascreen",
    "description": "Measured solid electrolytes of sodium and lithium: processing, conductivity, strength, sources.",
    "prefix": PREFIX.strip("_"),
}
_UNSERVED = ("page_number", "page_cursor", "page_above", "page_below")
Json = dict[str, Any]


def _gives(description: str, data: str) -> dict[int | str, Json]:
    """Return what OpenAPI is told of an answer: a JSON:API document, and errors of the same family."""
    meta = {"type": "object", "required": ["api_version", "query", "more_data_available"]}
    good = {"type": "object", "required": ["data", "meta"], "properties": {"data": {"type": data}, "meta": meta}}
    fault = {"type": "object", "required": ["status", "title", "detail"]}
    bad = {
        "type": "object", "required": ["errors", "meta"],
        "properties": {"errors": {"type": "array", "items": fault}, "meta": meta},
    }  # fmt: skip
    return {
        200: {"description": description, "content": {OPTIMADE_TYPE: {"schema": good}}},
        "default": {"description": "What is wrong, in one sentence.", "content": {OPTIMADE_TYPE: {"schema": bad}}},
    }


class AnyQuery(BaseModel):
    """What every address takes."""

    model_config = ConfigDict(frozen=True)

    api_hint: Annotated[str, Field(max_length=20, description="The version that is preferred.")] = ""
    response_format: Annotated[Literal["json"], Field(description="The only one.")] = "json"
    email_address: Annotated[str, Field(max_length=200, description="Whose request it is; not kept.")] = ""


class EntryQuery(AnyQuery):
    """What is asked of entries."""

    response_fields: Annotated[
        str | None, Field(max_length=4000, description="Properties to be returned, separated by commas.")
    ] = None
    include: Annotated[Literal["", "references"], Field(description="Related entries; there are none.")] = ""


class EntriesQuery(EntryQuery):
    """Which entries."""

    text: Annotated[
        str,
        Field(
            alias="filter",
            description="Filter in the OPTIMADE grammar; nothing for all.",
            examples=['elements HAS "Na" AND _nascreen_conductivity_s_cm > 1e-3'],
        ),
    ] = ""
    sort: Annotated[
        str, Field(max_length=200, description="Properties, separated by commas; downwards with a minus before.")
    ] = ""
    page_limit: Annotated[
        int,
        # What is larger is told from what is no number: the specification asks for 403 there.
        Field(ge=1, description="Most entries of a page.", json_schema_extra={"maximum": MOST_LIMIT}),
    ] = USUAL_LIMIT
    page_offset: Annotated[int, Field(ge=0, le=MOST_OFFSET, description="Entries passed over.")] = 0


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _meta(request: Request, **more: Any) -> Json:  # noqa: ANN401 - parts of a JSON object
    asked = request.url.path.removeprefix(BASE) + (f"?{request.url.query}" if request.url.query else "")
    return {
        "query": {"representation": asked or "/"}, "api_version": OPTIMADE_VERSION, "more_data_available": False,
        "schema": f"{_base(request)}/v1/openapi.json",
        "time_stamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), "provider": PROVIDER,
        "implementation": {"name": "nascreen", "version": __version__}, **more,
    }  # fmt: skip


def _answered(body: Json) -> Response:
    response = answer(body)
    response.headers["content-type"] = OPTIMADE_TYPE
    return response


def _check(request: Request, known: Sequence[str]) -> None:
    """Refuse parameters that are not known.

    Raises:
        HttpError: If there is one, or one of a way of paging that is not served.
    """
    for name in request.query_params:
        if name in _UNSERVED:
            raise HttpError(501, f"Pages by {name} are not served; use page_offset and page_limit.")
        if name not in known and (not name.startswith("_") or name.startswith(PREFIX)):
            raise HttpError(400, f"The parameter {shown(name)} is unknown; allowed are {', '.join(known)}.")


def _fields(query: EntryQuery) -> list[str] | None:
    return None if query.response_fields is None else [n for n in query.response_fields.split(",") if n]


@router.get("/versions", summary="Major versions of the OPTIMADE interface", response_model=None,
            responses={**_gives("One version a line.", "object"), 200: {
                "description": "One version a line.", "content": {"text/csv": {"schema": {"type": "string"}}},
            }})  # fmt: skip
async def versions() -> Response:
    """List the major versions, the preferred one first."""
    return Response("version\n1\n", 200, {"content-type": "text/csv; header=present"})


@router.get("/v1/info", summary="About this interface", response_model=None,
            responses=_gives("Versions, formats and addresses.", "object"))  # fmt: skip
async def info(request: Request, _query: Annotated[AnyQuery, QueryField()]) -> Response:
    """Say which version, formats and entries are served, and under which terms."""
    base = _base(request)
    attributes = {
        "api_version": OPTIMADE_VERSION,
        "available_api_versions": [{"url": f"{base}{BASE}/", "version": OPTIMADE_VERSION}],
        "formats": ["json"],
        "entry_types_by_format": {"json": [ENTRY_TYPE]},
        "available_endpoints": ["info", "links", ENTRY_TYPE],
        "is_index": False,
        # Each table has its own terms, which every entry names.
        "license": {"href": f"{base}/v1/data/statistics"},
        "available_licenses": [],
    }
    return _answered({"data": {"type": "info", "id": "/", "attributes": attributes}, "meta": _meta(request)})


@router.get("/v1/info/structures", summary="Properties of the entries", response_model=None,
            responses=_gives("Every property with its meaning.", "object"))  # fmt: skip
async def info_structures(request: Request, _query: Annotated[AnyQuery, QueryField()]) -> Response:
    """Say what every property of an entry means, its unit and type, and whether answers can be sorted by it."""
    properties = info_properties()
    data = {
        "type": "info", "id": ENTRY_TYPE, "formats": ["json"], "properties": properties,
        "description": "A sample that was made and measured, at one temperature: a composition without positions of "
        "atoms, what was measured, how it was made, and where it was reported.",
        "output_fields_by_format": {"json": list(properties)},
    }  # fmt: skip
    return _answered({"data": data, "meta": _meta(request)})


@router.get("/v1/structures", summary="Measured rows as entries", response_model=None,
            responses=_gives("A page of the entries that pass the filter.", "array"))  # fmt: skip
async def structures_many(request: Request, query: Annotated[EntriesQuery, QueryField()]) -> Response:
    """Filter and sort the rows of all tables as reviewed."""
    names = [field.alias or name for name, field in EntriesQuery.model_fields.items()]
    _check(request, names)
    if query.page_limit > MOST_LIMIT:
        raise HttpError(403, f"The page limit is {query.page_limit}; allowed is 1 to {MOST_LIMIT}.")

    def work() -> Listing:
        try:
            return structures().find(query.text, query.sort, query.page_limit, query.page_offset, _fields(query))
        except UnsupportedFilterError as error:
            raise HttpError(501, str(error)) from error

    found = await in_thread(request, work)
    last = query.page_offset + query.page_limit
    has_more = last < found.n_matching
    following = str(request.url.include_query_params(page_offset=last, page_limit=query.page_limit))
    meta = _meta(
        request, more_data_available=has_more, data_returned=found.n_matching, data_available=found.n_all,
        **_warnings([*found.foreign, *(n for n in _fields(query) or () if n not in BY_NAME)]),
    )  # fmt: skip
    return _answered({"data": found.entries, "links": {"next": following if has_more else None}, "meta": meta})


def _warnings(names: Sequence[str]) -> Json:
    if not names:
        return {}
    said = [
        {"type": "warning", "title": "Unknown property", "detail": f"The property {shown(name)} is of another provider "
         "and is taken as unknown."}
        for name in dict.fromkeys(names)
    ]  # fmt: skip
    return {"warnings": said}


@router.get("/v1/structures/{sample_id}", summary="One measured row as an entry", response_model=None,
            responses=_gives("The entry.", "object"))  # fmt: skip
async def structures_one(
    request: Request, sample_id: str, query: Annotated[EntryQuery, QueryField()]
) -> Response:  # fmt: skip
    """Return one row by its identifier."""
    fields = _fields(query)
    entry = await in_thread(request, lambda: structures().one(sample_id, fields))
    meta = _meta(request, data_returned=1, **_warnings([n for n in fields or () if n not in BY_NAME]))
    return _answered({"data": entry, "meta": meta})


@router.get("/v1/links", summary="Related interfaces", response_model=None,
            responses=_gives("This interface, which is the only one of its provider.", "array"))  # fmt: skip
async def links(request: Request, _query: Annotated[AnyQuery, QueryField()]) -> Response:
    """Name this interface as the root of its provider."""
    root = {
        "id": PROVIDER["prefix"], "type": "links",
        "attributes": {
            "name": PROVIDER["name"], "description": PROVIDER["description"],
            "base_url": f"{_base(request)}{OPTIMADE}", "homepage": None, "link_type": "root",
        },
    }  # fmt: skip
    meta = _meta(request, data_returned=1, data_available=1)
    return _answered({"data": [root], "links": {"next": None}, "meta": meta})


@router.get("/{rest:path}", include_in_schema=False)
async def anything_else(rest: str) -> Response:
    """Refuse other versions, and other addresses.

    Raises:
        HttpError: Always.
    """
    version = rest.partition("/")[0]
    if version[:1] == "v" and version[1:2].isdigit() and version != "v1":
        raise HttpError(553, f"The version {shown(version)} is not served; allowed is v1.")
    raise HttpError(404, f"There is no such address; {BASE}/info lists those there are.")
