"""Every error over HTTP in one shape: RFC 9457 problem+json, with one sentence that says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nascreen.errors import NascreenError, shown
from nascreen.records import COLUMN_BY_NAME

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
OPTIMADE = "/optimade"
OPTIMADE_VERSION = "1.2.0"
OPTIMADE_TYPE = "application/vnd.api+json"

T = TypeVar("T")

_PHRASES = {553: "Version Not Supported"}
_SENTENCES = {
    404: "There is no such address; see /v1/openapi.json for those there are.",
    405: "This address does not take that method; see /v1/openapi.json for what it takes.",
}


class HttpError(Exception):
    """A request that is refused before anything of nascreen sees it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep status, sentence and headers of the answer."""
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def problem(
    status: int,
    detail: str,
    kind: str = "",
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response.

    Args:
        status: HTTP status.
        detail: One sentence.
        kind: Name of the exception behind it; its kebab-case is the end of ``type``.
        errors: Single faults, ``where`` and ``what`` each.
        headers: Further headers.
    """
    title = _PHRASES.get(status) or HTTPStatus(status).phrase
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.removesuffix("Error")).strip("-")
    body: dict[str, Any] = {
        "type": f"urn:nascreen:problem:{name or title.lower().replace(' ', '-')}", "title": title, "status": status,
        "detail": detail,
    }  # fmt: skip
    if errors:
        body["errors"] = list(errors[:MOST_ERRORS])
    return Response(json.dumps(body, ensure_ascii=True), status, headers, MEDIA_TYPE)


def problem_of(error: Exception, address: str = "") -> Response:
    """Return the problem that an exception is, one that nobody foresaw among them.

    Args:
        error: The exception.
        address: The path that was asked; below `OPTIMADE` errors have the shape of that specification.
    """
    response = _problem_of(error)
    return as_optimade(response, address) if address.startswith(f"{OPTIMADE}/") else response


def _problem_of(error: Exception) -> Response:
    if isinstance(error, HttpError):
        return problem(error.status, error.detail, headers=error.headers)
    if isinstance(error, NascreenError):
        headers = {429: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(error.status)
        return problem(error.status, _plain(str(error)), type(error).__name__, headers=headers)
    if isinstance(error, ValidationError):
        return _invalid(error.errors(include_url=False, include_context=False))
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        detail = _SENTENCES.get(error.status_code, str(error.detail))
        return problem(error.status_code, detail, headers=error.headers)
    return problem(500, "The service failed at this request, and the fault is in its log; report it as a defect.")


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _invalid(found: Sequence[Any]) -> Response:
    faults = [_fault(one) for one in found[:MOST_ERRORS]]
    first, n_more = faults[0], len(found) - 1
    more = f" ({n_more} more: see errors)" if n_more else ""
    return problem(422, f"{first['what']}{more}", "InputError", faults)


def _fault(one: Mapping[str, Any]) -> dict[str, str]:
    """Return where a fault is and what it is, in words."""
    where = ".".join(str(part) for part in one["loc"] if not str(part).startswith("function-"))
    name = next((part for part in reversed(one["loc"]) if isinstance(part, str)), "")
    if one["type"] == "json_invalid":
        return {
            "where": "body",
            "what": f"The body is not JSON: {_plain(str(one['msg'])).removeprefix('Invalid JSON: ')}.",
        }
    if one["type"] == "extra_forbidden":
        return {
            "where": _safe(where),
            "what": f"The field {shown(where)} is unknown; see /v1/openapi.json for those allowed.",
        }
    if one["type"] == "missing":
        return {"where": _safe(where), "what": f"The field {shown(where)} is missing."}
    column = COLUMN_BY_NAME.get(name)
    allowed = (
        column.allowed
        if column
        else str(one["msg"]).replace("Input should be ", "").replace("Input should ", "it should ")
    )
    return {
        "where": _safe(where),
        "what": f"The field {shown(where or 'body')} is {_got(one.get('input'))}; allowed is {_plain(allowed)}.",
    }


def _safe(text: str) -> str:
    return shown(text)[1:-1]


def _got(value: object) -> str:
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**20:
        return "a huge number"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else shown(value)


def read_json(adapter: TypeAdapter[T], body: bytes, content_type: str) -> T:
    """Read a JSON body.

    Raises:
        HttpError: If it is said to be something else.
        ValidationError: If it is no JSON or of another shape.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HttpError(415, f"The body is {shown(content_type or 'of no stated type')}; send application/json.")
    return adapter.validate_json(body)


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an exception as a problem; for the handlers of the application."""
    return problem_of(error, request.url.path)


def as_optimade(response: Response, address: str) -> Response:
    """Return a problem as the OPTIMADE specification has it: a JSON:API error, beside what every answer says.

    Args:
        response: The problem.
        address: The path that was asked.
    """
    found = json.loads(bytes(response.body))
    # The specification knows no 422: whatever the words of a request lack is a bad request.
    status = {422: 400}.get(response.status_code, response.status_code)
    title = _PHRASES.get(status) or HTTPStatus(status).phrase
    body = {
        "errors": [{"status": str(status), "title": title, "detail": found["detail"]}],
        "meta": {
            "query": {"representation": _safe(re.sub(rf"^{OPTIMADE}(/v[0-9.]+)?", "", address)) or "/"},
            "api_version": OPTIMADE_VERSION, "more_data_available": False,
        },
    }  # fmt: skip
    kept = response.headers.items()
    headers = {name: value for name, value in kept if name not in {"content-type", "content-length"}}
    return Response(json.dumps(body, ensure_ascii=True), status, headers, OPTIMADE_TYPE)
